//! The name that Alertmanager has for an alert.

use std::{fmt, hash::Hasher as _};

use fnv::FnvHasher;
use serde::{Serialize, Serializer};

use super::Labels;

/// Between names and values: a byte that is in no UTF-8 text.
const SEPARATOR: u8 = 0xff;

/// FNV-1a over an alert's labels, as Alertmanager shows it: what people have in a link or a message.
///
/// It is that of the labels given: one that was dropped from them is not in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of these labels.
    pub fn of(labels: &Labels) -> Self {
        let mut hasher = FnvHasher::default();
        for text in labels.iter().flat_map(|(name, value)| [name, value]) {
            hasher.write(text.as_bytes());
            hasher.write_u8(SEPARATOR);
        }
        Self(hasher.finish())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
