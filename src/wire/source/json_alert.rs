//! An alert of a tool that nobody has heard of, by the names that most tools use.
//!
//! Where a tool's names are others, `[[source]]` in the configuration maps them.

use serde_json::{Map, Value};

use super::{
    Dialect, Post, Source, Verbs,
    draft::{AlertDraft, Left, labels, need, settle},
    written::{Stamp, stamp_of, text_of},
};
use crate::{
    event::Labels,
    wire::{Ending, Flaw, Item, Normalised, Refused, one_or_list, signature::Scheme, typed},
};

pub(super) const SOURCE: Source = Source {
    name: "json_alert",
    about: "an alert in JSON of any tool that uses common names",
    paths: &["/webhooks/alert"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::StandardWebhooks, Scheme::GITHUB, Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "labels, start and end of each alert; one with an `id` is ended by that",
    taken: "one alert or a list of them: `alertname`, `name` or `title`; `status` or `state`; \
            `service`, `environment`, `severity`, `labels` and others",
    left: "fields of other names",
    convert,
};

/// A tool's own names are not known: each thing is looked for under the usual ones, in this order.
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| text_of(self.0.get(*name)?.clone()))
    }

    fn time(&self, names: &[&str]) -> Result<Stamp, Flaw> {
        let found = names.iter().find_map(|name| Some((name, self.0.get(*name)?)));
        let Some((name, written)) = found else { return Ok(Stamp(None)) };
        stamp_of(written).map_err(|wrong| Flaw::new(*name, wrong))
    }
}

/// The words for "it is over".
const OVER: [&str; 10] = [
    "resolved",
    "resolve",
    "ok",
    "closed",
    "close",
    "recovered",
    "recovery",
    "normal",
    "inactive",
    "up",
];

/// Whether a status says that an alert is over.
pub(super) fn is_over(word: &str) -> bool {
    OVER.contains(&&*word.to_lowercase())
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let mut endings = Vec::new();
    let alerts = one_or_list(post.body)?;
    let found: Vec<_> = alerts
        .into_iter()
        .filter_map(|alert| item(alert, post, &mut endings).transpose())
        .collect();
    Ok(Normalised { endings, ..settle(found) })
}

/// The alert; nothing where it is one that ends, and is known by its id.
fn item(alert: Value, post: &Post<'_>, endings: &mut Vec<Ending>) -> Result<Option<Item>, Left> {
    let Value::Object(map) = alert else { return Err(Flaw::new("", "want an object").into()) };
    let fields = Fields(map);
    let started =
        fields.time(&["startsAt", "starts_at", "started_at", "startedAt", "timestamp", "time"])?;
    let over_at =
        fields.time(&["endsAt", "ends_at", "ended_at", "endedAt", "resolved_at", "resolvedAt"])?;
    let status = fields.text(&["status", "state", "event_action", "action"]);
    let over = status.is_some_and(|word| is_over(&word));
    let id = fields.text(&["id", "alert_id", "alertId", "incident_id", "dedup_key"]);
    if let (true, Some(id)) = (over, &id) {
        // Of one time with an end, nobody knows which it is.
        let at = over_at.0.filter(|at| *at <= post.received).unwrap_or(post.received);
        let labels = labels([("id", Some(id.clone()))]);
        endings.push(Ending { labels, at, id: Some(id.clone()) });
        return Ok(None);
    }
    let title = fields.text(&["title", "subject"]);
    let name = fields.text(&["alertname", "alert", "alert_name", "alertName", "rule", "name"]);
    let written = fields.0.get("labels").cloned().unwrap_or_default();
    let mut all: Labels = typed::<Option<Labels>>(written).unwrap_or_default().unwrap_or_default();
    let name = name.or_else(|| all.first("alertname").map(str::to_owned)).or(title.clone());
    let said = labels([
        ("alertname", Some(need("alertname", name)?)),
        ("id", id),
        ("service", fields.text(&["service", "app", "application"])),
        ("environment", fields.text(&["environment", "env"])),
        ("cluster", fields.text(&["cluster"])),
        ("namespace", fields.text(&["namespace"])),
        ("region", fields.text(&["region"])),
        ("instance", fields.text(&["instance", "host", "hostname"])),
        ("severity", fields.text(&["severity", "priority", "level"])),
    ]);
    for (label, value) in said.iter() {
        if !all.has(label) {
            all.insert(label, value);
        }
    }
    let (starts_at, ended) = match (over, over_at.0) {
        (true, None) => (Stamp(None), Some(started)),
        (_, Some(_)) => (started, Some(over_at)),
        (false, None) => (started, None),
    };
    let draft = AlertDraft {
        labels: all,
        starts_at,
        ended,
        summary: fields.text(&["summary", "message", "description", "text"]).or(title),
        url: fields.text(&["url", "link"]),
        ..AlertDraft::default()
    };
    Ok(Some(draft.item(post.received)?))
}
