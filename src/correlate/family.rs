//! Alert families: the same alert on the same service and environment is one symptom, however many
//! pods show it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::Arc,
};

use chrono::TimeDelta;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{
    course::{Course, Run, Span, Stretched},
    fold::Altered,
    model::Model,
    time::Interval,
    vocabulary::{Word, hashes, words},
};
use crate::{
    catalog::Place,
    event::{AlertReport, EpisodeId, EventId, Labels, Mapping, Time, micros},
};

/// How long before an alert was seen pending its condition can have begun: Prometheus' own interval
/// between two looks.
const EVALUATION_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// A symptom that came back within this time had not gone away.
const REFIRE_GAP: TimeDelta = TimeDelta::hours(1);

/// What makes alerts one family.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct FamilyKey {
    /// The alerts' name.
    pub alertname: String,
    /// The services that show it.
    pub services: Vec<String>,
    /// The environments that show it.
    pub environments: Vec<String>,
}

impl FamilyKey {
    /// The family of an alert with these labels.
    pub fn of(labels: &Labels, mapping: &Mapping) -> Self {
        KeyView::of(labels, mapping).key()
    }

    /// The same, looked at.
    pub fn view(&self) -> KeyView<'_> {
        KeyView {
            alertname: &self.alertname,
            services: self.services.iter().map(String::as_str).collect(),
            environments: self.environments.iter().map(String::as_str).collect(),
        }
    }
}

/// A family's key where it is said, as in an alert's labels: a storm asks for each alert which family
/// it is of, and mostly it is a known one.
#[derive(Debug, Hash)]
pub struct KeyView<'a> {
    alertname: &'a str,
    services: Few<'a>,
    environments: Few<'a>,
}

/// Mostly one, for which no memory is asked.
type Few<'a> = SmallVec<[&'a str; 1]>;

impl<'a> KeyView<'a> {
    /// The family of an alert with these labels.
    pub fn of(labels: &'a Labels, mapping: &Mapping) -> Self {
        Self {
            alertname: labels.first("alertname").unwrap_or_default(),
            services: mapping.values(labels, "service").collect(),
            environments: mapping.values(labels, "environment").collect(),
        }
    }

    /// The key that it is a view of.
    pub fn key(&self) -> FamilyKey {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        FamilyKey {
            alertname: self.alertname.to_owned(),
            services: owned(&self.services),
            environments: owned(&self.environments),
        }
    }

    fn is_of(&self, key: &FamilyKey) -> bool {
        self.alertname == key.alertname
            && self.services.as_slice() == key.services
            && self.environments.as_slice() == key.environments
    }
}

/// Stands for a family's key: the first bytes of its hash.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FamilyRef(pub i64);

impl FamilyRef {
    /// What stands for this key.
    pub fn of(key: &FamilyKey) -> Self {
        let hash = EventId::of(key).0;
        Self(hash.iter().take(8).fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
    }

    /// Of an alert that came too late to be in a family.
    pub const NONE: Self = Self(0);
}

/// A key's place in the fold that gave it, and what stands for the key.
#[derive(Clone, Copy, Debug)]
pub struct KeyPlace {
    place: usize,
    /// What stands for the key.
    pub family: FamilyRef,
}

/// What is told of a family by its first episode.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Head {
    /// The first episode.
    pub id: EpisodeId,
    /// Where it is, with all its labels.
    pub labels: Labels,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Since when its condition held before it fired, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_at: Option<Time>,
}

impl Head {
    /// What a report tells of the episode that begins with it.
    pub fn new(report: &AlertReport, span: &Span, mapping: &Mapping) -> Self {
        Self {
            id: span.id(),
            labels: mapping.scope(&mapping.identity(&report.labels)).labels().clone(),
            summary: report.summary.clone(),
            url: report.url.clone(),
            pending_at: span.pending_at,
        }
    }
}

/// Tells what is to be told of an episode.
type HeadOf<'a> = &'a dyn Fn(&Span) -> Head;

/// One stretch of time over which a family fires: one symptom of one incident.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Family {
    /// What makes its alerts one family.
    pub key: Arc<FamilyKey>,
    /// Its first episode.
    pub head: Head,
    /// The earliest that the symptom can have begun.
    pub onset_from: Time,
    /// The latest that the symptom can have begun.
    pub onset_to: Time,
    /// When its first alert fired.
    pub starts_at: Time,
    /// When its last alert ended, or is expected to; `None` while one fires without an end in sight.
    pub ends_at: Option<Time>,
    /// The end is only expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
    /// How many alert episodes it holds.
    pub episodes: usize,
}

