//! Datadog's events, as its clients post them.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{AlertDraft, Draft, Left, kind_in, labels, need, settle},
    grafana_annotations::{split, tags},
    written::{Stamp, Text},
};
use crate::{
    event::{Kind, Labels, Status},
    wire::{Item, Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "datadog",
    about: "whatever posts events to Datadog: its clients, Flux",
    paths: &["/api/v1/events"],
    verbs: Verbs::Post,
    dialect: Dialect::Datadog,
    schemes: &[Scheme::token("dd-api-key"), Scheme::Query("api_key"), Scheme::Bearer],
    headers: &[],
    id: "a hash of the title, the tags and the time",
    taken: "each event, as a change; one of `alert_type` error or warning that does not speak of a \
            deployment or the like is an alert, which holds for an hour",
    left: "priority, device and related events",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a Datadog event: an object")]
struct Raw {
    title: Text,
    text: Text,
    date_happened: Stamp,
    tags: Value,
    alert_type: Text,
    aggregation_key: Text,
    source_type_name: Text,
    host: Text,
    url: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.item(post)]))
}

/// Datadog's names for what we have names for.
const NAMES: [(&str, &[&str]); 4] = [
    ("environment", &["env"]),
    ("cluster", &["kube_cluster_name", "cluster_name"]),
    ("namespace", &["kube_namespace"]),
    ("service", &["kube_deployment", "app"]),
];

fn renamed(mut tagged: Labels) -> Labels {
    for (ours, theirs) in NAMES {
        let found = theirs.iter().find_map(|name| tagged.first(name).map(str::to_owned));
        if let (false, Some(value)) = (tagged.has(ours), found) {
            tagged.insert(ours, value);
        }
    }
    tagged
}

impl Raw {
    fn item(self, post: &Post<'_>) -> Result<Item, Left> {
        let title = need("title", self.title.0)?;
        let (tagged, bare) = split(tags(self.tags));
        let mut tagged = renamed(tagged);
        tagged.extend(&labels([("host", self.host.0), ("source", self.source_type_name.0)]));
        let text = self.text.0.unwrap_or_default();
        let words = format!("{title} {} {}", bare.join(" "), text);
        let kind = kind_in(&words);
        let bad = matches!(self.alert_type.get(), Some("error" | "warning"));
        if bad && kind.is_none() {
            tagged.extend(&labels([
                ("alertname", Some(title)),
                ("severity", self.alert_type.0),
                ("aggregation_key", self.aggregation_key.0),
            ]));
            let summary = Some(text);
            let alert = AlertDraft {
                labels: tagged,
                starts_at: self.date_happened,
                summary,
                url: self.url.0,
                // Nobody tells of its end.
                holds: Some(TimeDelta::hours(1)),
                ..AlertDraft::default()
            };
            return Ok(alert.item(post.received)?);
        }
        let status = if bad { Status::Failed } else { Status::Succeeded };
        let mut draft = Draft::new([], status, kind.unwrap_or(Kind::Other));
        draft.finished_at = self.date_happened;
        draft.revision = ["version", "git.commit.sha", "revision"]
            .iter()
            .find_map(|name| tagged.first(name).map(str::to_owned));
        draft.actor = ["user", "author"].iter().find_map(|n| tagged.first(n).map(str::to_owned));
        draft.title = Some(title);
        draft.url = self.url.0;
        draft.labels = tagged;
        Ok(draft.item(post.received)?)
    }
}
