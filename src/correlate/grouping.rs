//! Grouping: which symptoms are one story. A fold over the families in the order in which they
//! began to fire.
//!
//! A family joins the open incident whose story makes it likeliest, measured against the family's
//! own base rate: by the changes that the incident is put down to, as far as they are, and by the
//! symptoms that it already has, which spread along dependencies. Each decision uses only what was
//! so at that time; so when something turns up that began earlier, the fold goes on from the
//! checkpoint before it, and ends where it would have had it known all along.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{
    candidate::Slot as ChangeSlot,
    family::{Families, Family, Slot, Turn},
    hazard::{Ground, Symptom, Tied},
    odds::{Blamed, Odds, softmax},
    spread::{LINK_LEAST, burst, spread, spread_density},
    time::{Interval, hours},
    verdict::LIKELY,
};
use crate::event::Time;

/// The families of one story.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// Its families, by start.
    pub(super) families: Vec<Slot>,
    /// The first of them, with their ties: by these it is judged.
    pub(super) judged: Vec<Tied>,
    /// The first onset of its families, at the latest that it can have been, and the last.
    onsets: Interval,
    /// When the last of its families ended; `None` while one fires.
    ends_at: Option<Time>,
    /// What it was put down to when it was judged last.
    causes: Vec<Cause>,
    /// What other stories that were open then were put down to first, and how surely.
    pub(super) blamed: Vec<Blamed>,
}

/// A change that a story is put down to.
#[derive(Clone, Copy, Debug)]
struct Cause {
    candidate: ChangeSlot,
    probability: f64,
    /// Of breaking anything at all ...
    prior: f64,
    /// ... with what the stories beside this one say.
    raised: f64,
    /// Something ties it to a symptom of the story that it is not far away from.
    reaches: bool,
}

/// A change to which a story is put down rather than not ...
const KNOWN_CAUSE: f64 = 0.5;
/// ... is the cause of another, too, where it is suspected at all, and would be likely now that it is
/// known.
const SHARED_LEAST: f64 = 0.05;

/// Of what changes add to a symptom's rate that have nothing to do with the story, so much counts
/// against it: their priors are those of breaking anything at all, and not this.
const RIVALS: f64 = 0.3;

/// Of a story's symptoms the latest are asked how near they are: the spread dies away with time.
const NEAREST_MAX: usize = 64;

/// A story is judged by so many of its symptoms, the first: what shows later says how the trouble
/// spread, and each says less than the one before.
const JUDGED_MAX: usize = 64;

/// A story in which nothing fires, or whose span is over, for so long is settled: onsets lie some
/// time before the starts by which the families come.
const SETTLED_AFTER: TimeDelta = TimeDelta::hours(6);

/// So many families are folded from one checkpoint to the next ...
const CHECKPOINT_EVERY: usize = if cfg!(test) { 2 } else { 16 };
/// ... and so many checkpoints are kept, the older the fewer.
const CHECKPOINTS_MAX: usize = if cfg!(test) { 4 } else { 32 };

/// The stories, as far as they are folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Stories {
    /// Those that can still grow, by their first family.
    active: Vec<Arc<Story>>,
    /// Those that cannot, in the order in which they were settled.
    settled: Vec<Arc<Story>>,
    checkpoints: Vec<Checkpoint>,
    /// The last family that was folded.
    last: Option<Turn>,
    since_checkpoint: usize,
}

/// The fold as it was after a family.
#[derive(Clone, Debug)]
struct Checkpoint {
    last: Turn,
    active: Vec<Arc<Story>>,
    settled: usize,
}

impl Stories {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Story>> {
        self.settled.iter().chain(&self.active)
    }

