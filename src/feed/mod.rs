//! Feeds: who is heard from, how often that is usual, and when silence is no calm.
//!
//! In: when a feed was heard, and how often it is said to be. Out: whether it is silent, the gaps in
//! what was heard, and what a gap means for an answer. Pure: the time is handed in. What is said here
//! depends on when it is asked, so it stands beside the fold and never in it: an answer as of another
//! time knows nothing of it.

mod gap;

#[cfg(test)]
mod tests;

pub use self::gap::{Gap, doubt};

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Kind, Time};

/// What is heard within this counts as heard once: the reports of one pipeline run, the groups of
/// one flush. A usual interval is never shorter.
pub const PAUSE_MIN: TimeDelta = TimeDelta::minutes(5);
/// So many of the latest pauses tell what is usual: a quarter of a feed that is heard twice a day.
const PAUSES_MAX: usize = 200;
/// Of fewer pauses nobody can tell what is usual.
const PAUSES_MIN: usize = 20;
/// One in so many pauses may be longer than what is usual.
const LONGER: usize = 100;
/// A feed is silent when it was not heard for so many times its usual interval.
const SILENT_AFTER: i32 = 3;

/// Names a feed: the source of alerts, `changes:` and a kind, or what the configuration calls it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct FeedName(pub String);

impl FeedName {
    /// The feed of changes of one kind.
    pub fn of_changes(kind: Kind) -> Self {
        Self(format!("changes:{kind}"))
    }

    /// The feed that an event of this source belongs to; notes and feedback come when people write them, and a
    /// change whose kind is not said could be of any.
    pub fn of(event: &Event, source: &str) -> Option<Self> {
        match event {
            Event::Change(report) => report.kind.map(Self::of_changes),
            Event::Alert(_) => Some(Self(source.to_owned())),
            Event::Note(_) | Event::Feedback(_) => None,
        }
    }

    /// What such a feed carries, where nobody says otherwise.
    pub fn carries(&self) -> Carries {
        if self.0.starts_with("changes:") { Carries::Changes } else { Carries::Alerts }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a feed tells of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    /// Changes: while it is silent, "no recorded change" is not known.
    Changes,
    /// Alerts.
    Alerts,
}

impl Carries {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Alerts => "alerts",
        }
    }

    /// What a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Changes, Self::Alerts].into_iter().find(|one| one.word() == word)
    }
}

/// A feed that the configuration names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// Its name.
    pub name: FeedName,
    /// What it carries.
    pub carries: Carries,
    /// How often it is heard.
    pub every: TimeDelta,
}

/// When a feed was heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// For the first time.
    pub first: Time,
    /// For the last time.
    pub last: Time,
    /// The latest pauses between two hearings, in seconds, oldest first.
    pub pauses: Vec<u32>,
}

impl Heard {
    /// For the first time at this time.
    pub const fn new(at: Time) -> Self {
        Self { first: at, last: at, pauses: Vec::new() }
    }

    /// It is heard again. `since`: from when on nothing kept it from being heard; a pause that began
    /// before that is not its own.
    pub fn again(&mut self, at: Time, since: Time) {
        let pause = at - self.last;
        if pause >= PAUSE_MIN && self.last >= since {
            self.pauses.push(u32::try_from(pause.num_seconds()).unwrap_or(u32::MAX));
            let surplus = self.pauses.len().saturating_sub(PAUSES_MAX);
            self.pauses.drain(..surplus);
        }
        self.last = self.last.max(at);
    }

    /// How long its pauses are at most, but for one in a hundred, once there were enough to tell.
    pub fn usual(&self) -> Option<TimeDelta> {
        if self.pauses.len() < PAUSES_MIN {
            return None;
        }
        let mut pauses = self.pauses.clone();
        pauses.sort_unstable();
        let longest = pauses.len() - 1 - pauses.len() / LONGER;
        pauses.get(longest).map(|seconds| TimeDelta::seconds(i64::from(*seconds)))
    }
}

/// Whether a feed is silent: for longer than three times its interval, nothing was heard, though
/// since `since` nothing kept it from being heard.
pub fn is_silent(last: Option<Time>, since: Time, every: TimeDelta, now: Time) -> bool {
    let from = last.map_or(since, |last| last.max(since));
    every.checked_mul(SILENT_AFTER).is_some_and(|patience| now - from > patience)
}
