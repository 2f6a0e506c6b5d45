//! What is posted: made into events, handed to the log, and acknowledged when it is durable.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use warp::{
    http::{HeaderMap, HeaderValue},
    reply::Response,
};

use super::{
    Admission, Api, Request,
    auth::Role,
    body::capped,
    reply::{ApiError, empty, foreign, json},
};
use crate::{
    clock,
    feed::FeedName,
    metrics::Taken,
    store::{Appended, Seq},
    wire::{
        Item, Normalised, Refused, Rejected,
        signature::{Verdict, Verifier},
        source::{Dialect, Headers, Own, Post, Source},
    },
};

/// Whose post it is.
#[derive(Clone, Debug)]
pub(super) enum Poster {
    /// A source of the table.
    Known(&'static Source),
    /// One that the configuration describes.
    Own(Arc<Own>),
}

impl Poster {
    /// What it is counted under.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Known(source) => source.name,
            Self::Own(own) => &own.name,
        }
    }

    /// In whose words it is answered.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Known(source) => source.dialect,
            Self::Own(_) => Dialect::Own,
        }
    }

    fn normalise(&self, post: &Post<'_>) -> Result<Normalised, Refused> {
        match self {
            Self::Known(source) => source.normalise(post),
            Self::Own(own) => own.normalise(post),
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
    /// Why: where senders show replies, people look for what became of their event there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored_because: Vec<String>,
    rejected: Vec<Rejected>,
    ids: Vec<String>,
}

/// So many reasons are told at most: some senders keep the whole reply.
const REASONS_MAX: usize = 5;

impl Api {
    pub(super) async fn ingest(
        &self,
        source: &Poster,
        request: Request,
        admission: &Admission,
    ) -> Result<Response, ApiError> {
        let Request { headers: raw, query, body, method: _, path: _ } = request;
        let headers = readable(&raw);
        let post = Post { headers: &headers, query: &query, body: &[], received: clock::now() };
        let entry = admission.entry(source.name(), &raw, &post)?;
        let body = capped(&raw, body, admission.body_bytes_max).await?;
        let post = Post { body: &body, received: clock::now(), ..post };
        entry.let_in(&post).inspect_err(|_| {
            tracing::warn!(source = source.name(), "a post was not let in");
        })?;
        let normalised = source.normalise(&post).inspect_err(|refused| {
            tracing::warn!(source = source.name(), %refused, "a post was refused");
        })?;
        drop(body);
        let Normalised { mut items, rejected, mut ignored, endings, truncated } = normalised;
        self.tell(source, &rejected, truncated);
        let known_as = endings.iter().find_map(|ending| ending.id.clone());
        if !endings.is_empty() {
            let (ends, unknown) = self.ends(endings).await?;
            items.extend(ends);
            ignored.extend(unknown);
        }
        let mut taken =
            Taken { ignored: ignored.len(), rejected: rejected.len(), ..Taken::default() };
        if items.is_empty() && !rejected.is_empty() {
            self.parts.metrics.took(source.name(), taken);
            return Err(ApiError::all_rejected(rejected));
        }
        let feeds = feeds(source, &items);
        let (appended, ids) = self.append(items, &mut taken).await?;
        self.parts.hearing.heard(feeds, clock::now());
        self.parts.metrics.took(source.name(), taken);
        let Taken { accepted, duplicates, ignored: ignored_count, rejected: _ } = taken;
        let Appended { seq: Seq(seq), late, new: _ } = appended;
        let ignored_because: BTreeSet<_> = ignored.into_iter().map(|one| one.reason).collect();
        let ignored_because = ignored_because.into_iter().take(REASONS_MAX).collect();
        match source.dialect() {
            Dialect::Own => {
                let ignored = ignored_count;
                Ok(json(&Receipt {
                    seq,
                    accepted,
                    duplicates,
                    late,
                    ignored,
                    ignored_because,
                    rejected,
                    ids,
                }))
            }
            Dialect::Alertmanager if rejected.is_empty() => Ok(empty()),
            Dialect::Alertmanager => Err(ApiError::some_rejected(rejected)),
            Dialect::PagerDuty | Dialect::Datadog | Dialect::Grafana => Ok(foreign(
                source.dialect(),
                seq,
                ids.first().or(known_as.as_ref()).map(String::as_str),
            )),
        }
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
        Ok(Receipt {
            seq,
            accepted,
            duplicates,
            late,
            ignored: 0,
            ignored_because: Vec::new(),
            rejected,
            ids,
        })
    }

    /// Says what the sender will hardly read.
    fn tell(&self, source: &Poster, rejected: &[Rejected], truncated: u64) {
        if let Some(Rejected { index, field, reason }) = rejected.first() {
            let (source, count) = (source.name(), rejected.len());
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
        let appended = self.parts.engine.append(events).await?;
        let mut news = appended.new.iter();
        for size in sizes {
            let any_new = news.by_ref().take(size).filter(|new| **new).count() > 0;
            *if any_new { &mut taken.accepted } else { &mut taken.duplicates } += 1;
        }
        Ok((appended, ids))
    }
}

/// The headers that are text.
fn readable(headers: &HeaderMap) -> Headers<'_> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), text(value)?))).collect()
}

fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

/// How a post comes in.
enum Entry<'a> {
    /// It is in.
    Open,
    /// It carries something that one of the source's secrets has to vouch for.
    Door(&'a Verifier, Result<(), ApiError>),
}

impl Admission {
    /// How a post comes in, before its body is read. One that carries nothing that could let it in,
    /// or a wrong token, is sent away here: it costs nothing.
    fn entry(
        &self,
        source: &str,
        headers: &HeaderMap,
        post: &Post<'_>,
    ) -> Result<Entry<'_>, ApiError> {
        let Some(door) = self.doors.get(source) else {
            return match &self.tokens {
                Some(tokens) => tokens.admit(headers, Role::Ingest).map(|()| Entry::Open),
                None => Ok(Entry::Open),
            };
        };
        let by_token = match &self.tokens {
            Some(tokens) if tokens.admit(headers, Role::Ingest).is_ok() => Ok(()),
            _ => Err(unsigned(door)),
        };
        // Whoever signs has to sign rightly, token or not.
        if !door.is_tried(post) {
            return by_token.map(|()| Entry::Open);
        }
        let entry = Entry::Door(door, by_token);
        if door.awaits_body(post) {
            return Ok(entry);
        }
        entry.let_in(post).map(|()| Entry::Open)
    }
}

impl Entry<'_> {
    /// Lets in what a secret of the source vouches for; where nothing speaks for the post or against
    /// it, what the daemon's token lets in.
    fn let_in(self, post: &Post<'_>) -> Result<(), ApiError> {
        let Self::Door(door, by_token) = self else { return Ok(()) };
        match door.judge(post) {
            Verdict::Good => Ok(()),
            Verdict::Absent => by_token,
            Verdict::Wrong(why) => Err(ApiError::unauthorized(why)),
        }
    }
}

fn unsigned(door: &Verifier) -> ApiError {
    ApiError::unauthorized(&format!("this source has secrets: {} is needed", door.wanted()))
}

/// Whom a post is heard from.
fn feeds(source: &Poster, items: &[Item]) -> BTreeSet<FeedName> {
    let events = items.iter().flat_map(|item| &item.events);
    events.filter_map(|event| FeedName::of(event, source.name())).collect()
}