    /// Folds what is new, and again what was decided from `dirty` on.
    pub(super) fn advance(&mut self, ground: Ground<'_>, dirty: Option<Time>) {
        if let Some(dirty) = dirty {
            self.go_back(dirty);
        }
        self.active.iter_mut().for_each(|story| story.refresh(ground.families));
        let rest = ground.families.after(self.last.as_ref());
        let rest: Vec<_> = rest.map(|(place, slot)| (place.clone(), slot)).collect();
        for (place, slot) in rest {
            self.take(ground, slot);
            self.last = Some(place);
            self.since_checkpoint += 1;
            if self.since_checkpoint >= CHECKPOINT_EVERY {
                self.checkpoint();
            }
        }
    }

    /// Forgets all that was decided at `dirty` or later.
    fn go_back(&mut self, dirty: Time) {
        if self.last.as_ref().is_none_or(|(time, _)| *time < dirty) {
            return;
        }
        while self.checkpoints.last().is_some_and(|point| point.last.0 >= dirty) {
            self.checkpoints.pop();
        }
        let (last, active, settled) = match self.checkpoints.last() {
            Some(point) => (Some(point.last.clone()), point.active.clone(), point.settled),
            None => (None, Vec::new(), 0),
        };
        self.last = last;
        self.active = active;
        self.settled.truncate(settled);
        self.since_checkpoint = 0;
    }

    fn checkpoint(&mut self) {
        let Some(last) = self.last.clone() else { return };
        let settled = self.settled.len();
        self.checkpoints.push(Checkpoint { last, active: self.active.clone(), settled });
        self.since_checkpoint = 0;
        if self.checkpoints.len() > CHECKPOINTS_MAX {
            // Of the older half every second goes: the distance doubles with the age.
            let mut place = 0;
            self.checkpoints.retain(|_| {
                place += 1;
                place > CHECKPOINTS_MAX / 2 || place % 2 == 0
            });
        }
    }

    /// One family, which began after all that were taken before it.
    fn take(&mut self, ground: Ground<'_>, slot: Slot) {
        let Some(family) = ground.families.get(slot) else { return };
        let now = family.starts_at;
        let settled = |story: &mut Arc<Story>| story.is_settled(ground, now);
        self.settled.extend(self.active.extract_if(.., settled));
        let rate = ground.families.per_hour(slot, now);
        let symptom = ground.symptom(slot, family);
        let tied = ground.ties(&symptom);
        let best = self
            .active
            .iter()
            .enumerate()
            .filter(|(_, story)| story.is_open(ground, family))
            .map(|(place, story)| (place, story.link(ground, &symptom, &tied, rate)))
            .filter(|(_, link)| *link >= LINK_LEAST)
            // Of equals the first: the one whose first alert is earlier.
            .max_by(|(one_place, one), (other_place, other)| {
                one.total_cmp(other).then(other_place.cmp(one_place))
            });
        let place = if let Some((place, _)) = best {
            place
        } else {
            self.active.push(Arc::new(Story::open(family)));
            self.active.len() - 1
        };
        let blamed = self.blamed_beside(place, ground, now);
        let Some(story) = self.active.get_mut(place) else { return };
        Arc::make_mut(story).join(ground, &symptom, tied, blamed);
        self.merge_with_twin(place, ground, now);
    }

    /// What the open stories beside this one are put down to first.
    fn blamed_beside(&self, place: usize, ground: Ground<'_>, now: Time) -> Vec<Blamed> {
        let others = self.active.iter().enumerate().filter(|(other, _)| *other != place);
        let open = others.map(|(_, story)| story).filter(|story| story.is_active(ground, now));
        let mut blamed: Vec<Blamed> = Vec::new();
        for one in open.filter_map(|story| story.first_cause()) {
            match blamed.iter_mut().find(|before| before.candidate == one.candidate) {
                Some(before) => *before = before.and(one),
                None => blamed.push(one),
            }
        }
        blamed
    }