impl Family {
    fn new(key: &Arc<FamilyKey>, head: Head, run: &Run, model: &Model) -> Self {
        let onset = onset(&head, run.from, model);
        Self {
            key: Arc::clone(key),
            head,
            onset_from: onset.from,
            onset_to: onset.to,
            starts_at: run.from,
            ends_at: run.to,
            expected: run.expected,
            episodes: run.episodes,
        }
    }

    /// Its name: its start, and what stands for its key, both in hex.
    pub fn id(&self) -> String {
        family_id(FamilyRef::of(&self.key), self.starts_at)
    }

    /// When the symptom can really have begun.
    pub(super) fn onset(&self) -> Interval {
        Interval { from: self.onset_from, to: self.onset_to }
    }

    /// What it is called, what it says, and who shows it.
    fn said(&self) -> impl Iterator<Item = &str> {
        let said = [self.key.alertname.as_str()].into_iter().chain(self.head.summary.as_deref());
        said.chain(self.key.services.iter().map(String::as_str))
    }

    fn words(&self) -> Vec<Word> {
        hashes(self.said())
    }

    /// The words of all that.
    pub(super) fn text(&self) -> Vec<String> {
        self.said().flat_map(words).collect()
    }

    /// Where it shows.
    pub fn labels(&self) -> &Labels {
        &self.head.labels
    }

    /// Whether it fired at any moment from `time` on, having begun before.
    pub(super) fn fired_since(&self, time: Time) -> bool {
        self.ends_at.is_none_or(|end| end >= time)
    }

    /// When its last alert ended, as of `now`; `None` while one fires.
    pub fn ended_at(&self, now: Time) -> Option<Time> {
        self.ends_at.filter(|end| *end <= now)
    }
}

/// The name of the family of this key that began then.
pub fn family_id(key: FamilyRef, starts_at: Time) -> String {
    format!("fam_{:013x}{:016x}", micros(starts_at).cast_unsigned(), key.0)
}

/// When the symptom behind an alert can have begun: before it fired by the rule's `for`, its range
/// and its evaluation interval, as far as these are known; where it was seen pending, just before
/// that.
fn onset(head: &Head, starts_at: Time, model: &Model) -> Interval {
    if let Some(pending_at) = head.pending_at {
        return Interval { from: pending_at - EVALUATION_INTERVAL, to: pending_at };
    }
    let known = model.onsets().find(|onset| onset.alert.matches(&head.labels));
    let unknown = (TimeDelta::zero(), model.settings.onset_lead);
    let (least, most) = known.map_or(unknown, |onset| (onset.least, onset.most));
    Interval { from: starts_at - most, to: starts_at - least }
}

/// Where a symptom is, in a form that is quickly compared: each value by its hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Spot {
    pub(super) starts_at: Time,
    pub(super) alertname: u64,
    /// Each with its place in the catalogue.
    pub(super) services: Vec<(u64, Option<Place>)>,
    pub(super) environments: Vec<u64>,
    pub(super) clusters: Vec<u64>,
    /// Namespace, node and host.
    pub(super) near: [Vec<u64>; 3],
    /// What it is called, what it says and who shows it.
    pub(super) words: Vec<Word>,
    /// It says that the service is out.
    pub(super) out: bool,
}

impl Spot {
    /// Whether both are the same alert of the same service.
    pub(super) fn is_same_symptom(&self, other: &Self) -> bool {
        let mut services = self.services.iter().map(|(service, _)| service);
        self.alertname == other.alertname
            && services.any(|one| other.services.iter().any(|(service, _)| service == one))
    }

    fn new(family: &Family, model: &Model) -> Self {
        let (labels, catalog) = (family.labels(), &model.catalog);
        let hashed = |name| labels.values(name).map(hash).collect();
        Self {
            starts_at: family.starts_at,
            alertname: hash(&family.key.alertname),
            services: labels.values("service").map(|one| (hash(one), catalog.place(one))).collect(),
            environments: hashed("environment"),
            clusters: hashed("cluster"),
            near: ["namespace", "node", "host"].map(hashed),
            words: family.words(),
            out: model.settings.outage.iter().any(|matchers| matchers.matches(labels)),
        }
    }
}

/// What stands for a value in a spot.
pub(super) fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A place among the families, for as long as the fold lives.
pub(super) type Slot = usize;

/// A family's turn in the order of all.
pub(super) type Turn = (Time, Arc<FamilyKey>);

/// All that is known of one key.
#[derive(Clone, Debug)]
struct Known {
    key: Arc<FamilyKey>,
    /// What stands for the key: a hash, which is not made again for each alert of a storm.
    family: FamilyRef,
    course: Course,
    /// Its families, by start.
    families: Vec<Slot>,
}

