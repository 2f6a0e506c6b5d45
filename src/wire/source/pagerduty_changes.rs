//! PagerDuty's Change Events, as dozens of tools post them.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, kind_in, labels, need, settle, status_of},
    pagerduty_events::{KEYS, Link, detail, integration},
    written::{Stamp, Text},
};
use crate::{
    event::{Kind, Status},
    wire::{Normalised, Refused, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "pagerduty_changes",
    about: "whatever sends changes to PagerDuty: Ansible's `pagerduty_change`, Flux, go-pagerduty",
    paths: &["/v2/change/enqueue"],
    verbs: Verbs::Post,
    dialect: Dialect::PagerDuty,
    schemes: KEYS,
    headers: &[],
    id: "a hash of the summary, the labels and the time",
    taken: "each change; its kind by the words of its summary and source",
    left: "images, and `custom_details` of other names than `service`, `environment`, `cluster`, \
           `namespace`, `region`, `repo`, `revision`, `user`, `build_state`",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a PagerDuty change event: an object")]
struct Raw {
    routing_key: Text,
    payload: Option<Payload>,
    links: Option<Vec<Link>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    summary: Text,
    source: Text,
    timestamp: Stamp,
    custom_details: Value,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.draft().and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        let routing_key = need("routing_key", self.routing_key.get())?;
        let payload = need("payload", self.payload)?;
        let summary = need("payload.summary", payload.summary.0)?;
        let details = payload.custom_details.as_object().cloned().unwrap_or_default();
        let said = |names: &[&str]| detail(&details, names);
        let words = format!("{summary} {}", payload.source.get().unwrap_or_default());
        let state = said(&["build_state", "status", "state"]);
        let status = state.as_deref().and_then(status_of).unwrap_or(Status::Succeeded);
        let kind = kind_in(&words).unwrap_or(Kind::Other);
        // It has no id: what it is stands for one.
        let mut draft = Draft::new([], status, kind);
        if status.ended() {
            draft.finished_at = payload.timestamp;
        } else {
            draft.started_at = payload.timestamp;
        }
        draft.title = Some(summary);
        draft.labels = labels([
            ("service", said(&["service", "app"])),
            ("environment", said(&["environment", "env"])),
            ("cluster", said(&["cluster"])),
            ("namespace", said(&["namespace"])),
            ("region", said(&["region"])),
            ("repository", said(&["repo", "repository"])),
            ("source", payload.source.0),
            ("integration", Some(integration(routing_key))),
        ]);
        draft.actor = said(&["user", "actor"]);
        draft.revision = said(&["revision", "commit", "sha", "version"]);
        let link = self.links.into_iter().flatten().find_map(|link| link.href.0);
        draft.url = link.or_else(|| said(&["build_url", "url"]));
        Ok(draft)
    }
}
