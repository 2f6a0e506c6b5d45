//! The records in SQLite: few rows, each synced before anything is done because of it.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use chrono::TimeDelta;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Failure, count_of,
    database::{Database, Schema},
    limit_of,
    reading::Readers,
    row_of, size_of,
};
use crate::{
    correlate::{Incident, IncidentId, Told},
    event::{EpisodeId, Time, micros, time_of_micros},
    feed::{FeedName, Gap, Heard},
    store::{
        Attempt, Awake, Daily, Feed, Mailbox, Notice, NoticeId, Outgoing, Page, Paged, Published,
        Records, Seq, Size, StoreError,
    },
};

pub(super) const SCHEMA: Schema = Schema {
    name: "records",
    application_id: i32::from_be_bytes(*b"antR"),
    migrations: &[
        include_str!("schema/records_1.sql"),
        include_str!("schema/records_2.sql"),
        include_str!("schema/records_3.sql"),
    ],
    synchronous: "FULL",
    cache_kib: 2 << 10,
    page_kib: 4,
    ahead_kib: 4 << 10,
};

/// So many notices wait at most. A receiver that is away for a day of incidents finds the newest.
const OUTBOX_MAX: usize = 1_000;

/// What was told and what was settled is kept so long: a quarter's post-mortems.
const KEPT: TimeDelta = TimeDelta::days(90);

/// The records of one machine, in `records.db`.
#[derive(Debug)]
pub struct SqliteRecords {
    // Dropped first, so that the writer is the last to close the file and leaves it whole.
    readers: Readers,
    writer: Mutex<Database>,
}

impl SqliteRecords {
    /// Opens the records in this directory, or makes them.
    ///
    /// # Errors
    /// Somebody else has them open, they are something else, they are damaged, or the disk says no.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let database = SCHEMA.open(dir)?;
        let readers = Readers::new(database.path.clone());
        Ok(Self { readers, writer: Mutex::new(database) })
    }

    /// Does all of `work` in one transaction, or nothing.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let done = writer.write(work)?;
        // What was written is synced where it is.
        drop(writer.tidy());
        Ok(done)
    }
}

