//! The state in SQLite: one writer, the engine, and what is asked of it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{NaiveTime, TimeDelta};
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Failure, count_of,
    database::{Database, Schema},
    firings, limit_of,
    reading::Readers,
    row_of, seq_of, size_of,
};
use crate::{
    correlate::{Altered, Family, FamilyKey, FamilyRef, Incident, IncidentId, Kept, family_id},
    event::{
        Change, ChangeHistory, ChangeId, EpisodeId, EventId, Feedback, Note, Time, micros,
        time_of_micros,
    },
    store::{
        Daily, FiringRow, Old, Page, Paged, Position, Seen, Seq, Size, State, StateBatch,
        StoreError,
    },
};

pub(super) const SCHEMA: Schema = Schema {
    name: "state",
    application_id: i32::from_be_bytes(*b"antS"),
    migrations: &[
        include_str!("schema/state_1.sql"),
        include_str!("schema/state_2.sql"),
        include_str!("schema/state_3.sql"),
        include_str!("schema/state_4.sql"),
        include_str!("schema/state_5.sql"),
        include_str!("schema/state_6.sql"),
        include_str!("schema/state_7.sql"),
        include_str!("schema/state_8.sql"),
        include_str!("schema/state_9.sql"),
    ],
    synchronous: "NORMAL",
    // A storm goes on in some thousand families, each with its own place in the index.
    cache_kib: 16 << 10,
    page_kib: 8,
    ahead_kib: 64 << 10,
};

