use chrono::TimeDelta;
use tempfile::tempdir;

use super::{
    SqliteLog, SqliteState, StoreError, database::Schema, log, records, rows::Rows, state,
    writer::Ledger,
};
use crate::{
    event::{Event, Labels, Note, time_of_micros},
    store::{Appended, Log as _, Position, Seq, State as _},
};

fn note(micros: i64) -> Event {
    let note = Note {
        at: time_of_micros(micros),
        at_assumed: false,
        text: "a note ".repeat(100),
        author: None,
        incident: None,
        labels: Labels::default(),
    };
    Event::Note(note)
}

#[test]
fn log_and_records_sync_each_commit_and_the_state_keeps_to_its_order() {
    let dir = tempdir().unwrap();
    for (schema, level) in [(&log::SCHEMA, 3), (&records::SCHEMA, 2), (&state::SCHEMA, 1)] {
        let database = schema.open(dir.path()).unwrap();
        let connection = &database.connection;
        let mode: String =
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let synchronous: i64 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", level), "{}", schema.name);
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_committed_and_is_written_again_when_there_is_room() {
    let dir = tempdir().unwrap();
    let database = log::SCHEMA.open(dir.path()).unwrap();
    let mut ledger = Ledger::new(database, i64::MAX).unwrap();
    let room = |ledger: &Ledger, pages: u32| {
        let set =
            ledger
                .connection()
                .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, u32>(0));
        assert_eq!(set.unwrap(), pages);
    };
    room(&ledger, 40);
    let mut committed = 0;
    let error = loop {
        let notes: Vec<_> = (0..10).map(|n| note(committed * 10 + n)).collect();
        match ledger.commit(&[&Rows::of(&notes).unwrap()]) {
            Ok(_) => committed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("full")), "{error}");
    assert!(committed > 2, "{committed} were committed before the disk was full");
    let held = Seq(u64::try_from(committed * 10).unwrap());
    assert_eq!(ledger.end(), held);
    room(&ledger, 1000);
    let appended = ledger.commit(&[&Rows::of(&[note(-1)]).unwrap()]).unwrap();
    assert_eq!(appended[0].appended.seq, Seq(held.0 + 1));
}

/// How many pages the commits after the last call have written.
fn pages_written(ledger: &Ledger) -> i64 {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let pages =
        ledger.connection().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
    ledger.connection().query_row(checkpoint, [], |_| Ok(())).unwrap();
    pages.unwrap()
}

#[test]
fn what_is_posted_alone_writes_a_page_of_rows_and_one_of_the_index() {
    let dir = tempdir().unwrap();
    let mut ledger = Ledger::new(log::SCHEMA.open(dir.path()).unwrap(), i64::MAX).unwrap();
    let mut commit = |n| {
        ledger.commit(&[&Rows::of(&[note(n)]).unwrap()]).unwrap();
        pages_written(&ledger)
    };
    assert!(commit(1) > 0);
    assert_eq!([commit(2), commit(3), commit(3)], [2, 2, 0]);
}

/// A file of the version before, as that wrote it.
#[tokio::test]
async fn a_log_of_the_fifth_schema_is_gone_on_with() {
    let dir = tempdir().unwrap();
    let fifth = Schema { migrations: &log::SCHEMA.migrations[..5], ..log::SCHEMA };
    let database = fifth.open(dir.path()).unwrap();
    let events = [note(5_000_000), note(1), note(6_000_000), note(5_000_001)];
    let sql = "INSERT INTO event (seq, at, id, late, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    for (seq, (row, body)) in (4..).zip(Rows::of(&events[..3]).unwrap().iter()) {
        let held = (seq, row.at, row.id.0, row.at == 1, body);
        assert_eq!(database.connection.execute(sql, held).unwrap(), 1);
    }
    let told = "UPDATE head SET seq = 6, rows = 3, held_from = 1";
    assert_eq!(database.connection.execute(told, []).unwrap(), 1);
    drop(database);
    let log = SqliteLog::open(dir.path(), TimeDelta::seconds(2)).unwrap();
    assert_eq!((log.end().unwrap(), log.size().unwrap().rows), (Seq(6), 3));
    assert_eq!(log.held_from().unwrap(), Some(time_of_micros(1)));
    let appended = log.append(events.to_vec()).await.unwrap();
    assert_eq!(appended, Appended { seq: Seq(7), new: vec![false, false, false, true], late: 0 });
    assert_eq!(log.oldest(time_of_micros(0), Seq(7)).unwrap(), Some(time_of_micros(5_000_000)));
    assert_eq!(log.size().unwrap().rows, 4);
}

#[test]
fn a_state_of_the_first_schema_is_made_again_from_the_log() {
    let dir = tempdir().unwrap();
    let first = Schema { migrations: &state::SCHEMA.migrations[..1], ..state::SCHEMA };
    let database = first.open(dir.path()).unwrap();
    let rows = "INSERT INTO position (only_row, seq, config) VALUES (1, 7, 'of then'); \
                INSERT INTO incident (id, starts_at, body) VALUES ('inc_1', 0, '{}')";
    database.connection.execute_batch(rows).unwrap();
    drop(database);
    let state = SqliteState::open(dir.path()).unwrap();
    assert_eq!(state.position().unwrap(), Position::default());
    assert_eq!(state.size().unwrap().rows, 0);
}
