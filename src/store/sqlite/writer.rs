//! The one thread that writes the log.
//!
//! In: requests, each some rows, from a bounded queue. Out: an answer to each request, once the
//! transaction that it shared with all that waited is committed and synced. A transaction that
//! fails is answered to all in it, changes nothing, and is not the end: the next may do. Only a sync
//! that fails is the end: the writer does not know any more what a later one vouches for. When all
//! are answered it has the write-ahead log copied into the file; SQLite would do so by itself before they
//! are, and keep quiet about a sync that fails. What else alters the log, dropping
//! what is old and putting it in order, waits in the same queue for its turn.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{CachedStatement, Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::{
    Failure, StoreError, count_of,
    database::Database,
    fresh::Fresh,
    limit_of, row_of,
    rows::{Row, Rows},
    seq_of, unless_unsynced,
};
use crate::{
    event::{Event, Time, micros},
    store::{Appended, Logged, Seq},
};

/// How much may wait for the log's writer, and how much it takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many bytes of events may wait, as they came and as JSON.
    pub queue_bytes: u32,
    /// So many requests may wait.
    pub queue_requests: usize,
    /// No request is added to a transaction that has so many rows.
    pub commit_rows: usize,
}

impl Default for Limits {
    /// What waits takes the writer about a second, one transaction of this size a tenth of it.
    fn default() -> Self {
        Self { queue_bytes: 64 << 20, queue_requests: 8192, commit_rows: 16_384 }
    }
}

/// An event whose time is that of its receipt, and which is there already from within this time
/// before, is a post that was tried again: its sender never heard of the first.
const RETRIED_WITHIN: i64 = 2 * 60 * 1_000_000;

/// What the thread is asked for.
pub(super) enum Task {
    /// To add rows.
    Append(Request),
    /// To alter the log in another way.
    Work(Work),
}

/// Alters the log, and tells of its end, and then whoever asked what came of it.
pub(super) type Work =
    Box<dyn FnOnce(&mut Ledger, &watch::Sender<Seq>) -> Result<(), StoreError> + Send>;

/// Rows that somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) rows: Rows,
    /// What the rows were made of.
    pub(super) events: Vec<Event>,
    /// Its part of the queue's bytes.
    pub(super) room: OwnedSemaphorePermit,
    pub(super) answer: oneshot::Sender<Result<Appended, StoreError>>,
}

/// The thread; dropping it waits for its end, which comes when no more requests can.
#[derive(Debug)]
pub(super) struct Writer {
    thread: Option<JoinHandle<()>>,
    /// The log's end, which is one also when the thread is not there any more.
    tail: Arc<watch::Sender<Seq>>,
    /// Why the thread has ended, if it has by itself.
    failure: watch::Receiver<Option<StoreError>>,
}

impl Writer {
    /// The log's end as it moves.
    pub(super) fn tail(&self) -> watch::Receiver<Seq> {
        self.tail.subscribe()
    }

    /// Resolves when the thread has ended by itself, with why.
    pub(super) fn failure(&self) -> impl Future<Output = StoreError> + Send + use<> {
        let mut failure = self.failure.clone();
        async move {
            let why = failure.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            why.unwrap_or_else(stopped)
        }
    }
}

/// What is said of a log that nobody writes.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable("the log's writer has stopped".to_owned())
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}

/// Starts the thread; gives its queue and the thread.
pub(super) fn start(
    ledger: Ledger,
    limits: Limits,
    fresh: Arc<Fresh>,
) -> Result<(SyncSender<Task>, Writer), StoreError> {
    let (queue, tasks) = sync_channel(limits.queue_requests);
    let tail = Arc::new(watch::Sender::new(ledger.end()));
    let (failed, failure) = watch::channel(None);
    let moved = Arc::clone(&tail);
    let write = move || {
        if let Err(why) = write_all(ledger, &tasks, limits, (&moved, &fresh)) {
            // Whoever waits in the queue is answered by its end.
            drop(tasks);
            failed.send_replace(Some(why));
        }
    };
    match std::thread::Builder::new().name("log-writer".to_owned()).spawn(write) {
        Ok(thread) => Ok((queue, Writer { thread: Some(thread), tail, failure })),
        Err(error) => Err(StoreError::Unavailable(format!("no thread for the log: {error}"))),
    }
}

