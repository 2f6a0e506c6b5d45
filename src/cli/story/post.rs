//! A recorded post in words.

use anyhow::Context as _;
use serde::Deserialize;

use crate::{say::say_place, wire::case::Post};

/// The fields of what tools post that say what it is.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    alerts: Vec<Alert>,
    title: Option<String>,
    status: Option<String>,
    text: Option<String>,
    #[serde(flatten)]
    place: Place,
}

#[derive(Deserialize)]
struct Alert {
    status: String,
    labels: Place,
}

/// What a post reports, line by line.
pub(super) fn describe(post: &Post) -> anyhow::Result<Vec<String>> {
    let told: Told = serde_json::from_str(&post.body).context("a post is no JSON object")?;
    let alerts = told.alerts.iter().map(|alert| {
        let word = if alert.status == "firing" { "ALERT" } else { &alert.status };
        let name = alert.labels.alertname.clone().unwrap_or_default();
        format!("{word:<10}{}", alert.labels.of(name))
    });
    let change = told
        .title
        .map(|title| format!("{:<10}{}", told.status.unwrap_or_default(), told.place.of(title)));
    let note = told.text.map(|text| format!("{:<10}{text}", "note"));
    Ok(alerts.chain(change).chain(note).collect())
}

/// The labels that say what and where.
#[derive(Deserialize)]
struct Place {
    alertname: Option<String>,
    #[serde(default)]
    service: Names,
    #[serde(default)]
    environment: Names,
}

impl Place {
    fn of(&self, thing: String) -> String {
        match say_place(&self.service.list(), &self.environment.list()) {
            place if place.is_empty() => thing,
            place => format!("{thing}, {place}"),
        }
    }
}

/// A label's values, as case files write them.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Names {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Names {
    fn list(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(name) => vec![name.clone()],
            Self::Several(names) => names.clone(),
        }
    }
}
