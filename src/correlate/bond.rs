//! What relations and rules say between a story's symptoms and the candidates.
//!
//! In: the symptoms with their ties. Out: for each candidate the tie to the first symptom that it
//! explains, and what relations and rules say of all of them, in nats. What is the same for all changes
//! that were made in one place is reckoned once.

use std::collections::BTreeSet;

use super::{
    candidate::{Candidate, Reach, Slot as ChangeSlot},
    family::Family,
    hazard::{Ground, Tie, Tied},
    kernel::SKEW,
    odds::nats,
    time::Interval,
};
use crate::event::Time;

/// A guilty change meets a rule for one of its symptoms about as often as this.
const RULE_MEETS_GUILT: f64 = 0.35;

/// So many changes more, that meet no rule, are taken for granted: of a few nothing can be learned.
const RULE_CHANGES_LEAST: f64 = 20.0;

/// The most that a rule may say here, in nats: how much more often a guilty change meets one than the
/// changes did that came before this story. Where many do, by what people change there and by how many
/// rules there are, that another does says little, however sure the rule is of itself.
pub(super) fn most_of_rules(families: &[Tied], candidates: usize) -> f64 {
    let ruled = families.iter().flat_map(Tied::ruled);
    let spoken_for = ruled.filter(|tie| tie.rule.is_some_and(|rule| rule.speaks_for()));
    let meet: BTreeSet<_> = spoken_for.map(|tie| tie.candidate).collect();
    let others = super::number(meet.len()) - 1.0;
    let share = others / (super::number(candidates) + RULE_CHANGES_LEAST);
    if others > 0.0 { (RULE_MEETS_GUILT / share).ln().max(0.0) } else { f64::INFINITY }
}

/// Leaves of what rules say that which says most: with many rules about, some of them meets some symptom
/// of most stories by chance, and what rules say of the symptoms of one story is one piece of knowledge.
fn count_rules_once(ties: &mut [(Tie, f64, f64)], most: f64) {
    let says_most = |one: f64, other: f64| match (one > 0.0, other > 0.0) {
        (true, true) | (false, false) => one.abs() > other.abs(),
        (speaks_for, _) => speaks_for,
    };
    let mut best: Option<usize> = None;
    let said = |ties: &[(Tie, f64, f64)], place: usize| ties.get(place).map_or(0.0, |tie| tie.2);
    for place in 0..ties.len() {
        if best.is_none_or(|best| says_most(said(ties, place), said(ties, best))) {
            best = Some(place);
        }
    }
    for (place, tie) in ties.iter_mut().enumerate() {
        let (_, scope, rule) = *tie;
        // A symptom in a place to which a rule ties the change does not speak against it, at least.
        let not_against = if tie.0.is_ruled() { rule.clamp(0.0, (-scope).max(0.0)) } else { 0.0 };
        tie.2 = if best == Some(place) { nats(rule.min(most)) } else { not_against };
    }
}

/// Writes to the ties of one candidate what relation and rule say of each of a story's families, and
/// gives the tie to the first that it explains.
pub(super) fn weigh(
    ties: &mut [(Tie, f64, f64)],
    families: usize,
    most_of_rules: f64,
) -> Option<Tie> {
    let weight = weight_of_each(families);
    let known = ties.iter().find(|(tie, ..)| tie.is_known());
    let anchor = known.or(ties.first()).map(|(tie, ..)| *tie)?;
    for (tie, scope, rule) in ties.iter_mut() {
        (*scope, *rule) = if tie.family == anchor.family {
            let (scope, rule) = tie.of_first();
            (nats(scope), nats(rule))
        } else {
            let (scope, rule) = tie.of_any();
            (nats(scope * weight), nats(rule))
        };
    }
    count_rules_once(ties, most_of_rules);
    Some(anchor)
}

/// What the relation to each of so many symptoms counts: `1/√F`.
fn weight_of_each(families: usize) -> f64 {
    1.0 / super::number(families.max(1)).sqrt()
}

/// What relations and rules say of a candidate.
pub(super) struct Bond {
    /// The tie to the first symptom that it explains.
    pub(super) anchor: Tie,
    /// What they say of all symptoms.
    pub(super) reach: f64,
    pub(super) in_scope: bool,
    /// How probable it is that such a change breaks something.
    pub(super) prior: f64,
}

/// What the relations alone say of every change that stands alike to all symptoms of a story.
#[derive(Clone, Copy)]
struct Stance {
    /// The place of the first symptom that it explains.
    anchor: usize,
    reach: f64,
    in_scope: bool,
}

/// The bonds between a story and the candidates. Most changes are tied to its symptoms by where they
/// were made and by nothing else, so what that says is reckoned once for all that share it.
pub(super) struct Bonds<'a> {
    ground: Ground<'a>,
    families: &'a [Tied],
    /// What relations say, by what they depend on.
    stances: Vec<Option<Stance>>,
    ruled: BTreeSet<ChangeSlot>,
    /// What began in this time may be tied to some symptom ...
    tied_to_any: Interval,
    /// ... and what began from one moment to the other is tied to every one.
    tied_to_all: (Time, Time),
}