/// Writes until no more requests can come; an error when it must not go on before that.
fn write_all(
    mut ledger: Ledger,
    tasks: &Receiver<Task>,
    limits: Limits,
    told: Told<'_>,
) -> Result<(), StoreError> {
    let mut busy = false;
    while let Some(turn) = gather(tasks, limits.commit_rows, busy) {
        busy = turn.requests.len() >= BUSY_REQUESTS;
        if let Err(why) = take_turn(&mut ledger, turn, told) {
            ledger.abandon();
            return Err(why);
        }
    }
    Ok(())
}

/// Where so many requests or more shared the last transaction, ...
const BUSY_REQUESTS: usize = 4;
/// ... the next one waits so long for more of them: at full speed only some sixteen of the requests of
/// 64 clients shared one, and each syncs the file.
const LINGER: Duration = Duration::from_micros(300);

/// Does what is asked for; an error when nothing more may be done.
fn take_turn(
    ledger: &mut Ledger,
    Turn { requests, work }: Turn,
    told: Told<'_>,
) -> Result<(), StoreError> {
    if !requests.is_empty() {
        unless_unsynced(settle(ledger, requests, told))?;
    }
    if let Some(work) = work {
        unless_unsynced(work(ledger, told.0))?;
    }
    ledger.database.tidy()
}

/// What is done at once: requests share a transaction, other work has its own after them.
#[derive(Default)]
struct Turn {
    requests: Vec<Request>,
    work: Option<Work>,
}

/// Waits for a task, and takes all requests that wait with it; `None` when no more can come.
fn gather(tasks: &Receiver<Task>, rows_max: usize, busy: bool) -> Option<Turn> {
    let (mut turn, mut rows) = (Turn::default(), 0);
    let mut next = tasks.recv().ok()?;
    if busy {
        std::thread::sleep(LINGER);
    }
    loop {
        match next {
            Task::Append(request) => {
                rows += request.rows.len();
                turn.requests.push(request);
            }
            Task::Work(work) => {
                turn.work = Some(work);
                return Some(turn);
            }
        }
        if rows >= rows_max {
            return Some(turn);
        }
        match tasks.try_recv() {
            Ok(task) => next = task,
            Err(_none_waits) => return Some(turn),
        }
    }
}

/// Where it is told how far the log reaches, and with what.
type Told<'a> = (&'a watch::Sender<Seq>, &'a Fresh);

/// Commits a batch, then tells everybody in it.
fn settle(
    ledger: &mut Ledger,
    batch: Vec<Request>,
    (tail, fresh): Told<'_>,
) -> Result<(), StoreError> {
    let requests: Vec<_> = batch.iter().map(|request| &request.rows).collect();
    let committed = ledger.commit(&requests);
    let outcome = committed.as_ref().map(drop).map_err(StoreError::clone);
    let mut answers = Vec::with_capacity(batch.len());
    match committed {
        Ok(written) => {
            for (request, Written { appended, places }) in batch.into_iter().zip(written) {
                let Request { rows, events, room, answer: asked } = request;
                if places.contains(&Place::Moved) {
                    fresh.clear();
                } else {
                    fresh.extend(logged(&rows, events, places));
                }
                // Its room is free before whoever asked can ask for more.
                drop((rows, room));
                answers.push((asked, Ok(appended)));
            }
        }
        Err(error) => {
            tracing::error!(%error, requests = batch.len(), "the log was not written");
            answers.extend(batch.into_iter().map(|request| (request.answer, Err(error.clone()))));
        }
    }
    tail.send_replace(ledger.end());
    for (asked, answer) in answers {
        // Whoever asked may be gone; what was committed stays.
        drop(asked.send(answer));
    }
    outcome
}

/// The events that are new in the log, with the size of each.
fn logged(
    rows: &Rows,
    events: Vec<Event>,
    places: Vec<Place>,
) -> impl Iterator<Item = (Logged, usize)> {
    let placed = rows.iter().zip(events).zip(places);
    placed.filter_map(|(((row, body), event), place)| match place {
        Place::New { seq, late } => {
            // Whoever reads it from the file is told the same.
            debug_assert_eq!(Event::from_json(body).ok().as_ref(), Some(&event));
            Some((Logged { seq: seq_of(seq), id: row.id, late, event }, body.len()))
        }
        Place::Moved | Place::Known => None,
    })
}

/// What became of a request.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) appended: Appended,
    places: Vec<Place>,
}

/// Where an event is in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// In a place of its own.
    New { seq: i64, late: bool },
    /// In another's place, which is at the end now.
    Moved,
    /// Where it was: the log has one that tells as much.
    Known,
}

