//! Who calls whom, as a Prometheus with the service-graph metrics of Tempo, Alloy or the OpenTelemetry
//! Collector knows it.
//!
//! In: the answers of its polls. Out: a part of the catalogue, which whoever owns the configuration
//! puts in force: what is polled is configuration, and nothing here touches it. A poll that fails
//! changes nothing; a call that was seen counts for a while, so that one that is made seldom does not
//! come and go. What is known is kept in a file: a start while the Prometheus is away forgets nothing.

mod ask;
mod kept;
mod poller;

#[cfg(test)]
mod tests;

pub use self::poller::Poller;

use std::{collections::BTreeMap, path::PathBuf};

use chrono::TimeDelta;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Origin, Part, Speaker},
    event::Time,
    prom_api::shown,
};

/// The time between two polls, where nothing else is said, ...
pub const EVERY: TimeDelta = TimeDelta::minutes(5);
/// ... and for how long a call counts.
pub const KEEP: TimeDelta = TimeDelta::days(7);

/// Which Prometheus is asked, and how often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Its address, which may have a path.
    pub url: Url,
    /// The file of the token for it.
    pub token_file: Option<PathBuf>,
    /// The time between two polls.
    pub every: TimeDelta,
    /// For how long a call counts after it was seen last.
    pub keep: TimeDelta,
}

impl Settings {
    /// The usual, for this Prometheus.
    pub const fn new(url: Url) -> Self {
        Self { url, token_file: None, every: EVERY, keep: KEEP }
    }

    /// What it is called: its address without the password.
    pub fn name(&self) -> String {
        shown(&self.url).to_string()
    }
}

/// Who calls whom, and when that was seen last.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "kept::Graph", into = "kept::Graph")]
pub struct Graph {
    /// Who says so.
    name: String,
    /// By client and server.
    calls: BTreeMap<(String, String), Time>,
}

impl Graph {
    /// One of this Prometheus, of which nothing is known.
    fn of(name: String) -> Self {
        Self { name, calls: BTreeMap::new() }
    }

    /// These calls were seen now; those that were seen last before `from` do not count any more.
    fn learn(&mut self, calls: Vec<(String, String)>, now: Time, from: Time) {
        self.calls.extend(calls.into_iter().map(|call| (call, now)));
        self.calls.retain(|_, seen_at| from <= *seen_at);
    }

    /// Whether both know the same calls, whenever they saw them.
    fn says_as(&self, other: &Self) -> bool {
        self.name == other.name && self.calls.keys().eq(other.calls.keys())
    }

    /// How many calls it knows.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// What it says of dependencies, if it is that of this Prometheus.
    pub fn part(&self, settings: &Settings) -> Option<Part> {
        let is_its = self.name == settings.name();
        is_its.then(|| {
            let mut part = Part::new(Origin::new(Speaker::ServiceGraph, &self.name));
            for (client, server) in self.calls.keys() {
                part.depends(client, server);
            }
            part
        })
    }
}
