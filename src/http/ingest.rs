//! What is posted: made into events, handed to the log, and acknowledged when it is durable.

use std::collections::BTreeSet;

use serde::Serialize;
use warp::reply::Response;

use super::{
    Api, Request,
    body::capped,
    reply::{ApiError, json},
};
use crate::{
    clock,
    event::Time,
    feed::FeedName,
    metrics::Taken,
    wire::{Item, Normalised, Refused, Rejected, alertmanager, change, note},
};

/// A form of events that can be posted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Alertmanager,
    Changes,
    Notes,
}

impl Source {
    /// What it is counted under.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Changes => "changes",
            Self::Notes => "notes",
        }
    }

    fn normalise(self, body: &[u8], received: Time) -> Result<Normalised, Refused> {
        match self {
            Self::Alertmanager => alertmanager::normalise(body, received),
            Self::Changes => change::normalise(body, received),
            Self::Notes => note::normalise(body, received),
        }
    }
}

/// What is said to the sender.
#[derive(Serialize)]
struct Receipt {
    seq: u64,
    accepted: usize,
    duplicates: usize,
    ignored: usize,
    rejected: Vec<Rejected>,
    ids: Vec<String>,
}

impl Api {
    pub(super) async fn ingest(
        &self,
        source: Source,
        request: Request,
    ) -> Result<Response, ApiError> {
        let body = capped(&request.headers, request.body, self.parts.body_bytes_max).await?;
        let normalised = source.normalise(&body, clock::now()).inspect_err(|refused| {
            tracing::warn!(source = source.word(), %refused, "a post was refused");
        })?;
        drop(body);
        let Normalised { items, rejected, ignored, truncated } = normalised;
        self.tell(source, &rejected, truncated);
        let mut taken = Taken { ignored, rejected: rejected.len(), ..Taken::default() };
        if items.is_empty() && !rejected.is_empty() {
            self.parts.metrics.took(source.word(), taken);
            return Err(ApiError::all_rejected(rejected));
        }
        let feeds = feeds(source, &items);
        let (seq, ids) = self.append(items, &mut taken).await?;
        self.parts.hearing.heard(feeds, clock::now());
        self.parts.metrics.took(source.word(), taken);
        let Taken { accepted, duplicates, ignored, rejected: _ } = taken;
        Ok(json(&Receipt { seq, accepted, duplicates, ignored, rejected, ids }))
    }

    /// Says what the sender will hardly read.
    fn tell(&self, source: Source, rejected: &[Rejected], truncated: u64) {
        if let Some(Rejected { index, field, reason }) = rejected.first() {
            let (source, count) = (source.word(), rejected.len());
            tracing::warn!(source, count, index, field, reason, "things in a post were rejected");
        }
        if truncated > 0 {
            tracing::warn!(truncated, "Alertmanager left alerts out (max_alerts)");
            self.parts.metrics.alerts_were_truncated(truncated);
        }
    }

    /// Waits until the items are durable. The log's end then, and the items' ids.
    async fn append(
        &self,
        items: Vec<Item>,
        taken: &mut Taken,
    ) -> Result<(u64, Vec<String>), ApiError> {
        let mut events = Vec::with_capacity(items.len());
        let mut ids = Vec::new();
        let mut sizes = Vec::with_capacity(items.len());
        for item in items {
            sizes.push(item.events.len());
            events.extend(item.events);
            ids.extend(item.id);
        }
        let appended = self.parts.engine.log().append(events).await?;
        let mut news = appended.new.into_iter();
        for size in sizes {
            let any_new = news.by_ref().take(size).fold(false, |any, new| any | new);
            *if any_new { &mut taken.accepted } else { &mut taken.duplicates } += 1;
        }
        Ok((appended.seq.0, ids))
    }
}

/// Whom a post is heard from.
fn feeds(source: Source, items: &[Item]) -> BTreeSet<FeedName> {
    let events = items.iter().flat_map(|item| &item.events);
    events.filter_map(|event| FeedName::of(event, source.word())).collect()
}
