//! Grouping: which symptoms are one story. A fold over the families in the order in which they
//! began to fire.
//!
//! A family joins the open incident whose story makes it likeliest, measured against the family's
//! own base rate: by the changes that the incident is put down to, as far as they are, and by the
//! symptoms that it already has, which spread along dependencies. Each decision uses only what was
//! so at that time.

use super::{
    family::Family,
    hazard::{Ground, Tie, softmax},
    kernel::SKEW,
    time::{Interval, hours},
    verdict::LIKELY,
};
use crate::event::{Labels, Time};

/// The families of one story.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// Indices of families, by start.
    pub(super) families: Vec<usize>,
    /// The first onset of its families, at the latest that it can have been, and the last.
    onsets: Interval,
    /// When the last of its families ended; `None` while one fires.
    ends_at: Option<Time>,
    /// The candidates that it was put down to when it was judged last: (index, probability).
    causes: Vec<(usize, f64)>,
}

/// A story must make a family this many times likelier than its base rate does: two to one.
pub(super) const LINK_LEAST: f64 = 2.0;

/// A change to which a story is put down rather than not ...
const KNOWN_CAUSE: f64 = 0.5;
/// ... is the cause of another, too, where it is suspected at all, and would be likely now that it is
/// known.
const SHARED_LEAST: f64 = 0.05;

/// Of a story's symptoms the latest are asked how near they are: the spread dies away with time.
const NEAREST_MAX: usize = 64;

/// Stories up to this size are judged with each family.
const JUDGED_EACH_TIME: usize = 32;

/// The stories that the families make; `ties` are those of each family.
pub(super) fn stories(ground: &Ground<'_>, ties: &[Vec<Tie<'_>>]) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    for (index, family) in ground.families.iter().enumerate() {
        let rate = ground.rates.per_hour(&family.key, family.starts_at);
        let own = ties.get(index).map(Vec::as_slice).unwrap_or_default();
        let best = stories
            .iter()
            .enumerate()
            .filter(|(_, story)| story.is_open(ground, family))
            .map(|(place, story)| (place, story.hazard(ground, family, own) / rate))
            .filter(|(_, link)| *link >= LINK_LEAST)
            // Of equals the first: the one whose first alert is earlier.
            .max_by(|(one_place, one), (other_place, other)| {
                one.total_cmp(other).then(other_place.cmp(one_place))
            });
        let place = best.map_or(stories.len(), |(place, _)| place);
        match stories.get_mut(place) {
            Some(story) => story.join(index, family),
            None => stories.push(Story::open(index, family)),
        }
        if let Some(story) = stories.get_mut(place).filter(|story| story.is_to_be_judged()) {
            story.judge(ground, ties);
        }
        merge_with_twin(&mut stories, place, ground, ties, family.starts_at);
    }
    stories
}