/// The state of one machine, in `state.db`.
#[derive(Debug)]
pub struct SqliteState {
    // Dropped first, so that the writer is the last to close the file and leaves it whole.
    readers: Readers,
    writer: Mutex<Database>,
}

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

    /// Removes a state that is to be made anew from the log.
    ///
    /// # Errors
    /// Somebody has it open, or the directory cannot be written.
    pub fn remove(dir: &Path) -> Result<(), StoreError> {
        SCHEMA.remove(dir)
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
        writer.write(work)?;
        writer.tidy()
    }

    fn writer(&self) -> MutexGuard<'_, Database> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all rows of a query say.
    fn all<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        each: impl Fn(&rusqlite::Row<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(sql)?;
            query.query_and_then(parameters, each)?.collect()
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

impl State for SqliteState {
    fn position(&self) -> Result<Position, StoreError> {
        self.readers.read(|connection| {
            let sql = "SELECT seq, config, mapping, recent FROM position";
            let position = connection.prepare_cached(sql)?.query_row([], |row| {
                Ok(Position {
                    seq: seq_of(row.get(0)?),
                    config: row.get(1)?,
                    mapping: row.get(2)?,
                    recent: time_of_micros(row.get(3)?),
                })
            });
            Ok(position.optional()?.unwrap_or_default())
        })
    }

    fn commit(&self, batch: &StateBatch) -> Result<(), StoreError> {
        self.write(|transaction| {
            for id in &batch.incidents_gone {
                remove(transaction, "incident", &id.0)?;
            }
            for (key, starts_at) in &batch.families_gone {
                remove(transaction, "family", &family_id(*key, *starts_at))?;
                let sql = "DELETE FROM course WHERE starts_at = ?1 AND key = ?2";
                transaction.prepare_cached(sql)?.execute((micros(*starts_at), key.0))?;
            }
            for one in &batch.incidents {
                put(transaction, "incident", &one.id.0, (one.started_at, one.end()), one)?;
            }
            for one in &batch.changes {
                put_change(transaction, one)?;
            }
            batch.families.iter().try_for_each(|kept| put_family(transaction, kept))?;
            firings::put(transaction, &batch.firings)?;
            for seen in &batch.seen {
                let sql = "INSERT OR REPLACE INTO seen (id, oldest, newest, count, bits) \
                           VALUES (?1, ?2, ?3, ?4, ?5)";
                let (oldest, newest) = (micros(seen.oldest), micros(seen.newest));
                let row = (seen.id, oldest, newest, row_of(Seq(seen.count)), &*seen.bits);
                transaction.prepare_cached(sql)?.execute(row)?;
            }
            for (id, note) in &batch.notes {
                put_said(transaction, "note", (note.at, *id), note)?;
            }
            for (id, feedback) in &batch.feedback {
                put_said(transaction, "feedback", (feedback.at, *id), feedback)?;
            }
            let Position { seq, config, mapping, recent } = &batch.position;
            let sql = "INSERT OR REPLACE INTO position (only_row, seq, config, mapping, recent) \
                       VALUES (1, ?1, ?2, ?3, ?4)";
            transaction.execute(sql, (row_of(*seq), config, mapping, micros(*recent)))?;
            Ok(())
        })
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.write(|transaction| {
            Ok(transaction.execute_batch(
                "DELETE FROM position; DELETE FROM incident; DELETE FROM change; \
                 DELETE FROM family; DELETE FROM course; DELETE FROM alert; DELETE FROM seen; \
                 DELETE FROM note; DELETE FROM feedback; \
                 DELETE FROM segment WHERE number > 0; UPDATE segment SET written = 0;",
            )?)
        })
    }

    fn forget(&self, old: &Old) -> Result<usize, StoreError> {
        let mut dropped = 0;
        self.write(|transaction| {
            for id in &old.seen {
                transaction.prepare_cached("DELETE FROM seen WHERE id = ?1")?.execute([id])?;
            }
            for (table, key, at) in AGING {
                let before = if table == "incident" { old.judged_from } else { old.held_from };
                let sql = format!(
                    "DELETE FROM {table} WHERE ({key}) IN \
                     (SELECT {key} FROM {table} WHERE {at} < ?1 ORDER BY {at} LIMIT ?2)"
                );
                let rows = (micros(before), limit_of(old.limit - dropped));
                dropped += transaction.prepare_cached(&sql)?.execute(rows)?;
            }
            Ok(())
        })?;
        Ok(dropped)
    }

    fn first_symptom(&self, from: Time) -> Result<Option<Time>, StoreError> {
        self.readers.read(|connection| {
            let sql = "SELECT min(starts_at) FROM family WHERE starts_at >= ?1";
            let first = connection.prepare_cached(sql)?.query_row([micros(from)], |row| row.get(0));
            Ok(first.map(|at: Option<i64>| at.map(time_of_micros))?)
        })
    }

    fn daily(&self, of: Time) -> Result<(Time, Vec<Daily>), StoreError> {
        let day = of.date_naive().and_time(NaiveTime::MIN).and_utc();
        let sql = "SELECT min(body), count(*), sum(episodes) \
                   FROM family LEFT JOIN course USING (starts_at, key) \
                   WHERE starts_at >= ?1 AND starts_at < ?2 GROUP BY key";
        let range = (micros(day), micros(day + TimeDelta::days(1)));
        let counts = self.all(sql, range, |row| {
            let family: Family = parse(row.get_ref(0)?, || "a family".to_owned())?;
            let (symptoms, alerts) = (count_of(row.get(1)?), count_of(row.get(2)?));
            Ok(Daily { day, family: FamilyKey::clone(&family.key), symptoms, alerts })
        })?;
        Ok((day, counts))
    }

    fn size(&self) -> Result<Size, StoreError> {
        let rows = self.readers.read(|connection| {
            Ok(connection.query_row(
                "SELECT (SELECT count(*) FROM incident) + (SELECT count(*) FROM change) \
                 + (SELECT count(*) FROM family) + (SELECT count(*) FROM note) \
                 + (SELECT count(*) FROM feedback)",
                [],
                |row| row.get(0),
            )?)
        })?;
        Ok(size_of(self.readers.path(), rows))
    }

    fn incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError> {
        self.readers.list(("incident", "body"), page, body, keep)
    }

    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        self.one("SELECT body FROM incident WHERE id = ?1", id)
    }

    fn incidents_since(&self, from: Time) -> Result<Vec<IncidentId>, StoreError> {
        let sql = "SELECT id FROM incident INDEXED BY incident_order WHERE starts_at >= ?1";
        self.all(sql, [micros(from)], |row| Ok(IncidentId(row.get(0)?)))
    }

    fn changes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Change) -> bool,
    ) -> Result<Paged<Change>, StoreError> {
        self.readers.list(("change", "body"), page, body, keep)
    }

    fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        self.one("SELECT body FROM change WHERE id = ?1", &id.0)
    }

    fn history(&self, id: &ChangeId) -> Result<Option<ChangeHistory>, StoreError> {
        self.one("SELECT history FROM change WHERE id = ?1", &id.0)
    }

    fn families(
        &self,
        page: &Page,
        keep: &dyn Fn(&Family) -> bool,
    ) -> Result<Paged<Family>, StoreError> {
        self.readers.list(("family", FAMILY), page, family, keep)
    }

    fn symptoms(&self, incident: &IncidentId, limit: usize) -> Result<Vec<Family>, StoreError> {
        let sql = format!(
            "SELECT starts_at, id, {FAMILY} FROM family WHERE incident = ?1 \
             ORDER BY starts_at, id LIMIT ?2"
        );
        self.all(&sql, (&incident.0, limit_of(limit)), |row| family(row, &row.get::<_, String>(1)?))
    }

    fn members(&self, incident: &IncidentId, limit: usize) -> Result<Vec<EpisodeId>, StoreError> {
        self.readers.read(|connection| firings::members(connection, incident, limit))
    }

    fn kept_since(&self, from: Time) -> Result<Vec<Kept>, StoreError> {
        let sql = "SELECT id, key, body, ends_at, expected, episodes, part, incident \
                   FROM family LEFT JOIN course USING (starts_at, key) \
                   WHERE starts_at >= ?1 ORDER BY starts_at, id";
        self.all(sql, [micros(from)], |row| {
            let id: String = row.get(0)?;
            Ok(Kept {
                family: Arc::new(family(row, &id)?),
                key: FamilyRef(row.get("key")?),
                part: parse(row.get_ref("part")?, || id.clone())?,
                incident: row.get::<_, Option<String>>("incident")?.map(IncidentId),
                altered: Altered::default(),
            })
        })
    }

    fn holder(&self, family: FamilyRef, starts_at: Time) -> Result<Option<IncidentId>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT incident FROM family WHERE key = ?1 AND starts_at <= ?2 \
                 ORDER BY starts_at DESC LIMIT 1",
            )?;
            let holder = query.query_row((family.0, micros(starts_at)), |row| row.get(0));
            Ok(holder.optional()?.flatten().map(IncidentId))
        })
    }

    fn firings(&self, page: &Page) -> Result<Paged<FiringRow>, StoreError> {
        self.readers.read(|connection| firings::page(connection, page))
    }

    fn firing(&self, id: &EpisodeId) -> Result<Option<FiringRow>, StoreError> {
        self.readers.read(|connection| firings::of_id(connection, id))
    }

    fn firings_of(
        &self,
        family: FamilyRef,
        identity: Option<&EventId>,
        range: (Time, Time),
        limit: usize,
    ) -> Result<Vec<FiringRow>, StoreError> {
        self.readers
            .read(|connection| firings::of_family(connection, family, identity, range, limit))
    }

    fn firings_since(&self, from: Time, each: &mut dyn FnMut(FiringRow)) -> Result<(), StoreError> {
        self.readers.read(|connection| firings::since(connection, from, each))
    }

    fn seen(&self) -> Result<Vec<Seen>, StoreError> {
        self.all("SELECT id, oldest, newest, count, bits FROM seen ORDER BY id", [], |row| {
            Ok(Seen {
                id: row.get(0)?,
                oldest: time_of_micros(row.get(1)?),
                newest: time_of_micros(row.get(2)?),
                count: seq_of(row.get(3)?).0,
                bits: Arc::new(row.get(4)?),
            })
        })
    }

    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.said("note", (start, end), limit)
    }

    fn feedback(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Feedback>, StoreError> {
        self.said("feedback", (start, end), limit)
    }
}