/// A family that is there.
#[derive(Clone, Debug)]
struct Held {
    /// The place of its key.
    place: usize,
    /// Shared with whoever writes what was told of it last.
    family: Arc<Family>,
    /// Where it is.
    spot: Spot,
}

impl Held {
    fn run(&self) -> Run {
        Run {
            from: self.family.starts_at,
            to: self.family.ends_at,
            expected: self.family.expected,
            episodes: self.family.episodes,
        }
    }
}

/// All families, as they grow.
#[derive(Clone, Debug, Default)]
pub(super) struct Families {
    /// The places of the keys, each with the key's hash: a storm asks for each alert. Nobody goes through
    /// them, so their order decides nothing.
    places: HashTable<(u64, usize)>,
    known: Vec<Known>,
    /// In boxes, since little is to be left of one that is no longer there: where reports come in no
    /// order, families begin anew again and again.
    slots: Vec<Option<Box<Held>>>,
    order: BTreeMap<Turn, Slot>,
    /// Since when episodes are known.
    observed_from: Option<Time>,
    /// From when on decisions may turn out differently than they did.
    pub(super) dirty: Option<Time>,
    /// What is new or different since it was told last, and how much of it.
    pub(super) touched: BTreeMap<Slot, Altered>,
    /// What is no longer there since it was told last: key and start.
    gone: Vec<Turn>,
    /// Keys whose course must be told anew.
    forgotten: BTreeSet<usize>,
}

impl Families {
    /// Puts the new episodes of one alert in the place of its old ones.
    pub(super) fn replace(
        &mut self,
        KeyPlace { place, .. }: KeyPlace,
        (old, new): (&[Span], &[Span]),
        head: HeadOf<'_>,
        model: &Model,
    ) {
        let grown = self.grown(place, (old, new));
        let Some(known) = self.known.get_mut(place) else { return };
        if known.course.replace(old, new).is_err() {
            self.forgotten.insert(place);
        }
        if self.forgotten.contains(&place) {
            return;
        }
        match grown {
            Some(slot) => self.grow(slot),
            None => self.settle(place, new, head, model),
        }
    }

    /// The family that has one episode more and is otherwise as it was: it fires without an end in sight,
    /// as does an alert that began after it. Of a storm that is nearly all.
    fn grown(&self, place: usize, (old, new): (&[Span], &[Span])) -> Option<Slot> {
        let ([], [one]) = (old, new) else { return None };
        let slot = *self.known.get(place)?.families.last()?;
        let family = self.get(slot)?;
        let goes_on = family.ends_at.is_none() && one.ends_at.is_none();
        (goes_on && family.starts_at < one.starts_at).then_some(slot)
    }

    fn grow(&mut self, slot: Slot) {
        let Some(Some(held)) = self.slots.get_mut(slot) else { return };
        Arc::make_mut(&mut held.family).episodes += 1;
        self.touch(slot, Altered::Course);
    }

    /// Begins a key's course again: these are all of its episodes.
    pub(super) fn retell(
        &mut self,
        key: &FamilyKey,
        all: &[Span],
        head: HeadOf<'_>,
        model: &Model,
    ) {
        let KeyPlace { place, .. } = self.place(&key.view());
        self.forgotten.remove(&place);
        let Some(known) = self.known.get_mut(place) else { return };
        known.course = Course::default();
        // Nothing is replaced, so nothing can have been forgotten.
        known.course.replace(&[], all).unwrap_or_default();
        self.settle(place, all, head, model);
    }

    /// The keys whose course must be told anew before the fold goes on.
    pub(super) fn forgotten(&self) -> Vec<Arc<FamilyKey>> {
        let known = self.forgotten.iter().filter_map(|place| self.known.get(*place));
        known.map(|known| Arc::clone(&known.key)).collect()
    }

    /// The key's place, which it is given when it is asked for first.
    pub(super) fn place(&mut self, key: &KeyView<'_>) -> KeyPlace {
        let hash = hash(key);
        if let Some((place, known)) = self.find(key, hash) {
            return KeyPlace { place, family: known.family };
        }
        let key = Arc::new(key.key());
        let (place, family) = (self.known.len(), FamilyRef::of(&key));
        self.places.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        self.known.push(Known { key, family, course: Course::default(), families: Vec::new() });
        KeyPlace { place, family }
    }

