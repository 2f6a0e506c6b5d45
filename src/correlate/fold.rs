//! The fold: takes what is new, in any order and in batches of any size, and tells what is
//! different. What it tells depends on what it was given, never on how.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Incident, IncidentId, State,
    candidate::Changes,
    course::{Course, Span},
    dormant::Past,
    family::{Families, Family, FamilyKey, FamilyRef, Head, KeyPlace, KeyView, Slot},
    feedback::Said,
    grouping::{Stories, Story},
    hazard::Ground,
    model::Model,
    verdict::{Case, incident_id},
};
use crate::event::{Change, ChangeHistory, ChangeReport, EventId, Feedback, Time};

/// Families, changes and the stories that they make, as far as they were told.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    changes: Changes,
    families: Families,
    said: Said,
    stories: Stories,
    /// The incidents that were told, by what their first episode makes their id.
    told: BTreeMap<IncidentId, Arc<Story>>,
    /// The incident of each family that was told.
    holders: BTreeMap<Slot, IncidentId>,
}

/// What is different since the last time.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// New or altered.
    pub incidents: Vec<Incident>,
    /// No longer so.
    pub incidents_gone: Vec<IncidentId>,
    /// New or altered, with the incident of each and what keeps its course.
    pub families: Vec<Kept>,
    /// No longer so: key and start.
    pub families_gone: Vec<(Arc<FamilyKey>, Time)>,
    /// New or altered, with all that was reported of each.
    pub changes: Vec<(Change, ChangeHistory)>,
}

/// A family as it is kept: with the part of its key's course that is its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The family.
    pub family: Arc<Family>,
    /// What stands for its key.
    pub key: FamilyRef,
    /// When its alerts fired.
    pub part: Part,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// How much of it is different.
    pub altered: Altered,
}

/// How much of a family is different from what was told last; whatever the least of it is, is.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Altered {
    /// When its alerts fired, and how many did: in a storm mostly nothing else.
    #[default]
    Course,
    /// Its end, or its incident.
    Standing,
    /// What began it, and so what is told of it.
    All,
}

/// When a family's alerts fired, as far as it must be known to go on.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(transparent)]
pub struct Part(Course);

impl Fold {
    /// One that has seen nothing but changes, before its window.
    pub fn after(past: Past, model: &Model) -> Self {
        Self { changes: Changes::after(past, model), ..Self::default() }
    }

    /// Takes in a report on a change.
    pub fn change(&mut self, report: &ChangeReport, id: EventId) {
        self.changes.absorb(report, id);
    }

    /// Takes in a report on a change that was kept: it is known where the changes are told.
    pub fn restore_change(&mut self, report: &ChangeReport, id: EventId) {
        self.changes.restore(report, id);
    }

    /// The place of a family's key, for as long as the fold lives.
    pub fn place(&mut self, key: &KeyView<'_>) -> KeyPlace {
        self.families.place(key)
    }

    /// Puts the new episodes of one alert of this key in the place of its old ones; `head` tells what
    /// is to be told of an episode that begins a family.
    pub fn alert(
        &mut self,
        model: &Model,
        place: KeyPlace,
        episodes: (&[Span], &[Span]),
        head: &dyn Fn(&Span) -> Head,
    ) {
        self.families.replace(place, episodes, head, model);
    }

    /// Takes in what somebody said of a change and an incident.
    pub fn feedback(&mut self, model: &Model, feedback: &Feedback, id: EventId) {
        self.said.absorb(feedback, id, &model.mapping);
    }

    /// An event of this time was taken in.
    pub fn observe(&mut self, time: Time) {
        self.families.observe(time);
    }

    /// The keys of which all episodes must be told again before it goes on.
    pub fn forgotten(&self) -> Vec<Arc<FamilyKey>> {
        self.families.forgotten()
    }

    /// All episodes of one key.
    pub fn retell(
        &mut self,
        model: &Model,
        key: &FamilyKey,
        all: &[Span],
        head: &dyn Fn(&Span) -> Head,
    ) {
        self.families.retell(key, all, head, model);
    }

    /// Takes in a family that was kept; those of one key by start.
    pub fn restore_family(&mut self, model: &Model, kept: Kept) {
        let Kept { family, part, incident, key: _, altered: _ } = kept;
        let family = Arc::unwrap_or_clone(family);
        let slot = self.families.restore(family, part.0, model);
        incident.map(|incident| self.holders.insert(slot, incident));
    }

    /// The changes, by start.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// The incident that an episode of this key with this start is in, by what was told last.
    pub fn holder(&self, key: &FamilyKey, starts_at: Time) -> Option<&IncidentId> {
        self.holders.get(&self.families.holding(key, starts_at)?)
    }