impl SqliteState {
    /// What people wrote into one of the tables for it, in a range of time.
    fn said<T: DeserializeOwned>(
        &self,
        table: &str,
        (start, end): (Time, Time),
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT at, body FROM {table} WHERE at BETWEEN ?1 AND ?2 ORDER BY at, id LIMIT ?3",
            ))?;
            let range = (micros(start), micros(end), limit_of(limit));
            let said = query.query_and_then(range, |row| {
                let at: i64 = row.get(0)?;
                parse(row.get_ref(1)?, || format!("{table} at {at}"))
            })?;
            said.collect()
        })
    }
}

/// Writes what a person wrote into the table for it; what is there already stays.
fn put_said<T: Serialize>(
    transaction: &Transaction<'_>,
    table: &str,
    (at, id): (Time, EventId),
    said: &T,
) -> Result<(), Failure> {
    let sql =
        format!("INSERT INTO {table} (at, id, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING");
    let row = (micros(at), id.0, json(said)?);
    transaction.prepare_cached(&sql)?.execute(row)?;
    Ok(())
}

/// What grows old: table, key, and the column of its time.
const AGING: [(&str, &str, &str); 7] = [
    ("alert", "starts_at, identity", "starts_at"),
    ("note", "at, id", "at"),
    ("feedback", "at, id", "at"),
    ("family", "id", "starts_at"),
    ("course", "starts_at, key", "starts_at"),
    // One of which nobody told the end is as old as its start.
    ("change", "id", "starts_at"),
    ("incident", "id", "starts_at"),
];

