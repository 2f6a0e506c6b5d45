//! Grafana Alerting's webhook: Alertmanager's, with more in it and another version.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{AlertDraft, Left, ignored, need, settle},
    written::{Stamp, Text},
};
use crate::{
    event::Labels,
    wire::{Item, Normalised, Refused, at_most_items_max, signature::Scheme, typed, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "grafana",
    about: "Grafana Alerting's webhook contact point",
    paths: &["/webhooks/grafana"],
    verbs: Verbs::PostOrPut,
    dialect: Dialect::Own,
    schemes: &[Scheme::Grafana, Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "labels, start and end of each alert",
    taken: "each alert that fires or is resolved, with the link to its panel, dashboard or rule",
    left: "`DatasourceNoData` and `DatasourceError`, which tell of Grafana and not of a service; the \
           group's own title, state and message; values and images",
    convert,
};

/// Alerts of Grafana itself about what it cannot ask.
const OF_GRAFANA: [&str; 2] = ["DatasourceNoData", "DatasourceError"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a Grafana webhook: an object")]
struct Raw {
    alerts: Option<Vec<Value>>,
    #[serde(default)]
    truncated_alerts: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an alert: an object")]
struct RawAlert {
    status: Text,
    labels: Option<Labels>,
    annotations: Option<Annotations>,
    starts_at: Stamp,
    ends_at: Stamp,
    #[serde(rename = "generatorURL")]
    generator_url: Text,
    #[serde(rename = "panelURL")]
    panel_url: Text,
    #[serde(rename = "dashboardURL")]
    dashboard_url: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    summary: Text,
    description: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    let Some(alerts) = raw.alerts else {
        let reason = "is missing: this is no Grafana webhook; \
                      does the contact point have a custom payload?";
        return Err(Refused::new("alerts", reason));
    };
    at_most_items_max(alerts.len())?;
    let mut normalised = settle(alerts.into_iter().map(|alert| {
        let alert: RawAlert = typed(alert)?;
        alert.item(post)
    }));
    normalised.truncated = raw.truncated_alerts.unwrap_or(0);
    Ok(normalised)
}

impl RawAlert {
    fn item(self, post: &Post<'_>) -> Result<Item, Left> {
        let labels = self.labels.unwrap_or_default();
        if labels.first("alertname").is_some_and(|name| OF_GRAFANA.contains(&name)) {
            return ignored("Grafana has no data, or cannot ask for it");
        }
        let resolved = match self.status.get() {
            Some("firing") => false,
            Some("resolved") => true,
            _ => {
                return Err(
                    crate::wire::Flaw::new("status", "want \"firing\" or \"resolved\"").into()
                );
            }
        };
        need("startsAt", self.starts_at.0)?;
        let annotations = self.annotations.unwrap_or_default();
        let draft = AlertDraft {
            labels,
            starts_at: self.starts_at,
            ended: resolved.then_some(self.ends_at),
            summary: annotations.summary.or(annotations.description),
            url: self.panel_url.0.or(self.dashboard_url.0).or(self.generator_url.0),
            ..AlertDraft::default()
        };
        Ok(draft.item(post.received)?)
    }
}