    /// How many incidents are in each state at `now`.
    pub fn states(&self, model: &Model, now: Time) -> [(State, usize); 3] {
        let mut states = [State::Open, State::Quiet, State::Closed].map(|state| (state, 0));
        for story in self.stories.iter() {
            let state = match story.ends_at(&self.families) {
                None => State::Open,
                Some(end) if end > now => State::Open,
                Some(end) if now < end + model.settings.quiet => State::Quiet,
                Some(_) => State::Closed,
            };
            states.iter_mut().filter(|(one, _)| *one == state).for_each(|(_, count)| *count += 1);
        }
        states
    }

    /// Decides on all that is new, and tells what is different. Incidents that began before
    /// `frozen` are what they were: of one whose beginning is no longer held nothing is told.
    pub fn advance(&mut self, model: &Model, frozen: Time) -> News {
        let by_changes = self.changes.settle(model);
        let dirty = [by_changes, self.families.dirty.take(), self.said.dirty.take()];
        let dirty = dirty.into_iter().flatten().min();
        let (changes, families, said) = (&self.changes, &self.families, &self.said);
        self.stories.advance(Ground { model, changes, families, said }, dirty);
        let spoken_of = self.said.take_touched(&self.families);
        let news = self.tell(model, frozen, &spoken_of);
        self.changes.touched.clear();
        self.changes.reported.clear();
        self.families.touched.clear();
        news
    }

    /// What is different; people said something new of the incidents of the families `spoken_of`.
    fn tell(&mut self, model: &Model, frozen: Time, spoken_of: &BTreeSet<Slot>) -> News {
        let (changes, families, said) = (&self.changes, &self.families, &self.said);
        let ground = Ground { model, changes, families, said };
        let mut news = News::default();
        let mut told = BTreeMap::new();
        let mut touched = self.families.touched.clone();
        for story in self.stories.iter() {
            let first = story.families.first().and_then(|slot| self.families.get(*slot));
            let Some(first) = first else { continue };
            let id = incident_id(&first.head.id);
            let is_rest = || self.first_holder(story).is_some_and(|holder| *holder != id);
            if first.starts_at < frozen && is_rest() {
                continue;
            }
            let same = self.told.get(&id).is_some_and(|held| Arc::ptr_eq(held, story));
            let is_new =
                |slot| self.families.touched.contains_key(slot) || spoken_of.contains(slot);
            let concerned = story.families.iter().any(is_new);
            let moved = story.families.iter().filter(|slot| self.holders.get(slot) != Some(&id));
            let moved: Vec<_> = if same { Vec::new() } else { moved.copied().collect() };
            for slot in moved {
                self.holders.insert(slot, id.clone());
                let altered = touched.entry(slot).or_default();
                *altered = Altered::Standing.max(*altered);
            }
            if !same || concerned || self.changes_concern(model, story, first) {
                news.incidents.extend(Case::new(ground, story).map(|case| case.incident()));
            }
            told.insert(id, Arc::clone(story));
        }
        news.incidents
            .sort_by(|one, other| (one.started_at, &one.id).cmp(&(other.started_at, &other.id)));
        let gone = self.told.keys().filter(|id| !told.contains_key(id));
        news.incidents_gone = gone.cloned().collect();
        self.told = told;
        for (slot, altered) in touched {
            match self.families.part(slot) {
                Some((family, key, part)) => news.families.push(Kept {
                    family: Arc::clone(family),
                    key,
                    part: Part(part),
                    incident: self.holders.get(&slot).cloned(),
                    altered,
                }),
                None => drop(self.holders.remove(&slot)),
            }
        }
        // As they are kept.
        news.families.sort_unstable_by_key(|one| (one.family.starts_at, one.key));
        news.families_gone = self.families.take_gone();
        news.changes = self
            .changes
            .touched
            .intersection(&self.changes.reported)
            .filter_map(|slot| {
                Some((self.changes.get(*slot)?.clone(), self.changes.history(*slot)?.clone()))
            })
            .collect();
        news
    }

    /// The incident that the story's first family was in.
    fn first_holder(&self, story: &Story) -> Option<&IncidentId> {
        self.holders.get(story.families.first()?)
    }

    /// Whether a change that is new or different may be a part of what is told of a story.
    fn changes_concern(&self, model: &Model, story: &Story, first: &Family) -> bool {
        let from = first.onset_from - model.settings.look_back;
        if self.changes.touched.is_empty() {
            return false;
        }
        let until = story.ends_at(&self.families);
        let touched = self.changes.touched.iter().filter_map(|slot| self.changes.get(*slot));
        touched.into_iter().any(|change| {
            change.finished_at.is_none_or(|end| end >= from)
                && until.is_none_or(|until| change.started_at <= until)
        })
    }
}
