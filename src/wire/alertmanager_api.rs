//! What Prometheus and others post to an Alertmanager's API, version 2.
//!
//! An alert here has no status: whoever sends it says until when it holds and repeats itself before
//! that, each minute in Prometheus' case. So an end in the future is no end yet, and one that is over
//! is told again for a quarter of an hour. Alertmanager's rules for missing times are kept. Unlike
//! it, an alert without a name is rejected: nothing could be said about it.

use chrono::TimeDelta;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, Normalised, PLANNED_AHEAD_MAX, Refused, alertmanager::RawAlert,
    at_most_items_max, limits, typed, whole,
};
use crate::event::Time;

/// How long an alert holds whose sender does not say it: Alertmanager's `resolve_timeout`, at its
/// default.
const RESOLVE_TIMEOUT: TimeDelta = TimeDelta::minutes(5);

/// Whatever it says of its status: what Alertmanager answers may be posted to it again.
type Posted = RawAlert<IgnoredAny>;

/// The events in a list of alerts.
///
/// # Errors
/// It is no list.
pub fn normalise(body: &[u8], received: Time) -> Result<Normalised, Refused> {
    // As in the webhook: read once where all is well, and else so that one bad alert is lost alone.
    if let Ok(alerts) = serde_json::from_slice::<Vec<Posted>>(body) {
        at_most_items_max(alerts.len())?;
        return Ok(Normalised::of(alerts.into_iter().map(|alert| alert.item_at(received))));
    }
    let alerts: Vec<Value> = whole(body)?;
    at_most_items_max(alerts.len())?;
    let item = |alert| typed::<Posted>(alert)?.item_at(received);
    Ok(Normalised::of(alerts.into_iter().map(item)))
}

impl Posted {
    fn item_at(mut self, received: Time) -> Result<Item, Flaw> {
        let labels = self.take_labels()?;
        let starts_at = limits::time("startsAt", self.starts_at, received, AHEAD_MAX)?;
        let ends_at = limits::time("endsAt", self.ends_at, received, PLANNED_AHEAD_MAX)?;
        if starts_at.zip(ends_at).is_some_and(|(starts_at, ends_at)| ends_at < starts_at) {
            return Err(Flaw::new("endsAt", "is before startsAt"));
        }
        Ok(match ends_at {
            Some(end) if end <= received => {
                self.told(labels, starts_at.unwrap_or(end), Some(end), None)
            }
            _ => {
                let starts_at = starts_at.unwrap_or(received);
                let expires_at = ends_at.unwrap_or(starts_at.max(received) + RESOLVE_TIMEOUT);
                self.told(labels, starts_at, None, Some(expires_at))
            }
        })
    }
}
