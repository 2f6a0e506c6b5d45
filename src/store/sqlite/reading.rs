//! Connections for reading: each reader has one to itself and sees one commit's state of the file.
//! Whoever first reads something that is damaged tells of it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::{Failure, StoreError, database::STATEMENTS_MAX};
use crate::{
    event::{micros, time_of_micros},
    store::{
        Page, Paged,
        paging::{Key, fill},
    },
};

/// So many connections are kept for the next reader.
const IDLE_MAX: usize = 4;

/// Read-only connections to one file, made as they are needed.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    damage: watch::Sender<Option<StoreError>>,
}

impl Readers {
    /// Readers of a file that is there.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), damage: watch::Sender::new(None) }
    }

    /// The file that is read.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Lends a connection to `query`.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| self.connect(), Ok);
        let answer = connection.map_err(Failure::from).and_then(|connection| {
            let answer = query(&connection);
            self.keep(connection);
            answer
        });
        answer.map_err(|failure| self.tell(failure.at(&self.path)))
    }

    /// A page of one table, whose indices are named after it.
    ///
    /// Of what has an edge within the range, that which began in it comes first, and then, of what began
    /// before, that which ended in it.
    pub(super) fn list<T>(
        &self,
        (table, columns): (&str, &str),
        page: &Page,
        read: impl Fn(&rusqlite::Row<'_>, &str) -> Result<T, Failure>,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Paged<T>, StoreError> {
        let end = page.end.map_or(i64::MAX, micros);
        let start = page.start.map_or(i64::MIN, micros);
        let after = page.after.as_ref();
        let (after, after_id) = after.map_or((i64::MAX, ""), |(at, id)| (micros(*at), id));
        let begun = (end.min(after), after, after_id, start);
        let all = if page.edges { "starts_at >= ?4" } else { "TRUE" };
        let ended = "starts_at < ?4 AND ends_at BETWEEN ?4 AND ?5";
        let sql = |index: &str, which: &str| {
            format!(
                "SELECT starts_at, id, {columns} FROM {table} INDEXED BY {table}_{index} \
                 WHERE starts_at <= ?1 AND (starts_at < ?2 OR id < ?3) \
                 AND (ends_at IS NULL OR ends_at >= ?4) AND {which} \
                 ORDER BY starts_at DESC, id DESC"
            )
        };
        let item = |row: &rusqlite::Row<'_>| -> Result<(Key, T), Failure> {
            let (start, id) = (time_of_micros(row.get(0)?), row.get::<_, String>(1)?);
            let item = read(row, &id)?;
            Ok(((start, id), item))
        };
        self.read(|connection| {
            // Both are read as of one commit.
            let snapshot = connection.unchecked_transaction()?;
            let mut first = snapshot.prepare_cached(&sql("order", all))?;
            let first = first.query_and_then(begun, item)?;
            if !page.edges {
                return fill(page.limit, first, keep);
            }
            let mut then = snapshot.prepare_cached(&sql("end", ended))?;
            let (from, before, before_id, start) = begun;
            let then = then.query_and_then((from, before, before_id, start, end), item)?;
            fill(page.limit, first.chain(then), keep)
        })
    }

    fn tell(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Damaged { .. }) {
            self.damage.send_replace(Some(error.clone()));
        }
        error
    }

    /// Resolves when something that was read turned out to be damaged, with what; never when there
    /// is no more reading.
    pub(super) fn damage(&self) -> impl Future<Output = StoreError> + Send + use<> {
        let mut damage = self.damage.subscribe();
        async move {
            let found = damage.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
            match found {
                Some(damage) => damage,
                None => std::future::pending().await,
            }
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
