//! Opening a database file for writing: locked, known to be ours, and of the newest schema.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};

use super::{Failure, StoreError, ahead::Ahead, lock::Lock, unless_unsynced};

/// What a file must be.
#[derive(Debug)]
pub(super) struct Schema {
    /// The file's name, without `.db`.
    pub(super) name: &'static str,
    /// What marks the file as ours: the number stands in its header.
    pub(super) application_id: i32,
    /// What makes each version of the schema from the one before; the first from nothing.
    pub(super) migrations: &'static [&'static str],
    /// `EXTRA`: a commit survives power loss, in whichever journal mode. `NORMAL`: the last ones may
    /// be undone by it.
    pub(super) synchronous: &'static str,
    /// So many KiB of its pages the writer holds: what a large transaction touches should fit, or
    /// it is written twice.
    pub(super) cache_kib: i32,
    /// How large the pages of a new file are: the larger, the less is written around each row of a
    /// batch, and the more for a row that stands alone.
    pub(super) page_kib: i32,
    /// The write-ahead log is to begin anew when so much is in it.
    pub(super) ahead_kib: i32,
}

/// A file that is open for writing, by nobody else.
#[derive(Debug)]
pub(super) struct Database {
    // Dropped first, so that the writer's connection is the last to be closed.
    pub(super) ahead: Ahead,
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    // Closing it lets go of all locks that SQLite has on the file, whichever connection took them: it
    // is closed after them.
    _file: Arc<File>,
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

    /// Has what has come in the write-ahead log copied into the file, between two transactions.
    ///
    /// # Errors
    /// What was copied before could not be synced. Where it could not be written it stays where it is, for
    /// the next time.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let tidied = self.ahead.tidy(&self.connection).map_err(|failure| failure.at(&self.path));
        unless_unsynced(tidied.inspect_err(|error| {
            tracing::error!(%error, "what is in the write-ahead log stays there");
        }))
    }

    /// Lets go of the file as it is, write-ahead log and all, for the next process to read.
    pub(super) fn abandon(self) {
        let as_it_is = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        // It cannot fail where the setting is known.
        drop(self.connection.set_db_config(as_it_is, true));
    }
}

/// A connection keeps so many statements: more than a store has, for one that is not kept is read anew
/// each time.
pub(super) const STATEMENTS_MAX: usize = 64;

impl Schema {
    /// Opens the file in this directory; makes what is missing.
    pub(super) fn open(&self, dir: &Path) -> Result<Database, StoreError> {
        make_dir(dir)
            .map_err(|error| StoreError::Unavailable(format!("{}: {error}", dir.display())))?;
        let lock = Lock::take(&dir.join(self.name).with_extension("lock"))?;
        let path = dir.join(self.name).with_extension("db");
        match self.ready(&path) {
            Ok((ahead, connection, file)) => {
                Ok(Database { ahead, connection, path, _file: file, _lock: lock })
            }
            Err(failure) => Err(failure.at(&path)),
        }
    }

    fn ready(&self, path: &Path) -> Result<(Ahead, Connection, Arc<File>), Failure> {
        refuse_misplaced(path)?;
        let mut connection = Connection::open(path)?;
        // Before anything is written: a file that is not ours stays as it is.
        let version = self.version(&connection)?;
        if connection.is_readonly("main")? {
            return Err(Failure::Refused("may be read, not written".to_owned()));
        }
        self.prepare(&connection)?;
        settle(&mut connection, &path.with_extension("db-wal"))?;
        self.migrate(&mut connection, version)?;
        let file = Arc::new(File::open(path).map_err(|error| Failure::Refused(error.to_string()))?);
        let ahead = Ahead::new((path, &file), &mut connection, self.ahead_kib)?;
        Ok((ahead, connection, file))
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
        // A file that is there keeps its pages as they are.
        connection.pragma_update(None, "page_size", self.page_kib << 10)?;
        // Where a file system cannot do it the old mode stays: slower, and as safe.
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            tracing::warn!(store = self.name, mode, "no write-ahead log here: writing is slow");
        }
        connection.pragma_update(None, "synchronous", self.synchronous)?;
        // Negative: in KiB, not in pages.
        connection.pragma_update(None, "cache_size", -self.cache_kib)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
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

/// The files of a database that last.
const SUFFIXES: [&str; 3] = ["db", "db-wal", "db-journal"];

impl Schema {
    /// Removes the files, for good: no power cut brings them back.
    pub(super) fn remove(&self, dir: &Path) -> Result<(), StoreError> {
        let _lock = Lock::take(&dir.join(self.name).with_extension("lock"))?;
        let removed = || -> io::Result<()> {
            // The database last: a write-ahead log without one says that something is missing.
            for suffix in SUFFIXES.iter().rev() {
                absent_is_fine(remove(&dir.join(self.name).with_extension(suffix)))?;
            }
            File::open(dir)?.sync_all()
        };
        removed().map_err(|error| StoreError::Unavailable(format!("{}: {error}", dir.display())))
    }

