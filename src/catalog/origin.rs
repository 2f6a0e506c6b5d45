//! Who says what of services: a catalogue is merged of parts, and remembers whose they are.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::Service;

/// What sort of thing says that one service depends on another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// A file with `[[service]]` tables.
    Toml,
    /// A file with Backstage's entities.
    Backstage,
    /// A Prometheus with metrics of who calls whom.
    ServiceGraph,
}

/// Who says that one service depends on another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Origin {
    /// What sort of thing it is.
    pub kind: Speaker,
    /// The file, or the address without its password.
    pub name: String,
}

/// What one of them says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Who says it.
    pub origin: Origin,
    /// The services that it knows.
    pub services: BTreeMap<String, Service>,
}

impl Origin {
    /// One of this name.
    pub fn new(kind: Speaker, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl Part {
    /// One that says nothing yet.
    pub const fn new(origin: Origin) -> Self {
        Self { origin, services: BTreeMap::new() }
    }

    /// It says that the one depends on the other.
    pub fn depends(&mut self, user: impl Into<String>, used: impl Into<String>) {
        self.services.entry(user.into()).or_default().depends_on.insert(used.into());
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toml => "toml",
            Self::Backstage => "backstage",
            Self::ServiceGraph => "service graph",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
