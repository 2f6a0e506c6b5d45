//! The stores of one directory: opened together, since one must not contradict the other, and what to
//! do about one that cannot be used.
//!
//! A state that is damaged is put aside and made again from the log, loudly: it holds nothing that the
//! log does not, and whoever is on call wants answers. The log is the only copy: nothing is ever done
//! to it that a person did not decide.

use std::{path::Path, sync::Arc};

use crate::{
    config::Config,
    store::{
        Log as _, Records, Seq, SqliteLog, SqliteRecords, SqliteState, State as _, StoreError,
    },
};
use anyhow::Context as _;

/// The stores of one directory.
pub(super) struct Stores {
    pub(super) log: Arc<SqliteLog>,
    pub(super) state: Arc<SqliteState>,
    pub(super) records: Arc<dyn Records>,
}

/// Opens the stores, or makes them.
pub(super) fn open(config: &Config) -> anyhow::Result<Stores> {
    let (dir, horizon) = (&*config.store.dir, config.model.settings.horizon);
    let log = SqliteLog::open(dir, horizon).context("cannot open the log")?;
    let (state, position) = open_state(dir).context("cannot open the state")?;
    let end = log.end().context("cannot read the log")?;
    if position > end {
        return Err(lost_events(dir, position, end)).context("cannot open the log");
    }
    let records = SqliteRecords::open(dir).context("cannot open the records")?;
    Ok(Stores { log: Arc::new(log), state: Arc::new(state), records: Arc::new(records) })
}

/// Opens the stores of a directory to make its state anew, with the log in event order; how many of
/// its events had come late.
pub(super) fn open_anew(config: &Config) -> anyhow::Result<(Stores, u64)> {
    let (dir, horizon) = (&*config.store.dir, config.model.settings.horizon);
    let file = dir.join("log.db");
    // One that is opened is made.
    if !file.exists() {
        anyhow::bail!("there is no log at {}", file.display());
    }
    // Held from here on: who has the log has all of the directory.
    let log = SqliteLog::open(dir, horizon).context("cannot open the log")?;
    // Before the log is altered, and for good: a state of the old order would be believed.
    SqliteState::remove(dir).context("cannot remove the state")?;
    let late = log.put_in_order().context("cannot put the log in order")?;
    let state = SqliteState::open(dir).context("cannot make the state")?;
    let records = SqliteRecords::open(dir).context("cannot open the records")?;
    Ok((Stores { log: Arc::new(log), state: Arc::new(state), records: Arc::new(records) }, late))
}

/// The state and how far it has come; another one where it is damaged.
fn open_state(dir: &Path) -> Result<(SqliteState, Seq), StoreError> {
    match read_state(dir) {
        Err(damage @ StoreError::Damaged { .. }) => {
            let aside = SqliteState::set_aside(dir)?;
            tracing::error!(
                error = %damage,
                aside = %aside.display(),
                "the state is damaged: it was put aside and is made again from the log"
            );
            read_state(dir)
        }
        state => state,
    }
}

fn read_state(dir: &Path) -> Result<(SqliteState, Seq), StoreError> {
    let state = SqliteState::open(dir)?;
    let position = state.position()?.seq;
    Ok((state, position))
}

/// A state is made of what the log holds, and the log syncs first: the log was cut, or it is older.
fn lost_events(dir: &Path, position: Seq, end: Seq) -> StoreError {
    let what = format!(
        "it ends at event {}, and the state was made from events up to {}: what came between is lost",
        end.0, position.0
    );
    StoreError::Damaged { place: dir.join("log.db").display().to_string(), what }
}

/// Adds to an error what to do about it. A state that was found damaged while it was used is put aside
/// here, since a start does not read all of it.
pub(super) fn advise(error: anyhow::Error, dir: &Path) -> anyhow::Error {
    let found = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    let hint = match found {
        Some(StoreError::Damaged { place, .. }) if is_of(place, dir, "state.db") => {
            match SqliteState::set_aside(dir) {
                Ok(aside) => format!(
                    "it was put aside as {}; start again: it is made again from the log",
                    aside.display()
                ),
                Err(error) => format!("delete state.db, which is made again from the log: {error}"),
            }
        }
        Some(StoreError::Damaged { .. }) => format!(
            "keep a copy of {dir} first. With a backup: put its log.db there and delete log.db-wal \
             and every state.db*. Without: save what can be read with `sqlite3 log.db .recover | \
             sqlite3 saved.db`, put saved.db in the place of log.db, and delete the same. To go on \
             with the log as it is, where it can be opened: delete every state.db*",
            dir = dir.display()
        ),
        Some(StoreError::Unsynced { .. }) => {
            "look for what the disk says (dmesg), and start again: \
             what was acknowledged was synced, and what was not, its sender was told"
                .to_owned()
        }
        Some(StoreError::Unavailable(_)) => {
            format!("it needs room on the disk and the right to write below {}", dir.display())
        }
        Some(StoreError::Refused { .. } | StoreError::Full | StoreError::Dropped { .. }) | None => {
            return error;
        }
    };
    anyhow::anyhow!("{error:#}\n  hint: {hint}")
}

/// Whether a place is in this file of the directory.
fn is_of(place: &str, dir: &Path, file: &str) -> bool {
    place.starts_with(&*dir.join(file).to_string_lossy())
}
