//! What people said of changes: evidence in the incident of which they said it, and, less, in those
//! that begin after it was said.
//!
//! It is filed under the first alert of its incident. Of each person the last word on a change set and
//! an incident counts, so that whoever was wrong can say so, and whoever takes it back has said nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    candidate::{Candidate, title_words},
    family::{Families, Family, FamilyKey, Slot},
    grouping::Story,
    hazard::{Ground, Tied},
};
use crate::event::{Change, EpisodeId, EventId, Feedback, Mapping, Time, Verdict};

/// Whoever says that it was this change, once they know, is right in 99 of 100 cases: ln(99), in nats.
/// A judgement, not a measurement: strong enough to make a suspect of the second rank likely, and too
/// weak to convict what nothing else speaks for.
const ONE_PERSON: f64 = 4.6;
/// However many agree, in nats: people tell each other what it was.
const MANY_PEOPLE: f64 = 6.0;

/// Before anybody said anything, one time each way is assumed (a Beta prior of 1 and 1).
const BEFORE: f64 = 1.0;
/// No more is taught by earlier incidents than this, in nats: it is four confirmations.
const TAUGHT_MAX: f64 = 1.6;
/// So many earlier verdicts are looked at, the latest.
const LESSONS_MAX: usize = 64;
/// So many people are named.
const NAMED_MAX: usize = 3;

/// Where it is in the order of all that was said.
type Turn = (Time, EventId);

/// All that people said, as far as it was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// By the symptom that its incident began with, and where that began.
    of: BTreeMap<FamilyKey, BTreeMap<Turn, (Time, Feedback)>>,
    /// The symptoms of which something is new since it was told last, and where these began.
    touched: BTreeSet<(FamilyKey, Time)>,
    /// From when on decisions may turn out differently than they did.
    pub(super) dirty: Option<Time>,
}

impl Said {
    /// Takes in what somebody said. What names no alert is told, and is evidence of nothing.
    pub(super) fn absorb(&mut self, feedback: &Feedback, id: EventId, mapping: &Mapping) {
        let alert = EpisodeId(feedback.incident.clone());
        let Some((began, _)) = alert.parts().filter(|(began, _)| feedback.at >= *began) else {
            return;
        };
        let key = FamilyKey::of(&feedback.labels, mapping);
        let held = self.of.entry(key.clone()).or_default();
        if held.insert((feedback.at, id), (began, feedback.clone())).is_none() {
            self.dirty = Some(self.dirty.map_or(feedback.at, |dirty| dirty.min(feedback.at)));
            self.touched.insert((key, began));
        }
    }

    /// The families of whose incidents something is new since it was told last.
    pub(super) fn take_touched(&mut self, families: &Families) -> BTreeSet<Slot> {
        let touched = std::mem::take(&mut self.touched).into_iter();
        touched.filter_map(|(key, began)| families.holding(&key, began)).collect()
    }

    /// All that was said of the incident that this story is, by time.
    pub(super) fn about(&self, families: &Families, story: &Story) -> Vec<&Feedback> {
        if self.of.is_empty() {
            return Vec::new();
        }
        let mut about: Vec<_> = Vec::new();
        for slot in &story.families {
            let Some(family) = families.get(*slot) else { continue };
            let Some(said) = self.of.get(&*family.key) else { continue };
            let here = said
                .iter()
                .filter(|(_, (began, _))| families.holding(&family.key, *began) == Some(*slot));
            about.extend(here.map(|(turn, (_, feedback))| (*turn, feedback)));
        }
        about.sort_by_key(|(turn, _)| *turn);
        about.into_iter().map(|(_, feedback)| feedback).collect()
    }

    /// What was said of incidents that began with this alert, by incident.
    fn of_alert<'s>(
        &'s self,
        alertname: &'s str,
    ) -> impl Iterator<Item = (&'s FamilyKey, &'s Turn, &'s (Time, Feedback))> {
        let first = FamilyKey { alertname: alertname.to_owned(), ..FamilyKey::default() };
        let of_alert =
            self.of.range(first..).take_while(move |(key, _)| key.alertname == alertname);
        of_alert.flat_map(|(key, said)| said.iter().map(move |(turn, one)| (key, turn, one)))
    }
}

/// The last word of each person on one thing.
#[derive(Clone, Debug, Default)]
pub(super) struct Words<'a> {
    confirmed: Vec<&'a Feedback>,
    cleared: Vec<&'a Feedback>,
}

impl<'a> Words<'a> {
    /// Of what was said of it, by time.
    pub(super) fn of(said: impl Iterator<Item = &'a Feedback>) -> Self {
        // Whoever gives no name is one person.
        let last: BTreeMap<_, _> = said.map(|one| (one.author.as_deref(), one)).collect();
        let mut last: Vec<_> = last.into_values().collect();
        last.sort_by_key(|one| one.at);
        let all =
            |verdict| last.iter().copied().filter(move |one| one.verdict == verdict).collect();
        Self { confirmed: all(Verdict::Cause), cleared: all(Verdict::NotCause) }
    }

    /// Whether more people say that it was the cause than that it was not; `None`: as many.
    fn verdict(&self) -> Option<bool> {
        let (confirmed, cleared) = (self.confirmed.len(), self.cleared.len());
        (confirmed != cleared).then_some(confirmed > cleared)
    }

    /// Whether people say that it was the cause.
    pub(super) fn confirm(&self) -> bool {
        self.verdict() == Some(true)
    }

    /// What it adds to the log-odds, in nats.
    pub(super) fn nats(&self) -> f64 {
        let surplus = self.confirmed.len().abs_diff(self.cleared.len());
        let weight = match surplus {
            0 => 0.0,
            1 => ONE_PERSON,
            _ => MANY_PEOPLE,
        };
        if self.confirm() { weight } else { -weight }
    }

