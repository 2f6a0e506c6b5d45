//! What is told, to whom, and how it is written, signed and sent again.

mod courier;
mod judge;
mod letter;
mod secret;
mod teller;

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::{
    correlate::{
        Answer, Cleared, Evidence, FamilySummary, Incident, IncidentId, State, Suspect, Term,
    },
    event::{Action, ChangeId, EpisodeId, EventId, Kind, Labels, Time, time_of_micros},
    store::Claim,
};

/// So many seconds after some day's noon.
fn at(seconds: i64) -> Time {
    time_of_micros(1_677_153_600_000_000) + TimeDelta::seconds(seconds)
}

fn set(changes: &[&str]) -> BTreeSet<ChangeId> {
    changes.iter().map(|id| ChangeId((*id).to_owned())).collect()
}

fn suspected(changes: &[&str]) -> Claim {
    Claim::Suspected(set(changes))
}

fn likely(changes: &[&str]) -> Claim {
    Claim::Likely(set(changes))
}

fn suspect(change: &str, rank: u32) -> Suspect {
    Suspect {
        change: ChangeId(change.to_owned()),
        changes: vec![ChangeId(change.to_owned())],
        rank,
        probability: 0.9,
        log_odds: 2.0,
        title: format!("the title of {change}"),
        kind: Kind::Deploy,
        action: Action::Update,
        started_at: at(-600),
        finished_at: None,
        summary: format!("the summary of {change}"),
        evidence: vec![Evidence { kind: Term::Lag, nats: 2.0, text: "it fits".to_owned() }],
        contributing: Vec::new(),
    }
}

/// An incident of one symptom that fires since then, of which this is said.
fn incident(seconds: i64, answer: Answer, suspects: &[&str]) -> Incident {
    let family = FamilySummary {
        alertname: "ProbeFailed".to_owned(),
        services: vec!["sdk".to_owned()],
        environments: vec!["production".to_owned()],
        severity: None,
        onset_from: at(seconds - 60),
        onset_to: at(seconds),
        starts_at: at(seconds),
        ends_at: None,
        end_expected: false,
        episodes: 1,
        summary: None,
    };
    Incident {
        id: IncidentId(format!("inc_{seconds}")),
        state: State::Open,
        answer,
        headline: "the headline".to_owned(),
        started_at: at(seconds),
        ended_at: None,
        closes_at: None,
        first_alert: EpisodeId::new(at(seconds), &EventId([0; 16])),
        latest_at: at(seconds),
        alert_count: 1,
        labels: Labels::default(),
        more_families: 0,
        expected_end: None,
        families: vec![family],
        none_probability: 0.1,
        suspects: suspects.iter().zip(1..).map(|(change, rank)| suspect(change, rank)).collect(),
        cleared: vec![Cleared {
            change: ChangeId("innocent".to_owned()),
            changes: vec![ChangeId("innocent".to_owned())],
            title: "An innocent change".to_owned(),
            probability: 0.01,
            reason: "the symptoms were there before it".to_owned(),
        }],
        responses: Vec::new(),
        impact: Vec::new(),
        frozen: false,
    }
}
