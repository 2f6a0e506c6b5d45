//! Stores: the log of events, the state that is rebuilt from it, and the records of what was done.
//!
//! In: events, what the engine made of them, and what was told to whom. Out: the same, in commit
//! order, in event order, or as pages of a list. Three contracts, [`Log`], [`State`] and [`Records`],
//! behind which SQLite keeps the data of one machine; a fourth, [`View`], is answered alike by log
//! and state together ([`Stored`]) and by an [`Assessment`](crate::correlate::Assessment) in memory.
//! Nothing here judges what it keeps.

mod memory;
mod paging;
mod records;
mod sqlite;
mod stored;

#[cfg(test)]
mod tests;

pub use self::{
    paging::EXAMINED_MAX,
    records::{
        Attempt, Awake, Claim, Daily, Feed, Mailbox, Notice, NoticeId, Outgoing, Published, Records,
    },
    sqlite::{Limits, SqliteLog, SqliteRecords, SqliteState},
    stored::Stored,
};

use std::{fmt, sync::Arc, thread};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    correlate::{Family, FamilyRef, Incident, IncidentId, Kept},
    event::{
        Change, ChangeHistory, ChangeId, ChangeReport, Episode, EpisodeId, Event, EventId,
        Feedback, Firing, Note, Outlook, Time, show_time,
    },
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
    /// For each event, in order, whether it told anything new.
    pub new: Vec<bool>,
    /// How many of those that were new came more than the horizon behind the newest event.
    pub late: usize,
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
    /// It takes events that were dropped by age.
    #[error("events from before {} are no longer held", show_time(*held_from))]
    Dropped {
        /// From when on events are held.
        held_from: Time,
    },
}

/// The log: the truth. What it holds stays; only an alert's report makes way for one that holds longer.
pub trait Log: fmt::Debug + Send + Sync {
    /// Appends events; resolves when they are durable, never before. Concurrent appends share a
    /// commit. An event that the log already has is not stored again; nor is one whose time is that
    /// of its receipt and that was there a moment ago: it is a post that was tried again.
    ///
    /// Where the log has an event of that time and id that holds for a shorter time, or as long in
    /// lesser words, this one takes its place, at the log's end.
    ///
    /// The call itself queues them, so they may be stored though the future is dropped.
    fn append(&self, events: Vec<Event>) -> BoxFuture<'static, Result<Appended, StoreError>>;

    /// The log's end.
    fn end(&self) -> Result<Seq, StoreError>;

    /// The log's end as it moves: what waits for it need not ask again and again.
    fn tail(&self) -> watch::Receiver<Seq>;

    /// Events after a position, in log order, at most `limit` of them.
    fn after(&self, seq: Seq, limit: usize) -> Result<Vec<Logged>, StoreError>;

    /// Events with `from <= event time <= to` that are not late, in event order (time, id), that were
    /// there at position `until`, handed to `each` one by one. One that holds longer since then is
    /// given as it is now.
    fn window(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(Logged),
    ) -> Result<(), StoreError>;

    /// The reports on changes among these events, with their content ids; in the same order.
    fn changes(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(EventId, ChangeReport),
    ) -> Result<(), StoreError>;

    /// The event of this time and content id.
    fn event(&self, at: Time, id: &EventId) -> Result<Option<Event>, StoreError>;

    /// The newest event time up to `to`, of events that are not late and were there at position
    /// `until`.
    fn newest(&self, to: Time, until: Seq) -> Result<Option<Time>, StoreError>;

    /// The oldest event time from `from` on, of events that are not late and were there at position
    /// `until`.
    fn oldest(&self, from: Time, until: Seq) -> Result<Option<Time>, StoreError>;

    /// Drops events from before a time that were there at position `until`, at most `limit` of them;
    /// how many. Blocks.
    fn forget(&self, before: Time, until: Seq, limit: usize) -> Result<usize, StoreError>;

