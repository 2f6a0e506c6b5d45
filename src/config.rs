//! The configuration: what is in the file, checked, with the rules and the catalogue that it names.
//!
//! In: a TOML file, or nothing. Out: a [`Config`] in which nothing is left to guess, or every
//! problem of every file with its place. `config/antecede.toml` shows each option at its default.

mod catalog;
mod file;
mod sources;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use chrono::TimeDelta;

use crate::{
    correlate::{Model, Settings},
    feed::Expected,
    notify,
    problem::Problem,
    rules::RuleSet,
    topology,
    wire::{signature::Verifier, source::Own},
};

pub use self::file::read_rule_files;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// How it is reached.
    pub server: Server,
    /// Where the data is.
    pub store: Store,
    /// What answers depend on.
    pub model: Model,
    /// Who is told of incidents.
    pub notify: notify::Settings,
    /// Who should be heard of, and how often.
    pub feeds: Vec<Expected>,
    /// Whom to ask which service calls which.
    pub service_graph: Option<topology::Settings>,
    /// The sources that come in by secrets of their own.
    pub doors: BTreeMap<String, Verifier>,
    /// The sources that it describes itself.
    pub own_sources: BTreeMap<String, Own>,
}

/// How the daemon is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The file whose content clients must send as their bearer token.
    pub token_file: Option<PathBuf>,
    /// Whether anybody may come from other machines without a token.
    pub allow_unauthenticated: bool,
    /// A request's body is cut off here.
    pub body_bytes_max: usize,
}

/// Where the data is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// The directory of `log.db`, `state.db` and `records.db`, and of what is polled.
    pub dir: PathBuf,
    /// For how long events are kept, before the newest; `None`: for ever.
    pub retention: Option<TimeDelta>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8377)),
            token_file: None,
            allow_unauthenticated: false,
            // Alertmanager groups of a thousand alerts with long annotations stay below 4 MiB.
            body_bytes_max: 8 << 20,
        }
    }
}

impl Server {
    /// Why it may not be served so: anybody who reaches the address could write and read.
    ///
    /// Ask it again when the command line has changed the address.
    pub fn refusal(&self) -> Option<String> {
        let guarded = self.token_file.is_some() || self.allow_unauthenticated;
        (!guarded && !self.listen.ip().is_loopback()).then(|| {
            format!("{} can be reached from other machines, and no token is asked for", self.listen)
        })
    }
}

/// What to do about a [`Server::refusal`].
pub const REFUSAL_HINT: &str =
    "set `token_file`, listen on 127.0.0.1, or say `allow_unauthenticated = true`";

impl Default for Store {
    fn default() -> Self {
        // A quarter: as long as people write post-mortems.
        Self { dir: PathBuf::from("data"), retention: Some(TimeDelta::days(90)) }
    }
}

impl Default for Config {
    /// The rules that the program comes with, and no catalogue.
    fn default() -> Self {
        Self {
            server: Server::default(),
            store: Store::default(),
            model: Model {
                rules: RuleSet::embedded(),
                settings: Settings::default(),
                ..Model::default()
            },
            notify: notify::Settings::default(),
            feeds: Vec::new(),
            service_graph: None,
            doors: BTreeMap::new(),
            own_sources: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The configuration in a file, with the rule and catalogue files that it names; the defaults
    /// without one.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(path: Option<&Path>) -> Result<Self, Vec<Problem>> {
        path.map_or_else(|| Ok(Self::default()), file::load)
    }
}