impl Records for SqliteRecords {
    fn published(&self, since: Time) -> Result<Vec<Published>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT at, incident, alert, claim, number FROM published \
                 WHERE at >= ?1 ORDER BY at, rowid",
            )?;
            query.query_and_then([micros(since)], published)?.collect()
        })
    }

    fn publish(&self, published: &Published, notice: &Notice) -> Result<usize, StoreError> {
        self.write(|transaction| {
            forget_before(transaction, published.at - KEPT)?;
            let crowded_out = make_room(transaction, Mailbox::Notices, notice.made_at, 1)?;
            let claim = json(&published.claim)?;
            let row = (
                micros(published.at),
                &published.incident.0,
                &published.alert.0,
                claim,
                published.number,
            );
            transaction
                .prepare_cached(
                    "INSERT INTO published (at, incident, alert, claim, number) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(row)?;
            // One that is there already would leave its record alone.
            put_notice(transaction, Mailbox::Notices, notice, "")?;
            Ok(crowded_out)
        })
    }

    fn post(&self, mailbox: Mailbox, notices: &[Notice]) -> Result<usize, StoreError> {
        if notices.is_empty() {
            return Ok(0);
        }
        self.write(|transaction| {
            let mut new = 0;
            for notice in notices {
                let added =
                    put_notice(transaction, mailbox, notice, "ON CONFLICT (id) DO NOTHING")?;
                if added > 0 {
                    make_room(transaction, mailbox, notice.made_at, 0)?;
                }
                new += added;
            }
            Ok(new)
        })
    }

    fn next_outgoing(&self, mailbox: Mailbox) -> Result<Option<Outgoing>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, made_at, body, attempts, next_attempt FROM outbox \
                 WHERE receiver = ?1 AND next_attempt IS NOT NULL \
                 ORDER BY next_attempt, made_at, id LIMIT 1",
            )?;
            Ok(query.query_row([mailbox.word()], outgoing).optional()?)
        })
    }

    fn attempted(&self, id: &NoticeId, attempt: &Attempt) -> Result<(), StoreError> {
        let (next_attempt, settled_at, why) = match attempt {
            Attempt::Delivered { at } => (None, Some(micros(*at)), None),
            Attempt::Failed { next_attempt } => (Some(micros(*next_attempt)), None, None),
            Attempt::GivenUp { at, why } => (None, Some(micros(*at)), Some(why)),
        };
        self.write(|transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, next_attempt = ?2, settled_at = ?3, \
                 why = ?4 WHERE id = ?1 AND next_attempt IS NOT NULL",
            )?;
            update.execute((&id.0, next_attempt, settled_at, why))?;
            Ok(())
        })
    }

    fn give_up_all(&self, mailbox: Mailbox, at: Time, why: &str) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE outbox SET next_attempt = NULL, settled_at = ?1, why = ?2 \
                 WHERE receiver = ?3 AND next_attempt IS NOT NULL",
            )?;
            Ok(update.execute((micros(at), why, mailbox.word()))?)
        })
    }

    fn waiting(&self, mailbox: Mailbox) -> Result<usize, StoreError> {
        self.readers.read(|connection| Ok(count_waiting(connection, mailbox)?))
    }

    fn feeds(&self) -> Result<(Vec<Feed>, Option<Awake>), StoreError> {
        self.readers.read(|connection| {
            let mut query =
                connection.prepare_cached("SELECT name, first, last, pauses FROM feed")?;
            let feeds = query.query_and_then([], feed)?.collect::<Result<_, Failure>>()?;
            let awake = connection
                .query_row("SELECT since, until FROM awake", [], |row| {
                    let (since, until) = (row.get(0)?, row.get(1)?);
                    Ok(Awake { since: time_of_micros(since), until: time_of_micros(until) })
                })
                .optional()?;
            Ok((feeds, awake))
        })
    }

    fn hear(&self, heard: &[Feed], gaps: &[Gap], awake: Awake) -> Result<(), StoreError> {
        self.write(|transaction| {
            forget_before(transaction, awake.until - KEPT)?;
            heard.iter().try_for_each(|(name, heard)| put_feed(transaction, name, heard))?;
            gaps.iter().try_for_each(|gap| add_gap(transaction, gap, awake.until))?;
            let sql = "INSERT OR REPLACE INTO awake (only_row, since, until) VALUES (1, ?1, ?2)";
            let row = (micros(awake.since), micros(awake.until));
            transaction.prepare_cached(sql)?.execute(row)?;
            Ok(())
        })
    }

    fn gaps(&self, from: Time, to: Time) -> Result<Vec<Gap>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT body FROM gap WHERE ends_at >= ?1 AND starts_at <= ?2 \
                 ORDER BY starts_at, rowid",
            )?;
            let gaps = query.query_and_then((micros(from), micros(to)), |row| {
                parse(row.get_ref(0)?.as_bytes().unwrap_or_default(), || "a gap".to_owned())
            })?;
            gaps.collect()
        })
    }

    fn freeze(&self, incidents: &[Told], before: Option<Time>) -> Result<(), StoreError> {
        self.write(|transaction| {
            incidents.iter().try_for_each(|told| put_frozen(transaction, told))?;
            if let Some(before) = before {
                let sql = "INSERT OR REPLACE INTO frozen_before (only_row, at) VALUES (1, ?1)";
                transaction.prepare_cached(sql)?.execute([micros(before)])?;
            }
            Ok(())
        })
    }

    fn frozen_before(&self) -> Result<Option<Time>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached("SELECT at FROM frozen_before")?;
            let before = query.query_row([], |row| row.get(0)).optional()?;
            Ok(before.map(time_of_micros))
        })
    }

    fn frozen(&self, id: &str) -> Result<Option<Told>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT body FROM frozen WHERE id = ?1 OR id = \
                 (SELECT incident FROM frozen_alert WHERE alert = ?1)",
            )?;
            let mut found = query.query_and_then([id], frozen)?;
            found.next().transpose()
        })
    }

    fn frozen_incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError> {
        let read = |row: &Row<'_>, _: &str| frozen_body(row, 2).map(|told| told.incident);
        self.readers.list(("frozen", "body"), page, read, keep)
    }

    fn count(&self, counts: &[Daily]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO daily (day, family, symptoms, alerts) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO NOTHING",
            )?;
            for Daily { day, family, symptoms, alerts } in counts {
                let (symptoms, alerts) = (row_of(Seq(*symptoms)), row_of(Seq(*alerts)));
                insert.execute((micros(*day), json(family)?, symptoms, alerts))?;
            }
            Ok(())
        })
    }

    fn counts(&self, from: Time, to: Time) -> Result<Vec<Daily>, StoreError> {
        self.readers.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT day, family, symptoms, alerts FROM daily \
                 WHERE day BETWEEN ?1 AND ?2 ORDER BY day, family",
            )?;
            query.query_and_then((micros(from), micros(to)), daily)?.collect()
        })
    }

    fn size(&self) -> Result<Size, StoreError> {
        let rows = self.readers.read(|connection| {
            let sql = "SELECT (SELECT count(*) FROM published) + (SELECT count(*) FROM outbox) \
                 + (SELECT count(*) FROM feed) + (SELECT count(*) FROM gap) \
                 + (SELECT count(*) FROM frozen) + (SELECT count(*) FROM daily)";
            Ok(connection.query_row(sql, [], |row| row.get(0))?)
        })?;
        Ok(size_of(self.readers.path(), rows))
    }
}