impl<'a> Bonds<'a> {
    /// Nothing is tied to no symptoms.
    pub(super) fn new(ground: Ground<'a>, families: &'a [Tied]) -> Option<Self> {
        let onsets = families.iter().filter_map(|tied| ground.families.get(tied.family));
        let onsets: Vec<_> = onsets.map(Family::onset).collect();
        let all = onsets.iter().copied().reduce(Interval::and)?;
        let last = onsets.iter().map(|onset| onset.from).max()?;
        let look_back = ground.model.settings.look_back;
        Some(Self {
            ground,
            families,
            stances: stances(families),
            ruled: families.iter().flat_map(Tied::ruled).map(|tie| tie.candidate).collect(),
            tied_to_any: Interval { from: all.from - look_back, to: all.to + SKEW },
            tied_to_all: (last - look_back, all.from),
        })
    }

    /// The candidates that are tied to any of the symptoms, by start.
    pub(super) fn candidates(&self) -> Vec<&'a Candidate> {
        let Interval { from, to } = self.tied_to_any;
        let between = self.ground.changes.between(from, to);
        between.filter(|set| self.is_plain(set) || self.ties_of(set).next().is_some()).collect()
    }

    /// Whether it is one change, tied to every symptom, and no rule speaks of it.
    fn is_plain(&self, set: &Candidate) -> bool {
        let (from, to) = self.tied_to_all;
        set.members.len() == 1
            && (from..=to).contains(&set.started_at)
            && !self.ruled.contains(&set.id())
    }

    fn ties_of<'s>(&'s self, set: &Candidate) -> impl Iterator<Item = &'a Tie> + use<'s, 'a> {
        let id = set.id();
        self.families.iter().filter_map(move |tied| tied.tie(id, self.ground.changes))
    }

    /// What relations and rules say of this candidate; a rule says `most_of_rules` at most.
    pub(super) fn bond(&self, set: &Candidate, most_of_rules: f64) -> Option<Bond> {
        let plain = if self.is_plain(set) { self.plain_bond(set) } else { None };
        debug_assert!(
            plain.as_ref().is_none_or(|bond| {
                self.bond_by_ties(set, most_of_rules).is_some_and(|other| {
                    (bond.reach - other.reach).abs() < 1e-9
                        && bond.anchor.family == other.anchor.family
                })
            }),
            "what is reckoned for all of its place is what its own ties say"
        );
        plain.or_else(|| self.bond_by_ties(set, most_of_rules))
    }

    fn plain_bond(&self, set: &Candidate) -> Option<Bond> {
        let stance = (*self.stances.get(self.ground.changes.reach(set.id()))?)?;
        let anchor = self.families.get(stance.anchor)?.tie(set.id(), self.ground.changes)?;
        Some(Bond {
            anchor: *anchor,
            reach: stance.reach,
            in_scope: stance.in_scope,
            prior: self.ground.prior_of(anchor),
        })
    }

    fn bond_by_ties(&self, set: &Candidate, most_of_rules: f64) -> Option<Bond> {
        let mut ties: Vec<_> = self.ties_of(set).map(|tie| (*tie, 0.0, 0.0)).collect();
        let anchor = weigh(&mut ties, self.families.len(), most_of_rules)?;
        // One act is counted once: by that of its members which breaks most.
        let priors = ties.iter().map(|(tie, ..)| self.ground.prior_of(tie));
        Some(Bond {
            anchor,
            reach: ties.iter().map(|(_, scope, rule)| scope + rule).sum(),
            in_scope: ties.iter().any(|(tie, ..)| tie.in_scope()),
            prior: priors.fold(0.0, f64::max),
        })
    }
}

/// What the relations say, for every reach that all of these families were asked about.
fn stances(families: &[Tied]) -> Vec<Option<Stance>> {
    let reaches = families.iter().map(Tied::reaches).min().unwrap_or(0);
    (0..reaches).map(|reach| stance(families, reach)).collect()
}

/// What the relations say of changes of this reach: the same as `weigh` makes of their ties.
fn stance(families: &[Tied], reach: Reach) -> Option<Stance> {
    let stands: Option<Vec<_>> = families.iter().map(|tied| tied.stand(reach)).collect();
    let stands = stands?;
    let weight = weight_of_each(families.len());
    let in_scope = stands.iter().position(|stand| stand.in_scope());
    let anchor = in_scope.unwrap_or(0);
    let each = stands.iter().zip(0..).map(|(stand, place)| {
        if place == anchor { nats(stand.of_first) } else { nats(stand.of_any * weight) }
    });
    Some(Stance { anchor, reach: each.sum(), in_scope: in_scope.is_some() })
}
