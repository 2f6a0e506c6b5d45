//! Asks a Prometheus, or what answers its API, which alerts were active, and by which rules. In: a
//! range of an even grid. Out: what was seen at its moments, or one sentence on why not that names
//! the address.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use chrono::TimeDelta;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};

use super::stretches::Series;
use crate::event::{Labels, Time, show_time, time_of_micros};

/// Points of one series that Prometheus gives at most in one reply.
pub(super) const POINTS_MAX: i32 = 11_000;

/// Longer replies are not read: the range is asked for in smaller parts.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// How long Prometheus may take to accept a connection, ...
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// ... and to answer: as long as it lets a query run.
const REPLY_TIMEOUT: Duration = Duration::from_mins(2);

/// Prometheus notes what its alerts are in this series.
const QUERY: &str = r#"ALERTS{alertstate=~"pending|firing"}"#;

/// So much is shown of a reply that is not understood.
const SHOWN_BYTES_MAX: usize = 200;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// It would be too long: ask for less.
    TooMuch(anyhow::Error),
    /// It would be the same for less.
    AtAll(anyhow::Error),
}

/// One Prometheus, with the token for it.
#[derive(Debug)]
pub(super) struct Prometheus {
    http: reqwest::Client,
    url: Url,
    token: Option<String>,
}

/// What it said of a range.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) series: Vec<Series>,
    /// Why this may not be all.
    pub(super) warnings: Vec<String>,
}

impl Prometheus {
    /// The one at this address, which may have a path.
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let mut parsed = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .with_context(|| {
                format!("{url:?} is not a Prometheus: want a URL as http://127.0.0.1:9090")
            })?;
        parsed.set_query(None);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REPLY_TIMEOUT)
            .user_agent(concat!("antecede/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, url: parsed, token })
    }

    /// Which alerts were active at the moments from the one to the other.
    pub(super) async fn alerts(
        &self,
        from: Time,
        to: Time,
        step: TimeDelta,
    ) -> Result<Answer, Failed> {
        let step = format!("{}ms", step.num_milliseconds());
        let (from, to) = (show_time(from), show_time(to));
        let asked = [("query", QUERY), ("start", &from), ("end", &to), ("step", &step)];
        let (data, warnings) = self.ask::<Matrices>("query_range", &asked).await?;
        let series = data.result.into_iter().map(Matrix::series).collect();
        Ok(Answer { series, warnings })
    }

    /// Its alerting rules, group by group.
    pub(super) async fn rules(&self) -> anyhow::Result<Vec<Group>> {
        let asked = self.ask::<Groups>("rules", &[("type", "alert")]).await;
        let (data, _) = asked.map_err(|failed| match failed {
            Failed::TooMuch(error) | Failed::AtAll(error) => error,
        })?;
        Ok(data.groups)
    }

    /// What it answers to a question, with its warnings.
    async fn ask<D: DeserializeOwned>(
        &self,
        what: &str,
        asked: &[(&str, &str)],
    ) -> Result<(D, Vec<String>), Failed> {
        let mut url = self.url.clone();
        // Only a URL that cannot be a base has no segments, and that was let out.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", what]);
        }
        let at = url.clone();
        url.query_pairs_mut().extend_pairs(asked);
        let (status, body) = self.get(url, &at).await?;
        let reply: Reply<D> = serde_json::from_slice(&body).map_err(|error| {
            let shown = body.get(..SHOWN_BYTES_MAX.min(body.len())).unwrap_or_default();
            let shown = String::from_utf8_lossy(shown);
            let why = format!("answered {status}, and not as Prometheus does ({error}): {shown}");
            Failed::AtAll(failure(&at, &why))
        })?;
        match (reply.data, reply.error) {
            (Some(data), None) => Ok((data, reply.warnings)),
            (_, error) => {
                let kind = reply.error_type.unwrap_or_default();
                let error = error.unwrap_or_default();
                let why = failure(&at, &format!("answered {status}: {kind}: {error}"));
                let too_much = kind == "timeout" || error.contains("too many samples");
                Err(if too_much { Failed::TooMuch(why) } else { Failed::AtAll(why) })
            }
        }
    }

    async fn get(&self, url: Url, at: &Url) -> Result<(StatusCode, Vec<u8>), Failed> {
        let mut request = self.http.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let unreachable = |error| unreachable(at, error);
        let mut reply = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > REPLY_BYTES_MAX {
                let why = format!("answered with more than {REPLY_BYTES_MAX} bytes");
                return Err(Failed::TooMuch(failure(at, &why)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((reply.status(), body))
    }
}

/// Why there is no reply: of the layers that report it, the lowest knows.
fn unreachable(at: &Url, error: reqwest::Error) -> Failed {
    if error.is_timeout() && !error.is_connect() {
        return Failed::TooMuch(failure(at, "did not answer in time"));
    }
    let error = anyhow!(error.without_url());
    Failed::AtAll(failure(at, &format!("cannot be reached: {}", error.root_cause())))
}

fn failure(at: &Url, what: &str) -> anyhow::Error {
    let mut shown = at.clone();
    // Whoever reads the error need not know the password in the address.
    shown.set_password(None).unwrap_or_default();
    anyhow!("{shown} {what}")
}

/// What every path under `/api/v1` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "D: DeserializeOwned")]
struct Reply<D> {
    data: Option<D>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
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