fn put_change(
    connection: &Connection,
    (one, history): &(Change, ChangeHistory),
) -> Result<(), Failure> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO change (id, starts_at, ends_at, body, history) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET starts_at = excluded.starts_at, \
         ends_at = excluded.ends_at, body = excluded.body, history = excluded.history",
    )?;
    let (start, end) = (micros(one.started_at), one.finished_at.map(micros));
    upsert.execute((&one.id.0, start, end, json(one)?, json(history)?))?;
    Ok(())
}

fn put_family(connection: &Connection, kept: &Kept) -> Result<(), Failure> {
    let Kept { family, key, part, incident, altered } = kept;
    let id = || family_id(*key, family.starts_at);
    let (starts_at, ends_at) = (micros(family.starts_at), family.ends_at.map(micros));
    let (expected, incident) = (family.expected, incident.as_ref().map(|incident| &incident.0));
    match altered {
        Altered::Course => {}
        Altered::Standing => {
            let sql = "UPDATE family SET ends_at = ?2, expected = ?3, incident = ?4 WHERE id = ?1";
            let row = (id(), ends_at, expected, incident);
            connection.prepare_cached(sql)?.execute(row)?;
        }
        Altered::All => {
            let sql = "INSERT INTO family (id, key, starts_at, ends_at, expected, incident, body) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET \
                       ends_at = excluded.ends_at, expected = excluded.expected, \
                       incident = excluded.incident, body = excluded.body";
            let row = (id(), key.0, starts_at, ends_at, expected, incident, json(family)?);
            connection.prepare_cached(sql)?.execute(row)?;
        }
    }
    let sql = "INSERT INTO course (starts_at, key, episodes, part) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO UPDATE SET episodes = excluded.episodes, part = excluded.part";
    let row = (starts_at, key.0, limit_of(family.episodes), json(part)?);
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

/// The columns of a family, after its start and its id.
const FAMILY: &str = "body, ends_at, expected, (SELECT episodes FROM course WHERE \
                      course.starts_at = family.starts_at AND course.key = family.key) AS episodes";

fn family(row: &rusqlite::Row<'_>, id: &str) -> Result<Family, Failure> {
    let family: Family = body(row, id)?;
    let ends_at: Option<i64> = row.get("ends_at")?;
    let episodes: i64 = row.get("episodes")?;
    Ok(Family {
        ends_at: ends_at.map(time_of_micros),
        expected: row.get("expected")?,
        episodes: usize::try_from(episodes).unwrap_or_default(),
        ..family
    })
}

/// The thing in a row's body.
fn body<T: DeserializeOwned>(row: &rusqlite::Row<'_>, id: &str) -> Result<T, Failure> {
    parse(row.get_ref("body")?, || id.to_owned())
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
    // As text, which SQLite's is: it is looked through once for what is no UTF-8, not string by string.
    match body.as_str() {
        Ok(text) => serde_json::from_str(text).map_err(|error| Failure::row(row(), &error)),
        Err(error) => Err(Failure::row(row(), &error)),
    }
}
