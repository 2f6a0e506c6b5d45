//! Post-mortems: most of the document that somebody has to write the day after.
//!
//! In: an incident, its timeline, its changes, and when its cause was first named. Out: a
//! [`PostMortem`], and that as markdown; the page makes HTML of it. Blameless: the headline knows
//! changes and systems, and who did what is told only where the reader asks for it. Pure.

mod markdown;

#[cfg(test)]
mod tests;

pub use self::markdown::markdown;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    correlate::{Answer, Contributing, Evidence, Impact, Incident, IncidentId, State, Suspect},
    event::{Change, ChangeId, Time},
    say::{answer, say_act, say_distance, say_place, say_place_of, say_seconds},
    timeline::Entry,
};

/// Changes by id.
pub type Changes = BTreeMap<ChangeId, Change>;

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PostMortem {
    /// The incident that it is about.
    pub incident: IncidentId,
    /// What happened to what, in a line that names no person.
    pub title: String,
    /// The highest severity of its alerts, as their label says it.
    pub severity: Option<String>,
    /// Whether it goes on.
    pub state: State,
    /// When its first alert fired.
    pub started_at: Time,
    /// When its last alert ended; `None` while one fires.
    pub ended_at: Option<Time>,
    /// What is said of its cause.
    pub answer: Answer,
    /// A few sentences to begin with.
    pub summary: String,
    /// What users had of it.
    pub impact: Vec<Impact>,
    /// The suspects, best first.
    pub causes: Vec<Cause>,
    /// Of being caused by no recorded change.
    pub none_probability: f64,
    /// What was considered and is not the cause.
    pub cleared: Vec<Innocent>,
    /// What was done about it.
    pub responses: Vec<Response>,
    /// How long what took.
    pub learnings: Vec<Learning>,
    /// What happened, line by line.
    pub timeline: Vec<Entry>,
    /// Questions to answer, of which the first is.
    pub whys: Vec<String>,
}

/// A change that may be the cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The change with the most evidence.
    pub change: ChangeId,
    /// Its title.
    pub title: String,
    /// What was done where.
    pub act: String,
    /// Of being the cause.
    pub probability: f64,
    /// When it began.
    pub started_at: Time,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<Time>,
    /// Where people read more.
    pub url: Option<String>,
    /// One line that a sceptic accepts.
    pub summary: String,
    /// What it may have brought into effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contributing: Vec<Contributing>,
    /// The terms.
    pub evidence: Vec<Evidence>,
    /// The sum of the terms, in nats.
    pub log_odds: f64,
}

/// A change that was cleared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Innocent {
    /// Its title.
    pub title: String,
    /// Why it is not the cause.
    pub reason: String,
}

/// A change that was made because of the incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Response {
    /// When it began.
    pub at: Time,
    /// Its title.
    pub title: String,
    /// How it ended, or that it has not.
    pub status: &'static str,
    /// Where it was made.
    pub place: String,
}

/// How long something took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learning {
    /// From what to what.
    pub what: &'static str,
    /// In seconds; `None`: it has not come, or nobody knows.
    pub seconds: Option<i64>,
}

impl Learning {
    /// How long, in words.
    pub fn words(&self) -> String {
        match self.seconds {
            None => "not known".to_owned(),
            Some(0) => "at once".to_owned(),
            Some(seconds) if seconds < 0 => format!("{} before it", say_seconds(-seconds)),
            Some(seconds) => say_seconds(seconds),
        }
    }
}

/// What the document is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Its timeline.
    pub entries: &'a [Entry],
    /// The changes that it names.
    pub changes: &'a Changes,
    /// When its first suspect was first put first.
    pub named_at: Option<Time>,
    /// Whether to tell who did what.
    pub actors: bool,
}

/// Writes the document.
pub fn postmortem(sources: Sources<'_>) -> PostMortem {
    let Sources { incident, entries, changes, .. } = sources;
    let responses: Vec<_> = incident.responses.iter().filter_map(|id| changes.get(id)).collect();
    let severities: BTreeSet<_> =
        incident.families.iter().filter_map(|one| one.severity.clone()).collect();
    let timeline = entries.iter().cloned().map(|entry| {
        let is_change = entry.change.is_some() && entry.verdict.is_none();
        if sources.actors || !is_change { entry } else { Entry { actor: None, ..entry } }
    });
    PostMortem {
        incident: incident.id.clone(),
        title: title(incident),
        severity: severities.into_iter().min_by_key(|one| severity_rank(one)),
        state: incident.state,
        started_at: incident.started_at,
        ended_at: incident.ended_at,
        answer: incident.answer,
        summary: summary(incident, changes),
        impact: incident.impact.clone(),
        causes: incident.suspects.iter().map(|one| cause(one, changes)).collect(),
        none_probability: incident.none_probability,
        cleared: incident
            .cleared
            .iter()
            .map(|one| Innocent { title: one.title.clone(), reason: one.reason.clone() })
            .collect(),
        responses: responses.iter().map(|change| response(change)).collect(),
        learnings: learnings(sources, &responses),
        timeline: timeline.collect(),
        whys: whys(incident),
    }
}

/// The services that were out, else those that showed symptoms.
fn hit(incident: &Incident) -> (bool, Vec<String>) {
    let out: BTreeSet<_> = incident
        .impact
        .iter()
        .filter(|one| one.outage_seconds > 0)
        .map(|one| one.service.clone())
        .collect();
    if !out.is_empty() {
        return (true, out.into_iter().collect());
    }
    let sick: BTreeSet<_> =
        incident.families.iter().flat_map(|family| family.services.iter().cloned()).collect();
    (false, sick.into_iter().collect())
}

