//! The JSON of answers: what is stored, with the time and the configuration that it is true under.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    correlate::{Answer, Cleared, Impact, Incident, IncidentId, Suspect},
    event::{ChangeId, Episode, Fingerprint, Time},
    timeline::Entry,
};

/// An answer: its time and configuration, beside what it says.
#[derive(Debug, Serialize)]
pub(super) struct Answered<T> {
    pub(super) at: Time,
    pub(super) config: String,
    #[serde(flatten)]
    pub(super) body: T,
}

/// A page of a list, under the list's name.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) name: &'static str,
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.name, &self.items)?;
        map.serialize_entry("next", &self.next)?;
        map.end()
    }
}

/// One thing, under its name.
#[derive(Debug)]
pub(super) struct One<T> {
    pub(super) name: &'static str,
    pub(super) thing: T,
}

impl<T: Serialize> Serialize for One<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name, &self.thing)?;
        map.end()
    }
}

/// An alert episode with the name that Alertmanager has for it and the incident that it belongs to.
#[derive(Debug, Serialize)]
pub(super) struct Alert {
    #[serde(flatten)]
    episode: Episode,
    fingerprint: Fingerprint,
    incident: Option<IncidentId>,
}

impl Alert {
    pub(super) fn new(episode: Episode, incident: Option<IncidentId>) -> Self {
        let fingerprint = Fingerprint::of(&episode.labels);
        Self { episode, fingerprint, incident }
    }
}

/// What is said of an incident's cause.
#[derive(Debug, Serialize)]
pub(super) struct Cause {
    incident: IncidentId,
    answer: Answer,
    headline: String,
    none_probability: f64,
    suspects: Vec<Suspect>,
    cleared: Vec<Cleared>,
    responses: Vec<ChangeId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    frozen: bool,
}

impl From<Incident> for Cause {
    fn from(incident: Incident) -> Self {
        Self {
            incident: incident.id,
            answer: incident.answer,
            headline: incident.headline,
            none_probability: incident.none_probability,
            suspects: incident.suspects,
            cleared: incident.cleared,
            responses: incident.responses,
            frozen: incident.frozen,
        }
    }
}

/// What users had of an incident.
#[derive(Debug, Serialize)]
pub(super) struct Impacts {
    incident: IncidentId,
    impact: Vec<Impact>,
}

impl From<Incident> for Impacts {
    fn from(incident: Incident) -> Self {
        Self { incident: incident.id, impact: incident.impact }
    }
}

/// An incident's timeline, or that of a range of time.
#[derive(Debug, Serialize)]
pub(super) struct Timeline {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) incident: Option<IncidentId>,
    pub(super) entries: Vec<Entry>,
    /// There was more than is told: ask for less.
    pub(super) truncated: bool,
    /// The incident is frozen: of its symptoms, changes and notes those are told that are still held.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) frozen: bool,
}