fn forget_before(connection: &Connection, before: Time) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM published WHERE at < ?1",
        "DELETE FROM outbox WHERE settled_at < ?1",
        "DELETE FROM gap WHERE ends_at < ?1",
    ] {
        connection.prepare_cached(sql)?.execute([micros(before)])?;
    }
    Ok(())
}

fn put_frozen(connection: &Connection, told: &Told) -> Result<(), Failure> {
    let Told { incident, alerts } = told;
    // What was still going on is listed with what went on when its last symptom began.
    let end = incident.end().unwrap_or(incident.latest_at.max(incident.started_at));
    let sql = "INSERT INTO frozen (id, starts_at, ends_at, body) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO NOTHING";
    let row = (&incident.id.0, micros(incident.started_at), micros(end), json(told)?);
    connection.prepare_cached(sql)?.execute(row)?;
    let sql = "INSERT INTO frozen_alert (alert, incident) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    alerts.iter().try_for_each(|alert| insert.execute((&alert.0, &incident.id.0)).map(drop))?;
    Ok(())
}

fn frozen(row: &Row<'_>) -> Result<Told, Failure> {
    frozen_body(row, 0)
}

fn frozen_body(row: &Row<'_>, column: usize) -> Result<Told, Failure> {
    let body = row.get_ref(column)?.as_bytes().unwrap_or_default();
    parse(body, || "a frozen incident".to_owned())
}

fn daily(row: &Row<'_>) -> Result<Daily, Failure> {
    let day: i64 = row.get("day")?;
    let family = row.get_ref("family")?.as_bytes().unwrap_or_default();
    Ok(Daily {
        day: time_of_micros(day),
        family: parse(family, || format!("a count of day {day}"))?,
        symptoms: count_of(row.get("symptoms")?),
        alerts: count_of(row.get("alerts")?),
    })
}

