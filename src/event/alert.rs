//! Alerts: reports of firing and of its end, and the episodes that they merge into.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{EventId, Labels, Scope, Time, digest};

/// Two firings of one alert with no more than this between them are one episode: Prometheus'
/// `keep_firing_for` and a missed evaluation or two make gaps of this size with nothing better.
pub const REJOIN_GAP: TimeDelta = TimeDelta::minutes(5);

/// One source says that one alert fires, or that it stopped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AlertReport {
    /// All labels as they came, `alertname` among them.
    pub labels: Labels,
    /// When it began to fire (the rule's `for` is over by then).
    pub starts_at: Time,
    /// When it stopped; `None` in a report that it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
    /// When it became pending, in a report that it fires: its condition held from then on. `None`:
    /// the source does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_at: Option<Time>,
    /// The annotation that tells people what it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl AlertReport {
    /// The facts in what was reported: that it fired and, if it ended, that it ended.
    ///
    /// So a "resolved" that comes alone tells as much as one that follows its "firing".
    pub fn facts(self) -> Vec<Self> {
        let Some(ends_at) = self.ends_at else { return vec![self] };
        let ended = Self {
            labels: self.labels.clone(),
            starts_at: self.starts_at,
            ends_at: Some(ends_at),
            pending_at: None,
            summary: None,
            url: None,
        };
        vec![Self { ends_at: None, ..self }, ended]
    }

    /// When the fact became true.
    pub fn time(&self) -> Time {
        self.ends_at.unwrap_or(self.starts_at)
    }
}

/// What makes an alert the one that it is: its labels less the mapping's `drop_labels`.
pub type Identity = Labels;

/// One `startsAt` of one alert.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Firing {
    /// The latest end that anybody reported.
    pub ends_at: Option<Time>,
    /// The earliest time at which anybody saw it pending.
    pending_at: Option<Time>,
    /// The words of the report with the smallest content id, so that they do not depend on order.
    words: Option<(EventId, Option<String>, Option<String>)>,
}

impl Firing {
    /// When it became pending, if that was before a stretch that begins then: between two firings
    /// of one stretch it may have been pending again.
    fn pending_before(&self, starts_at: Time) -> Option<Time> {
        self.pending_at.filter(|pending_at| *pending_at <= starts_at)
    }
}

/// The earlier of two times, where both are known.
fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

/// All that was reported of one alert. Merging is a join: in any order, any number of times.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Firings(BTreeMap<Time, Firing>);

impl Firings {
    /// Takes in one report, whose content id is `id`.
    pub fn absorb(&mut self, report: &AlertReport, id: EventId) {
        let words = match report.ends_at {
            None => Some((id, report.summary.clone(), report.url.clone())),
            Some(_) => None,
        };
        let one = Firing { ends_at: report.ends_at, pending_at: report.pending_at, words };
        self.join(report.starts_at, one);
    }

    /// Takes in all that the other holds.
    pub fn merge(&mut self, other: &Self) {
        for (starts_at, firing) in &other.0 {
            self.join(*starts_at, firing.clone());
        }
    }

    fn join(&mut self, starts_at: Time, new: Firing) {
        let Some(held) = self.0.get_mut(&starts_at) else {
            self.0.insert(starts_at, new);
            return;
        };
        // An end beats no end, the later of two ends beats the earlier: `None` is the smallest.
        held.ends_at = held.ends_at.max(new.ends_at);
        held.pending_at = earliest(held.pending_at, new.pending_at);
        held.words = match (held.words.take(), new.words) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }

    /// The stretches of firing: reports that overlap, or leave at most [`REJOIN_GAP`] between them.
    ///
    /// A firing whose end nobody reported ends where the next one of the same alert begins: an
    /// alert has one active instance.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (starts_at, firing) in &self.0 {
            let (summary, url) = match &firing.words {
                Some((_, summary, url)) => (summary.clone(), url.clone()),
                None => (None, None),
            };
            match stretches.last_mut() {
                Some(last) if last.ends_at.is_none_or(|end| *starts_at <= end + REJOIN_GAP) => {
                    // An open one before a later report: that report tells how it went on.
                    last.ends_at = match (last.ends_at, firing.ends_at) {
                        (Some(held), Some(new)) => Some(held.max(new)),
                        (None, new) => new,
                        (Some(_), None) => None,
                    };
                    last.pending_at =
                        earliest(last.pending_at, firing.pending_before(last.starts_at));
                    last.summary = last.summary.take().or(summary);
                    last.url = last.url.take().or(url);
                }
                _ => stretches.push(Stretch {
                    starts_at: *starts_at,
                    ends_at: firing.ends_at,
                    pending_at: firing.pending_before(*starts_at),
                    summary,
                    url,
                }),
            }
        }
        stretches
    }
}

/// One unbroken stretch of an alert's firing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stretch {
    /// The first `startsAt`.
    pub starts_at: Time,
    /// The last end; `None` while it fires.
    pub ends_at: Option<Time>,
    /// When it became pending, where that is known.
    pub pending_at: Option<Time>,
    /// The first words given for it.
    pub summary: Option<String>,
    /// The first link given for it.
    pub url: Option<String>,
}

/// Names an episode: `alt_` and a hash of the alert's identity and its first `startsAt`.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct EpisodeId(pub String);

/// One firing of one alert, from its first report to its end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Episode {
    /// Its name.
    pub id: EpisodeId,
    /// The alert's name.
    pub alertname: String,
    /// The alert's labels as they came, less the dropped ones.
    pub labels: Labels,
    /// Where it is.
    pub scope: Scope,
    /// When it began to fire.
    pub starts_at: Time,
    /// When it stopped; `None` while it fires.
    pub ends_at: Option<Time>,
    /// When it became pending, where that is known: its condition held from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_at: Option<Time>,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Episode {
    /// The episode of this alert over this stretch.
    pub fn new(identity: &Identity, scope: Scope, stretch: Stretch) -> Self {
        Self {
            id: EpisodeId(digest("alt_", &(identity, stretch.starts_at))),
            alertname: identity.first("alertname").unwrap_or_default().to_owned(),
            labels: identity.clone(),
            scope,
            starts_at: stretch.starts_at,
            ends_at: stretch.ends_at,
            pending_at: stretch.pending_at,
            summary: stretch.summary,
            url: stretch.url,
        }
    }

    /// Whether it fires.
    pub fn fires(&self) -> bool {
        self.ends_at.is_none()
    }
}
