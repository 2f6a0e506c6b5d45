//! SQLite behind the contracts: `log.db`, `state.db` and `records.db` in one directory, each with one
//! writer and any number of readers, each locked against a second process.
//!
//! Several files, because two writers in one file starve each other.

mod ahead;
mod database;
mod firings;
mod fresh;
mod lock;
mod log;
mod reading;
mod records;
mod rows;
mod state;
mod writer;

#[cfg(test)]
mod tests;

pub use self::{log::SqliteLog, records::SqliteRecords, state::SqliteState, writer::Limits};

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use super::{Seq, Size, StoreError};

/// What went wrong inside one file, before it is said which file.
#[derive(Debug)]
enum Failure {
    Sqlite(rusqlite::Error),
    Row {
        row: String,
        what: String,
    },
    Damaged(String),
    Refused(String),
    /// What is in the file may not be on the disk.
    Unsynced(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        if is_of_a_sync(&error) { Self::Unsynced(error.to_string()) } else { Self::Sqlite(error) }
    }
}

fn is_of_damage(error: &rusqlite::Error) -> bool {
    // Without a code it is a column that does not hold what this program writes there. A record whose
    // length is damaged asks for more memory than SQLite ever takes; a machine that has none left ends
    // the process before SQLite can say so.
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::OutOfMemory
                | ErrorCode::TooBig
        ) | None
    )
}

fn is_of_a_sync(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_FSYNC)
}

impl Failure {
    /// A row that cannot be understood.
    fn row(row: impl Into<String>, what: &impl ToString) -> Self {
        Self::Row { row: row.into(), what: what.to_string() }
    }

    /// Damage, as that of a row.
    fn in_row(self, row: impl FnOnce() -> String) -> Self {
        match &self {
            Self::Sqlite(error) if is_of_damage(error) => Self::row(row(), error),
            Self::Sqlite(_)
            | Self::Row { .. }
            | Self::Damaged(_)
            | Self::Refused(_)
            | Self::Unsynced(_) => self,
        }
    }

    /// What it means to the caller.
    fn at(self, path: &Path) -> StoreError {
        let place = path.display();
        match self {
            Self::Row { row, what } => {
                StoreError::Damaged { place: format!("{place}, {row}"), what }
            }
            Self::Damaged(what) => StoreError::Damaged { place: place.to_string(), what },
            Self::Unsynced(what) => StoreError::Unsynced { place: place.to_string(), what },
            Self::Refused(why) => StoreError::Refused { place: place.to_string(), why },
            Self::Sqlite(error) if is_of_damage(&error) => {
                StoreError::Damaged { place: place.to_string(), what: error.to_string() }
            }
            Self::Sqlite(error) => StoreError::Unavailable(format!("{place}: {error}")),
        }
    }
}

/// Whoever asked was told of any other failure, and the next may do.
fn unless_unsynced(done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(why @ StoreError::Unsynced { .. }) => Err(why),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A position as SQLite counts: signed. Beyond its range there is nothing.
fn row_of(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn seq_of(row: i64) -> Seq {
    Seq(count_of(row))
}

/// A count that came out of SQLite.
fn count_of(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}

/// A limit as SQLite takes it.
fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// So many rows in this file, and what it and its write-ahead log take on disk.
fn size_of(path: &Path, rows: i64) -> Size {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let ahead = path.with_extension("db-wal");
    Size { rows: count_of(rows), bytes: bytes(path) + bytes(&ahead) }
}
