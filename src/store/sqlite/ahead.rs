//! The write-ahead log of a file, and how it gets into the file: in pieces, while more is written.
//!
//! SQLite would copy it when it has become long, all at once and before a commit is answered: sixteen
//! megabytes, and for so long the disk takes nothing else. Here a thread copies whenever a piece has
//! come, with a connection of its own, and who syncs meanwhile waits for one piece. What it copied stays
//! in the write-ahead log until that begins anew, and that is when all is copied at a moment in which
//! nobody writes. Where commits follow one another without such a moment, the writer copies the last of
//! it itself, between two of them.
//!
//! An error is told to the writer, after its next commit: it knows what a sync that failed means. That
//! the commits before are told of it too is the system's part: it tells each who has the file open
//! (Linux since 4.13).

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, DEFAULT_NAME, OpenFlags, hooks::Wal, wal::CheckpointMode};

use super::Failure;

/// So much is copied at once. Who syncs another file meanwhile waits 2 ms for it on a disk that writes
/// 400 MB/s, and 6 ms for 2 MiB; with less the disk is busy with the syncs themselves.
const PIECE_KIB: i32 = 512;

/// A write-ahead log that is longer than it should be by so many times keeps the writer until the thread
/// is done: the disk is slower than who writes.
const TOO_LONG: i32 = 4;

/// The write-ahead log of one file.
#[derive(Debug)]
pub(super) struct Ahead {
    /// So many pages were in it after the last commit, ...
    pages: Arc<AtomicI32>,
    /// ... and so many when the last copy was begun.
    seen: i32,
    /// So many are a piece.
    piece: i32,
    /// It should begin anew when it has so many.
    pages_max: i32,
    copier: Arc<Copier>,
    copying: Option<JoinHandle<Result<(), Failure>>>,
}

/// What is needed to copy.
#[derive(Debug)]
struct Copier {
    connection: Mutex<Connection>,
    file: Arc<File>,
}

impl Ahead {
    /// That of the file at `path`, which `connection` writes and `file` is; it should hold no more than
    /// `max_kib`.
    pub(super) fn new(
        (path, file): (&Path, &Arc<File>),
        connection: &mut Connection,
        max_kib: i32,
    ) -> rusqlite::Result<Self> {
        let synchronous: i32 =
            connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        let page: i32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let page_kib = (page >> 10).max(1);
        let pages = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&pages);
        // In the place of SQLite's own, which would copy.
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            counted.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let copier = Connection::open_with_flags(path, flags)?;
        copier.pragma_update(None, "synchronous", synchronous)?;
        Ok(Self {
            pages,
            seen: 0,
            piece: PIECE_KIB / page_kib,
            pages_max: max_kib / page_kib,
            copier: Arc::new(Copier { connection: Mutex::new(copier), file: Arc::clone(file) }),
            copying: None,
        })
    }

    /// Has a piece copied, if one has come; what became of the last, if that has ended.
    ///
    /// `connection` is that which writes, and is not writing now.
    pub(super) fn tidy(&mut self, connection: &Connection) -> Result<(), Failure> {
        let pages = self.pages.load(Ordering::Relaxed);
        let is_too_long = pages >= self.pages_max.saturating_mul(TOO_LONG);
        if self.copying.as_ref().is_some_and(|copy| !copy.is_finished()) && !is_too_long {
            return Ok(());
        }
        self.copied()?;
        // It has begun anew where it is shorter.
        self.seen = if pages < self.seen { 0 } else { self.seen };
        let new = pages - self.seen;
        if new < self.piece {
            return Ok(());
        }
        self.seen = pages;
        if pages >= self.pages_max && (new < 2 * self.piece || is_too_long) {
            // What somebody still reads is left for the next time.
            return Ok(connection
                .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE)
                .map(drop)?);
        }
        let copier = Arc::clone(&self.copier);
        let copy = thread::Builder::new().name("copier".to_owned()).spawn(move || copier.copy());
        match copy {
            Ok(copy) => self.copying = Some(copy),
            Err(error) => tracing::warn!(%error, "no thread to copy a write-ahead log"),
        }
        Ok(())
    }

    /// Waits for the thread, if there is one; what became of the copy.
    fn copied(&mut self) -> Result<(), Failure> {
        let Some(copy) = self.copying.take() else { return Ok(()) };
        copy.join().unwrap_or_else(|_panicked| {
            Err(Failure::Unsynced("the thread that copies it panicked".to_owned()))
        })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Err(failure) = self.copied() {
            tracing::error!(?failure, "a write-ahead log was not copied");
        }
    }
}