    /// From when on it holds all events, if any were dropped.
    fn held_from(&self) -> Result<Option<Time>, StoreError>;

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
    /// How far it has come once this is written.
    pub position: Position,
    /// New or altered.
    pub incidents: Vec<Incident>,
    /// No longer so; taken out before the others are written.
    pub incidents_gone: Vec<IncidentId>,
    /// New or altered, with all that was reported of each.
    pub changes: Vec<(Change, ChangeHistory)>,
    /// New or altered.
    pub families: Vec<Kept>,
    /// No longer so; taken out before the others are written.
    pub families_gone: Vec<(FamilyRef, Time)>,
    /// New or altered.
    pub firings: Vec<FiringRow>,
    /// New or altered.
    pub seen: Vec<Seen>,
    /// New; one that is there already stays as it is.
    pub notes: Vec<(EventId, Note)>,
    /// New; what is there already stays as it is.
    pub feedback: Vec<(EventId, Feedback)>,
}

/// How far the state has come.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Position {
    /// Everything up to here is in the state.
    pub seq: Seq,
    /// The hash of the configuration that it was assessed under.
    pub config: String,
    /// The hash of how labels became scope.
    pub mapping: String,
    /// Alerts that began before this are known to the filters alone.
    pub recent: Time,
}

/// One firing of one alert.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FiringRow {
    /// The hash of the alert's identity.
    pub identity: EventId,
    /// The key of its family.
    pub family: FamilyRef,
    /// When it began to fire.
    pub starts_at: Time,
    /// How it went on, and where the log tells of it.
    pub firing: Firing,
    /// If an episode begins with it, how that goes on.
    pub episode: Option<Outlook>,
}

impl FiringRow {
    /// The name of the episode that begins with it.
    pub fn id(&self) -> EpisodeId {
        EpisodeId::new(self.starts_at, &self.identity)
    }
}

/// A filter that knows the alerts that were put into it, and may take another for one of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// Its number.
    pub id: u32,
    /// When the first of them began, of what no filter before it tells, ...
    pub oldest: Time,
    /// ... and when the newest.
    pub newest: Time,
    /// How many there are.
    pub count: u64,
    /// Its bits; shared while they are written.
    pub bits: Arc<Vec<u8>>,
}

/// What is to be dropped from the state.
#[derive(Clone, Debug)]
pub struct Old {
    /// What began before this, ...
    pub held_from: Time,
    /// ... incidents that began before this, ...
    pub judged_from: Time,
    /// ... and these filters, by their numbers; ...
    pub seen: Vec<u32>,
    /// ... of the others at most so many at once.
    pub limit: usize,
}

/// A page of a list: a range of start times, from where, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Things that start before this, or at it, ...
    pub end: Option<Time>,
    /// ... and had not ended before this.
    pub start: Option<Time>,
    /// Of these only what starts or ends in that time, and not what goes on all through it.
    pub edges: bool,
    /// Only what comes after this key in the list's order.
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

/// What can be asked, of the stores as of now or of an assessment as of then.
///
/// Lists come newest start first, of one start the greatest id first; `keep` says which things belong
/// on them. One call looks at no more than [`EXAMINED_MAX`] things, so a page may be short, or empty,
/// and yet have a `next`.
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

    /// Symptoms.
    fn families(
        &self,
        page: &Page,
        keep: &dyn Fn(&Family) -> bool,
    ) -> Result<Paged<Family>, StoreError>;

    /// The symptoms of one incident, by start, at most `limit`.
    fn symptoms(&self, incident: &IncidentId, limit: usize) -> Result<Vec<Family>, StoreError>;

    /// Alert episodes, with the incident of each.
    fn episodes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Episode) -> bool,
    ) -> Result<Paged<(Episode, Option<IncidentId>)>, StoreError>;

    /// The ids of the episodes of one incident, by start, of one start the smallest first; at most
    /// `limit`.
    fn members(&self, incident: &IncidentId, limit: usize) -> Result<Vec<EpisodeId>, StoreError>;

    /// Notes with `start <= at <= end`, oldest first, at most `limit`.
    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError>;

    /// What people said of changes, with `start <= at <= end`, oldest first, at most `limit`.
    fn feedback(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Feedback>, StoreError>;
}

