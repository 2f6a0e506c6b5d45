//! The log in SQLite: appends go to the writer's queue, reads to connections of their own.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use rusqlite::OptionalExtension as _;
use tokio::sync::{Semaphore, oneshot, watch};

use super::{
    Failure, Limits,
    database::Schema,
    fresh::Fresh,
    limit_of,
    reading::Readers,
    row_of,
    rows::Rows,
    seq_of, size_of,
    writer::{self, Head, Ledger, Request, Task, Writer, stopped},
};
use crate::{
    event::{ChangeReport, Event, EventId, Time, micros, time_of_micros},
    store::{Appended, Log, Logged, Seq, Size, StoreError},
};

pub(super) const SCHEMA: Schema = Schema {
    name: "log",
    application_id: i32::from_be_bytes(*b"antL"),
    migrations: &[
        include_str!("schema/log_1.sql"),
        include_str!("schema/log_2.sql"),
        include_str!("schema/log_3.sql"),
        include_str!("schema/log_4.sql"),
        include_str!("schema/log_5.sql"),
        include_str!("schema/log_6.sql"),
    ],
    synchronous: "EXTRA",
    cache_kib: 4 << 10,
    // Whole batches are added at the end.
    page_kib: 16,
    ahead_kib: 16 << 10,
};

/// The log of one machine, in `log.db`. Dropping it waits until all that was queued is written.
#[derive(Debug)]
pub struct SqliteLog {
    // Fields are dropped in this order: readers first, so that the writer is the last to close the
    // file and leaves it whole; the queue next, whose end is the writer's.
    readers: Readers,
    queue: SyncSender<Task>,
    room: Arc<Semaphore>,
    limits: Limits,
    tail: watch::Receiver<Seq>,
    fresh: Arc<Fresh>,
    writer: Writer,
}

impl SqliteLog {
    /// Opens the log in this directory, or makes it. An event that is more than `horizon` behind the
    /// newest is late.
    ///
    /// # Errors
    /// Somebody else has it open, it is not a log, it is damaged, or the disk says no.
    pub fn open(dir: &Path, horizon: TimeDelta) -> Result<Self, StoreError> {
        Self::open_with(dir, horizon, Limits::default())
    }

    /// The same, with limits of the caller's.
    ///
    /// # Errors
    /// As [`SqliteLog::open`].
    pub fn open_with(dir: &Path, horizon: TimeDelta, limits: Limits) -> Result<Self, StoreError> {
        let horizon = horizon.num_microseconds().unwrap_or(i64::MAX);
        let ledger = Ledger::new(SCHEMA.open(dir)?, horizon)?;
        let readers = Readers::new(ledger.path().to_owned());
        let fresh = Arc::new(Fresh::default());
        let (queue, writer) = writer::start(ledger, limits, Arc::clone(&fresh))?;
        let room = usize::try_from(limits.queue_bytes).unwrap_or(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(room));
        Ok(Self { readers, queue, room, limits, tail: writer.tail(), fresh, writer })
    }

    /// Resolves when this process can write the log no more, with why: it must end, as a start may
    /// mend it.
    pub fn failure(&self) -> impl Future<Output = StoreError> + Send + use<> {
        self.writer.failure()
    }

    fn enqueue(&self, events: Vec<Event>) -> Result<Answer, StoreError> {
        let rows = Rows::of(&events)?;
        // A request that is larger than the whole queue gets in when the queue is empty.
        let bytes = u32::try_from(rows.bytes()).unwrap_or(u32::MAX).min(self.limits.queue_bytes);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let room = room.map_err(|_no_room| StoreError::Full)?;
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Task::Append(Request { rows, events, room, answer })) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => Err(StoreError::Full),
            Err(TrySendError::Disconnected(_)) => Err(stopped()),
        }
    }

    /// Puts the log in event order as far as events came late, so that none is late any more; how many
    /// were. Blocks.
    ///
    /// # Errors
    /// It cannot be written: it is as it was.
    pub fn put_in_order(&self) -> Result<u64, StoreError> {
        let moved = self.ask(Ledger::put_in_order)?;
        self.fresh.clear();
        Ok(moved)
    }

    /// Has the writer do something, and waits for it.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = sync_channel(1);
        let work = move |ledger: &mut Ledger, tail: &watch::Sender<Seq>| {
            let done = work(ledger);
            tail.send_replace(ledger.end());
            let outcome = done.as_ref().map(drop).map_err(StoreError::clone);
            // Whoever asked may be gone; what was done stays.
            drop(answer.send(done));
            outcome
        };
        let asked = self.queue.send(Task::Work(Box::new(work)));
        asked.map_err(|_gone| stopped())?;
        answered.recv().unwrap_or_else(|_gone| Err(stopped()))
    }
}

type Answer = oneshot::Receiver<Result<Appended, StoreError>>;

