//! The state in SQLite: one writer, the engine, and what is asked of it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Failure,
    database::{Database, Schema},
    limit_of,
    reading::Readers,
    row_of, seq_of, size_of,
};
use crate::{
    correlate::{Incident, IncidentId},
    event::{Change, ChangeId, Episode, Note, Time, micros, time_of_micros},
    store::{
        Page, Paged, Seq, Size, State, StateBatch, StoreError, View,
        paging::{Key, fill},
    },
};

pub(super) const SCHEMA: Schema = Schema {
    name: "state",
    application_id: i32::from_be_bytes(*b"antS"),
    migrations: &[include_str!("schema/state_1.sql")],
    synchronous: "NORMAL",
};

/// The state of one machine, in `state.db`.
#[derive(Debug)]
pub struct SqliteState {
    // Dropped first, so that the writer is the last to close the file and leaves it whole.
    readers: Readers,
    writer: Mutex<Database>,
}

/// An episode and its incident, as it stands on the list.
type Member = (Episode, Option<IncidentId>);

impl SqliteState {
    /// Opens the state in this directory, or makes it.
    ///
    /// # Errors
    /// Somebody else has it open, it is not a state, it is damaged, or the disk says no.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let database = SCHEMA.open(dir)?;
        let readers = Readers::new(database.path.clone());
        Ok(Self { readers, writer: Mutex::new(database) })
    }

    /// Puts a state that is damaged out of the way; where it is now. The next one is made from the log.
    ///
    /// # Errors
    /// Somebody has it open, or the directory cannot be written.
    pub fn set_aside(dir: &Path) -> Result<PathBuf, StoreError> {
        SCHEMA.set_aside(dir)
    }

    /// Resolves when somebody came upon damage in it, with what it is.
    pub fn damage(&self) -> impl Future<Output = StoreError> + Send + use<> {
        self.readers.damage()
    }

    /// Does all of `work` in one transaction, or nothing.
    fn write(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<(), Failure>,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let Database { connection, path, .. } = &mut *writer;
        let written = || -> Result<(), Failure> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction)?;
            Ok(transaction.commit()?)
        };
        written().map_err(|failure| failure.at(path))
    }

    fn writer(&self) -> MutexGuard<'_, Database> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of one table.
    fn list<T: DeserializeOwned>(
        &self,
        table: &str,
        page: &Page,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Paged<T>, StoreError> {
        let end = page.end.map_or(i64::MAX, micros);
        let start = page.start.map_or(i64::MIN, micros);
        let after = page.after.as_ref();
        let (after, after_id) = after.map_or((i64::MAX, ""), |(at, id)| (micros(*at), id));
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT starts_at, id, body FROM {table} INDEXED BY {table}_order \
                 WHERE starts_at <= ?1 AND (starts_at < ?2 OR id > ?3) \
                 AND (ends_at IS NULL OR ends_at >= ?4) ORDER BY starts_at DESC, id",
            ))?;
            let range = (end.min(after), after, after_id, start);
            let rows = query.query_and_then(range, |row| -> Result<(Key, T), Failure> {
                let (start, id) = (time_of_micros(row.get(0)?), row.get::<_, String>(1)?);
                let item = parse(row.get_ref(2)?, || format!("{table} {id}"))?;
                Ok(((start, id), item))
            })?;
            fill(page.limit, rows, keep)
        })
    }

    /// The thing in the one row that a query may find.
    fn one<T: DeserializeOwned>(&self, sql: &str, id: &str) -> Result<Option<T>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(sql)?;
            let mut rows = query.query([id])?;
            match rows.next()? {
                Some(row) => parse(row.get_ref(0)?, || id.to_owned()).map(Some),
                None => Ok(None),
            }
        })
    }
}

impl View for SqliteState {
    fn incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError> {
        self.list("incident", page, keep)
    }

    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        self.one(
            "SELECT body FROM incident WHERE id IN \
             (?1, (SELECT incident FROM episode WHERE id = ?1))",
            id,
        )
    }

    fn changes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Change) -> bool,
    ) -> Result<Paged<Change>, StoreError> {
        self.list("change", page, keep)
    }

    fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        self.one("SELECT body FROM change WHERE id = ?1", &id.0)
    }

    fn episodes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Episode) -> bool,
    ) -> Result<Paged<Member>, StoreError> {
        self.list("episode", page, |(episode, _): &Member| keep(episode))
    }

    fn members(&self, incident: &IncidentId) -> Result<Vec<Episode>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, body FROM episode WHERE incident = ?1 ORDER BY starts_at, id",
            )?;
            let members = query.query_and_then([&incident.0], |row| {
                let id: String = row.get(0)?;
                let (episode, _): Member = parse(row.get_ref(1)?, || format!("episode {id}"))?;
                Ok(episode)
            })?;
            members.collect()
        })
    }

    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT at, body FROM note WHERE at BETWEEN ?1 AND ?2 ORDER BY at, id LIMIT ?3",
            )?;
            let range = (micros(start), micros(end), limit_of(limit));
            let notes = query.query_and_then(range, |row| {
                let at: i64 = row.get(0)?;
                parse(row.get_ref(1)?, || format!("note at {at}"))
            })?;
            notes.collect()
        })
    }
}