/// The state: what the engine made of the log; deleting it is a rebuild.
pub trait State: fmt::Debug + Send + Sync {
    /// How far it has come.
    fn position(&self) -> Result<Position, StoreError>;

    /// Writes a batch and its position, both or neither.
    fn commit(&self, batch: &StateBatch) -> Result<(), StoreError>;

    /// Forgets everything, position included.
    fn clear(&self) -> Result<(), StoreError>;

    /// Drops what is old; how many rows.
    fn forget(&self, old: &Old) -> Result<usize, StoreError>;

    /// When the first symptom from `from` on began.
    fn first_symptom(&self, from: Time) -> Result<Option<Time>, StoreError>;

    /// The start of the day that a time is in, and how many symptoms of each family began on it.
    fn daily(&self, of: Time) -> Result<(Time, Vec<Daily>), StoreError>;

    /// How much it holds.
    fn size(&self) -> Result<Size, StoreError>;

    /// As [`View::incidents`].
    fn incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError>;

    /// One incident by its id.
    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError>;

    /// The ids of the incidents that began at `from` or later.
    fn incidents_since(&self, from: Time) -> Result<Vec<IncidentId>, StoreError>;

    /// As [`View::changes`].
    fn changes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Change) -> bool,
    ) -> Result<Paged<Change>, StoreError>;

    /// As [`View::change`].
    fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError>;

    /// All that was reported of one change.
    fn history(&self, id: &ChangeId) -> Result<Option<ChangeHistory>, StoreError>;

    /// As [`View::families`].
    fn families(
        &self,
        page: &Page,
        keep: &dyn Fn(&Family) -> bool,
    ) -> Result<Paged<Family>, StoreError>;

    /// As [`View::symptoms`].
    fn symptoms(&self, incident: &IncidentId, limit: usize) -> Result<Vec<Family>, StoreError>;

    /// As [`View::members`].
    fn members(&self, incident: &IncidentId, limit: usize) -> Result<Vec<EpisodeId>, StoreError>;

    /// The families that began at `from` or later, by start.
    fn kept_since(&self, from: Time) -> Result<Vec<Kept>, StoreError>;

    /// The incident of the family of this key that an alert with this start is in.
    fn holder(&self, family: FamilyRef, starts_at: Time) -> Result<Option<IncidentId>, StoreError>;

    /// The firings with which episodes begin, as a page of their list.
    fn firings(&self, page: &Page) -> Result<Paged<FiringRow>, StoreError>;

    /// The firing with which the episode of this id begins.
    fn firing(&self, id: &EpisodeId) -> Result<Option<FiringRow>, StoreError>;

    /// The firings of a family that began from `from` to `to`, of one alert or of all, by start, at
    /// most `limit`.
    fn firings_of(
        &self,
        family: FamilyRef,
        identity: Option<&EventId>,
        range: (Time, Time),
        limit: usize,
    ) -> Result<Vec<FiringRow>, StoreError>;

    /// The firings that began at `from` or later, by start, handed to `each` one by one.
    fn firings_since(&self, from: Time, each: &mut dyn FnMut(FiringRow)) -> Result<(), StoreError>;

    /// The filters of the alerts that began earlier.
    fn seen(&self) -> Result<Vec<Seen>, StoreError>;

    /// As [`View::notes`].
    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError>;

    /// As [`View::feedback`].
    fn feedback(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Feedback>, StoreError>;
}

/// So many rows or events are a fraction of a millisecond.
const WAY_EVERY: usize = 16;

/// Goes through the many things of a batch, and lets whoever waits for this core go first now and then:
/// a kernel may leave it to a long batch for some 3 ms, and an answer to a post or a question passes two
/// or three threads.
pub fn giving_way<T>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    all.into_iter().enumerate().map(|(n, one)| {
        if n % WAY_EVERY == WAY_EVERY - 1 {
            thread::yield_now();
        }
        one
    })
}
