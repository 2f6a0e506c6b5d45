//! Our own form of alerts: one object, or a list of them.
//!
//! For what knows more of an alert than a webhook says, as when it became pending, and for the past:
//! an alert is told when it fires and, with its start, when it ended. A report's own JSON is of this
//! form.

use serde::Deserialize;
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, Normalised, Refused, Values, gather, limits, moment::Moment,
    one_or_list, typed,
};
use crate::event::{AlertReport, Event, Labels, Time};

/// An alert as it is written. Fields that are not listed are ignored.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an alert: an object")]
pub(super) struct RawAlert {
    alertname: Option<Values>,
    service: Option<Values>,
    environment: Option<Values>,
    severity: Option<Values>,
    labels: Option<Labels>,
    #[serde(default)]
    pending_at: Moment,
    #[serde(default)]
    starts_at: Moment,
    #[serde(default)]
    ends_at: Moment,
    summary: Option<String>,
    url: Option<String>,
}

/// The events in a body of alerts.
///
/// # Errors
/// It is neither an object nor a list.
pub fn normalise(body: &[u8], received: Time) -> Result<Normalised, Refused> {
    Ok(Normalised::of(one_or_list(body)?.into_iter().map(|thing| item(thing, received))))
}

fn item(thing: Value, received: Time) -> Result<Item, Flaw> {
    let report = typed::<RawAlert>(thing)?.report(received)?;
    let events = report.facts().into_iter().map(Event::Alert).collect();
    Ok(Item { events, id: None })
}

impl RawAlert {
    pub(super) fn report(self, received: Time) -> Result<AlertReport, Flaw> {
        let labels = gather(
            self.labels,
            [
                ("alertname", self.alertname),
                ("service", self.service),
                ("environment", self.environment),
                ("severity", self.severity),
            ],
        )?;
        if !labels.has("alertname") {
            return Err(Flaw::new("alertname", "is missing"));
        }
        let time = |field, written| limits::time(field, written, received, AHEAD_MAX);
        let pending_at = time("pending_at", self.pending_at)?;
        let starts_at = time("starts_at", self.starts_at)?
            .ok_or_else(|| Flaw::new("starts_at", "is missing"))?;
        let ends_at = time("ends_at", self.ends_at)?;
        if pending_at.is_some_and(|pending_at| pending_at > starts_at) {
            return Err(Flaw::new("pending_at", "is after starts_at"));
        }
        if ends_at.is_some_and(|ends_at| ends_at < starts_at) {
            return Err(Flaw::new("ends_at", "is before starts_at"));
        }
        let (summary, url) = (limits::words(self.summary), limits::url(self.url));
        let expires_at = None;
        Ok(AlertReport { labels, starts_at, ends_at, expires_at, pending_at, summary, url })
    }
}
