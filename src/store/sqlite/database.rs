//! Opening a database file for writing: locked, known to be ours, and of the newest schema.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{Failure, StoreError, lock::Lock};

/// What a file must be.
#[derive(Debug)]
pub(super) struct Schema {
    /// The file's name, without `.db`.
    pub(super) name: &'static str,
    /// What marks the file as ours: the number stands in its header.
    pub(super) application_id: i32,
    /// What makes each version of the schema from the one before; the first from nothing.
    pub(super) migrations: &'static [&'static str],
    /// `FULL`: a commit survives power loss. `NORMAL`: the last ones may be undone by it.
    pub(super) synchronous: &'static str,
    /// So many KiB of its pages the writer holds: what a large transaction touches should fit, or
    /// it is written twice.
    pub(super) cache_kib: i32,
    /// After so many pages what was committed is moved from the write-ahead log into the file: the
    /// more, the less often a page that many commits touch.
    pub(super) checkpoint_pages: i32,
}

/// A file that is open for writing, by nobody else.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    // Let go last, when the connection is closed.
    _lock: Lock,
}

impl Database {
    /// Does all of `work` in one transaction, or nothing.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let Self { connection, path, .. } = self;
        let written = || -> Result<T, Failure> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        written().map_err(|failure| failure.at(path))
    }
}

impl Schema {
    /// Opens the file in this directory; makes what is missing.
    pub(super) fn open(&self, dir: &Path) -> Result<Database, StoreError> {
        std::fs::create_dir_all(dir)
            .map_err(|error| StoreError::Unavailable(format!("{}: {error}", dir.display())))?;
        let lock = Lock::take(&dir.join(self.name).with_extension("lock"))?;
        let path = dir.join(self.name).with_extension("db");
        match self.ready(&path) {
            Ok(connection) => Ok(Database { connection, path, _lock: lock }),
            Err(failure) => Err(failure.at(&path)),
        }
    }

    fn ready(&self, path: &Path) -> Result<Connection, Failure> {
        let mut connection = Connection::open(path)?;
        // Before anything is written: a file that is not ours stays as it is.
        let version = self.version(&connection)?;
        self.prepare(&connection)?;
        self.migrate(&mut connection, version)?;
        settle(&connection)?;
        Ok(connection)
    }

    /// The file's schema version, 0 for a new file.
    fn version(&self, connection: &Connection) -> Result<usize, Failure> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
        let application_id: i32 = number("application_id")?;
        let version: i32 = number("user_version")?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if (application_id, version, tables) == (0, 0, 0) {
            return Ok(0);
        }
        if application_id != self.application_id {
            return Err(Failure::Refused(format!("is not a {} of antecede", self.name)));
        }
        let known = self.migrations.len();
        match usize::try_from(version) {
            Ok(version) if version <= known => Ok(version),
            _ => Err(Failure::Refused(format!(
                "was written by a newer antecede: its schema is version {version}, this one knows \
                 versions up to {known}"
            ))),
        }
    }

    fn prepare(&self, connection: &Connection) -> rusqlite::Result<()> {
        // Where a file system cannot do it the old mode stays: slower, and as safe.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", self.synchronous)?;
        // Negative: in KiB, not in pages.
        connection.pragma_update(None, "cache_size", -self.cache_kib)?;
        connection.pragma_update(None, "wal_autocheckpoint", self.checkpoint_pages)?;
        // A burst leaves no more than this behind it on disk.
        connection.pragma_update(None, "journal_size_limit", 64 << 20)
    }

    fn migrate(&self, connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
        if version == self.migrations.len() {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for migration in self.migrations.iter().skip(version) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", self.application_id)?;
        transaction.pragma_update(None, "user_version", super::limit_of(self.migrations.len()))?;
        transaction.commit()
    }
}

/// Syncs what an earlier process left in the write-ahead log.
///
/// It may have been killed between writing a commit and syncing it. Such a commit can be read, so a
/// repeated event would be called known, and acknowledged, while power loss could still undo it.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