    /// Merges the story at `place` with another open one that has the same cause.
    fn merge_with_twin(&mut self, place: usize, ground: Ground<'_>, now: Time) {
        let Some(mine) = self.active.get(place) else { return };
        let twin = self.active.iter().enumerate().position(|(other, story)| {
            other != place
                && mine.onsets.and(story.onsets).length() <= ground.model.settings.span
                && story.is_active(ground, now)
                && (mine.shares_cause_of(story) || story.shares_cause_of(mine))
        });
        let Some(twin) = twin else { return };
        let taken = self.active.remove(place.max(twin));
        let place = place.min(twin);
        let blamed = self.blamed_beside(place, ground, now);
        if let Some(kept) = self.active.get_mut(place) {
            Arc::make_mut(kept).merge(&taken, ground, blamed);
        }
    }
}

impl Story {
    fn open(family: &Family) -> Self {
        Self {
            families: Vec::new(),
            judged: Vec::new(),
            onsets: Interval { from: family.onset_to, to: family.onset_to },
            ends_at: family.ends_at,
            causes: Vec::new(),
            blamed: Vec::new(),
        }
    }

    fn join(&mut self, ground: Ground<'_>, symptom: &Symptom<'_>, tied: Tied, blamed: Vec<Blamed>) {
        let family = symptom.family;
        self.families.push(symptom.slot);
        self.onsets = self.onsets.and(Interval { from: family.onset_to, to: family.onset_to });
        self.ends_at = later(self.ends_at, family.ends_at);
        if self.judged.len() < JUDGED_MAX {
            self.judged.push(tied);
            self.judge(ground, blamed);
        }
    }

    fn merge(&mut self, other: &Self, ground: Ground<'_>, blamed: Vec<Blamed>) {
        let place = |slot: &Slot| {
            ground.families.get(*slot).map(|family| (family.starts_at, Arc::clone(&family.key)))
        };
        self.families.extend(&other.families);
        self.families.sort_by_cached_key(place);
        self.judged.extend(other.judged.iter().cloned());
        self.judged.sort_by_cached_key(|tied| place(&tied.family));
        self.judged.truncate(JUDGED_MAX);
        self.onsets = self.onsets.and(other.onsets);
        self.ends_at = later(self.ends_at, other.ends_at);
        self.judge(ground, blamed);
    }

    /// Takes note of how far its families have come since.
    fn refresh(self: &mut Arc<Self>, families: &Families) {
        let ends_at = self.ends_at(families);
        if ends_at != self.ends_at {
            Arc::make_mut(self).ends_at = ends_at;
        }
    }

    /// When the last of its families ended, or is expected to; `None` while one fires.
    pub(super) fn ends_at(&self, families: &Families) -> Option<Time> {
        let families = self.families.iter().filter_map(|slot| families.get(*slot));
        families.map(|family| family.ends_at).reduce(later).flatten()
    }

    /// Whether a family that begins now may join.
    fn is_open(&self, ground: Ground<'_>, family: &Family) -> bool {
        family.onset_to - self.onsets.from <= ground.model.settings.span
            && self.is_active(ground, family.starts_at)
    }

    /// Whether something of it fires, or did not long ago.
    fn is_active(&self, ground: Ground<'_>, now: Time) -> bool {
        self.ends_at.is_none_or(|end| end >= now - ground.model.settings.quiet)
    }

    /// Whether nothing that begins now or later can join it.
    fn is_settled(&self, ground: Ground<'_>, now: Time) -> bool {
        !self.is_active(ground, now - SETTLED_AFTER)
            || self.onsets.from + ground.model.settings.span < now - SETTLED_AFTER * 4
    }

    /// How many times likelier this story makes a family than all else does: its own rate, and the
    /// changes to which the story is not put down, which may have broken something new.
    fn link(&self, ground: Ground<'_>, symptom: &Symptom<'_>, tied: &Tied, rate: f64) -> f64 {
        let goes_on = self.goes_on(ground, symptom.family.starts_at);
        let (mut by_changes, mut rivals) = (0.0, tied.rate);
        // What a change would do to the family by itself is no tie to this story.
        for cause in self.causes.iter().filter(|cause| cause.probability > cause.prior) {
            let Some(tie) = tied.tie(cause.candidate, ground.changes) else { continue };
            let is_known = cause.probability >= KNOWN_CAUSE && tie.in_scope();
            let hazard = if is_known { tie.hazard_or(goes_on) } else { tie.hazard() };
            by_changes += (cause.probability - cause.prior) * hazard;
            rivals -= ground.rate_of(tie);
        }
        let by_story = by_changes + self.spreads_to(ground, symptom);
        by_story / (rate + RIVALS * rivals.max(0.0))
    }

