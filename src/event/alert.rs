//! Alerts: reports of firing and of its end, and the episodes that they merge into.

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{EventId, Labels, Mapping, Scope, Time, micros, time_of_micros};

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
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Firing {
    /// The latest end that anybody reported.
    pub ends_at: Option<Time>,
    /// The end is only what the source said to expect.
    pub expected: bool,
    /// The time of the report that tells of it ...
    pub told_at: Time,
    /// ... and its content id: of those that say that it fires the smallest, so that it does not
    /// depend on order.
    pub told: EventId,
}

impl Firing {
    /// What one report, whose content id is `id`, tells of it.
    pub fn of(report: &AlertReport, id: EventId) -> Self {
        Self { ends_at: report.ends_at, expected: false, told_at: report.time(), told: id }
    }

    /// Takes in what another tells of the same firing.
    pub fn join(&mut self, other: &Self) {
        // An end beats no end, the later of two ends beats the earlier: `None` is the smallest.
        self.ends_at = self.ends_at.max(other.ends_at);
        // A report that it fires is of its start, and so earlier than one of its end.
        (self.told_at, self.told) =
            (self.told_at, self.told).min((other.told_at, other.told));
    }
}

/// All that was reported of one alert, by start. Merging is a join: in any order, any number of
/// times.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Firings(Vec<(Time, Firing)>);

impl Firings {
    /// Takes in one report, whose content id is `id`.
    pub fn absorb(&mut self, report: &AlertReport, id: EventId) {
        self.join(report.starts_at, Firing::of(report, id));
    }

    /// Takes in all that the other holds.
    pub fn merge(&mut self, other: &Self) {
        for (starts_at, firing) in &other.0 {
            self.join(*starts_at, *firing);
        }
    }

    /// Takes in one firing.
    pub fn join(&mut self, starts_at: Time, new: Firing) {
        let place = self.0.partition_point(|(start, _)| *start < starts_at);
        match self.0.get_mut(place).filter(|(start, _)| *start == starts_at) {
            Some((_, held)) => held.join(&new),
            None => self.0.insert(place, (starts_at, new)),
        }
    }

    /// Each firing with its start.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Time, Firing)> {
        self.0.iter()
    }

    /// The stretches of firing: reports that overlap, or leave at most [`REJOIN_GAP`] between them.
    ///
    /// A firing whose end nobody reported ends where the next one of the same alert begins: an
    /// alert has one active instance.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (starts_at, firing) in &self.0 {
            match stretches.last_mut() {
                Some(last) if last.ends_at.is_none_or(|end| *starts_at <= end + REJOIN_GAP) => {
                    // An open one before a later report: that report tells how it went on.
                    (last.ends_at, last.expected) = match (last.ends_at, firing.ends_at) {
                        (Some(held), Some(new)) if held >= new => (Some(held), last.expected),
                        _ => (firing.ends_at, firing.expected),
                    };
                }
                _ => stretches.push(Stretch {
                    starts_at: *starts_at,
                    ends_at: firing.ends_at,
                    expected: firing.expected,
                    told_at: firing.told_at,
                    told: firing.told,
                }),
            }
        }
        stretches
    }
}

/// One unbroken stretch of an alert's firing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stretch {
    /// The first `startsAt`.
    pub starts_at: Time,
    /// The last end; `None` while it fires.
    pub ends_at: Option<Time>,
    /// The end is only expected.
    pub expected: bool,
    /// The time of the report that tells of its first firing ...
    pub told_at: Time,
    /// ... and its content id.
    pub told: EventId,
}

/// Names an episode: `alt_`, its first `startsAt` in microseconds, and half of the hash of the
/// alert's identity, both in hex. So ids sort by start, and tell where to look.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct EpisodeId(pub String);

impl EpisodeId {
    /// The id of the episode of an alert, by the hash of its identity, that began then.
    pub fn new(starts_at: Time, identity: &EventId) -> Self {
        use fmt::Write as _;
        let mut id = format!("alt_{:013x}", micros(starts_at).cast_unsigned());
        for byte in identity.0.iter().take(IDENTITY_BYTES) {
            // Writing to a String cannot fail.
            write!(id, "{byte:02x}").unwrap_or_default();
        }
        Self(id)
    }

    /// Its start, and the first bytes of the hash of its alert's identity.
    pub fn parts(&self) -> Option<(Time, [u8; IDENTITY_BYTES])> {
        let digits = self.0.strip_prefix("alt_")?;
        let (start, hash) = digits.split_at_checked(digits.len().checked_sub(16)?)?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let hash = u64::from_str_radix(hash, 16).ok()?;
        Some((time_of_micros(start.cast_signed()), hash.to_be_bytes()))
    }
}

/// So many bytes of the hash of an identity are in an episode's id.
pub const IDENTITY_BYTES: usize = 8;

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
    /// The end is only expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Episode {
    /// The episode of this alert over this stretch, in the words of the report that tells of it.
    pub fn new(report: &AlertReport, mapping: &Mapping, stretch: &Stretch) -> Self {
        let labels = mapping.identity(&report.labels);
        Self {
            id: EpisodeId::new(stretch.starts_at, &EventId::of(&labels)),
            alertname: labels.first("alertname").unwrap_or_default().to_owned(),
            scope: mapping.scope(&labels),
            labels,
            starts_at: stretch.starts_at,
            ends_at: stretch.ends_at,
            expected: stretch.expected,
            summary: report.summary.clone(),
            url: report.url.clone(),
        }
    }

    /// Leaves out an expected end that has not come by `now`.
    pub fn settle(&mut self, now: Time) {
        if self.expected && self.ends_at.is_some_and(|end| end > now) {
            self.ends_at = None;
        }
        self.expected = false;
    }

    /// Whether it fires.
    pub fn fires(&self) -> bool {
        self.ends_at.is_none()
    }
}