impl Log for SqliteLog {
    fn append(&self, events: Vec<Event>) -> BoxFuture<'static, Result<Appended, StoreError>> {
        let queued = self.enqueue(events);
        Box::pin(async move { queued?.await.unwrap_or_else(|_gone| Err(stopped())) })
    }

    fn end(&self) -> Result<Seq, StoreError> {
        Ok(*self.tail.borrow())
    }

    fn tail(&self) -> watch::Receiver<Seq> {
        self.tail.clone()
    }

    fn after(&self, seq: Seq, limit: usize) -> Result<Vec<Logged>, StoreError> {
        if let Some(events) = self.fresh.take_after(seq, limit) {
            return Ok(events);
        }
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {EVENT} FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2"
            ))?;
            let mut events = Vec::new();
            let rows = query.query_and_then((row_of(seq), limit_of(limit)), logged)?;
            hand_over(rows, &mut |event| events.push(event))?;
            Ok(events)
        })
    }

    fn window(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(Logged),
    ) -> Result<(), StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {EVENT} FROM event INDEXED BY event_order \
                 WHERE late = 0 AND at BETWEEN ?1 AND ?2 AND ifnull(first_seq, seq) <= ?3 \
                 ORDER BY at, id"
            ))?;
            let range = (micros(from), micros(to), row_of(until));
            hand_over(query.query_and_then(range, logged)?, each)
        })
    }

    fn changes(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(EventId, ChangeReport),
    ) -> Result<(), StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {EVENT} FROM event INDEXED BY event_change \
                 WHERE at BETWEEN ?1 AND ?2 AND ifnull(first_seq, seq) <= ?3 \
                 AND substr(body, 1, 16) = '{{\"type\":\"change\"' AND NOT late ORDER BY at, id"
            ))?;
            let range = (micros(from), micros(to), row_of(until));
            hand_over(query.query_and_then(range, logged)?, &mut |logged| {
                if let Event::Change(report) = logged.event {
                    each(logged.id, report);
                }
            })
        })
    }

    fn event(&self, at: Time, id: &EventId) -> Result<Option<Event>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {EVENT} FROM event INDEXED BY event_order \
                 WHERE late IN (0, 1) AND at = ?1 AND id = ?2"
            ))?;
            let mut found = query.query_and_then((micros(at), id.0), logged)?;
            Ok(found.next().transpose()?.map(|logged| logged.event))
        })
    }

    fn newest(&self, to: Time, until: Seq) -> Result<Option<Time>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT at FROM event INDEXED BY event_order \
                 WHERE late = 0 AND at <= ?1 AND ifnull(first_seq, seq) <= ?2 \
                 ORDER BY at DESC LIMIT 1",
            )?;
            let newest = query.query_row((micros(to), row_of(until)), |row| row.get(0));
            Ok(newest.optional()?.map(time_of_micros))
        })
    }

    fn oldest(&self, from: Time, until: Seq) -> Result<Option<Time>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT at FROM event INDEXED BY event_order \
                 WHERE late = 0 AND at >= ?1 AND ifnull(first_seq, seq) <= ?2 ORDER BY at LIMIT 1",
            )?;
            let oldest = query.query_row((micros(from), row_of(until)), |row| row.get(0));
            Ok(oldest.optional()?.map(time_of_micros))
        })
    }

    fn forget(&self, before: Time, until: Seq, limit: usize) -> Result<usize, StoreError> {
        self.ask(move |ledger| ledger.forget(before, until, limit))
    }

    fn held_from(&self) -> Result<Option<Time>, StoreError> {
        self.readers.read(|connection| {
            let sql = "SELECT held_from FROM head";
            let held_from = connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
            Ok(held_from.map(|at: Option<i64>| at.map(time_of_micros))?)
        })
    }

    fn size(&self) -> Result<Size, StoreError> {
        let rows = self.readers.read(|connection| Ok(Head::read(connection)?.rows))?;
        Ok(size_of(self.readers.path(), rows))
    }
}

/// Hands over what was read up to where it cannot be read, and says where that is.
fn hand_over(
    events: impl Iterator<Item = Result<Logged, Failure>>,
    each: &mut dyn FnMut(Logged),
) -> Result<(), Failure> {
    let mut last = None;
    for event in events {
        let event = event.map_err(|failure| match last {
            Some(Seq(last)) => failure.in_row(|| format!("the event that follows event {last}")),
            None => failure,
        })?;
        last = Some(event.seq);
        each(event);
    }
    Ok(())
}

/// The columns of an event, in the order in which [`logged`] reads them: by name each would be looked
/// for in each row.
const EVENT: &str = "seq, at, id, late, body";

/// The event in a row; else which row it is that cannot be read.
fn logged(row: &rusqlite::Row<'_>) -> Result<Logged, Failure> {
    let seq: i64 = row.get(0)?;
    decode(row, seq).map_err(|what| Failure::row(format!("event {seq}"), &what))
}

fn decode(row: &rusqlite::Row<'_>, seq: i64) -> Result<Logged, Box<dyn std::error::Error>> {
    let event = Event::from_json(row.get_ref(4)?.as_str()?)?;
    let at: i64 = row.get(1)?;
    if micros(event.time()) != at {
        return Err(format!("its time is {}, its row says {at}", micros(event.time())).into());
    }
    Ok(Logged { seq: seq_of(seq), id: EventId(row.get(2)?), late: row.get(3)?, event })
}
