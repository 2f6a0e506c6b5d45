//! What correlation says, in the form in which it is stored, sent and printed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{
    Action, Change, ChangeId, Episode, EpisodeId, Feedback, Kind, Labels, Note, Time,
};

/// Names an incident: `inc_` and the hash of its earliest episode.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct IncidentId(pub String);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Everything that is so at one time: a function of the events up to it, the configuration and it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// Incidents by start.
    pub incidents: Vec<Incident>,
    /// Changes by start.
    pub changes: Vec<Change>,
    /// Symptoms by start, with the incident of each.
    pub families: Vec<(super::Family, Option<IncidentId>)>,
    /// Alert episodes by start, with the incident that each belongs to.
    pub episodes: Vec<(Episode, Option<IncidentId>)>,
    /// Notes by time.
    pub notes: Vec<Note>,
    /// What people said of changes, by time.
    pub feedback: Vec<Feedback>,
}

/// Whether an incident goes on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A member alert fires.
    Open,
    /// None fires; one that belongs to it may yet come.
    Quiet,
    /// Its span or its quiet time is over.
    Closed,
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Quiet => "quiet",
            Self::Closed => "closed",
        }
    }
}

/// What is said of an incident's cause.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The first suspect it was: at least 0.8, and three times the next.
    Likely,
    /// One of the suspects it may have been.
    Suspects,
    /// It was no recorded change.
    None,
    /// Too little was heard to say that it was no change.
    Unknown,
}

impl Answer {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Likely => "likely",
            Self::Suspects => "suspects",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// Which part of the model a term of evidence comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// How often a change of this kind breaks something at all.
    Prior,
    /// An incident beside this one is put down to the same change.
    Blamed,
    /// How well the time from the change to the symptom fits, against the alert's own base rate.
    Lag,
    /// How the changed thing stands to the one that shows the symptom.
    Scope,
    /// A rule that knows this kind of change to cause this kind of alert.
    Rule,
    /// Rare words that the change and the symptoms share.
    Words,
    /// The same was done before, and nothing fell sick.
    Repeat,
    /// The symptom followed the same change before, more often than by chance.
    Learned,
    /// What people said of changes like it where the same alert fired before.
    Taught,
    /// Symptoms that were there before the change.
    Exoneration,
    /// What ties the change to the symptom by name: a revision in the alert, an end with the rollback.
    Direct,
    /// What is taken off the sum, because reasons that hang together say less than it.
    Calibration,
    /// What people say of it and this very incident.
    Feedback,
}

/// One term of a suspect's log-odds, with its reason.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// Which part of the model it comes from.
    pub kind: Term,
    /// What it adds, in nats, to the thousandth: the printed terms are the whole sum.
    pub nats: f64,
    /// Why, for people.
    pub text: String,
}

/// A change set that may be the cause.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Suspect {
    /// The member with the most evidence.
    pub change: ChangeId,
    /// All members.
    pub changes: Vec<ChangeId>,
    /// 1 for the first.
    pub rank: u32,
    /// Of being the cause, against the other changes and none of them.
    pub probability: f64,
    /// Against "no recorded change", in nats: the sum of the evidence.
    pub log_odds: f64,
    /// The member's title.
    pub title: String,
    /// The member's kind.
    pub kind: Kind,
    /// The member's action.
    pub action: Action,
    /// When the set began.
    pub started_at: Time,
    /// When the set ended; `None` while one of its members runs.
    pub finished_at: Option<Time>,
    /// One line that a sceptic accepts.
    pub summary: String,
    /// The terms, which add up to `log_odds`.
    pub evidence: Vec<Evidence>,
    /// What it may have brought into effect, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributing: Vec<Contributing>,
}

/// An earlier change that lay dormant until a suspect took it into use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Contributing {
    /// The change.
    pub change: ChangeId,
    /// Its title.
    pub title: String,
    /// Its kind.
    pub kind: Kind,
    /// When it began.
    pub started_at: Time,
    /// Why it may have been without effect before.
    pub reason: String,
}

/// A change set that time and scope made eligible, and evidence did not make a suspect.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cleared {
    /// The member with the most evidence.
    pub change: ChangeId,
    /// All members.
    pub changes: Vec<ChangeId>,
    /// The member's title.
    pub title: String,
    /// What is left for it.
    pub probability: f64,
    /// Why it is not a suspect.
    pub reason: String,
}

/// One symptom of an incident: one alert name on one service and environment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FamilySummary {
    /// The alerts' name.
    pub alertname: String,
    /// The services that show it.
    pub services: Vec<String>,
    /// The environments that show it.
    pub environments: Vec<String>,
    /// Its highest severity, as the label says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// The earliest that it can have begun.
    pub onset_from: Time,
    /// The latest that it can have begun.
    pub onset_to: Time,
    /// When its first alert fired.
    pub starts_at: Time,
    /// When its last alert ended, or is expected to end; `None` while one fires until its end is
    /// told.
    pub ends_at: Option<Time>,
    /// The end is only expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_expected: bool,
    /// How many alert episodes it holds.
    pub episodes: usize,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

impl FamilySummary {
    /// What it is called, and where it is.
    pub fn labels(&self) -> Labels {
        let named = |name: &'static str| move |value: &String| (name, value.clone());
        let services = self.services.iter().map(named("service"));
        let environments = self.environments.iter().map(named("environment"));
        [("alertname", self.alertname.clone())]
            .into_iter()
            .chain(services)
            .chain(environments)
            .collect()
    }
}

