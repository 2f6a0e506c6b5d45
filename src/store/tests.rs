//! What the stores promise, held against real files, and that the state and an assessment in memory
//! answer alike.

mod files;
mod log;
mod records;
mod refresh;
mod view;

use std::path::Path;

use chrono::TimeDelta;
use tempfile::TempDir;

use super::{Appended, Log, Logged, Seq, SqliteLog, StoreError};
use crate::event::{Event, Labels, Note, Time, time_of_micros};

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// So many seconds after some day's noon.
fn at(seconds: i64) -> Time {
    time_of_micros(1_677_153_600_000_000) + TimeDelta::seconds(seconds)
}

fn note(seconds: i64, text: &str) -> Note {
    Note {
        at: at(seconds),
        at_assumed: false,
        text: text.to_owned(),
        author: None,
        incident: None,
        labels: Labels::default(),
    }
}

fn fact(seconds: i64, text: &str) -> Event {
    Event::Note(note(seconds, text))
}

fn open(dir: &Path) -> SqliteLog {
    SqliteLog::open(dir, TimeDelta::days(7)).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn append(log: &dyn Log, events: &[Event]) -> Result<Appended, StoreError> {
    wait(log.append(events.to_vec()))
}

fn all(log: &dyn Log) -> Vec<Logged> {
    log.after(Seq(0), usize::MAX).unwrap()
}

fn events(logged: Vec<Logged>) -> Vec<Event> {
    logged.into_iter().map(|one| one.event).collect()
}

/// A second connection, as an operator's shell would open one.
fn shell(dir: &Path, file: &str) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.join(file)).unwrap()
}