    /// How much the symptoms of this story add to the family's rate, per hour.
    fn spreads_to(&self, ground: Ground<'_>, symptom: &Symptom<'_>) -> f64 {
        let Some(spot) = ground.families.spot(symptom.slot) else { return 0.0 };
        let nearest = self.families.iter().rev().take(NEAREST_MAX);
        let (mut by_one, mut by_all) = (0.0_f64, 0.0);
        for member in nearest.filter_map(|member| ground.families.spot(*member)) {
            by_one = by_one.max(spread(ground.model, member, spot));
            by_all += burst(member, spot);
        }
        by_one.max(by_all)
    }

    /// The density of one more symptom now, per hour, of a cause that still breaks things: it goes by
    /// the last symptom and not by the change, which may be long ago.
    fn goes_on(&self, ground: Ground<'_>, now: Time) -> f64 {
        let last = self.families.last().and_then(|slot| ground.families.spot(*slot));
        last.map_or(0.0, |last| spread_density(hours(now - last.starts_at).max(0.0)))
    }

    /// Puts the story down to its causes anew.
    fn judge(&mut self, ground: Ground<'_>, blamed: Vec<Blamed>) {
        self.blamed = blamed;
        let odds = ground.odds(&self.judged, self.onsets.from, &self.blamed);
        let log_odds: Vec<_> = odds.iter().map(Odds::log_odds).collect();
        let (_, probabilities) = softmax(&log_odds);
        self.causes = odds
            .iter()
            .zip(probabilities)
            .map(|(odds, probability)| Cause {
                candidate: odds.candidate,
                probability,
                prior: logistic(odds.prior),
                raised: logistic(odds.prior + odds.blamed),
                reaches: odds.anchor.is_known() && !odds.anchor.elsewhere(),
            })
            .filter(|cause| cause.probability >= CAUSE_LEAST)
            .collect();
    }

    /// What it is put down to first, if to anything rather than not. Of changes that nothing ties to it
    /// one is first by chance, and that says nothing of another story.
    fn first_cause(&self) -> Option<Blamed> {
        let causes = self.causes.iter();
        let causes = causes.filter(|cause| cause.reaches && cause.probability > cause.prior);
        let first = causes.max_by(|one, other| one.probability.total_cmp(&other.probability))?;
        Some(Blamed {
            candidate: first.candidate,
            sure: first.probability,
            first: *self.families.first()?,
        })
    }

    /// Whether this story, too, is likely the work of a change that the other is put down to.
    ///
    /// A change that broke something there is no longer one that breaks something once in so many
    /// times: its prior here is the probability that it has there.
    fn shares_cause_of(&self, other: &Self) -> bool {
        let known = other.causes.iter().filter(|cause| cause.probability >= KNOWN_CAUSE);
        known.into_iter().any(|there| {
            let here = self.causes.iter().find(|cause| cause.candidate == there.candidate);
            here.is_some_and(|here| {
                let shared = odds(here.probability) * odds(there.probability) / odds(here.raised);
                here.probability >= SHARED_LEAST && shared >= odds(LIKELY)
            })
        })
    }
}

/// The later of two ends, of which `None` is yet to come.
fn later(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    Some(one?.max(other?))
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

fn odds(probability: f64) -> f64 {
    probability / (1.0 - probability).max(f64::EPSILON)
}

/// Causes below this do not matter for grouping.
const CAUSE_LEAST: f64 = 0.01;