    /// Puts the files out of the way, over those that were put there before; where the database is
    /// now.
    pub(super) fn set_aside(&self, dir: &Path) -> Result<PathBuf, StoreError> {
        let _lock = Lock::take(&dir.join(self.name).with_extension("lock"))?;
        let unavailable =
            |error: io::Error| StoreError::Unavailable(format!("{}: {error}", dir.display()));
        let aside = |suffix: &str| dir.join(format!("{}.damaged.{suffix}", self.name));
        for suffix in SUFFIXES {
            let file = dir.join(self.name).with_extension(suffix);
            // An old write-ahead log would be read with the new database.
            absent_is_fine(remove(&aside(suffix))).map_err(unavailable)?;
            absent_is_fine(fs::rename(file, aside(suffix))).map_err(unavailable)?;
        }
        Ok(aside("db"))
    }
}

/// Refuses what SQLite would not, or not in words that help: above all a write-ahead log whose database
/// is gone, as it would make a new one and throw the write-ahead log away.
fn refuse_misplaced(path: &Path) -> Result<(), Failure> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let ahead = length(&path.with_extension("db-wal"));
    if path.is_dir() {
        Err(Failure::Damaged("it is a directory".to_owned()))
    } else if length(path) == 0 && ahead > 0 {
        let what =
            format!("it is empty or gone, and its write-ahead log of {ahead} bytes is there");
        Err(Failure::Damaged(what))
    } else {
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes a directory that lasts: all that is synced inside is lost with it when power is, unless the
/// one above it was synced too. That is so each time, as the process that made it may have been
/// killed before.
fn make_dir(dir: &Path) -> io::Result<()> {
    let missing = dir.ancestors().take_while(|above| !above.exists()).count();
    fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    for above in dir.ancestors().skip(1).take(missing.max(1)) {
        // Not every file system can, and not everybody may read what is above; SQLite does not
        // insist either.
        drop(File::open(above).and_then(|above| above.sync_all()));
    }
    Ok(())
}

/// Makes what an earlier process left in the write-ahead log last, and empties it.
///
/// That process may have been killed between writing a commit and syncing it. Such a commit can be
/// read, so a repeated event would be called known, and acknowledged, while power loss could still
/// undo it. Or its sync failed: then the kernel shows the bytes, takes them for written, and syncs
/// them no more. A checkpoint that begins from such bytes and is cut short leaves a database of two
/// minds. So all are written once more, where they are, before they are synced.
fn settle(connection: &mut Connection, ahead: &Path) -> Result<(), Failure> {
    // Nobody writes meanwhile.
    let turn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match write_again(ahead) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::Unsynced(error.to_string())),
    }
    drop(turn);
    // Somebody who reads may keep some of it there: it is on the disk all the same.
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// Writes what is in a file in its place, and syncs it.
fn write_again(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut part = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut part, at)?;
        let Some(bytes) = part.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        file.write_all_at(bytes, at)?;
        at += u64::try_from(read).unwrap_or_default();
    }
    if at == 0 { Ok(()) } else { file.sync_all() }
}
