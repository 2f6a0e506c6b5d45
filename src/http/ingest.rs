//! What is posted: made into events, handed to the log, and acknowledged when it is durable.

use std::collections::BTreeSet;

use serde::Serialize;
use warp::reply::Response;

use super::{
    Api, Request,
    body::capped,
    reply::{ApiError, empty, json},
};
use crate::{
    clock,
    event::Time,
    feed::FeedName,
    metrics::Taken,
    store::{Appended, Seq},
    wire::{
        Item, Normalised, Refused, Rejected, alert, alertmanager, alertmanager_api, change, note,
    },
};

/// A form of events that can be posted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Alertmanager,
    AlertmanagerApi,
    Alerts,
    Changes,
    Notes,
}

impl Source {
    /// What it is counted under.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::AlertmanagerApi => "alertmanager_api",
            Self::Alerts => "alerts",
            Self::Changes => "changes",
            Self::Notes => "notes",
        }
    }

    /// Whether replies are those of Alertmanager's API: clients of that product expect nothing else.
    pub(super) const fn speaks_as_alertmanager(self) -> bool {
        matches!(self, Self::AlertmanagerApi)
    }

    fn normalise(self, body: &[u8], received: Time) -> Result<Normalised, Refused> {
        match self {
            Self::Alertmanager => alertmanager::normalise(body, received),
            Self::AlertmanagerApi => alertmanager_api::normalise(body, received),
            Self::Alerts => alert::normalise(body, received),
            Self::Changes => change::normalise(body, received),
            Self::Notes => note::normalise(body, received),
        }
    }
}

/// What is said to the sender.
#[derive(Serialize)]
pub(super) struct Receipt {
    pub(super) seq: u64,
    accepted: usize,
    duplicates: usize,
    /// Of the events that were new, those that came too late to change an answer.
    late: usize,
    ignored: usize,
    rejected: Vec<Rejected>,
    ids: Vec<String>,
}

impl Api {
    pub(super) async fn ingest(
        &self,
        source: Source,
        request: Request,
        body_bytes_max: usize,
    ) -> Result<Response, ApiError> {
        let body = capped(&request.headers, request.body, body_bytes_max).await?;
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
        let (appended, ids) = self.append(items, &mut taken).await?;
        self.parts.hearing.heard(feeds, clock::now());
        self.parts.metrics.took(source.word(), taken);
        if source.speaks_as_alertmanager() {
            return if rejected.is_empty() {
                Ok(empty())
            } else {
                Err(ApiError::some_rejected(rejected))
            };
        }
        let Taken { accepted, duplicates, ignored, rejected: _ } = taken;
        let Appended { seq: Seq(seq), late, new: _ } = appended;
        Ok(json(&Receipt { seq, accepted, duplicates, late, ignored, rejected, ids }))
    }

    /// Takes what a person said on a page, or of an incident; counted under `name`.
    pub(super) async fn said(
        &self,
        name: &'static str,
        said: Normalised,
    ) -> Result<Receipt, ApiError> {
        let Normalised { items, rejected, .. } = said;
        let mut taken = Taken { rejected: rejected.len(), ..Taken::default() };
        if items.is_empty() {
            self.parts.metrics.took(name, taken);
            return Err(ApiError::all_rejected(rejected));
        }
        let (Appended { seq: Seq(seq), late, new: _ }, ids) =
            self.append(items, &mut taken).await?;
        self.parts.metrics.took(name, taken);
        let Taken { accepted, duplicates, .. } = taken;
        Ok(Receipt { seq, accepted, duplicates, late, ignored: 0, rejected, ids })
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

    /// Waits until the items are durable. What the log did, and the items' ids.
    async fn append(
        &self,
        items: Vec<Item>,
        taken: &mut Taken,
    ) -> Result<(Appended, Vec<String>), ApiError> {
        let mut events = Vec::with_capacity(items.len());
        let mut ids = Vec::new();
        let mut sizes = Vec::with_capacity(items.len());
        for item in items {
            sizes.push(item.events.len());
            events.extend(item.events);
            ids.extend(item.id);
        }
        let appended = self.parts.engine.log().append(events).await?;
        self.parts.metrics.log_reaches(appended.seq);
        let mut news = appended.new.iter();
        for size in sizes {
            let any_new = news.by_ref().take(size).filter(|new| **new).count() > 0;
            *if any_new { &mut taken.accepted } else { &mut taken.duplicates } += 1;
        }
        Ok((appended, ids))
    }
}

/// Whom a post is heard from.
fn feeds(source: Source, items: &[Item]) -> BTreeSet<FeedName> {
    let events = items.iter().flat_map(|item| &item.events);
    events.filter_map(|event| FeedName::of(event, source.word())).collect()
}
