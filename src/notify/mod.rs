//! Tells somebody: signed notices of what is suspected, to one configured address; annotations, into
//! a Grafana; action items, to where work is kept.
//!
//! In: incidents out of the state, each time that more of the log is assessed, and the records of
//! what was told. Out: notices, recorded before they are sent, and sent until they are taken, given
//! up or refused for good. What is told depends on what the records say was told, never on what this
//! process remembers, so neither a restart nor a state that is built anew tells anything twice.
//!
//! `judge` decides what is news, purely; `letter` writes it; the [`Teller`] watches and records, as
//! the [`Annotator`] does for Grafana and the [`Desk`] for action items; a [`Courier`] for each
//! [`Address`] delivers.

mod address;
mod annotator;
mod courier;
mod judge;
mod letter;
mod secret;
mod teller;
mod tracker;

#[cfg(test)]
mod tests;

pub use self::{
    address::{Address, Token},
    annotator::Annotator,
    courier::Courier,
    secret::Secrets,
    teller::{Parts, Teller},
    tracker::{ActionItem, Desk, Tracker},
};

use std::{fmt, path::PathBuf};

use chrono::TimeDelta;
use reqwest::Url;

use crate::event::Time;

/// Asked for the time now.
pub type Clock = fn() -> Time;

/// What is told, to whom, and how insistently.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Whom to tell; `None`: nobody.
    pub receiver: Option<Receiver>,
    /// Where annotations are drawn; `None`: nowhere.
    pub grafana: Option<Grafana>,
    /// Where action items may be sent.
    pub trackers: Vec<Tracker>,
    /// Where people reach the daemon, for the links in notices; `None`: where it listens.
    pub link: Option<String>,
    /// How long news is left to settle before it is told; twice as long before each next notice of
    /// one incident.
    pub settle: TimeDelta,
    /// An incident is not told of when its last alert began longer ago.
    pub fresh: TimeDelta,
    /// How long the receiver may take to answer.
    pub timeout: TimeDelta,
    /// How long after the first failure it is tried again; twice as long after each next.
    pub retry: TimeDelta,
    /// For how long it is tried.
    pub give_up: TimeDelta,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receiver: None,
            grafana: None,
            trackers: Vec::new(),
            link: None,
            settle: TimeDelta::seconds(30),
            fresh: TimeDelta::hours(1),
            timeout: TimeDelta::seconds(15),
            retry: TimeDelta::seconds(5),
            give_up: TimeDelta::days(1),
        }
    }
}

/// A Grafana to draw annotations into.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grafana {
    /// Where it is, as people open it.
    pub url: Url,
    /// The file of a service account's token.
    pub token_file: PathBuf,
}

/// Whom to tell.
#[derive(Clone, Eq, PartialEq)]
pub struct Receiver {
    /// Where notices are posted to.
    pub url: Url,
    /// The file that holds the secrets to sign with.
    pub secret_file: PathBuf,
}

impl fmt::Debug for Receiver {
    /// Without the path of the address, which for many receivers is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("host", &self.url.host_str())
            .field("secret_file", &self.secret_file)
            .finish_non_exhaustive()
    }
}
