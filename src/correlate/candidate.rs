//! Candidates: changes that are one act, taken together.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{
    dormant::{Asleep, ByService, Past},
    kernel::SKEW,
    model::Model,
    scope::is_ground,
    vocabulary::{Word, hashes},
};
use crate::{
    event::{Change, ChangeHistory, ChangeId, ChangeReport, EventId, Labels, Status, Time},
    rules::change_labels,
};

/// Halves of one act begin within this time.
const SET_SPAN: TimeDelta = TimeDelta::hours(24);

/// A place among the changes, for as long as the fold lives.
pub(super) type Slot = usize;

/// A number for what a change's relations depend on.
pub(super) type Reach = usize;

/// A number for what a change does, whatever it does it to.
type Likeness = usize;

/// A change set: the unit that is suspected. It is named by the slot of its first member.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Its changes, by start.
    pub(super) members: Vec<Slot>,
    pub(super) started_at: Time,
    /// When the last of its members began.
    last_at: Time,
}

impl Candidate {
    fn of(slot: Slot, change: &Change) -> Self {
        Self { members: vec![slot], started_at: change.started_at, last_at: change.started_at }
    }

    fn add(&mut self, slot: Slot, change: &Change) {
        self.members.push(slot);
        self.last_at = self.last_at.max(change.started_at);
    }

    /// What it is named by.
    pub(super) fn id(&self) -> Slot {
        self.members.first().copied().unwrap_or_default()
    }
}

/// A change with what was reported of it.
#[derive(Clone, Debug)]
struct Entry {
    id: ChangeId,
    history: ChangeHistory,
    /// What that told when it was settled last.
    settled: Option<Settled>,
}

/// What the reports on a change tell, and what follows from it.
#[derive(Clone, Debug)]
struct Settled {
    change: Change,
    /// What it is, whatever it is called.
    content: String,
    /// What makes it one act with others.
    keys: Vec<(Key, Joins)>,
    /// The rules whose change side it meets, by their place in the set.
    rules: Vec<usize>,
    /// The words of its title and of what it touched.
    words: Vec<Word>,
    /// What its relations depend on.
    reach: Reach,
    /// What it does.
    likeness: Likeness,
}

/// All changes, and the sets that they make.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    slots: BTreeMap<ChangeId, Slot>,
    entries: Vec<Entry>,
    /// By start, and then by what they are.
    order: Vec<Slot>,
    /// By start.
    candidates: Vec<Candidate>,
    /// The place of each candidate in their order, by its id; of a slot that names none it is beyond all.
    places: Vec<usize>,
    /// The id of the candidate that each change is in.
    sets: BTreeMap<Slot, Slot>,
    numbers: Numbers,
    /// When the changes began that a word stands in, by start.
    said: BTreeMap<Word, Vec<Time>>,
    /// The changes that do the same thing, by start.
    alike: Vec<Vec<Slot>>,
    /// Those that may lie dormant or wake such, by what they are made to.
    pub(super) by_service: ByService,
    /// What lies dormant since before the window.
    pub(super) asleep: Asleep,
    /// What was reported before the window of changes that had not ended by then.
    unended: BTreeMap<ChangeId, ChangeHistory>,
    /// What was reported on since it was settled.
    unsettled: BTreeSet<Slot>,
    /// What is new or different since it was told last.
    pub(super) touched: BTreeSet<Slot>,
    /// What was reported on since it was told last, but for what was told before and is read again.
    pub(super) reported: BTreeSet<Slot>,
}

/// What changes share, by number.
#[derive(Clone, Debug, Default)]
struct Numbers {
    /// What is alike to every symptom: where a change was made, and whether it changed the ground.
    reaches: BTreeMap<(Labels, bool), Reach>,
    /// What changes do, whatever they do it to.
    acts: BTreeMap<Act, Likeness>,
    /// What makes changes one act.
    keys: BTreeMap<Common, Key>,
}

impl Numbers {
    fn settle(&mut self, change: Change, model: &Model) -> Settled {
        let words = title_words(&change);
        Settled {
            content: change.content(),
            keys: in_common(&change, &words)
                .map(|common| {
                    let joins = common.joins();
                    (number_of(&mut self.keys, common), joins)
                })
                .collect(),
            rules: rules_of(&change, model),
            words: words_of(&change),
            reach: number_of(
                &mut self.reaches,
                (change.scope.labels().clone(), is_ground(change.kind)),
            ),
            likeness: number_of(&mut self.acts, (change.kind.word(), change.action.word(), words)),
            change,
        }
    }
}

/// The number of a thing: the same for the same thing, and the next for a new one.
fn number_of<T: Ord>(numbers: &mut BTreeMap<T, usize>, thing: T) -> usize {
    let next = numbers.len();
    *numbers.entry(thing).or_insert(next)
}

impl Changes {
    /// None, after this past.
    pub(super) fn after(past: Past, model: &Model) -> Self {
        let (unended, asleep) = past.settle(model);
        Self { asleep, unended, ..Self::default() }
    }

    /// Takes in one report.
    pub(super) fn absorb(&mut self, report: &ChangeReport, id: EventId) {
        let slot = self.restore(report, id);
        self.reported.insert(slot);
    }

