//! PagerDuty's Events API v2, as its clients speak it: alerts that are triggered, acknowledged and
//! resolved.
//!
//! A resolve names its alert by `dedup_key` and often says nothing else, so the alert that it ends is
//! found by that. The routing key is a credential: only its hash is kept, to tell integrations apart.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Dialect, Post, Source, Verbs,
    draft::{AlertDraft, Left, ignored, labels, need, note, settle},
    written::{Stamp, Text, text_of},
};
use crate::{
    event::{Labels, digest},
    wire::{Ending, Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "pagerduty_events",
    about: "whatever sends alerts to PagerDuty's Events API v2",
    paths: &["/v2/enqueue"],
    verbs: Verbs::Post,
    dialect: Dialect::PagerDuty,
    schemes: KEYS,
    headers: &[],
    id: "`routing_key` and `dedup_key`; without one, a hash of the payload",
    taken: "`trigger`, an alert; `resolve`, the end of the alert with that `dedup_key`; \
            `acknowledge`, a note",
    left: "images",
    convert,
};

/// What PagerDuty's clients can carry.
pub(super) const KEYS: &[Scheme] = &[Scheme::RoutingKey, Scheme::Bearer];

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a PagerDuty event: an object")]
struct Raw {
    routing_key: Text,
    event_action: Text,
    dedup_key: Text,
    payload: Option<Payload>,
    client: Text,
    client_url: Text,
    links: Option<Vec<Link>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    summary: Text,
    source: Text,
    severity: Text,
    timestamp: Stamp,
    component: Text,
    group: Text,
    class: Text,
    custom_details: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    pub(super) href: Text,
}

/// The hash that stands for a routing key.
pub(super) fn integration(routing_key: &str) -> String {
    digest("", &("pagerduty", routing_key))
}

/// The first of these details that says something.
pub(super) fn detail(details: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| text_of(details.get(*name)?.clone()))
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    let Some(action) = raw.event_action.0.clone() else {
        return Err(Refused::new("event_action", "is missing"));
    };
    if action == "resolve" {
        return Ok(raw.resolve(post));
    }
    let item = match &*action {
        "trigger" => raw.trigger().and_then(|draft| Ok(draft.item(post.received)?)),
        "acknowledge" => raw.acknowledge(post),
        other => ignored(format!("the action {other:?} is not known")),
    };
    Ok(settle([item]))
}

impl Raw {
    /// What names the alert.
    fn key(&self) -> Result<Labels, Left> {
        let routing_key = need("routing_key", self.routing_key.get())?;
        let key = need("dedup_key", self.dedup_key.0.clone())?;
        Ok(labels([("dedup_key", Some(key)), ("integration", Some(integration(routing_key)))]))
    }

    fn trigger(mut self) -> Result<AlertDraft, Left> {
        let payload = need("payload", self.payload.take())?;
        let summary = need("payload.summary", payload.summary.0)?;
        if self.dedup_key.0.is_none() {
            let said = (&summary, payload.source.get(), payload.timestamp.0);
            self.dedup_key = Text(Some(digest("pd_", &said)));
        }
        let mut key = self.key()?;
        let details = payload.custom_details.as_object().cloned().unwrap_or_default();
        let said = |names: &[&str]| detail(&details, names);
        let name = said(&["alertname"]).or(payload.class.0.clone());
        key.extend(&labels([
            ("alertname", Some(name.unwrap_or_else(|| bare(&summary).to_owned()))),
            ("severity", payload.severity.0),
            ("source", payload.source.0),
            ("component", payload.component.0),
            ("group", payload.group.0),
            ("class", payload.class.0),
            ("service", said(&["service", "app"])),
            ("environment", said(&["environment", "env"])),
            ("cluster", said(&["cluster"])),
            ("namespace", said(&["namespace"])),
            ("region", said(&["region"])),
            ("client", self.client.0),
        ]));
        let link = self.links.into_iter().flatten().find_map(|link| link.href.0);
        Ok(AlertDraft {
            labels: key,
            starts_at: payload.timestamp,
            summary: Some(summary),
            url: self.client_url.0.or(link),
            id: self.dedup_key.0,
            ..AlertDraft::default()
        })
    }

    fn resolve(mut self, post: &Post<'_>) -> Normalised {
        let mut normalised = Normalised::default();
        let stamp = self.payload.take().map(|payload| payload.timestamp).unwrap_or_default();
        match self.key() {
            Ok(labels) => {
                let at = stamp.0.filter(|at| *at <= post.received).unwrap_or(post.received);
                let id = self.dedup_key.0;
                normalised.endings.push(Ending { labels, at, id });
                normalised
            }
            Err(left) => settle([Err(left)]),
        }
    }

    fn acknowledge(self, post: &Post<'_>) -> Result<crate::wire::Item, Left> {
        let key = self.key()?;
        let summary = self.payload.and_then(|payload| payload.summary.0);
        let what = summary.or(self.dedup_key.0).unwrap_or_default();
        Ok(note(format!("Acknowledged: {what}"), Stamp(None), self.client.0, &key, post.received)?)
    }
}

/// `[FIRING:2] HighLatency` is called `HighLatency`, however many fire.
fn bare(summary: &str) -> &str {
    match summary.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) if !rest.trim().is_empty() => rest.trim(),
        _ => summary,
    }
}