/// A stretch of outage, or of degraded service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outage {
    /// Its start, as the alert fired.
    pub from: Time,
    /// Its end; the time of the answer while it goes on.
    pub to: Time,
    /// It goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ongoing: bool,
    /// When it ends if its alerts' source says no more; only while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Time>,
}

impl Outage {
    /// A stretch as of its start; one without an end goes on.
    pub(super) fn new(from: Time, end: Option<Time>) -> Self {
        Self { from, to: from, ongoing: true, expected_end: end }
    }

    fn at(self, now: Time) -> Self {
        match self.expected_end {
            Some(end) if end <= now => Self { to: end, ongoing: false, expected_end: None, ..self },
            _ if self.ongoing => Self { to: now, ..self },
            _ => self,
        }
    }
}

/// What a service's users had of it, in one environment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Impact {
    /// The service.
    pub service: String,
    /// The environment; empty where the alerts named none.
    pub environment: String,
    /// How long alerts that mean outage fired.
    pub outage_seconds: i64,
    /// How long the other alerts fired.
    pub degraded_seconds: i64,
    /// The stretches of outage.
    pub outages: Vec<Outage>,
    /// The stretches over which the other alerts fired.
    #[serde(default)]
    pub degradations: Vec<Outage>,
}

impl Impact {
    /// What its stretches say, of which those that go on reach to `now`, or to their expected end.
    pub(super) fn at(mut self, now: Time) -> Self {
        let as_of = |spans: Vec<Outage>| spans.into_iter().map(|span| span.at(now)).collect();
        self.outages = as_of(self.outages);
        self.degradations = as_of(self.degradations);
        let seconds = |spans: &[Outage]| -> i64 {
            spans.iter().map(|span| (span.to - span.from).num_seconds()).sum()
        };
        self.outage_seconds = seconds(&self.outages);
        self.degraded_seconds = seconds(&self.degradations);
        self
    }
}

/// One story: the symptoms that belong together, and what may have caused them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// Whether it goes on.
    pub state: State,
    /// What is said of its cause.
    pub answer: Answer,
    /// The answer in one line, for people.
    pub headline: String,
    /// When its first alert fired.
    pub started_at: Time,
    /// When its last alert ended; `None` while one fires.
    pub ended_at: Option<Time>,
    /// While alerts of it fire: when the last of them ends, if their sources say no more. `None`: one
    /// fires until its end is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Time>,
    /// From when on nothing more can join it, if nothing fires after its end, told or expected.
    pub closes_at: Option<Time>,
    /// Its first alert episode.
    #[serde(default)]
    pub first_alert: EpisodeId,
    /// When the latest of its symptoms began to show.
    #[serde(default)]
    pub latest_at: Time,
    /// How many alert episodes it holds.
    pub alert_count: usize,
    /// What matchers see of it: its alerts' names, severities, services and environments.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Its first symptoms, by start.
    pub families: Vec<FamilySummary>,
    /// So many symptoms more.
    #[serde(default)]
    pub more_families: usize,
    /// Of being caused by no recorded change.
    pub none_probability: f64,
    /// Best first.
    pub suspects: Vec<Suspect>,
    /// Considered and found innocent, the most suspicious first.
    pub cleared: Vec<Cleared>,
    /// Changes made because of it, by start.
    pub responses: Vec<ChangeId>,
    /// Per service and environment.
    pub impact: Vec<Impact>,
    /// It is told as it was when it was frozen: the events behind it are dropped, or will be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
}

/// An incident with the ids of its alert episodes, of a large one (over 1,000) the first 100.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Told {
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident,
    /// Its alert episodes, by start.
    pub alerts: Vec<EpisodeId>,
}

impl Incident {
    /// The same incident with what was said of its cause before: the window no longer holds all that
    /// the verdict was made from.
    #[must_use]
    pub fn keeping_verdict_of(self, earlier: Self) -> Self {
        Self {
            answer: earlier.answer,
            headline: earlier.headline,
            none_probability: earlier.none_probability,
            suspects: earlier.suspects,
            cleared: earlier.cleared,
            ..self
        }
    }

    /// When it ended, or is expected to.
    pub fn end(&self) -> Option<Time> {
        self.ended_at.or(self.expected_end)
    }

    /// The same incident as it is kept when its events are dropped: whatever went on then is not
    /// followed any more.
    #[must_use]
    pub fn frozen_at(self, now: Time) -> Self {
        Self { state: State::Closed, frozen: true, ..self.at(now) }
    }

    /// The same incident as of `now`, which is later than its last event; of one that is frozen
    /// nothing more is known.
    #[must_use]
    pub fn at(mut self, now: Time) -> Self {
        if self.frozen {
            return self;
        }
        if let Some(end) = self.expected_end.take_if(|end| *end <= now) {
            self.ended_at = Some(end);
        }
        self.state = match (self.ended_at, self.closes_at) {
            (None, _) | (_, None) => State::Open,
            (Some(_), Some(closes_at)) if now < closes_at => State::Quiet,
            (Some(_), Some(_)) => State::Closed,
        };
        self.impact = self.impact.into_iter().map(|impact| impact.at(now)).collect();
        self
    }
}