/// So many services are named in a headline.
const NAMED_MAX: usize = 5;

/// What happened to what, and on which day.
fn title(incident: &Incident) -> String {
    let (out, services) = hit(incident);
    let what = if out { "Outage of" } else { "Trouble with" };
    let day = incident.started_at.format("%Y-%m-%d");
    let mut names: Vec<_> = services.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = incident.families.iter().map(|family| family.alertname.as_str()).collect();
        names.dedup();
    }
    format!("{what} {} on {day}", listed(&names))
}

/// `a, b and c`, `a, b and 7 more`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => "something".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] if names.len() <= NAMED_MAX => format!("{} and {last}", most.join(", ")),
        _ => {
            let first: Vec<_> = names.iter().take(NAMED_MAX).copied().collect();
            format!("{} and {} more", first.join(", "), names.len() - NAMED_MAX)
        }
    }
}

/// The most urgent first, as common alert rules spell severities.
fn severity_rank(severity: &str) -> (usize, String) {
    const ORDER: [&[&str]; 4] = [
        &["critical", "page", "emergency", "fatal", "p1", "sev1"],
        &["error", "high", "urgent", "p2", "sev2"],
        &["warning", "warn", "medium", "p3", "sev3"],
        &["info", "low", "none", "p4", "sev4"],
    ];
    let word = severity.to_lowercase();
    let rank = ORDER.iter().position(|words| words.contains(&word.as_str()));
    (rank.unwrap_or(2), word)
}

fn summary(incident: &Incident, changes: &Changes) -> String {
    let mut sentences = Vec::new();
    let (out, services) = hit(incident);
    let services: Vec<_> = services.iter().map(String::as_str).collect();
    let first = incident.families.first();
    if let Some(first) = first {
        let place = say_place(&first.services, &first.environments);
        let place = if place.is_empty() { place } else { format!(" on {place}") };
        sentences.push(format!(
            "The first symptom was {}{place} at {}.",
            first.alertname,
            first.starts_at.format("%H:%M UTC")
        ));
    }
    if out {
        let seconds = incident.impact.iter().map(|one| one.outage_seconds).max().unwrap_or(0);
        sentences.push(format!(
            "{} had an outage, of up to {}.",
            listed(&services),
            say_seconds(seconds)
        ));
    }
    sentences.push(match (incident.answer, incident.suspects.first()) {
        (Answer::Likely, Some(suspect)) => format!(
            "The likely cause is \"{}\" ({}), which began {}.",
            suspect.title,
            say_act(suspect, changes),
            distance(suspect, incident)
        ),
        (Answer::Suspects, Some(suspect)) => format!(
            "It is not settled what caused it; the first suspect is \"{}\" ({}), which began {}.",
            suspect.title,
            say_act(suspect, changes),
            distance(suspect, incident)
        ),
        _ => {
            let (_, words) = answer(incident);
            format!("{}.", words.replace("  ", ", "))
        }
    });
    sentences.join(" ")
}

fn distance(suspect: &Suspect, incident: &Incident) -> String {
    say_distance(suspect.started_at, incident.started_at)
}

fn cause(suspect: &Suspect, changes: &Changes) -> Cause {
    Cause {
        change: suspect.change.clone(),
        title: suspect.title.clone(),
        act: say_act(suspect, changes),
        probability: suspect.probability,
        started_at: suspect.started_at,
        finished_at: suspect.finished_at,
        url: changes.get(&suspect.change).and_then(|change| change.url.clone()),
        summary: suspect.summary.clone(),
        contributing: suspect.contributing.clone(),
        evidence: suspect.evidence.clone(),
        log_odds: suspect.log_odds,
    }
}

fn response(change: &Change) -> Response {
    Response {
        at: change.started_at,
        title: change.title.clone(),
        status: change.status.word(),
        place: say_place_of(change.scope.labels()),
    }
}

fn learnings(sources: Sources<'_>, responses: &[&Change]) -> Vec<Learning> {
    let incident = sources.incident;
    let first = incident.started_at;
    let since_first = |time: Time| (time - first).num_seconds();
    let learning = |what, seconds| Learning { what, seconds };
    let cause = incident.suspects.first().map(|one| -since_first(one.started_at));
    let response = responses.iter().map(|change| since_first(change.started_at)).min();
    vec![
        learning("from the first suspect to the first symptom", cause),
        learning(
            "from the first symptom to the suspect being named",
            sources.named_at.map(since_first),
        ),
        learning("from the first symptom to the first response", response),
        learning("from the first symptom to recovery", incident.ended_at.map(since_first)),
    ]
}

fn whys(incident: &Incident) -> Vec<String> {
    let (out, services) = hit(incident);
    let services: Vec<_> = services.iter().map(String::as_str).collect();
    let what = if out { "an outage" } else { "symptoms" };
    let mut whys = vec![format!("Why did {} have {what}?", listed(&services))];
    if let Some(suspect) = incident.suspects.first() {
        whys.push(format!("Why did \"{}\" have that effect?", suspect.title));
        whys.push("Why was that not seen before it was made?".to_owned());
    }
    let quiet = incident.families.first().is_some_and(|first| {
        first.severity.as_deref().is_none_or(|severity| severity_rank(severity).0 > 0)
    });
    whys.push(if quiet {
        "Why did the first symptom wake nobody?".to_owned()
    } else {
        "Why was it not noticed earlier?".to_owned()
    });
    whys.push("Why did it take as long as it did to recover?".to_owned());
    whys
}
