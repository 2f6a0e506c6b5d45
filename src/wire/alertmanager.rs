//! Alertmanager's webhook, payload version "4".
//!
//! Each notification carries the whole group, so most alerts in it are repeats, and one status for
//! the group that says little: every alert is taken for itself. An alert that is broken is rejected
//! alone. Alertmanager sends a body again that is answered with an error of ours, never one that
//! is answered with an error of its own.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, Normalised, Refused, at_most_items_max, limits, moment::Moment, typed,
    whole,
};
use crate::event::{AlertReport, Labels, Time};

/// The only payload version there is.
const VERSION: &str = "4";

#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    bound(deserialize = "A: Deserialize<'de>"),
    expecting = "an Alertmanager webhook: an object"
)]
struct RawWebhook<A> {
    version: Option<String>,
    #[serde(default, deserialize_with = "list")]
    alerts: Option<Vec<A>>,
    truncated_alerts: Option<u64>,
}

/// `None` stays for a list that is absent: Go writes an empty one as `null`.
fn list<'de, D: Deserializer<'de>, A: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<A>>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

/// An alert as the webhook tells it and the API takes it; a status is said in the webhook only.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    bound(deserialize = "S: Default + Deserialize<'de>"),
    expecting = "an alert: an object"
)]
pub(super) struct RawAlert<S = Option<String>> {
    #[serde(default)]
    status: S,
    labels: Option<Labels>,
    annotations: Option<RawAnnotations>,
    #[serde(default)]
    pub(super) starts_at: Moment,
    #[serde(default)]
    pub(super) ends_at: Moment,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "annotations: an object")]
struct RawAnnotations {
    summary: Option<String>,
    message: Option<String>,
    title: Option<String>,
    description: Option<String>,
}

/// The events in a webhook's body.
///
/// # Errors
/// It is not such a body at all.
pub fn normalise(body: &[u8], received: Time) -> Result<Normalised, Refused> {
    // Nearly every body is right, and is read once and straight into its type. One that is not is
    // read again as plain JSON, so that only the alert at fault is lost.
    // As text, since then it is looked through once for what is no UTF-8 and not string by string.
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(webhook) = serde_json::from_str::<RawWebhook<RawAlert>>(text)
    {
        return webhook.normalise(|alert| alert.item(received));
    }
    let webhook: RawWebhook<Value> = whole(body)?;
    webhook.normalise(|alert| typed::<RawAlert>(alert)?.item(received))
}

impl<A: DeserializeOwned> RawWebhook<A> {
    fn normalise(self, item: impl Fn(A) -> Result<Item, Flaw>) -> Result<Normalised, Refused> {
        let lacks = |field| {
            let reason = "is missing: this is no Alertmanager webhook of version \"4\"; \
                          does the receiver have a custom payload template?";
            Refused::new(field, reason)
        };
        let version = self.version.ok_or_else(|| lacks("version"))?;
        if version != VERSION {
            let reason = format!("is {version:?}: only version \"4\" is understood");
            return Err(Refused::new("version", reason));
        }
        let alerts = self.alerts.ok_or_else(|| lacks("alerts"))?;
        at_most_items_max(alerts.len())?;
        let mut normalised = Normalised::of(alerts.into_iter().map(item));
        normalised.truncated = self.truncated_alerts.unwrap_or(0);
        Ok(normalised)
    }
}

impl RawAlert {
    fn item(mut self, received: Time) -> Result<Item, Flaw> {
        let labels = self.take_labels()?;
        let starts_at = limits::time("startsAt", self.starts_at, received, AHEAD_MAX)?
            .ok_or_else(|| Flaw::new("startsAt", "is missing: when did the alert fire?"))?;
        let resolved = match self.status.as_deref() {
            Some("firing") => false,
            Some("resolved") => true,
            None => !self.ends_at.is_unset(),
            Some(other) => {
                let reason = format!("is {other:?}: want \"firing\" or \"resolved\"");
                return Err(Flaw::new("status", reason));
            }
        };
        let ends_at =
            if resolved { Some(end_of(self.ends_at, starts_at, received)?) } else { None };
        Ok(self.told(labels, starts_at, ends_at, None))
    }
}

impl<S> RawAlert<S> {
    /// The labels; without a name an alert is none.
    pub(super) fn take_labels(&mut self) -> Result<Labels, Flaw> {
        let labels = self.labels.take().unwrap_or_default();
        if !labels.has("alertname") {
            return Err(Flaw::new("labels.alertname", "is missing"));
        }
        limits::labels(&labels)?;
        Ok(labels)
    }

    /// What it tells, now that its times are known.
    pub(super) fn told(
        self,
        labels: Labels,
        starts_at: Time,
        ends_at: Option<Time>,
        expires_at: Option<Time>,
    ) -> Item {
        let summary = self.annotations.unwrap_or_default().words();
        let url = limits::url(self.generator_url);
        let pending_at = None;
        Item::of_alert(AlertReport {
            labels,
            starts_at,
            ends_at,
            expires_at,
            pending_at,
            summary,
            url,
        })
    }
}

fn end_of(written: Moment, starts_at: Time, received: Time) -> Result<Time, Flaw> {
    match limits::time("endsAt", written, received, AHEAD_MAX)? {
        None => Err(Flaw::new("endsAt", "is missing: when was the alert resolved?")),
        Some(ends_at) if ends_at < starts_at => Err(Flaw::new("endsAt", "is before startsAt")),
        Some(ends_at) => Ok(ends_at),
    }
}

impl RawAnnotations {
    fn words(self) -> Option<String> {
        [self.summary, self.message, self.title, self.description]
            .into_iter()
            .find_map(limits::words)
    }
}
