//! Asks a Prometheus, or what answers its API, which alerts were active, and by which rules. In: a
//! range of an even grid. Out: what was seen at its moments, or one sentence on why not that names
//! the address.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;

use super::stretches::Series;
use crate::{
    event::{Labels, Time, show_time, time_of_micros},
    prom_api::{Failed, Prometheus},
};

/// Points of one series that Prometheus gives at most in one reply.
pub(super) const POINTS_MAX: i32 = 11_000;

/// Prometheus notes what its alerts are in this series.
const QUERY: &str = r#"ALERTS{alertstate=~"pending|firing"}"#;

/// What it said of a range.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) series: Vec<Series>,
    /// Why this may not be all.
    pub(super) warnings: Vec<String>,
}

/// Which alerts were active at the moments from the one to the other.
pub(super) async fn alerts(
    prometheus: &Prometheus,
    from: Time,
    to: Time,
    step: TimeDelta,
) -> Result<Answer, Failed> {
    let step = format!("{}ms", step.num_milliseconds());
    let (from, to) = (show_time(from), show_time(to));
    let asked = [("query", QUERY), ("start", &from), ("end", &to), ("step", &step)];
    let (data, warnings) = prometheus.ask::<Matrices>("query_range", &asked).await?;
    let series = data.result.into_iter().map(Matrix::series).collect();
    Ok(Answer { series, warnings })
}

/// Its alerting rules, group by group.
pub(super) async fn rules(prometheus: &Prometheus) -> anyhow::Result<Vec<Group>> {
    let (data, _) = prometheus.ask::<Groups>("rules", &[("type", "alert")]).await?;
    Ok(data.groups)
}

/// The data of `/api/v1/query_range`.
#[derive(Deserialize)]
struct Matrices {
    result: Vec<Matrix>,
}

#[derive(Deserialize)]
struct Matrix {
    metric: Labels,
    values: Vec<(Moment, String)>,
}

impl Matrix {
    fn series(self) -> Series {
        let mut labels = self.metric;
        let firing = labels.holds("alertstate", "firing");
        // Prometheus puts these on each sample; a notification does not have them.
        labels.remove("__name__");
        labels.remove("alertstate");
        // An old Prometheus wrote a 0 where an alert ended.
        let active = self.values.into_iter().filter(|(_, value)| value != "0");
        Series { labels, firing, at: active.map(|(Moment(at), _)| at).collect() }
    }
}

/// A time as Prometheus writes it: seconds since 1970, to the millisecond.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Moment(Time);

impl TryFrom<f64> for Moment {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        let since = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
        let milliseconds = (since + Duration::from_micros(500)).as_millis();
        let micros = i64::try_from(milliseconds * 1000).map_err(|error| error.to_string())?;
        Ok(Self(time_of_micros(micros)))
    }
}

/// The data of `/api/v1/rules`.
#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

/// Rules that are evaluated together.
#[derive(Debug, Deserialize)]
pub(super) struct Group {
    /// Between two evaluations, in seconds.
    pub(super) interval: f64,
    pub(super) rules: Vec<AlertingRule>,
}

/// When an alert fires.
#[derive(Debug, Deserialize)]
pub(super) struct AlertingRule {
    /// The alert's name.
    pub(super) name: String,
    /// The expression that has to hold ...
    pub(super) query: String,
    /// ... for so long, in seconds.
    pub(super) duration: f64,
}
