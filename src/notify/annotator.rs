//! Draws changes and incidents into Grafana: an annotation for each change that has ended, and for
//! each incident when a suspect is named.
//!
//! What was drawn is known by the annotation's id, which is made of what it says and kept in the
//! outbox: neither a restart nor a rebuild draws anything twice, and what is long past when it comes
//! to be known is not drawn.

use std::time::Duration;

use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::Parts;
use crate::{
    correlate::{Answer, Incident},
    event::{Change, Time, digest},
    store::{Mailbox, Notice, NoticeId, Page, Paged, Seq, StoreError},
};

/// So many changes and incidents are read at once.
const PAGE: usize = 500;
/// It is looked again after so long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// What happens within this is drawn at once.
const GATHER: Duration = Duration::from_secs(1);

/// The one that draws.
#[derive(Debug)]
pub struct Annotator {
    parts: Parts,
}

impl Annotator {
    /// One that posts to the outbox of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Draws what is new, until it is time to stop; begins when the state holds all that was in the
    /// log at the start.
    ///
    /// # Errors
    /// A store holds something that cannot be read.
    pub async fn run(
        self,
        ready: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        tokio::select! {
            ended = self.draw(ready) => ended,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    async fn draw(self, mut ready: watch::Receiver<bool>) -> Result<(), StoreError> {
        if ready.wait_for(|ready| *ready).await.is_err() {
            // The engine is gone, and the program ends with it.
            return std::future::pending().await;
        }
        loop {
            let seen = self.parts.engine.assessed();
            let (parts, now) = (self.parts.clone(), (self.parts.clock)());
            let looked = tokio::task::spawn_blocking(move || look(&parts, now)).await;
            match looked {
                Ok(Err(damaged @ StoreError::Damaged { .. })) => return Err(damaged),
                Ok(Err(error)) => tracing::error!(%error, "nothing can be drawn into Grafana"),
                Err(error) => tracing::error!(%error, "the annotator's thread panicked"),
                Ok(Ok(())) => {}
            }
            sleep(GATHER).await;
            self.parts.engine.wait(Seq(seen.0 + 1), LOOK_AGAIN).await;
        }
    }
}

/// Posts what is to be drawn as of now.
pub(super) fn look(parts: &Parts, now: Time) -> Result<(), StoreError> {
    let since = now - parts.settings.fresh;
    let page = Page { start: Some(since), end: None, edges: false, after: None, limit: PAGE };
    let (state, oldest) = (parts.engine.state(), parts.oldest(now));
    let changes = all(page.clone(), oldest, |page| {
        state.changes(page, &|change| ended_since(change, since))
    })?;
    let incidents =
        all(page, oldest, |page| state.incidents(page, &|incident| incident.latest_at >= since))?;
    let of_changes = changes.iter().filter_map(|change| of_change(change, now));
    let of_incidents =
        incidents.iter().filter_map(|incident| of_incident(incident, &parts.link, now));
    let notices: Vec<_> = of_changes.chain(of_incidents).collect();
    if parts.records.post(Mailbox::Grafana, &notices)? > 0 {
        parts.posted.notify_one();
    }
    Ok(())
}

/// The things of all pages that reach back no further than `oldest`.
fn all<T>(
    mut page: Page,
    oldest: Time,
    read: impl Fn(&Page) -> Result<Paged<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    loop {
        let Paged { items, next } = read(&page)?;
        all.extend(items);
        match next {
            Some(next) if next.0 >= oldest => page.after = Some(next),
            Some(_) | None => return Ok(all),
        }
    }
}

fn ended_since(change: &Change, since: Time) -> bool {
    change.finished_at.is_some_and(|ended| ended >= since)
}

/// A change, over the time that it took.
pub(super) fn of_change(change: &Change, now: Time) -> Option<Notice> {
    let finished_at = change.finished_at?;
    let kind = format!("kind:{}", change.kind);
    let places = ["service", "environment"].into_iter().flat_map(|name| {
        change.scope.labels().values(name).map(move |value| format!("{name}:{value}"))
    });
    let tags: Vec<_> =
        ["antecede".to_owned(), "change".to_owned(), kind].into_iter().chain(places).collect();
    let body = json!({
        "time": change.started_at.timestamp_millis(),
        "timeEnd": finished_at.timestamp_millis(),
        "tags": tags,
        "text": format!("{} ({}, {})", escaped(&change.title), change.kind, change.status.word()),
    });
    Some(notice(&(&change.id, finished_at), &body, now))
}

/// An incident whose cause is named, at its first alert.
pub(super) fn of_incident(incident: &Incident, link: &str, now: Time) -> Option<Notice> {
    if !matches!(incident.answer, Answer::Likely | Answer::Suspects) {
        return None;
    }
    let suspect = incident.suspects.first()?;
    let (link, id) = (link.trim_end_matches('/'), &incident.id);
    let body = json!({
        "time": incident.started_at.timestamp_millis(),
        "tags": ["antecede", "incident", incident.answer.word()],
        "text": format!("{} <a href=\"{link}/incidents/{id}\">incident</a>", escaped(&incident.headline)),
    });
    Some(notice(&(&incident.first_alert, incident.answer, &suspect.change), &body, now))
}

fn notice(said: &impl serde::Serialize, body: &serde_json::Value, now: Time) -> Notice {
    Notice { id: NoticeId(digest("ann_", said)), made_at: now, body: body.to_string() }
}

/// Grafana shows an annotation's text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
