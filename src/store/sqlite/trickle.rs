//! Has a write-ahead log flow to the disk while it is written.
//!
//! A storm's batch alters tens of megabytes of the state. SQLite leaves them to the system until the
//! write-ahead log is copied and then syncs all at once, and for so long the disk takes nothing else:
//! who posts waits for the log's sync meanwhile. In pieces of a few megabytes others come in between.

use std::{
    fs::File,
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// So long is written between two syncs: a megabyte or two.
const BETWEEN: Duration = Duration::from_millis(1);

/// Does what writes a lot to the file at this path, and syncs the file meanwhile.
///
/// It is no part of what makes anything last. Where the file cannot be synced, or there is no thread for
/// it, the write is what it was: whoever syncs the file in earnest is told of every error, since the
/// system tells each who has it open.
pub(super) fn trickling<T>(path: &Path, write: impl FnOnce() -> T) -> T {
    let Ok(file) = File::open(path) else { return write() };
    let (written, is_written) = channel::<()>();
    thread::scope(|scope| {
        let sync = move || {
            while is_written.recv_timeout(BETWEEN) == Err(RecvTimeoutError::Timeout) {
                drop(file.sync_data());
            }
        };
        let syncing = thread::Builder::new().name("trickle".to_owned()).spawn_scoped(scope, sync);
        let done = write();
        drop((written, syncing));
        done
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_written_whatever_becomes_of_the_syncs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ahead");
        // It is not there yet; then it is, and is taken away meanwhile.
        for part in ["one", "other"] {
            let write = || fs::write(&path, part).and_then(|()| fs::read_to_string(&path));
            assert_eq!(trickling(&path, write).unwrap(), part);
        }
        trickling(&path, || fs::remove_file(&path)).unwrap();
    }
}