fn put_feed(connection: &Connection, name: &FeedName, heard: &Heard) -> Result<(), Failure> {
    let sql = "INSERT OR REPLACE INTO feed (name, first, last, pauses) VALUES (?1, ?2, ?3, ?4)";
    let row = (&name.0, micros(heard.first), micros(heard.last), json(&heard.pauses)?);
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn add_gap(connection: &Connection, gap: &Gap, now: Time) -> Result<(), Failure> {
    let sql = "INSERT INTO gap (starts_at, ends_at, body) VALUES (?1, ?2, ?3)";
    let row = (micros(gap.from), micros(gap.to.unwrap_or(now)), json(gap)?);
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn feed(row: &Row<'_>) -> Result<Feed, Failure> {
    let name: String = row.get("name")?;
    let pauses = row.get_ref("pauses")?.as_bytes().unwrap_or_default();
    let heard = Heard {
        first: time_of_micros(row.get("first")?),
        last: time_of_micros(row.get("last")?),
        pauses: parse(pauses, || format!("feed {name}"))?,
    };
    Ok((FeedName(name), heard))
}

/// Puts it into an outbox; how many are new. `otherwise` says what to do where it is there already.
fn put_notice(
    connection: &Connection,
    mailbox: Mailbox,
    notice: &Notice,
    otherwise: &str,
) -> rusqlite::Result<usize> {
    let sql = format!(
        "INSERT INTO outbox (id, made_at, body, attempts, next_attempt, receiver) \
         VALUES (?1, ?2, ?3, 0, ?2, ?4) {otherwise}"
    );
    let row = (&notice.id.0, micros(notice.made_at), &notice.body, mailbox.word());
    connection.prepare_cached(&sql)?.execute(row)
}

/// Gives up the oldest that wait, until so many more may.
fn make_room(
    connection: &Connection,
    mailbox: Mailbox,
    at: Time,
    more: usize,
) -> rusqlite::Result<usize> {
    let too_many = (count_waiting(connection, mailbox)? + more).saturating_sub(OUTBOX_MAX);
    let mut update = connection.prepare_cached(
        "UPDATE outbox SET next_attempt = NULL, settled_at = ?1, why = 'newer ones needed its room' \
         WHERE id IN (SELECT id FROM outbox WHERE receiver = ?3 AND next_attempt IS NOT NULL \
         ORDER BY made_at, id LIMIT ?2)",
    )?;
    update.execute((micros(at), limit_of(too_many), mailbox.word()))
}

fn count_waiting(connection: &Connection, mailbox: Mailbox) -> rusqlite::Result<usize> {
    let sql = "SELECT count(*) FROM outbox WHERE receiver = ?1 AND next_attempt IS NOT NULL";
    let rows = connection.prepare_cached(sql)?.query_row([mailbox.word()], |row| row.get(0))?;
    Ok(usize::try_from(count_of(rows)).unwrap_or(usize::MAX))
}

fn published(row: &Row<'_>) -> Result<Published, Failure> {
    let at: i64 = row.get("at")?;
    let claim = row.get_ref("claim")?.as_bytes().unwrap_or_default();
    let claim = parse(claim, || format!("what was published at {at}"))?;
    Ok(Published {
        incident: IncidentId(row.get("incident")?),
        alert: EpisodeId(row.get("alert")?),
        claim,
        number: row.get("number")?,
        at: time_of_micros(at),
    })
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    Ok(Outgoing {
        notice: Notice {
            id: NoticeId(row.get("id")?),
            made_at: time_of_micros(row.get("made_at")?),
            body: row.get("body")?,
        },
        attempts: row.get("attempts")?,
        next_attempt: time_of_micros(row.get("next_attempt")?),
    })
}

fn json<T: Serialize>(thing: &T) -> Result<String, Failure> {
    serde_json::to_string(thing).map_err(|error| Failure::row("what is recorded", &error))
}

fn parse<T: DeserializeOwned>(bytes: &[u8], row: impl FnOnce() -> String) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::row(row(), &error))
}