impl State for SqliteState {
    fn position(&self) -> Result<(Seq, String), StoreError> {
        self.readers.read(|connection| {
            let sql = "SELECT seq, config FROM position";
            let position =
                connection.query_row(sql, [], |row| Ok((seq_of(row.get(0)?), row.get(1)?)));
            Ok(position.optional()?.unwrap_or_default())
        })
    }

    fn commit(&self, batch: &StateBatch) -> Result<(), StoreError> {
        self.write(|transaction| {
            for id in &batch.incidents_gone {
                remove(transaction, "incident", &id.0)?;
            }
            for id in &batch.episodes_gone {
                remove(transaction, "episode", &id.0)?;
            }
            for one in &batch.incidents {
                put(transaction, "incident", &one.id.0, (one.started_at, one.ended_at), one)?;
            }
            for one in &batch.changes {
                put(transaction, "change", &one.id.0, (one.started_at, one.finished_at), one)?;
            }
            batch.episodes.iter().try_for_each(|member| put_episode(transaction, member))?;
            for (id, note) in &batch.notes {
                let sql =
                    "INSERT INTO note (at, id, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                let row = (micros(note.at), id.0, json(note)?);
                transaction.prepare_cached(sql)?.execute(row)?;
            }
            let sql = "INSERT OR REPLACE INTO position (only_row, seq, config) VALUES (1, ?1, ?2)";
            transaction.execute(sql, (row_of(batch.position), &batch.config))?;
            Ok(())
        })
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.write(|transaction| {
            Ok(transaction.execute_batch(
                "DELETE FROM position; DELETE FROM incident; DELETE FROM change; \
                 DELETE FROM episode; DELETE FROM note;",
            )?)
        })
    }

    fn size(&self) -> Result<Size, StoreError> {
        let rows = self.readers.read(|connection| {
            Ok(connection.query_row(
                "SELECT (SELECT count(*) FROM incident) + (SELECT count(*) FROM change) \
                 + (SELECT count(*) FROM episode) + (SELECT count(*) FROM note)",
                [],
                |row| row.get(0),
            )?)
        })?;
        Ok(size_of(self.readers.path(), rows))
    }
}

fn put<T: Serialize>(
    connection: &Connection,
    table: &str,
    id: &str,
    (start, end): (Time, Option<Time>),
    thing: &T,
) -> Result<(), Failure> {
    let mut upsert = connection.prepare_cached(&format!(
        "INSERT INTO {table} (id, starts_at, ends_at, body) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET \
         starts_at = excluded.starts_at, ends_at = excluded.ends_at, body = excluded.body",
    ))?;
    upsert.execute((id, micros(start), end.map(micros), json(thing)?))?;
    Ok(())
}

fn put_episode(connection: &Connection, member: &Member) -> Result<(), Failure> {
    let (episode, incident) = member;
    let incident = incident.as_ref().map(|incident| &incident.0);
    put(connection, "episode", &episode.id.0, (episode.starts_at, episode.ends_at), member)?;
    let sql = "UPDATE episode SET incident = ?2 WHERE id = ?1 AND incident IS NOT ?2";
    connection.prepare_cached(sql)?.execute((&episode.id.0, incident))?;
    Ok(())
}

fn remove(connection: &Connection, table: &str, id: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])
}

fn json<T: Serialize>(thing: &T) -> Result<String, Failure> {
    serde_json::to_string(thing).map_err(|error| Failure::row("a batch", &error))
}

fn parse<T: DeserializeOwned>(
    body: rusqlite::types::ValueRef<'_>,
    row: impl FnOnce() -> String,
) -> Result<T, Failure> {
    let bytes = body.as_bytes().unwrap_or_default();
    serde_json::from_slice(bytes).map_err(|error| Failure::row(row(), &error))
}
