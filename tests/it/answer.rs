//! What `antecede replay` says of a recorded incident, and the laws that hold in all that is said.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use antecede::{
    correlate::{self, Answer, Impact, Incident, Suspect},
    event::{ChangeId, EpisodeId},
};
use serde::Deserialize;
use serde_json::Value;

use crate::harness::antecede;

/// Half of the last digit of a printed probability.
const ROUNDING: f64 = 0.5e-4;

/// What replay printed.
#[derive(Debug)]
pub(crate) struct Told {
    /// As it was printed.
    pub(crate) text: String,
    /// What that says.
    pub(crate) incidents: Vec<correlate::Told>,
    /// The configuration that it is true under.
    pub(crate) config: String,
}

#[derive(Deserialize)]
struct Body {
    config: String,
    incidents: Vec<correlate::Told>,
}

/// A recorded incident of the repository.
pub(crate) fn case(file: &str) -> Value {
    serde_json::from_slice(&fs::read(repository(file)).unwrap()).unwrap()
}

/// Where a file of the repository is.
pub(crate) fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// A time of the day of the founding incident.
pub(crate) fn day(clock: &str) -> String {
    format!("2023-02-23T{clock}:00Z")
}

/// What replay says of a case as of a time of that day.
pub(crate) fn replay(case: &Value, until: &str, flags: &[&str]) -> Told {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("case.json");
    fs::write(&file, case.to_string()).unwrap();
    let mut command = antecede();
    command.args(["replay", "--format", "json", "--until", &day(until)]).args(flags).arg(file);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "replay until {until}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let Body { config, incidents } = serde_json::from_str(&text).unwrap();
    assert_lawful(&incidents);
    Told { text, incidents, config }
}

impl Told {
    /// The only incident.
    pub(crate) fn incident(&self) -> &Incident {
        &self.only().incident
    }

    /// The alerts of the only incident.
    pub(crate) fn alerts(&self) -> Vec<&str> {
        names(&self.only().alerts)
    }

    fn only(&self) -> &correlate::Told {
        let [only] = &self.incidents[..] else {
            let alerts: Vec<_> = self.incidents.iter().map(|one| names(&one.alerts)).collect();
            panic!("they are one story, not {}: {alerts:?}", alerts.len())
        };
        only
    }

    /// The one incident that holds an alert.
    pub(crate) fn holder(&self, alert: &str) -> &Incident {
        let holds = |one: &&correlate::Told| names(&one.alerts).contains(&alert);
        let holders: Vec<_> = self.incidents.iter().filter(holds).collect();
        let [holder] = holders[..] else {
            panic!("{} incidents hold {alert}, not one", holders.len())
        };
        &holder.incident
    }
}

/// An id's spelling.
pub(crate) trait Name {
    /// The spelling.
    fn name(&self) -> &str;
}

impl Name for ChangeId {
    fn name(&self) -> &str {
        &self.0
    }
}

impl Name for EpisodeId {
    fn name(&self) -> &str {
        &self.0
    }
}

/// The spellings of ids.
pub(crate) fn names<T: Name>(ids: &[T]) -> Vec<&str> {
    ids.iter().map(Name::name).collect()
}

/// The first line in which two texts differ.
pub(crate) fn difference(one: &str, other: &str) -> Option<String> {
    let (mut ours, mut theirs) = (one.lines(), other.lines());
    for number in 1.. {
        match (ours.next(), theirs.next()) {
            (None, None) => break,
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                let [ours, theirs] =
                    [ours, theirs].map(|line| line.map_or("(no line)", str::trim_start));
                return Some(format!("line {number} differs\n   is {ours}\n  not {theirs}"));
            }
        }
    }
    None
}

/// Panics with the first line in which two texts differ.
#[track_caller]
pub(crate) fn assert_same(what: &str, is: &str, should_be: &str) {
    if let Some(difference) = difference(is, should_be) {
        panic!("{what}: {difference}");
    }
}

/// Panics unless what is said of incidents is what the contract promises of any of them.
pub(crate) fn assert_lawful(incidents: &[correlate::Told]) {
    let start = |one: &correlate::Told| one.incident.started_at;
    assert!(incidents.is_sorted_by_key(start), "incidents are not in order");
    for correlate::Told { incident, .. } in incidents {
        assert_disjoint(incident);
        assert_ranked(incident);
        assert_explained(incident);
        assert_softmax(incident);
        assert_measured(incident);
    }
}