    /// Takes in one report that was taken in before: what it tells is not told again.
    pub(super) fn restore(&mut self, report: &ChangeReport, id: EventId) -> Slot {
        let slot = self.slot(&report.id);
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.history.absorb(report, id);
        }
        slot
    }

    fn slot(&mut self, id: &ChangeId) -> Slot {
        let next = self.entries.len();
        let slot = *self.slots.entry(id.clone()).or_insert(next);
        if slot == next {
            let history = self.unended.remove(id).unwrap_or_default();
            self.entries.push(Entry { id: id.clone(), history, settled: None });
        }
        self.unsettled.insert(slot);
        slot
    }

    /// Makes of the reports what they tell; from when on that may decide things differently.
    pub(super) fn settle(&mut self, model: &Model) -> Option<Time> {
        let mut dirty: Option<Time> = None;
        for slot in std::mem::take(&mut self.unsettled) {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            let change = entry.history.change(&entry.id, &model.mapping);
            let before = entry.settled.as_ref().map(|settled| &settled.change);
            if change.as_ref() == before {
                continue;
            }
            let differs = change.as_ref().and_then(|new| differs_from(before, new));
            dirty = [dirty, differs].into_iter().flatten().min();
            entry.settled = change.map(|change| self.numbers.settle(change, model));
            self.touched.insert(slot);
        }
        if !self.touched.is_empty() {
            self.arrange(model);
        }
        dirty
    }

    fn arrange(&mut self, model: &Model) {
        let mut order: Vec<_> = self
            .entries
            .iter()
            .zip(0..)
            .filter_map(|(entry, slot)| Some((entry.settled.as_ref()?, &entry.id, slot)))
            .collect();
        order.sort_by_key(|(settled, id, _)| (settled.change.started_at, &settled.content, *id));
        self.candidates = candidates(&order, |slot| self.get(slot));
        (self.said, self.alike) = (BTreeMap::new(), vec![Vec::new(); self.numbers.acts.len()]);
        for (settled, _, slot) in &order {
            for word in &settled.words {
                self.said.entry(*word).or_default().push(settled.change.started_at);
            }
            self.alike.get_mut(settled.likeness).into_iter().for_each(|alike| alike.push(*slot));
        }
        let placed: Vec<_> =
            order.iter().map(|(settled, _, slot)| (*slot, &settled.change)).collect();
        self.by_service = ByService::of(&placed, &model.catalog);
        self.order = order.into_iter().map(|(.., slot)| slot).collect();
        self.places = vec![usize::MAX; self.entries.len()];
        for (place, candidate) in self.candidates.iter().enumerate() {
            self.places.get_mut(candidate.id()).into_iter().for_each(|held| *held = place);
        }
        let sets = self.candidates.iter();
        self.sets =
            sets.flat_map(|set| set.members.iter().map(|member| (*member, set.id()))).collect();
    }

    fn settled(&self, slot: Slot) -> Option<&Settled> {
        self.entries.get(slot)?.settled.as_ref()
    }

    /// A change.
    pub(super) fn get(&self, slot: Slot) -> Option<&Change> {
        self.settled(slot).map(|settled| &settled.change)
    }

    /// All that was reported of a change.
    pub(super) fn history(&self, slot: Slot) -> Option<&ChangeHistory> {
        self.entries.get(slot).map(|entry| &entry.history)
    }

    /// The rules whose change side it meets.
    pub(super) fn rules(&self, slot: Slot) -> &[usize] {
        self.settled(slot).map(|settled| &settled.rules[..]).unwrap_or_default()
    }

    /// The words of its title and of what it touched.
    pub(super) fn words(&self, slot: Slot) -> &[Word] {
        self.settled(slot).map(|settled| &settled.words[..]).unwrap_or_default()
    }

    /// What its relations depend on: changes that share it stand alike to any symptom.
    pub(super) fn reach(&self, slot: Slot) -> Reach {
        self.settled(slot).map(|settled| settled.reach).unwrap_or_default()
    }

    /// How rare a word was among the changes that had begun by then, in nats: what it says that one
    /// of them has it.
    pub(super) fn rarity(&self, word: Word, until: Time) -> f64 {
        let began = |slot: &Slot| self.get(*slot).is_some_and(|change| change.started_at <= until);
        let all = self.order.partition_point(began).max(CHANGES_LEAST);
        let with = self.said.get(&word);
        let with = with.map_or(0, |times| times.partition_point(|time| *time <= until)).max(1);
        (super::number(all) / super::number(with)).ln()
    }

    /// The changes that do the same as this one, by start: it is one of them.
    pub(super) fn alike(&self, slot: Slot) -> &[Slot] {
        let alike = self.settled(slot).and_then(|settled| self.alike.get(settled.likeness));
        alike.map(Vec::as_slice).unwrap_or_default()
    }

    /// All changes, by start and then by what they are.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.order.iter().filter_map(|slot| self.get(*slot))
    }

    /// The change set of this id.
    pub(super) fn candidate(&self, id: Slot) -> Option<&Candidate> {
        self.candidates.get(self.place(id))
    }

    /// The change of this id, and the id of the change set that it is in.
    pub(super) fn named(&self, id: &ChangeId) -> Option<(&Change, Slot)> {
        let slot = self.slots.get(id)?;
        Some((self.get(*slot)?, *self.sets.get(slot)?))
    }

    /// Where the change set stands in the order of all.
    pub(super) fn place(&self, id: Slot) -> usize {
        self.places.get(id).copied().unwrap_or(usize::MAX)
    }

    /// The change sets of which something began at `from` or later, and something by `to`.
    pub(super) fn between(&self, from: Time, to: Time) -> impl Iterator<Item = &Candidate> {
        let until = self.candidates.partition_point(|one| one.started_at <= to);
        let begun = self.candidates.get(..until).unwrap_or_default();
        begun.iter().filter(move |one| one.last_at >= from)
    }
}

