//! A recorded incident as its tools would have posted it.

use serde::Serialize;
use serde_json::json;

use super::{Case, Told};
use crate::{
    event::{AlertReport, ChangeReport, Status, Time, show_time},
    wire::{change::RawChange, moment::Moment},
};

/// One request that a tool would have sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Post {
    /// When it would have been sent.
    pub at: Time,
    /// Where to.
    pub path: &'static str,
    /// JSON.
    pub body: String,
}

impl Post {
    fn new(at: Time, path: &'static str, body: &impl Serialize) -> Self {
        // Everything here is strings, numbers and maps with string keys: JSON can say all of them.
        Self { at, path, body: serde_json::to_string(body).unwrap_or_default() }
    }
}

/// What was posted in the course of the incident, by time: an alert when it fires and again when
/// it is resolved, a change when it starts and again when it ends, under the file's id.
pub fn posts(case: &Case) -> Vec<Post> {
    let mut posts: Vec<Post> = case.told.iter().flat_map(posts_of).collect();
    posts.sort_by_key(|post| post.at);
    posts
}

fn posts_of(told: &Told) -> Vec<Post> {
    match told {
        Told::Change(told) => change_posts(&told.0, &told.1),
        Told::Alert(_, report) => alert_posts(report),
        Told::Note(told) => vec![Post::new(told.1.at, "/api/v1/notes", &told.0)],
    }
}

fn change_posts(raw: &RawChange, report: &ChangeReport) -> Vec<Post> {
    let whole = Post::new(report.at, "/api/v1/changes", raw);
    match report.started_at {
        Some(started_at) if report.status.ended() && started_at < report.at => {
            let mut started = raw.clone();
            started.status = Some(Status::Started.word().to_owned());
            started.finished_at = Moment(None);
            vec![Post::new(started_at, "/api/v1/changes", &started), whole]
        }
        _ => vec![whole],
    }
}

fn alert_posts(report: &AlertReport) -> Vec<Post> {
    if report.pending_at.is_some() {
        // A webhook does not tell of that.
        let post = |report: &AlertReport| Post::new(report.time(), "/api/v1/alerts", report);
        let fired = post(&AlertReport { ends_at: None, ..report.clone() });
        let resolved = report.ends_at.map(|_| post(report));
        return std::iter::once(fired).chain(resolved).collect();
    }
    let fired = webhook(report, None);
    let resolved = report.ends_at.map(|ends_at| webhook(report, Some(ends_at)));
    std::iter::once(fired).chain(resolved).collect()
}

/// Alertmanager's webhook for a group of this one alert.
fn webhook(report: &AlertReport, ends_at: Option<Time>) -> Post {
    let status = if ends_at.is_some() { "resolved" } else { "firing" };
    let annotations = match &report.summary {
        Some(summary) => json!({ "summary": summary }),
        None => json!({}),
    };
    let body = json!({
        "version": "4",
        "groupKey": format!("{{}}:{}", report.labels.first("alertname").unwrap_or_default()),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "antecede",
        "groupLabels": {},
        "commonLabels": report.labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [{
            "status": status,
            "labels": report.labels,
            "annotations": annotations,
            "startsAt": show_time(report.starts_at),
            "endsAt": ends_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), show_time),
            "generatorURL": report.url.as_deref().unwrap_or_default(),
        }],
    });
    Post::new(ends_at.unwrap_or(report.starts_at), "/webhooks/alertmanager", &body)
}
