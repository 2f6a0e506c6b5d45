//! Content ids: the first 128 bits of a SHA-256 over the canonical JSON form.
//!
//! Maps in events are sorted and fields have a fixed order, so serialising *is* the canonical form.
//! At 128 bits, two different facts share an id with a chance of about 1e-19 among ten billion.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The hash of what an event says.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct EventId(pub [u8; 16]);

/// So long is most of what is hashed; only room is made by it.
const USUAL_BYTES: usize = 512;

impl EventId {
    /// The id of anything that serialises the same way each time.
    pub fn of<T: Serialize>(thing: &T) -> Self {
        Self::of_written(|json| serde_json::to_writer(json, thing))
    }

    /// The id of what is written.
    pub(super) fn of_written(write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> Self {
        // Events hold strings, numbers and maps with string keys: JSON can say all of them.
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        match write(&mut bytes) {
            Ok(()) => Self::of_bytes(&bytes),
            Err(_) => Self::of_bytes(&[]),
        }
    }

    /// The id of bytes that are already canonical.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = from;
        }
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `prefix` and sixteen hex digits of the thing's hash: the form of every id that people see.
pub fn digest<T: Serialize>(prefix: &str, thing: &T) -> String {
    let id = EventId::of(thing);
    let mut text = String::from(prefix);
    for byte in id.0.iter().take(8) {
        use fmt::Write as _;
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