/// A change is suspected, cleared or a response, and that once.
fn assert_disjoint(incident: &Incident) {
    let suspected = incident.suspects.iter().flat_map(|one| &one.changes);
    let cleared = incident.cleared.iter().flat_map(|one| &one.changes);
    let mut seen = BTreeSet::new();
    for id in suspected.chain(cleared).chain(&incident.responses) {
        assert!(seen.insert(id), "{id} is told twice in {}", incident.id);
    }
}

fn assert_ranked(incident: &Incident) {
    let suspects = &incident.suspects;
    assert!(suspects.len() <= 5, "{} suspects in {}", suspects.len(), incident.id);
    assert!(suspects.iter().map(|one| one.rank).eq((1..).take(suspects.len())), "{suspects:#?}");
    assert!(suspects.is_sorted_by(|one, next| one.probability >= next.probability));
    assert!(incident.cleared.is_sorted_by(|one, next| one.probability >= next.probability));
    let told = suspects.iter().map(|one| (&one.change, &one.changes));
    for (change, changes) in
        told.chain(incident.cleared.iter().map(|one| (&one.change, &one.changes)))
    {
        assert!(changes.contains(change), "{change} is none of {changes:?}");
    }
    if incident.answer == Answer::Likely {
        let first = suspects[0].probability;
        let next = suspects.get(1).map_or(0.0, |one| one.probability);
        assert!(first >= 0.8 && first + 4.0 * ROUNDING >= 3.0 * next, "likely: {first}, {next}");
    }
}

/// No number without its reasons: the terms are the whole sum.
fn assert_explained(incident: &Incident) {
    for Suspect { change, log_odds, summary, evidence, .. } in &incident.suspects {
        let sum: f64 = evidence.iter().map(|term| term.nats).sum();
        assert!((sum - log_odds).abs() < 1e-9, "{change}: {log_odds}, but its terms are {sum}");
        assert!(!summary.is_empty() && evidence.iter().all(|term| !term.text.is_empty()));
    }
    for cleared in &incident.cleared {
        assert!(!cleared.reason.is_empty(), "{} is cleared without a reason", cleared.change);
    }
}

/// Probabilities are the softmax of log-odds. Of the candidates that are not printed no more is
/// known than that they take what is left, so what is printed is held against its own sum.
fn assert_softmax(incident: &Incident) {
    let Incident { id, none_probability, suspects, cleared, .. } = incident;
    let shares: Vec<(&str, f64, f64)> = std::iter::once(("none", *none_probability, 1.0))
        .chain(suspects.iter().map(|one| (one.change.name(), one.probability, one.log_odds.exp())))
        .collect();
    let printed: f64 = shares.iter().map(|(_, probability, _)| probability).sum();
    let weights: f64 = shares.iter().map(|(.., weight)| weight).sum();
    // Each share is rounded, and so is each in their sum.
    let tolerance = shares.iter().fold(ROUNDING, |sum, _| sum + ROUNDING) / printed;
    for (whose, probability, weight) in &shares {
        let (is, should) = (probability / printed, weight / weights);
        assert!((is - should).abs() <= tolerance, "{id}: {whose} has {is}, not {should}");
    }
    let left = cleared.iter().fold(1.0, |left, one| left + ROUNDING - one.probability);
    assert!(printed <= left + tolerance, "{id}: {printed}, and with the cleared more than 1");
}

/// What lasted so long is the sum of its stretches.
fn assert_measured(incident: &Incident) {
    let place = |one: &Impact| (one.service.clone(), one.environment.clone());
    assert!(incident.impact.is_sorted_by_key(place), "{:#?}", incident.impact);
    for Impact { service, outage_seconds, outages, .. } in &incident.impact {
        let stretches = outages.iter().map(|one| (one.to - one.from).num_seconds());
        assert_eq!(stretches.sum::<i64>(), *outage_seconds, "{service}");
        assert!(outages.is_sorted_by(|one, next| one.to < next.from), "{outages:?}");
    }
}