impl Copier {
    fn copy(&self) -> Result<(), Failure> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE)?;
        // SQLite does so only where nobody wrote meanwhile.
        self.file.sync_data().map_err(|error| Failure::Unsynced(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Transaction;
    use tempfile::TempDir;

    use super::{
        super::{database::Database, log},
        *,
    };

    /// So much is written with each commit: two pages.
    const ROW_BYTES: usize = 32 << 10;

    fn opened() -> (TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let database = log::SCHEMA.open(dir.path()).unwrap();
        database.connection.execute_batch("CREATE TABLE told (what BLOB)").unwrap();
        (dir, database)
    }

    fn write(database: &mut Database) {
        let insert = |transaction: &Transaction<'_>| {
            Ok(transaction.execute("INSERT INTO told VALUES (?1)", [vec![7_u8; ROW_BYTES]])?)
        };
        assert_eq!(database.write(insert).unwrap(), 1);
        database.tidy().unwrap();
    }

    fn rows(file: &Connection) -> usize {
        let rows = file.query_row("SELECT count(*) FROM told", [], |row| row.get::<_, i64>(0));
        usize::try_from(rows.unwrap()).unwrap()
    }

    fn ahead_bytes(database: &Database) -> u64 {
        fs::metadata(database.path.with_extension("db-wal")).unwrap().len()
    }

    #[test]
    fn what_was_written_is_in_the_file_when_a_piece_was_copied() {
        let (dir, mut database) = opened();
        let mut written = 0;
        while database.ahead.copying.is_none() {
            write(&mut database);
            written += 1;
        }
        database.ahead.copied().unwrap();
        // Without its write-ahead log.
        let alone = dir.path().join("alone.db");
        fs::copy(&database.path, &alone).unwrap();
        assert_eq!(rows(&Connection::open(alone).unwrap()), written);
        assert!(written * ROW_BYTES <= 1 << 20, "{written}");
    }

    #[test]
    fn the_write_ahead_log_begins_anew_again_and_again_while_one_commit_follows_another() {
        let (_dir, mut database) = opened();
        let most = u64::try_from(log::SCHEMA.ahead_kib * TOO_LONG).unwrap() << 10;
        let commits = 2 * usize::try_from(most).unwrap() / ROW_BYTES;
        for _ in 0..commits {
            write(&mut database);
        }
        let ahead = ahead_bytes(&database);
        assert!(ahead <= most + (1 << 20), "{ahead}");
        assert_eq!(rows(&database.connection), commits);
    }

    #[test]
    fn what_somebody_still_reads_stays_until_they_have_read_it() {
        let (_dir, mut database) = opened();
        let most = u64::try_from(log::SCHEMA.ahead_kib).unwrap() << 10;
        write(&mut database);
        let mut reader = Connection::open(&database.path).unwrap();
        let reading = reader.transaction().unwrap();
        assert_eq!(rows(&reading), 1);
        while ahead_bytes(&database) < 2 * most {
            write(&mut database);
        }
        assert_eq!(rows(&reading), 1);
        reading.finish().unwrap();
        let begins_anew = |_| {
            let before = database.ahead.pages.load(Ordering::Relaxed);
            write(&mut database);
            database.ahead.pages.load(Ordering::Relaxed) < before
        };
        assert!((0..1_000).any(begins_anew));
    }
}
