//! Candidates: changes that are one act, taken together.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::kernel;
use crate::event::{Change, Status, Time};

/// Halves of one act begin within this time.
const SET_SPAN: TimeDelta = TimeDelta::hours(24);

/// A change set: the unit that is suspected.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Indices of its changes, by start.
    pub(super) members: Vec<usize>,
    pub(super) started_at: Time,
    /// The largest prior of a member: one act is counted once.
    pub(super) prior: f64,
}

/// The change sets of the changes, by start. `changes` come by start; planned ones are not yet.
pub(super) fn candidates(changes: &[Change]) -> Vec<Candidate> {
    let mut sets: Vec<Candidate> = Vec::new();
    // The latest set that has a key.
    let mut latest: BTreeMap<Key, usize> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        if change.status == Status::Planned {
            continue;
        }
        let keys = keys(change);
        let joined = keys.iter().find_map(|key| {
            let set = *latest.get(key)?;
            sets.get(set).is_some_and(|held| key.joins(held, change, changes)).then_some(set)
        });
        let set = joined.unwrap_or(sets.len());
        match sets.get_mut(set) {
            Some(held) => held.add(index, change),
            None => sets.push(Candidate::of(index, change)),
        }
        latest.extend(keys.into_iter().map(|key| (key, set)));
    }
    sets
}

impl Candidate {
    fn of(index: usize, change: &Change) -> Self {
        Self { members: vec![index], started_at: change.started_at, prior: kernel::prior(change) }
    }

    fn add(&mut self, index: usize, change: &Change) {
        self.members.push(index);
        self.prior = self.prior.max(kernel::prior(change));
    }
}

/// What makes two changes one act.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    /// The source says so.
    ChangeSet(String),
    /// The same commit or version of the same kind of thing.
    Revision(String),
    /// The same thing done in another place.
    Words { kind: &'static str, action: &'static str, services: Vec<String>, title: String },
}

fn keys(change: &Change) -> Vec<Key> {
    let set = change.change_set.clone().map(Key::ChangeSet);
    let revision = change.revision.clone().map(Key::Revision);
    let words = Key::Words {
        kind: change.kind.word(),
        action: change.action.word(),
        services: change.scope.services().map(str::to_owned).collect(),
        title: title_words(change),
    };
    set.into_iter().chain(revision).chain([words]).collect()
}

impl Key {
    /// Whether a change with this key belongs to a set that has it too.
    fn joins(&self, set: &Candidate, change: &Change, changes: &[Change]) -> bool {
        let soon = change.started_at - set.started_at <= SET_SPAN;
        match self {
            Self::ChangeSet(_) => true,
            Self::Revision(_) => soon,
            // The same thing in the same place is done again, not once.
            Self::Words { .. } => {
                let mut members = set.members.iter().filter_map(|member| changes.get(*member));
                soon && members.all(|member| member.scope != change.scope)
            }
        }
    }
}

/// Words that say where and not what.
const ENVIRONMENT_WORDS: [&str; 17] = [
    "production",
    "prod",
    "prd",
    "live",
    "staging",
    "stage",
    "stg",
    "preproduction",
    "preprod",
    "development",
    "dev",
    "testing",
    "test",
    "qa",
    "uat",
    "sandbox",
    "canary",
];

/// The title in lower case, without the words and label values that say where.
fn title_words(change: &Change) -> String {
    let places: BTreeSet<String> = ["environment", "cluster", "region"]
        .iter()
        .flat_map(|name| change.scope.labels().values(name))
        .map(str::to_lowercase)
        .collect();
    let title = change.title.to_lowercase();
    let words: Vec<_> = title
        .split(|c: char| c.is_whitespace() || "()[]{}:,;".contains(c))
        .filter(|word| {
            !word.is_empty() && !ENVIRONMENT_WORDS.contains(word) && !places.contains(*word)
        })
        .collect();
    words.join(" ")
}
