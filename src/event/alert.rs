//! Alerts: reports of firing and of its end, and the episodes that they merge into.

use std::{cmp::Ordering, collections::BTreeMap};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Labels, Scope, Time, digest};

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
    /// In a report that it fires: it stopped by then, unless a further report says that it still
    /// fires. `None`: it fires until its end is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
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
            expires_at: None,
            summary: None,
            url: None,
        };
        vec![Self { ends_at: None, ..self }, ended]
    }

    /// When the fact became true.
    pub fn time(&self) -> Time {
        self.ends_at.unwrap_or(self.starts_at)
    }

    /// The fact itself: that this alert fired then, or that it ended then. Until when the report
    /// holds is decided by its time of receipt, and the words change with the values in them.
    pub(super) fn fact(&self) -> impl Serialize {
        Fact { labels: &self.labels, starts_at: self.starts_at, ends_at: self.ends_at }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "alert")]
struct Fact<'a> {
    labels: &'a Labels,
    starts_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<Time>,
}

/// What makes an alert the one that it is: its labels less the mapping's `drop_labels`.
pub type Identity = Labels;

/// How a firing goes on. Of two reports of one firing the greater holds: an end that was told, the
/// later of two; else that its end will be told; else the later of two times until which it holds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outlook {
    /// It stopped by then, as far as was told.
    Expires(Time),
    /// It fires until its end is told.
    Fires,
    /// It ended.
    Ended(Time),
}

impl Outlook {
    fn of(report: &AlertReport) -> Self {
        match (report.ends_at, report.expires_at) {
            (Some(end), _) => Self::Ended(end),
            (None, Some(end)) => Self::Expires(end),
            (None, None) => Self::Fires,
        }
    }

    /// Its end, told or expected.
    pub fn end(self) -> Option<Time> {
        match self {
            Self::Fires => None,
            Self::Expires(end) | Self::Ended(end) => Some(end),
        }
    }

    /// Whether its end is only expected.
    pub fn is_expected(self) -> bool {
        matches!(self, Self::Expires(_))
    }

    /// How a stretch goes on that this firing and, by its start, a next one make.
    ///
    /// Two replicas of a Prometheus may see one alert some seconds apart: it fires as long as one of
    /// them says so. An end that was never told is told by the next firing's, for an alert has one
    /// active instance. A firing of no length is an end whose sender did not know the start.
    fn and_then(self, starts_at: Time, next: Self) -> Self {
        match (self, next) {
            (Self::Fires, Self::Ended(_)) => next,
            (Self::Expires(_), Self::Ended(end)) if starts_at == end => next,
            (Self::Fires, _) | (_, Self::Fires) => Self::Fires,
            // By the time first: of two ends at one time the one that was told.
            (Self::Expires(_) | Self::Ended(_), Self::Expires(_) | Self::Ended(_)) => {
                if (self.end(), self) < (next.end(), next) { next } else { self }
            }
        }
    }
}

/// What people read of an alert.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
struct Words {
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl Words {
    fn json(&self) -> String {
        // Strings: JSON can say them.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// By their JSON: so does a log order two reports that differ in nothing else.
impl Ord for Words {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.json().cmp(&other.json()) }
    }
}

impl PartialOrd for Words {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One `startsAt` of one alert.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Firing {
    /// How it goes on, by all reports of it.
    pub outlook: Outlook,
    /// The words of the report that holds longest, the last one: values in them change.
    words: Option<(Outlook, Words)>,
}

impl Firing {
    fn of(report: &AlertReport) -> Self {
        let outlook = Outlook::of(report);
        let words = || Words { summary: report.summary.clone(), url: report.url.clone() };
        Self { outlook, words: report.ends_at.is_none().then(|| (outlook, words())) }
    }

    fn join(&mut self, new: Self) {
        self.outlook = self.outlook.max(new.outlook);
        self.words = self.words.take().max(new.words);
    }
}

/// All that was reported of one alert. Merging is a join: in any order, any number of times.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Firings(BTreeMap<Time, Firing>);

impl Firings {
    /// Takes in one report.
    pub fn absorb(&mut self, report: &AlertReport) {
        self.join(report.starts_at, Firing::of(report));
    }

    /// Takes in all that the other holds.
    pub fn merge(&mut self, other: &Self) {
        for (starts_at, firing) in &other.0 {
            self.join(*starts_at, firing.clone());
        }
    }

    fn join(&mut self, starts_at: Time, new: Firing) {
        match self.0.get_mut(&starts_at) {
            Some(held) => held.join(new),
            None => drop(self.0.insert(starts_at, new)),
        }
    }

    /// The stretches of firing: reports that overlap, or leave at most [`REJOIN_GAP`] between them.
    ///
    /// A firing whose end nobody reported ends where the next one of the same alert does.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (starts_at, firing) in &self.0 {
            let Words { summary, url } =
                firing.words.as_ref().map(|(_, words)| words.clone()).unwrap_or_default();
            match stretches.last_mut() {
                Some(last)
                    if last.outlook.end().is_none_or(|end| *starts_at <= end + REJOIN_GAP) =>
                {
                    last.outlook = last.outlook.and_then(*starts_at, firing.outlook);
                    last.summary = last.summary.take().or(summary);
                    last.url = last.url.take().or(url);
                }
                _ => stretches.push(Stretch {
                    starts_at: *starts_at,
                    outlook: firing.outlook,
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
    /// How it goes on.
    pub outlook: Outlook,
    /// The words of its first firing that has any.
    pub summary: Option<String>,
    /// The link of its first firing that has one.
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
    /// When it stopped, or is expected to stop; `None` while it fires until its end is told.
    pub ends_at: Option<Time>,
    /// The end is only expected: it is later if its source says again that it fires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_expected: bool,
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
            ends_at: stretch.outlook.end(),
            end_expected: stretch.outlook.is_expected(),
            summary: stretch.summary,
            url: stretch.url,
        }
    }

    /// Whether it fires at a time that is not before its start.
    pub fn fires_at(&self, at: Time) -> bool {
        self.ends_at.is_none_or(|end| end > at)
    }
}