/// The log's file, to be written.
#[derive(Debug)]
pub(super) struct Ledger {
    database: Database,
    /// How far behind the newest an event is late, in microseconds.
    horizon: i64,
    end: i64,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    seq: i64,
    /// How many it holds.
    pub(super) rows: i64,
    /// The newest event time, ...
    newest: Option<i64>,
    /// ... and that of what came too late.
    newest_late: Option<i64>,
    /// How many late rows were added since it was read.
    late: usize,
    /// A row moved since: how many there are is not told by the last number any more.
    is_unwritten: bool,
}

impl Ledger {
    /// The ledger in this file.
    pub(super) fn new(database: Database, horizon: i64) -> Result<Self, StoreError> {
        match Head::read(&database.connection) {
            Ok(head) => Ok(Self { database, horizon, end: head.seq }),
            Err(error) => Err(Failure::from(error).at(&database.path)),
        }
    }

    /// The log's file.
    pub(super) fn path(&self) -> &Path {
        &self.database.path
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.database.connection
    }

    /// Leaves the file to the next process as it is.
    fn abandon(self) {
        self.database.abandon();
    }

    /// The log's end.
    pub(super) fn end(&self) -> Seq {
        seq_of(self.end)
    }

    /// Writes all requests in one transaction: all are durable, or none is written.
    pub(super) fn commit(&mut self, requests: &[&Rows]) -> Result<Vec<Written>, StoreError> {
        let written = self.write(requests);
        written.map_err(|error| Failure::from(error).at(&self.database.path))
    }

    /// Gives late events, and all that happened after the first of them, new places at the log's end,
    /// in event order, where none is late; how many were late. All of it or nothing.
    ///
    /// What happened before stays where it is. Places are not used twice, so whoever was told one
    /// finds its event at a later one.
    pub(super) fn put_in_order(&mut self) -> Result<u64, StoreError> {
        let (late, end) = self.database.write(|transaction| {
            let mut head = Head::read(transaction)?;
            let late: i64 = transaction.query_row(COUNT_LATE, [], |row| row.get(0))?;
            if late > 0 {
                transaction.execute(PUT_IN_ORDER, [head.seq])?;
                head.seq = transaction.query_row(NEWEST_SEQ, [], |row| row.get(0))?;
                head.write(transaction)?;
            }
            Ok((late, head.seq))
        })?;
        self.end = end;
        Ok(count_of(late))
    }

    /// Drops events from before a time, at most so many, of those up to a position; how many.
    pub(super) fn forget(
        &mut self,
        before: Time,
        until: Seq,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let before = micros(before);
        self.database.write(|transaction| {
            let mut head = Head::read(transaction)?;
            let old = (before, row_of(until), limit_of(limit));
            let dropped = transaction.prepare_cached(FORGET)?.execute(old)?;
            if dropped > 0 {
                head.rows -= limit_of(dropped);
                head.write(transaction)?;
                let sql = "UPDATE head SET held_from = max(ifnull(held_from, ?1), ?1)";
                transaction.prepare_cached(sql)?.execute([before])?;
            }
            Ok(dropped)
        })
    }

    fn write(&mut self, requests: &[&Rows]) -> rusqlite::Result<Vec<Written>> {
        // Dropped on the way, it is rolled back.
        let transaction =
            self.database.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read each time: after a failure, the file alone knows how far it came.
        let mut head = Head::read(&transaction)?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut written = Vec::with_capacity(requests.len());
        for rows in requests {
            let late = head.late;
            let add = |row| head.add(&transaction, &mut insert, row, self.horizon);
            let places = rows.iter().map(add).collect::<rusqlite::Result<Vec<_>>>()?;
            let new = places.iter().map(|place| *place != Place::Known).collect();
            let appended = Appended { seq: seq_of(head.seq), new, late: head.late - late };
            written.push(Written { appended, places });
        }
        drop(insert);
        if head.is_unwritten {
            head.write(&transaction)?;
        }
        transaction.commit()?;
        self.end = head.seq;
        Ok(written)
    }
}

/// Adds a row. One that has its time and id makes way for it where this one holds longer or, of
/// equals, has the greater body: whatever the order in which they come, the same one is left.
const INSERT: &str = "\
    INSERT INTO event (seq, at, id, late, body, valid_until, at_assumed) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
    ON CONFLICT (late, at, id) DO UPDATE SET seq = excluded.seq, first_seq = ifnull(first_seq, seq), \
    body = excluded.body, valid_until = excluded.valid_until \
    WHERE (ifnull(excluded.valid_until, 9223372036854775807), excluded.body) \
    > (ifnull(valid_until, 9223372036854775807), body)";

