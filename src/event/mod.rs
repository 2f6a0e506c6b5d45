//! Events: the immutable facts that arrived, and what they merge into.
//!
//! In: what `wire` made of a source's bytes. Out: facts with a content id and an event time, and
//! the merged things that the rest of the program talks about ([`Change`], [`Episode`], [`Note`], [`Feedback`]).
//! Nothing here knows a vendor's field names, a clock or a store.
//!
//! A thing that lasts arrives as two facts, one for each end, so that "as of then" needs no
//! clipping: a change that finishes later has no finishing fact yet, and so is still running.

mod alert;
mod change;
mod feedback;
mod fingerprint;
mod ids;
mod labels;
mod note;
mod pairs;
mod time;

#[cfg(test)]
mod tests;

pub use self::{
    alert::{
        AlertReport, Episode, EpisodeId, Firing, Firings, IDENTITY_BYTES, Identity, Outlook,
        REJOIN_GAP, Stretch,
    },
    change::{Action, Change, ChangeHistory, ChangeId, ChangeReport, Kind, Resource, Status},
    feedback::{Feedback, Verdict},
    fingerprint::Fingerprint,
    ids::{EventId, digest},
    labels::{CANONICAL, Labels, Mapping, Scope},
    note::Note,
    time::{Time, micros, parse_time, show_time, time_of_micros},
};

use serde::{Deserialize, Serialize};

/// One fact. Its JSON form is what the log holds, so a field once written keeps its name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A report about a change: that it was planned, started, or ended.
    Change(ChangeReport),
    /// A report about an alert: that it fires, or that it ended.
    Alert(AlertReport),
    /// What a person wrote.
    Note(Note),
    /// What a person says of a change and an incident.
    Feedback(Feedback),
}

/// How an alert's JSON form begins.
const ALERT: &str = r#"{"type":"alert","#;

impl Event {
    /// An event out of its JSON form.
    ///
    /// An alert's is read as that: to find the tag among the other fields everything would be put
    /// aside first, and alerts are most of all that is read.
    ///
    /// # Errors
    /// It is none.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        if json.starts_with(ALERT) {
            return serde_json::from_str(json).map(Self::Alert);
        }
        serde_json::from_str(json)
    }

    /// When it happened, as its source says; never when it arrived.
    pub fn time(&self) -> Time {
        match self {
            Self::Change(report) => report.at,
            Self::Alert(report) => report.time(),
            Self::Note(note) => note.at,
            Self::Feedback(feedback) => feedback.at,
        }
    }

    /// The hash of what it says. Two arrivals of one fact have one id.
    ///
    /// What was decided by the time of receipt is left out of it.
    pub fn id(&self) -> EventId {
        match self {
            Self::Alert(report) => report.id(),
            Self::Change(_) | Self::Note(_) | Self::Feedback(_) => {
                self.timeless().map_or_else(|| EventId::of(self), |timeless| EventId::of(&timeless))
            }
        }
    }

    /// Adds its JSON form, as the log holds it, to what is there; its id.
    ///
    /// # Errors
    /// It cannot be said in JSON.
    pub fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<EventId> {
        if let Self::Alert(report) = self {
            return report.write(json);
        }
        let from = json.len();
        serde_json::to_writer(&mut *json, self)?;
        let written = json.get(from..).unwrap_or_default();
        Ok(if self.is_time_assumed() { self.id() } else { EventId::of_bytes(written) })
    }

    /// What it says without what was decided by the time of receipt, if anything was.
    fn timeless(&self) -> Option<Self> {
        match self {
            Self::Change(report) if report.at_assumed => {
                Some(Self::Change(report.without_assumed_times()))
            }
            Self::Note(note) if note.at_assumed => Some(Self::Note(note.without_assumed_time())),
            Self::Feedback(feedback) if feedback.at_assumed => {
                Some(Self::Feedback(feedback.without_assumed_time()))
            }
            Self::Change(_) | Self::Alert(_) | Self::Note(_) | Self::Feedback(_) => None,
        }
    }

    /// Whether its time is that of its receipt, because its source gave none.
    pub fn is_time_assumed(&self) -> bool {
        match self {
            Self::Change(report) => report.at_assumed,
            Self::Note(note) => note.at_assumed,
            Self::Feedback(feedback) => feedback.at_assumed,
            Self::Alert(_) => false,
        }
    }

    /// Until when it holds unless it is told again; `None`: for ever, or until its end is told.
    ///
    /// Two reports that an alert fires may have one id and differ in this and in their words: the
    /// one that holds longer, and of equals the one whose JSON is the greater, takes the place of
    /// the other.
    pub fn holds_until(&self) -> Option<Time> {
        match self {
            Self::Alert(report) => report.expires_at,
            Self::Change(_) | Self::Note(_) | Self::Feedback(_) => None,
        }
    }
}
