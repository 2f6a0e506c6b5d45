//! Files that are not as they should be, and directories that are taken.

use std::{fs, path::Path};

use chrono::TimeDelta;

use super::{append, directory, events, fact, open, shell};
use crate::store::{Log as _, Seq, SqliteLog, SqliteRecords, SqliteState, State as _, StoreError};

fn refusal(dir: &Path) -> StoreError {
    SqliteLog::open(dir, TimeDelta::days(7)).unwrap_err()
}

fn state_refusal(dir: &Path) -> StoreError {
    SqliteState::open(dir).unwrap_err()
}

fn records_refusal(dir: &Path) -> StoreError {
    SqliteRecords::open(dir).unwrap_err()
}

#[track_caller]
fn assert_damaged(error: &StoreError, file: &str) {
    assert!(matches!(error, StoreError::Damaged { place, .. } if place.ends_with(file)), "{error}");
}

#[track_caller]
fn assert_refused(error: &StoreError, file: &str, says: &str) {
    let StoreError::Refused { place, why } = error else { panic!("{error}") };
    assert!(place.ends_with(file), "{place}");
    assert!(why.contains(says), "{why}");
}

#[test]
fn a_file_of_something_else_is_called_damaged_by_its_name_and_left_alone() {
    let dir = directory();
    let garbage = "no database at all ".repeat(500);
    for file in ["log.db", "state.db", "records.db"] {
        fs::write(dir.path().join(file), &garbage).unwrap();
    }
    assert_damaged(&refusal(dir.path()), "log.db");
    assert_damaged(&state_refusal(dir.path()), "state.db");
    assert_damaged(&records_refusal(dir.path()), "records.db");
    assert_eq!(fs::read_to_string(dir.path().join("log.db")).unwrap(), garbage);
}

#[test]
fn a_file_that_was_cut_off_is_called_damaged() {
    let dir = directory();
    let facts: Vec<_> = (0..2000).map(|n| fact(n, "something of some length")).collect();
    append(&open(dir.path()), &facts).unwrap();
    let path = dir.path().join("log.db");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_damaged(&refusal(dir.path()), "log.db");
}

#[test]
fn a_page_that_was_overwritten_is_called_damaged_after_the_last_event_that_can_be_read() {
    let dir = directory();
    let facts: Vec<_> = (0..2000).map(|n| fact(n, "something of some length")).collect();
    append(&open(dir.path()), &facts).unwrap();
    let path = dir.path().join("log.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16 * 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let log = open(dir.path());
    let error = log.after(Seq(0), 2000).unwrap_err();
    let StoreError::Damaged { place, .. } = &error else { panic!("{error}") };
    let (file, last) = place.split_once(", the event that follows event ").unwrap();
    assert!(file.ends_with("log.db"), "{error}");
    let last: usize = last.parse().unwrap();
    assert!(last > 100 && last < 1900, "{error}");
    assert_eq!(log.after(Seq(0), last).unwrap().len(), last);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let dir = directory();
    shell(dir.path(), "log.db").execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(dir.path().join("log.db")).unwrap();
    assert_refused(&refusal(dir.path()), "log.db", "is not a log of antecede");
    assert_eq!(fs::read(dir.path().join("log.db")).unwrap(), before);
    drop(SqliteState::open(dir.path()).unwrap());
    fs::rename(dir.path().join("state.db"), dir.path().join("log.db")).unwrap();
    assert_refused(&refusal(dir.path()), "log.db", "is not a log of antecede");
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let dir = directory();
    drop(open(dir.path()));
    drop(SqliteState::open(dir.path()).unwrap());
    drop(SqliteRecords::open(dir.path()).unwrap());
    for file in ["log.db", "state.db", "records.db"] {
        shell(dir.path(), file).pragma_update(None, "user_version", 99).unwrap();
    }
    let says = |newest| format!("its schema is version 99, this one knows versions up to {newest}");
    assert_refused(&refusal(dir.path()), "log.db", &says(6));
    assert_refused(&state_refusal(dir.path()), "state.db", &says(9));
    assert_refused(&records_refusal(dir.path()), "records.db", &says(3));
}

#[test]
fn a_directory_has_one_user_at_a_time_who_is_named() {
    let dir = directory();
    let (log, state) = (open(dir.path()), SqliteState::open(dir.path()).unwrap());
    let me = format!("process {}", std::process::id());
    assert_refused(&refusal(dir.path()), "log.lock", &me);
    assert_refused(&state_refusal(dir.path()), "state.lock", &me);
    let records = SqliteRecords::open(dir.path()).unwrap();
    assert_refused(&records_refusal(dir.path()), "records.lock", &me);
    drop(records);
    append(&log, &[fact(1, "one")]).unwrap();
    drop((log, state));
    assert_eq!(events(open(dir.path()).after(Seq(0), 9).unwrap()), [fact(1, "one")]);
    assert_eq!(SqliteState::open(dir.path()).unwrap().position().unwrap().seq, Seq(0));
}

#[test]
fn a_directory_that_cannot_be_made_is_unavailable_and_named() {
    let dir = directory();
    let taken = dir.path().join("a file");
    fs::write(&taken, "").unwrap();
    let error = refusal(&taken.join("data"));
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("a file")), "{error}");
}
