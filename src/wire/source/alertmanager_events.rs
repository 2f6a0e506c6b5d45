//! Alertmanager's event recorder: what its webhook does not tell. Alerts that are silenced, inhibited
//! or grouped away are in it, and who silenced what.
//!
//! An alert has the same labels and times here as in the webhook, so that both together tell it once.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{AlertDraft, Left, ignored, need, note, settle},
    written::{Stamp, Text},
};
use crate::{
    event::Labels,
    wire::{Item, Normalised, Refused, one_or_list, signature::Scheme, typed},
};

pub(super) const SOURCE: Source = Source {
    name: "alertmanager_events",
    about: "Alertmanager's event recorder (`--enable-feature=event-recorder`)",
    paths: &["/webhooks/alertmanager-events"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "labels, start and end of each alert, as in the webhook",
    taken: "alerts that are made and resolved, silenced and inhibited ones too; silences, as notes",
    left: "groups, notifications, starts and stops of Alertmanager, and that a mute took effect",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an event of Alertmanager's recorder: an object")]
struct Raw {
    #[serde(rename = "@timestamp", alias = "timestamp")]
    timestamp: Stamp,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data {
    #[serde(alias = "alert_created")]
    alert_created: Option<Holder>,
    #[serde(alias = "alert_resolved")]
    alert_resolved: Option<Holder>,
    #[serde(alias = "silence_created")]
    silence_created: Option<SilenceHolder>,
    #[serde(alias = "silence_updated")]
    silence_updated: Option<SilenceHolder>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Holder {
    alert: Option<Alert>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SilenceHolder {
    silence: Option<Silence>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Alert {
    labels: Option<LabelSet>,
    annotations: Option<LabelSet>,
    #[serde(alias = "starts_at")]
    starts_at: Stamp,
    #[serde(alias = "ends_at")]
    ends_at: Stamp,
}

/// Labels as protobuf has them, or as everybody else does.
#[derive(Deserialize)]
#[serde(untagged)]
enum LabelSet {
    Listed { labels: Vec<Pair> },
    Mapped(Labels),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pair {
    #[serde(alias = "name")]
    key: Text,
    value: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Silence {
    id: Text,
    #[serde(alias = "created_by")]
    created_by: Text,
    comment: Text,
    #[serde(alias = "starts_at")]
    starts_at: Stamp,
    matchers: Value,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let events = one_or_list(post.body)?;
    Ok(settle(events.into_iter().map(|event| {
        let kind = event
            .get("data")
            .and_then(Value::as_object)
            .and_then(|data| data.keys().next().cloned());
        let raw: Raw = typed(event)?;
        raw.item(&kind.unwrap_or_default(), post)
    })))
}

impl LabelSet {
    fn into_labels(self) -> Labels {
        match self {
            Self::Mapped(labels) => labels,
            Self::Listed { labels } => labels
                .into_iter()
                .filter_map(|Pair { key, value }| Some((key.0?, value.0?)))
                .collect(),
        }
    }
}

impl Raw {
    fn item(self, kind: &str, post: &Post<'_>) -> Result<Item, Left> {
        let data = need("data", self.data)?;
        if let Some(created) = data.alert_created {
            return need("data.alertCreated.alert", created.alert)?.item(false, post);
        }
        if let Some(resolved) = data.alert_resolved {
            return need("data.alertResolved.alert", resolved.alert)?.item(true, post);
        }
        if let Some(holder) = data.silence_created.or(data.silence_updated) {
            return need("data.silence", holder.silence)?.item(self.timestamp, post);
        }
        ignored(format!("{kind:?} tells of no alert and no silence"))
    }
}

impl Alert {
    fn item(self, resolved: bool, post: &Post<'_>) -> Result<Item, Left> {
        let labels = self.labels.map(LabelSet::into_labels).unwrap_or_default();
        need("alert.startsAt", self.starts_at.0)?;
        let said = self.annotations.map(LabelSet::into_labels).unwrap_or_default();
        let words = ["summary", "message", "title", "description"];
        let draft = AlertDraft {
            labels,
            starts_at: self.starts_at,
            ended: resolved.then_some(self.ends_at),
            summary: words.iter().find_map(|name| said.first(name).map(str::to_owned)),
            ..AlertDraft::default()
        };
        Ok(draft.item(post.received)?)
    }
}

impl Silence {
    fn item(self, told_at: Stamp, post: &Post<'_>) -> Result<Item, Left> {
        let comment = self.comment.0.unwrap_or_default();
        let matchers = matchers(&self.matchers);
        let text = format!("Silence for {}: {comment}", matchers.trim());
        let id: Labels = self.id.0.into_iter().map(|id| ("silence", id)).collect();
        let at = told_at.or(self.starts_at);
        Ok(note(text, at, self.created_by.0, &id, post.received)?)
    }
}

/// The matchers of a silence, as people write them.
fn matchers(written: &Value) -> String {
    let list = written.as_array().or_else(|| written.get("matchers").and_then(Value::as_array));
    let shown = list.into_iter().flatten().filter_map(|matcher| {
        let text = |names: &[&str]| names.iter().find_map(|name| matcher.get(name)?.as_str());
        let name = text(&["name", "label"])?;
        let value = text(&["value", "pattern"])?;
        let sign = match text(&["type"]) {
            Some("REGEXP" | "MATCHER_TYPE_REGEXP") => "=~",
            Some("NOT_EQUAL" | "MATCHER_TYPE_NOT_EQUAL") => "!=",
            Some("NOT_REGEXP" | "MATCHER_TYPE_NOT_REGEXP") => "!~",
            _ => "=",
        };
        Some(format!("{name}{sign}{value:?}"))
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() { "some alerts".to_owned() } else { shown.join(", ") }
}