    /// The place of a key of this hash and what is known of it.
    fn find(&self, key: &KeyView<'_>, hash: u64) -> Option<(usize, &Known)> {
        let is_it = |(held, place): &(u64, usize)| {
            *held == hash && self.known.get(*place).is_some_and(|known| key.is_of(&known.key))
        };
        let (_, place) = self.places.find(hash, is_it)?;
        Some((*place, self.known.get(*place)?))
    }

    /// Makes the key's families those that its course tells of. `new` holds the episodes that may
    /// have become the first of one.
    fn settle(&mut self, place: usize, new: &[Span], head: HeadOf<'_>, model: &Model) {
        let Some(known) = self.known.get_mut(place) else { return };
        let key = Arc::clone(&known.key);
        let runs = known.course.runs(REFIRE_GAP);
        let held = std::mem::take(&mut known.families);
        let mut families = Vec::with_capacity(runs.len());
        for run in &runs {
            let begun = new.iter().filter(|span| span.starts_at == run.from);
            let first = begun.min_by(|one, other| one.id().cmp(&other.id()));
            let same = held
                .iter()
                .find(|slot| self.get(**slot).is_some_and(|family| family.starts_at == run.from));
            match (same, first) {
                (Some(slot), first) => {
                    families.push(*slot);
                    self.go_on(*slot, run, first.map(|first| (first, head)), model);
                }
                (None, Some(first)) => {
                    let family = Family::new(&key, head(first), run, model);
                    families.push(self.open(place, family, model));
                }
                (None, None) => {
                    self.forgotten.insert(place);
                }
            }
        }
        for gone in held.into_iter().filter(|slot| !families.contains(slot)) {
            self.close(gone);
        }
        if let Some(known) = self.known.get_mut(place) {
            known.families = families;
        }
    }

    fn open(&mut self, place: usize, family: Family, model: &Model) -> Slot {
        let slot = self.slots.len();
        self.differs_from(family.starts_at);
        self.order.insert((family.starts_at, Arc::clone(&family.key)), slot);
        self.touch(slot, Altered::All);
        let spot = Spot::new(&family, model);
        self.slots.push(Some(Box::new(Held { place, family: Arc::new(family), spot })));
        slot
    }

    fn touch(&mut self, slot: Slot, altered: Altered) {
        let touched = self.touched.entry(slot).or_default();
        *touched = altered.max(*touched);
    }

    fn close(&mut self, slot: Slot) {
        let Some(held) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        let family = held.family;
        self.differs_from(family.starts_at);
        self.touch(slot, Altered::All);
        let place = (family.starts_at, Arc::clone(&family.key));
        self.order.remove(&place);
        self.gone.push(place);
    }

