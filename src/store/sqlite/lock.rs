//! A file that says who uses the database beside it.
//!
//! It is not the database itself: SQLite has locks of its own there, which closing a second handle
//! on that file would let go.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use super::StoreError;

/// Held until it is dropped, or the process is gone.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, and leaves word of who has it.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let unavailable =
            |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        leave_word(&mut file).map_err(unavailable)?;
        Ok(Self { _file: file })
    }
}

fn leave_word(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}", std::process::id())
}

fn in_use(path: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    // Who it is only helps: when it cannot be read, the refusal stands without it.
    let read = file.take(64).read_to_string(&mut holder);
    let holder = match (read, holder.trim()) {
        (Ok(_), word) if !word.is_empty() => word,
        _ => "another process",
    };
    StoreError::Refused {
        place: path.display().to_string(),
        why: format!("is held by {holder}: one directory is for one daemon"),
    }
}
