//! Stores: the log of events, and the state that is rebuilt from it.
//!
//! In: events, and what the engine made of them. Out: the same, in commit order, in event order, or
//! as pages of a list. Two contracts, [`Log`] and [`State`], behind which SQLite keeps the data of
//! one machine; a third, [`View`], is answered alike by the state and by an
//! [`Assessment`](crate::correlate::Assessment) in memory. Nothing here judges what it keeps.

mod memory;
mod paging;
mod sqlite;

#[cfg(test)]
mod tests;

pub use self::{
    paging::EXAMINED_MAX,
    sqlite::{Limits, SqliteLog, SqliteState},
};

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    correlate::{Incident, IncidentId},
    event::{Change, ChangeId, Episode, EpisodeId, Event, EventId, Note, Time},
};

/// A position in the log: the order of commits. The first event has 1; gaps may occur, disorder
/// cannot.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Seq(pub u64);

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its place.
    pub seq: Seq,
    /// Its content id.
    pub id: EventId,
    /// It came more than the horizon behind the newest event: it is kept and shown, and re-opens
    /// nothing until a rebuild.
    pub late: bool,
    /// What it says.
    pub event: Event,
}

/// What an append did, once it is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// The log's end: everything that was appended is at or before it.
    pub seq: Seq,
    /// For each event, in order, whether it was new.
    pub new: Vec<bool>,
}

/// Why a store did not do it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// More is waiting than the queue holds: try again.
    #[error("the log's queue is full")]
    Full,
    /// The store cannot be reached or written: try again, it may come back.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A sync failed, so nobody knows what is on the disk. A kernel takes what it could not write for
    /// written, and a later sync says nothing of it: who goes on might acknowledge what is not there.
    /// Only a start, which reads the files again, knows.
    #[error("the store at {place} was not synced: {what}")]
    Unsynced {
        /// The file.
        place: String,
        /// What the system said.
        what: String,
    },
    /// What the store holds cannot be read.
    #[error("the store at {place} is damaged: {what}")]
    Damaged {
        /// The file or table.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// What is there is whole, and not for this process to open.
    #[error("{place} {why}")]
    Refused {
        /// The file.
        place: String,
        /// As a sentence about the file: whose it is.
        why: String,
    },
}

/// The log: the truth, append-only.
pub trait Log: fmt::Debug + Send + Sync {
    /// Appends events; resolves when they are durable, never before. Concurrent appends share a
    /// commit. An event that the log already has is not stored again.
    ///
    /// The call itself queues them, so they may be stored though the future is dropped.
    fn append(&self, events: Vec<Event>) -> BoxFuture<'static, Result<Appended, StoreError>>;

    /// The log's end.
    fn end(&self) -> Result<Seq, StoreError>;

    /// The log's end as it moves: what waits for it need not ask again and again.
    fn tail(&self) -> watch::Receiver<Seq>;

    /// Events after a position, in log order, at most `limit` of them.
    fn after(&self, seq: Seq, limit: usize) -> Result<Vec<Logged>, StoreError>;

    /// Events with `from <= event time <= to` that are not late, in event order (time, id), at
    /// positions up to `until`, handed to `each` one by one.
    fn window(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(Logged),
    ) -> Result<(), StoreError>;

    /// The newest event time up to `to`, of events that are not late, at positions up to `until`.
    fn newest(&self, to: Time, until: Seq) -> Result<Option<Time>, StoreError>;

    /// How many events it holds, and how many bytes of disk.
    fn size(&self) -> Result<Size, StoreError>;
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Size {
    /// Rows.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What the engine writes in one transaction.
#[derive(Clone, Debug, Default)]
pub struct StateBatch {
    /// Everything up to here is in the state once this is written.
    pub position: Seq,
    /// The hash of the configuration that it was assessed under.
    pub config: String,
    /// New or altered.
    pub incidents: Vec<Incident>,
    /// No longer so; taken out before the others are written.
    pub incidents_gone: Vec<IncidentId>,
    /// New or altered.
    pub changes: Vec<Change>,
    /// New or altered, with the incident of each.
    pub episodes: Vec<(Episode, Option<IncidentId>)>,
    /// No longer so; taken out before the others are written.
    pub episodes_gone: Vec<EpisodeId>,
    /// New; one that is there already stays as it is.
    pub notes: Vec<(EventId, Note)>,
}

/// A page of a list: a range of start times, from where, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Things that start before this, or at it, ...
    pub end: Option<Time>,
    /// ... and had not ended before this.
    pub start: Option<Time>,
    /// Only what comes after this key in the list's order (newest start first, then id).
    pub after: Option<(Time, String)>,
    /// At most so many.
    pub limit: usize,
}

/// A list's part, and whether more follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// The key to go on from, when there is more.
    pub next: Option<(Time, String)>,
}

/// What can be asked, of the state store as of now or of an assessment as of then.
///
/// Lists come newest start first; `keep` says which things belong on them. One call looks at no more
/// than [`EXAMINED_MAX`] things, so a page may be short, or empty, and yet have a `next`.
pub trait View {
    /// Incidents.
    fn incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError>;

    /// One incident by its id, or by the id of any of its alert episodes.
    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError>;

    /// Changes.
    fn changes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Change) -> bool,
    ) -> Result<Paged<Change>, StoreError>;

    /// One change.
    fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError>;

    /// Alert episodes, with the incident of each.
    fn episodes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Episode) -> bool,
    ) -> Result<Paged<(Episode, Option<IncidentId>)>, StoreError>;

    /// The episodes of one incident, by start.
    fn members(&self, incident: &IncidentId) -> Result<Vec<Episode>, StoreError>;

    /// Notes with `start <= at <= end`, oldest first, at most `limit`.
    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError>;
}

/// The state: what the engine made of the log; deleting it is a rebuild.
pub trait State: View + fmt::Debug + Send + Sync {
    /// How far it has come, and under which configuration.
    fn position(&self) -> Result<(Seq, String), StoreError>;

    /// Writes a batch and its position, both or neither.
    fn commit(&self, batch: &StateBatch) -> Result<(), StoreError>;

    /// Forgets everything, position included.
    fn clear(&self) -> Result<(), StoreError>;

    /// How much it holds.
    fn size(&self) -> Result<Size, StoreError>;
}