    /// A family that is there has another end, number of episodes, or first episode.
    fn go_on(&mut self, slot: Slot, run: &Run, first: Option<(&Span, HeadOf<'_>)>, model: &Model) {
        let Some(Some(held)) = self.slots.get_mut(slot) else { return };
        let Held { family, spot, .. } = held.as_mut();
        let family = Arc::make_mut(family);
        let (mut differs, mut altered) = (None, Altered::Course);
        if family.ends_at != run.to {
            // Of two ends, what was decided before the earlier one stands.
            differs = [family.ends_at, run.to].into_iter().flatten().min();
        }
        if (family.ends_at, family.expected) != (run.to, run.expected) {
            altered = Altered::Standing;
        }
        let first = first.map(|(first, head)| (first.id().cmp(&family.head.id), first, head));
        if let Some((Ordering::Equal, first, head)) = first {
            // The same episode, perhaps in other words.
            let head = head(first);
            if head != family.head {
                if head.pending_at != family.head.pending_at {
                    differs = Some(family.starts_at);
                }
                *family = Family::new(&family.key, head, run, model);
                let words = family.words();
                if words != spot.words {
                    spot.words = words;
                    differs = Some(family.starts_at);
                }
                altered = Altered::All;
            }
        } else if let Some((Ordering::Less, first, head)) = first {
            *family = Family::new(&family.key, head(first), run, model);
            *spot = Spot::new(family, model);
            altered = Altered::All;
            differs = Some(family.starts_at);
        }
        (family.ends_at, family.expected, family.episodes) = (run.to, run.expected, run.episodes);
        self.touch(slot, altered);
        if let Some(time) = differs {
            self.differs_from(time);
        }
    }

    /// An event of this time is known.
    pub(super) fn observe(&mut self, time: Time) {
        if self.observed_from.is_none_or(|from| time < from) {
            self.observed_from = Some(time);
            // Base rates count the days that are over.
            self.differs_from(super::time::day(time) + TimeDelta::days(1));
        }
    }

    fn differs_from(&mut self, time: Time) {
        self.dirty = Some(self.dirty.map_or(time, |dirty| dirty.min(time)));
    }

    fn held(&self, slot: Slot) -> Option<&Held> {
        self.slots.get(slot)?.as_deref()
    }

    /// A family.
    pub(super) fn get(&self, slot: Slot) -> Option<&Family> {
        self.held(slot).map(|held| &*held.family)
    }

    /// Where a family is.
    pub(super) fn spot(&self, slot: Slot) -> Option<&Spot> {
        self.held(slot).map(|held| &held.spot)
    }

    /// All families from one that comes after this place in the order on.
    pub(super) fn after(&self, last: Option<&Turn>) -> impl Iterator<Item = (&Turn, Slot)> {
        let from = last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = self.order.range((from, std::ops::Bound::Unbounded));
        range.map(|(place, slot)| (place, *slot))
    }

    /// What is no longer there, and is not there again: key and start.
    pub(super) fn take_gone(&mut self) -> Vec<(Arc<FamilyKey>, Time)> {
        let gone = std::mem::take(&mut self.gone).into_iter();
        gone.filter(|place| !self.order.contains_key(place))
            .map(|(start, key)| (key, start))
            .collect()
    }

    /// Where the families are that began from `from` to `to`, by start.
    pub(super) fn begun(&self, from: Time, to: Time) -> impl Iterator<Item = &Spot> {
        let first = (from, Arc::new(FamilyKey::default()));
        let range = self.order.range(first..).take_while(move |((start, _), _)| *start <= to);
        range.filter_map(|(_, slot)| self.spot(*slot))
    }

    /// The family of a key that an episode with this start is in.
    pub(super) fn holding(&self, key: &FamilyKey, starts_at: Time) -> Option<Slot> {
        let key = key.view();
        let (_, known) = self.find(&key, hash(&key))?;
        let begun = |slot: &&Slot| self.get(**slot).is_some_and(|one| one.starts_at <= starts_at);
        known.families.iter().rev().find(begun).copied()
    }

    /// When it fired.
    pub(super) fn stretches(&self, slot: Slot) -> Option<impl Iterator<Item = Stretched> + Clone> {
        let held = self.held(slot)?;
        Some(self.known.get(held.place)?.course.stretches(held.run()))
    }

    /// A family, what stands for its key, and the part of the key's course that is its own.
    pub(super) fn part(&self, slot: Slot) -> Option<(&Arc<Family>, FamilyRef, Course)> {
        let held = self.held(slot)?;
        let known = self.known.get(held.place)?;
        Some((&held.family, known.family, known.course.part(&held.run())))
    }

    /// Takes in a family that was kept, with its part of the course; those of one key by start.
    pub(super) fn restore(&mut self, mut family: Family, part: Course, model: &Model) -> Slot {
        let onset = onset(&family.head, family.starts_at, model);
        (family.onset_from, family.onset_to) = (onset.from, onset.to);
        let KeyPlace { place, .. } = self.place(&family.key.view());
        let slot = self.open(place, family, model);
        self.touched.remove(&slot);
        if let Some(known) = self.known.get_mut(place) {
            known.course.append(part);
            known.families.push(slot);
        }
        slot
    }

    /// How often per hour a family begins without any cause that we could name, by the days that
    /// were over before `time`.
    ///
    /// The mean of the Gamma posterior of a Poisson rate, whose prior is worth one start in a week:
    /// a family never heard before is taken to begin once a week.
    pub(super) fn per_hour(&self, slot: Slot, time: Time) -> f64 {
        let day = super::time::day(time);
        let hours = self.observed_from.map_or(0.0, |from| super::time::hours(day - from).max(0.0));
        let known = self.held(slot).and_then(|held| self.known.get(held.place));
        let starts = known.map_or(0, |known| {
            known.families.partition_point(|slot| {
                self.get(*slot).is_some_and(|family| family.starts_at < day)
            })
        });
        (1.0 + super::number(starts)) / (WEEK_HOURS + hours)
    }
}

const WEEK_HOURS: f64 = 168.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_hash_have_places_of_their_own() {
        let key = |name: &str| FamilyKey { alertname: name.to_owned(), ..FamilyKey::default() };
        let mut families = Families::default();
        let one = families.place(&key("One").view()).place;
        let hash = hash(&key("Other").view());
        families.places.insert_unique(hash, (hash, one), |(hash, _)| *hash);
        let other = families.place(&key("Other").view());
        assert_ne!(one, other.place);
        assert_eq!(other.family, FamilyRef::of(&key("Other")));
        assert_eq!(families.place(&key("Other").view()).place, other.place);
        assert_eq!(families.place(&key("One").view()).place, one);
    }
}