/// Among fewer changes than this no word is rare.
const CHANGES_LEAST: usize = 20;

/// What a change does, whatever it does it to.
type Act = (&'static str, &'static str, String);

fn words_of(change: &Change) -> Vec<Word> {
    let touched = change.resources.iter().flat_map(|resource| {
        [Some(resource.type_name.as_str()), resource.name.as_deref()].into_iter().flatten()
    });
    let said = hashes(touched.chain([change.title.as_str()]));
    // What it was done to stands in the scope, and says no more when the title names it, too.
    let named = hashes(change.scope.services());
    said.into_iter().filter(|word| named.binary_search(word).is_err()).collect()
}

fn rules_of(change: &Change, model: &Model) -> Vec<usize> {
    model.rules.rules.of_change(&change_labels(change))
}

/// From when on the new form of a change may decide what the old one did not.
fn differs_from(old: Option<&Change>, new: &Change) -> Option<Time> {
    let begins = |change: &Change| change.started_at - SKEW;
    let Some(old) = old else { return Some(begins(new)) };
    let alike = |change: &Change| Change {
        finished_at: None,
        status: if change.status == Status::Planned { Status::Planned } else { Status::Started },
        ..change.clone()
    };
    if alike(old) != alike(new) {
        return Some(begins(old).min(begins(new)));
    }
    // How long it went on decides only for what began after its end.
    (old.finished_at != new.finished_at)
        .then(|| [old.finished_at, new.finished_at].into_iter().flatten().min())
        .flatten()
}

/// The change sets of the changes, by start; planned ones are not yet.
fn candidates<'c>(
    order: &[(&Settled, &ChangeId, Slot)],
    change_in: impl Fn(Slot) -> Option<&'c Change>,
) -> Vec<Candidate> {
    let mut sets: Vec<Candidate> = Vec::new();
    // The latest set that has a key.
    let mut latest: BTreeMap<Key, usize> = BTreeMap::new();
    for (Settled { change, keys, .. }, _, slot) in order {
        if change.status == Status::Planned {
            continue;
        }
        let joined = keys.iter().find_map(|(key, joins)| {
            let set = *latest.get(key)?;
            sets.get(set).is_some_and(|held| joins.allows(held, change, &change_in)).then_some(set)
        });
        let set = joined.unwrap_or(sets.len());
        match sets.get_mut(set) {
            Some(held) => held.add(*slot, change),
            None => sets.push(Candidate::of(*slot, change)),
        }
        latest.extend(keys.iter().map(|(key, _)| (*key, set)));
    }
    sets
}

/// What makes two changes one act.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Common {
    /// The source says so.
    ChangeSet(String),
    /// The same commit or version of the same kind of thing.
    Revision(String),
    /// The same thing done in another place.
    Words { kind: &'static str, action: &'static str, services: Vec<String>, title: String },
}

/// A number for that.
type Key = usize;

fn in_common(change: &Change, words: &str) -> impl Iterator<Item = Common> {
    let set = change.change_set.clone().map(Common::ChangeSet);
    let revision = change.revision.clone().map(Common::Revision);
    let words = Common::Words {
        kind: change.kind.word(),
        action: change.action.word(),
        services: change.scope.services().map(str::to_owned).collect(),
        title: words.to_owned(),
    };
    set.into_iter().chain(revision).chain([words])
}

/// When a change belongs to a set with which it has something in common.
#[derive(Clone, Copy, Debug)]
enum Joins {
    Always,
    Soon,
    /// The same thing in the same place is done again, not once.
    SoonElsewhere,
}

impl Common {
    const fn joins(&self) -> Joins {
        match self {
            Self::ChangeSet(_) => Joins::Always,
            Self::Revision(_) => Joins::Soon,
            Self::Words { .. } => Joins::SoonElsewhere,
        }
    }
}

impl Joins {
    fn allows<'c>(
        self,
        set: &Candidate,
        change: &Change,
        change_in: impl Fn(Slot) -> Option<&'c Change>,
    ) -> bool {
        let soon = change.started_at - set.started_at <= SET_SPAN;
        match self {
            Self::Always => true,
            Self::Soon => soon,
            Self::SoonElsewhere => {
                let mut members = set.members.iter().filter_map(|member| change_in(*member));
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
pub(super) fn title_words(change: &Change) -> String {
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