/// Merges the story at `place` with another open one that has the same cause.
fn merge_with_twin(
    stories: &mut Vec<Story>,
    place: usize,
    ground: &Ground<'_>,
    ties: &[Vec<Tie<'_>>],
    now: Time,
) {
    let Some(mine) = stories.get(place) else { return };
    let twin = stories.iter().enumerate().position(|(other, story)| {
        other != place
            && mine.onsets.and(story.onsets).length() <= ground.model.settings.span
            && story.is_active(ground, now)
            && (mine.shares_cause_of(story, ground) || story.shares_cause_of(mine, ground))
    });
    let Some(twin) = twin else { return };
    let taken = stories.remove(place.max(twin));
    if let Some(kept) = stories.get_mut(place.min(twin)) {
        kept.families.extend(taken.families);
        kept.families.sort_unstable();
        kept.onsets = kept.onsets.and(taken.onsets);
        kept.ends_at = later(kept.ends_at, taken.ends_at);
        kept.judge(ground, ties);
    }
}

impl Story {
    fn open(index: usize, family: &Family) -> Self {
        let onsets = Interval { from: family.onset.to, to: family.onset.to };
        Self { families: vec![index], onsets, ends_at: family.ends_at, causes: Vec::new() }
    }

    fn join(&mut self, index: usize, family: &Family) {
        self.families.push(index);
        self.onsets = self.onsets.and(Interval { from: family.onset.to, to: family.onset.to });
        self.ends_at = later(self.ends_at, family.ends_at);
    }

    /// Whether a family that begins now may join.
    fn is_open(&self, ground: &Ground<'_>, family: &Family) -> bool {
        family.onset.to - self.onsets.from <= ground.model.settings.span
            && self.is_active(ground, family.starts_at)
    }

    /// Whether something of it fires, or did not long ago.
    fn is_active(&self, ground: &Ground<'_>, now: Time) -> bool {
        self.ends_at.is_none_or(|end| end >= now - ground.model.settings.quiet)
    }

    /// Whether its last family may have changed what it is put down to: in a large story one more
    /// symptom hardly does, and each would be weighed against all.
    fn is_to_be_judged(&self) -> bool {
        self.families.len() <= JUDGED_EACH_TIME || self.families.len().is_power_of_two()
    }

    /// How much this story adds to the family's rate, per hour.
    fn hazard(&self, ground: &Ground<'_>, family: &Family, ties: &[Tie<'_>]) -> f64 {
        let by_changes: f64 = self
            .causes
            .iter()
            .filter_map(|(cause, probability)| {
                let tie = ties.iter().find(|tie| tie.candidate == *cause)?;
                // What the change would do to the family by itself is no tie to this story.
                let prior = ground.candidates.get(*cause)?.prior;
                Some((probability - prior).max(0.0) * tie.hazard())
            })
            .sum();
        let nearest = self.families.iter().rev().take(NEAREST_MAX);
        let by_symptoms = nearest
            .filter_map(|member| ground.families.get(*member))
            .map(|member| spread(ground, member, family))
            .fold(0.0, f64::max);
        by_changes + by_symptoms
    }

    /// Puts the story down to its causes anew.
    fn judge(&mut self, ground: &Ground<'_>, ties: &[Vec<Tie<'_>>]) {
        let odds = ground.odds(&self.families, ties, self.onsets.from);
        let log_odds: Vec<_> = odds.iter().map(super::hazard::Odds::log_odds).collect();
        let (_, probabilities) = softmax(&log_odds);
        self.causes = odds
            .iter()
            .zip(probabilities)
            .map(|(odds, probability)| (odds.candidate, probability))
            .filter(|(_, probability)| *probability >= CAUSE_LEAST)
            .collect();
    }

    /// Whether this story, too, is likely the work of a change that the other is put down to.
    ///
    /// A change that broke something there is no longer one that breaks something once in so many
    /// times: its prior here is the probability that it has there.
    fn shares_cause_of(&self, other: &Self, ground: &Ground<'_>) -> bool {
        let known = other.causes.iter().filter(|(_, probability)| *probability >= KNOWN_CAUSE);
        known.into_iter().any(|(cause, known)| {
            let here = self.causes.iter().find(|(candidate, _)| candidate == cause);
            let prior = ground.candidates.get(*cause).map(|candidate| candidate.prior);
            let (Some((_, here)), Some(prior)) = (here, prior) else { return false };
            let raised = odds(*here) * odds(*known) / odds(prior);
            *here >= SHARED_LEAST && raised >= odds(LIKELY)
        })
    }
}

/// The later of two ends, of which `None` is yet to come.
fn later(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    Some(one?.max(other?))
}

fn odds(probability: f64) -> f64 {
    probability / (1.0 - probability).max(f64::EPSILON)
}

/// Causes below this do not matter for grouping.
const CAUSE_LEAST: f64 = 0.01;

/// How much a symptom that is there adds to another's rate, per hour.
pub(super) fn spread(ground: &Ground<'_>, from: &Family, to: &Family) -> f64 {
    let lag = to.starts_at - from.starts_at;
    if lag < -SKEW {
        return 0.0;
    }
    nearness(ground, &from.labels, &to.labels) * spread_density(hours(lag).max(0.0))
}

/// Symptoms of one cause show within minutes of each other, or hours later when something runs out.
fn spread_density(lag: f64) -> f64 {
    let quick = (-lag / QUICK_MEAN).exp() / QUICK_MEAN;
    let slow = (-lag / SLOW_MEAN).exp() / SLOW_MEAN;
    0.8 * quick + 0.2 * slow
}

const QUICK_MEAN: f64 = 5.0 / 60.0;
const SLOW_MEAN: f64 = 1.0;

/// How close two symptoms are: what fails makes its users fail, and is seen to fail by them first.
///
/// The numbers are judgements of order, not measurements: the same service before its neighbours,
/// these before what merely shares a cluster, and another environment a long way behind.
fn nearness(ground: &Ground<'_>, from: &Labels, to: &Labels) -> f64 {
    let catalog = &ground.model.catalog;
    let mut near = 0.0_f64;
    for sick in from.values("service") {
        for next in to.values("service") {
            near = near.max(match (catalog.hops(next, sick), catalog.hops(sick, next)) {
                (Some(0), _) => 0.15,
                (Some(1), _) => 0.10,
                (_, Some(1)) => 0.07,
                (Some(2), _) | (_, Some(2)) => 0.02,
                _ => 0.0,
            });
        }
    }
    for name in ["namespace", "node", "host"] {
        if from.share(to, name) == Some(true) {
            near = near.max(0.10);
        }
    }
    if from.share(to, "cluster") == Some(true) {
        near = near.max(0.003);
    }
    let elsewhere = from.share(to, "environment") == Some(false);
    let same_alert = from.share(to, "alertname") == Some(true);
    match (elsewhere, same_alert) {
        (true, true) => near.max(0.03) * 0.3,
        (true, false) => near * 0.1,
        (false, true) => near.max(0.03),
        (false, false) => near.max(0.001),
    }
}