    /// Who said what, and when.
    pub(super) fn say(&self, clock: impl Fn(Time) -> String) -> String {
        let by = |verdict: &str, said: &[&Feedback]| {
            let named = said.iter().take(NAMED_MAX).map(|one| {
                format!("{} at {}", one.author.as_deref().unwrap_or("somebody"), clock(one.at))
            });
            let more = said.len().saturating_sub(NAMED_MAX);
            let more = (more > 0).then(|| format!("{more} more"));
            let all: Vec<_> = named.chain(more).collect();
            (!all.is_empty()).then(|| format!("{verdict} by {}", all.join(", ")))
        };
        let confirmed = by("confirmed", &self.confirmed);
        let cleared = by("cleared", &self.cleared);
        let told: Vec<_> = confirmed.into_iter().chain(cleared).collect();
        told.join("; ")
    }
}

/// What was said of one change set and one incident, by time.
type Case<'a> = BTreeMap<&'a Turn, (&'a Feedback, &'a Change)>;

/// What was said of a change in an earlier incident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson<'a> {
    change: &'a Change,
    /// The symptom of the story at hand that the earlier incident began with, too.
    family: Slot,
    was_cause: bool,
}

/// How often people said in earlier incidents that changes like this one were the cause, and how often
/// that they were not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Taught {
    pub(super) confirmed: usize,
    pub(super) cleared: usize,
    /// The symptom that those incidents began with.
    pub(super) family: Option<Slot>,
}

impl Taught {
    /// What it adds to the log-odds, in nats: how the expected share of guilty ones moved.
    pub(super) fn nats(self) -> f64 {
        let (confirmed, cleared) = (super::number(self.confirmed), super::number(self.cleared));
        ((confirmed + BEFORE) / (cleared + BEFORE)).ln().clamp(-TAUGHT_MAX, TAUGHT_MAX)
    }
}

impl<'a> Ground<'a> {
    /// What was said before `onset` of incidents that began with one of these symptoms' alerts.
    pub(super) fn lessons(self, families: &[Tied], onset: Time) -> Vec<Lesson<'a>> {
        if !self.model.settings.learn || self.said.is_empty() {
            return Vec::new();
        }
        let (mut lessons, mut heard) = (Vec::new(), BTreeSet::new());
        for tied in families {
            let Some(family) = self.families.get(tied.family) else { continue };
            if heard.insert(&family.key.alertname) {
                lessons.extend(self.lessons_of(tied.family, family, onset));
            }
        }
        // The latest say how it is now.
        lessons.sort_by_key(|(said_at, place, lesson): &(Time, usize, Lesson<'_>)| {
            (std::cmp::Reverse(*said_at), *place, lesson.family)
        });
        lessons.truncate(LESSONS_MAX);
        lessons.into_iter().map(|(.., lesson)| lesson).collect()
    }

    /// The lessons of one alert, each with when it was said last and the place of its change set.
    fn lessons_of(
        self,
        slot: Slot,
        family: &'a Family,
        onset: Time,
    ) -> Vec<(Time, usize, Lesson<'a>)> {
        let mut cases: BTreeMap<_, Case<'_>> = BTreeMap::new();
        for (key, turn, (began, said)) in self.said.of_alert(&family.key.alertname) {
            let Some((change, set)) = self.changes.named(&said.change) else { continue };
            // A word on what has not begun counts once it has.
            if said.at.max(change.started_at) < onset {
                let incident = (key, *began);
                let case = cases.entry((incident, self.changes.place(set))).or_default();
                case.insert(turn, (said, change));
            }
        }
        let lessons = cases.into_iter().filter_map(|((_, place), said)| {
            let was_cause = Words::of(said.values().map(|(said, _)| *said)).verdict()?;
            let (last, change) = said.into_values().next_back()?;
            Some((last.at, place, Lesson { change, family: slot, was_cause }))
        });
        lessons.collect()
    }

    /// What the lessons say of this change set: those on its first symptom of which there are any.
    pub(super) fn taught(
        self,
        set: &Candidate,
        families: &[Tied],
        lessons: &[Lesson<'_>],
    ) -> Taught {
        if lessons.is_empty() {
            return Taught::default();
        }
        let members: Vec<_> =
            set.members.iter().filter_map(|slot| self.changes.get(*slot)).collect();
        let alike = |lesson: &&Lesson<'_>| members.iter().any(|one| is_alike(one, lesson.change));
        let alike: Vec<_> = lessons.iter().filter(alike).collect();
        for tie in families.iter().filter_map(|tied| tied.tie(set.id(), self.changes)) {
            let here = alike.iter().filter(|lesson| self.is_same_alert(lesson.family, tie.family));
            let confirmed = here.clone().filter(|lesson| lesson.was_cause).count();
            let cleared = here.count() - confirmed;
            if confirmed + cleared > 0 {
                return Taught { confirmed, cleared, family: Some(tie.family) };
            }
        }
        Taught::default()
    }

    fn is_same_alert(self, one: Slot, other: Slot) -> bool {
        let name = |slot| self.families.spot(slot).map(|spot| spot.alertname);
        name(one) == name(other)
    }
}

impl Said {
    fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

/// Whether both do the same thing, to the same service or in the same words.
fn is_alike(one: &Change, other: &Change) -> bool {
    (one.kind, one.action) == (other.kind, other.action)
        && (one.scope.labels().share(other.scope.labels(), "service") == Some(true)
            || title_words(one) == title_words(other))
}