const FORGET: &str = "\
    DELETE FROM event WHERE seq IN (SELECT seq FROM event INDEXED BY event_order \
    WHERE late IN (0, 1) AND at < ?1 AND seq <= ?2 ORDER BY late, at LIMIT ?3)";

const COUNT_LATE: &str = "SELECT count(*) FROM event WHERE late = 1";

const NEWEST_SEQ: &str = "SELECT max(seq) FROM event";

const PUT_IN_ORDER: &str = "\
    WITH moved AS (SELECT seq AS was, \
    ?1 + row_number() OVER (ORDER BY at, id) AS now \
    FROM event WHERE at >= (SELECT min(at) FROM event WHERE late = 1)) \
    UPDATE event SET seq = moved.now, first_seq = NULL, late = 0 FROM moved WHERE seq = moved.was";

/// Whether the log has the row from a short time before; only for those whose time is assumed.
fn was_tried_before(row: &Row, connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM event INDEXED BY event_assumed \
               WHERE at_assumed AND id = ?1 AND at BETWEEN ?2 AND ?3)";
    let since = row.at.saturating_sub(RETRIED_WITHIN);
    connection.prepare_cached(sql)?.query_row((row.id.0, since, row.at), |row| row.get(0))
}

/// Whether the log has the row among those that came too late, or among the others.
fn is_there(row: &Row, late: bool, connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM event INDEXED BY event_order \
               WHERE late = ?1 AND at = ?2 AND id = ?3)";
    connection.prepare_cached(sql)?.query_row((late, row.at, row.id.0), |row| row.get(0))
}

impl Head {
    /// Where the log ends: what was written of that, and what was added since.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT seq, rows, (SELECT max(seq) FROM event), \
                   (SELECT max(at) FROM event INDEXED BY event_order WHERE late = 0), \
                   (SELECT max(at) FROM event INDEXED BY event_order WHERE late = 1) FROM head";
        connection.prepare_cached(sql)?.query_row([], |row| {
            let (written, rows): (i64, i64) = (row.get(0)?, row.get(1)?);
            let seq = written.max(row.get::<_, Option<i64>>(2)?.unwrap_or_default());
            let (on_time, newest_late): (Option<i64>, _) = (row.get(3)?, row.get(4)?);
            Ok(Self {
                seq,
                rows: rows + (seq - written),
                newest: on_time.max(newest_late),
                newest_late,
                late: 0,
                is_unwritten: false,
            })
        })
    }

    fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE head SET seq = ?1, rows = ?2";
        connection.prepare_cached(sql)?.execute((self.seq, self.rows)).map(drop)
    }

    /// Whether a row comes too late. One that the log has already came when it came first.
    fn is_late(&self, row: &Row, horizon: i64, connection: &Connection) -> rusqlite::Result<bool> {
        let late = self.newest.is_some_and(|newest| row.at < newest.saturating_sub(horizon));
        // What comes in time is mostly newer than all that came late: then nothing is asked.
        let may_be_there = late || self.newest_late.is_some_and(|newest| row.at <= newest);
        Ok(late != (may_be_there && is_there(row, !late, connection)?))
    }

    /// Adds a row at the end, unless the log has one that tells as much.
    fn add(
        &mut self,
        connection: &Connection,
        insert: &mut CachedStatement<'_>,
        (row, body): (&Row, &str),
        horizon: i64,
    ) -> rusqlite::Result<Place> {
        if row.at_assumed && was_tried_before(row, connection)? {
            return Ok(Place::Known);
        }
        let late = self.is_late(row, horizon, connection)?;
        let seq = self.seq + 1;
        let Row { at, id, valid_until, at_assumed, .. } = row;
        let written = insert.execute((seq, at, id.0, late, body, valid_until, at_assumed))?;
        if written == 0 {
            return Ok(Place::Known);
        }
        // Where the row took another's place, nothing was inserted.
        let is_inserted = connection.last_insert_rowid() == seq;
        *self = Self {
            seq,
            rows: self.rows + i64::from(is_inserted),
            newest: self.newest.max(Some(row.at)),
            newest_late: self.newest_late.max(late.then_some(row.at)),
            late: self.late + usize::from(late),
            is_unwritten: self.is_unwritten || !is_inserted,
        };
        Ok(if is_inserted { Place::New { seq, late } } else { Place::Moved })
    }
}
