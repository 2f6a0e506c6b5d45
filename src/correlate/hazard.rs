//! Hazards: how much each change set adds to the rate of a symptom.
//!
//! A broken change begins a symptom at `s·m·ḡ` per hour: `s` for how it stands to the symptom, `m`
//! for what a rule knows, `ḡ` for the density of its lag.

use std::{cell::RefCell, sync::Arc};

use super::{
    candidate::{Candidate, Changes, Slot as ChangeSlot},
    family::{Families, Family, Slot},
    feedback::Said,
    kernel::{Kernel, SKEW},
    model::Model,
    scope::{Relation, Weight, relation},
    time::Interval,
};
use crate::{
    event::{Change, Labels},
    rules::Rule,
};

/// What may have caused what: the changes, the families, how they can be tied, and what people say.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) model: &'a Model,
    pub(super) changes: &'a Changes,
    pub(super) families: &'a Families,
    pub(super) said: &'a Said,
}

/// A family with the rules whose alert side it meets, by their place in the set.
pub(super) struct Symptom<'a> {
    pub(super) slot: Slot,
    pub(super) family: &'a Family,
    rules: Vec<usize>,
    /// How the changes stand to it, as far as it was asked, by what that depends on.
    relations: RefCell<Vec<Option<Stand>>>,
}

/// How a change stands to a symptom, whatever the way is.
#[derive(Clone, Copy, Debug)]
struct Stand {
    strength: f64,
    weight: Weight,
    catalogued: bool,
    environment: f64,
}

/// The best tie between a change set and a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tie {
    /// The candidate.
    pub(super) candidate: ChangeSlot,
    /// The member that explains the family best.
    pub(super) member: ChangeSlot,
    /// The family.
    pub(super) family: Slot,
    /// How strong the relation is.
    strength: f64,
    /// What the relation says of guilt.
    weight: Weight,
    /// Whether the catalogue knows a way between the two.
    catalogued: bool,
    /// The part of that strength that is owed to the environments.
    environment: f64,
    pub(super) rule: Option<Applied>,
    /// Mean lag density, per hour.
    pub(super) density: f64,
    /// What relation and rule say of a symptom that is not the first, in nats.
    pub(super) of_any: (f64, f64),
}

/// A rule that holds between a change and a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    /// Its place in the set.
    rule: usize,
    /// Its strength, less where a label that should be the same is not said.
    pub(super) strength: f64,
    /// How strong a relation the rule itself is.
    scope: f64,
}

/// A family with its ties, by the start of the candidates.
#[derive(Clone, Debug)]
pub(super) struct Tied {
    pub(super) family: Slot,
    pub(super) ties: Arc<[Tie]>,
    /// The candidate of each tie, apart from them: they are gone through for each symptom of a story.
    pub(super) candidates: Arc<[ChangeSlot]>,
    /// The candidates that a rule speaks for.
    pub(super) ruled: Arc<[ChangeSlot]>,
}

/// What a rule ties is related, whatever the catalogue knows of it ...
const RULE_SCOPE: f64 = 0.35;
/// ... and less where one side does not say the labels that should be the same.
const RULE_SCOPE_UNSAID: f64 = 0.10;

impl Tie {
    /// How strongly the change reaches the symptom, rule included.
    fn reach(&self) -> f64 {
        self.rule.map_or(self.strength, |rule| {
            rule.strength * self.strength.max(rule.scope * self.environment)
        })
    }

    /// Whether the change is close enough to answer for the symptom.
    pub(super) fn in_scope(&self) -> bool {
        Relation::is_in_scope(self.strength)
    }

    /// Whether both are known to be in different environments.
    pub(super) fn elsewhere(&self) -> bool {
        Relation::is_elsewhere(self.environment)
    }

    /// Whether anything is known to tie the two.
    pub(super) fn is_known(&self) -> bool {
        self.in_scope() || self.rule.is_some_and(|rule| rule.strength > 1.0)
    }

    /// Whether a rule ties the two, and both say all that should be the same.
    pub(super) fn is_ruled(&self) -> bool {
        self.rule.is_some_and(|rule| rule.scope >= RULE_SCOPE)
    }

    /// How much the change adds to the symptom's rate, per hour.
    pub(super) fn hazard(&self) -> f64 {
        self.reach() * self.density
    }

    /// The same, where the density is not less than this.
    pub(super) fn hazard_or(&self, density: f64) -> f64 {
        self.reach() * self.density.max(density)
    }

    /// What the relation to the first symptom of a story says, and what the rule adds.
    pub(super) fn scope_and_rule_of_first(&self) -> (f64, f64) {
        self.scope_and_rule(self.weight.first, WEIGHT_OF_FIRST)
    }

    /// What the relation to another symptom of it says, and what the rule adds.
    pub(super) fn scope_and_rule_of_other(&self) -> (f64, f64) {
        self.scope_and_rule(self.weight.other, WEIGHT_OF_ANY)
    }

    fn scope_and_rule(&self, weight: f64, reference: f64) -> (f64, f64) {
        let related = weight / reference;
        let ruled = self.rule.map_or(related, |rule| {
            rule.strength * (weight.max(rule.scope * self.environment) / reference)
        });
        let (related, ruled) = (bounded(related), bounded(ruled));
        let speaks_for = self.rule.is_some_and(|rule| rule.strength > 1.0);
        let counts = if self.catalogued && speaks_for { RULE_OF_RELATED } else { 1.0 };
        (related, (ruled - related) * counts)
    }
}

fn bounded(ratio: f64) -> f64 {
    ratio.ln().clamp(-SCOPE_MAX, SCOPE_MAX)
}

/// A relation to the first symptom is measured against certainty.
const WEIGHT_OF_FIRST: f64 = 1.0;

/// Any cause stands to a symptom so that its relation says this much.
const WEIGHT_OF_ANY: f64 = 0.2;

/// Of what a rule says for a change to which the catalogue knows a way anyhow, this much counts: the
/// two say in part the same.
const RULE_OF_RELATED: f64 = 0.75;

/// One symptom's place says no more than this, in nats.
const SCOPE_MAX: f64 = 5.0;

impl<'a> Ground<'a> {
    /// A family, ready to be tied.
    pub(super) fn symptom(self, slot: Slot, family: &'a Family) -> Symptom<'a> {
        let rules = self.model.rules.rules.of_alert(family.labels());
        Symptom { slot, family, rules, relations: RefCell::default() }
    }

    /// How the candidates are tied to a symptom, best member each: those that can have caused it.
    pub(super) fn ties(self, symptom: &Symptom<'_>) -> Tied {
        let earliest = symptom.family.onset_from - self.model.settings.look_back;
        let candidates = self.changes.between(earliest, symptom.family.onset_to + SKEW);
        let ties: Arc<[_]> = candidates.filter_map(|set| self.best(set, symptom)).collect();
        let ruled = ties.iter().filter(|tie| tie.rule.is_some_and(|rule| rule.strength > 1.0));
        Tied {
            family: symptom.slot,
            candidates: ties.iter().map(|tie| tie.candidate).collect(),
            ruled: ruled.map(|tie| tie.candidate).collect(),
            ties,
        }
    }

    /// How one candidate is tied to a symptom, if it can have caused it.
    pub(super) fn tie_of(self, candidate: ChangeSlot, symptom: &Symptom<'_>) -> Option<Tie> {
        self.best(self.changes.candidate(candidate)?, symptom)
    }

    fn best(self, set: &Candidate, symptom: &Symptom<'_>) -> Option<Tie> {
        let family = symptom.family;
        let earliest = family.onset_from - self.model.settings.look_back;
        let members = set.members.iter().filter_map(|member| {
            Some((*member, self.changes.get(*member)?)).filter(|(_, change)| {
                change.started_at >= earliest && change.started_at <= family.onset_to + SKEW
            })
        });
        members
            .map(|(member, change)| self.tie((set.id(), member, change), symptom))
            .max_by(|one, other| one.hazard().total_cmp(&other.hazard()))
            .filter(|tie| tie.hazard() > 0.0)
    }

    fn tie(
        self,
        (candidate, member, change): (ChangeSlot, ChangeSlot, &Change),
        symptom: &Symptom<'_>,
    ) -> Tie {
        let family = symptom.family;
        // What was rolled out after the symptom began cannot have caused it, and is left out of the
        // mean rather than counted against the part that can.
        let end = change.finished_at.unwrap_or(family.onset_to);
        let effect = Interval {
            from: change.started_at,
            to: end.min(family.onset_to).max(change.started_at),
        };
        let stand = self.stand((member, change), symptom);
        let tie = Tie {
            candidate,
            member,
            family: symptom.slot,
            strength: stand.strength,
            weight: stand.weight,
            catalogued: stand.catalogued,
            environment: stand.environment,
            rule: self.applied(member, change, symptom),
            density: Kernel::of(change).mean_density(effect, family.onset()),
            of_any: (0.0, 0.0),
        };
        Tie { of_any: tie.scope_and_rule_of_other(), ..tie }
    }

    /// How a change stands to a symptom: reckoned once for all changes that stand alike to it.
    fn stand(self, (member, change): (ChangeSlot, &Change), symptom: &Symptom<'_>) -> Stand {
        let reach = self.changes.reach(member);
        let mut known = symptom.relations.borrow_mut();
        if known.len() <= reach {
            known.resize(reach + 1, None);
        }
        let reckon = || {
            let Relation { strength, weight, catalogued, environment, way: _ } =
                relation(change, symptom.family.labels(), &self.model.catalog);
            Stand { strength, weight, catalogued, environment }
        };
        known.get_mut(reach).map_or_else(reckon, |known| *known.get_or_insert_with(reckon))
    }

    /// The rule that says most about the pair: the strongest that speaks for it, else the strongest
    /// that speaks against it.
    fn applied(
        self,
        member: ChangeSlot,
        change: &Change,
        symptom: &Symptom<'_>,
    ) -> Option<Applied> {
        let (labels, family) = (change.scope.labels(), symptom.family);
        let lag = family.onset_to - change.started_at;
        let met = self.changes.rules(member).iter();
        let met = met.filter(|place| symptom.rules.binary_search(place).is_ok());
        let rules = met.filter_map(|place| Some((*place, self.model.rules.rules.get(*place)?)));
        let applied = rules
            .filter(|(_, rule)| lag <= rule.window)
            .filter_map(|(place, rule)| apply(place, rule, labels, family.labels()));
        applied.max_by(|one, other| {
            let rank = |applied: &Applied| {
                if applied.strength >= 1.0 { applied.strength } else { -1.0 / applied.strength }
            };
            let name = |applied: &Applied| self.rule(applied).map(|rule| &rule.name);
            rank(one).total_cmp(&rank(other)).then_with(|| name(other).cmp(&name(one)))
        })
    }

    /// The rule that was applied.
    pub(super) fn rule(self, applied: &Applied) -> Option<&'a Rule> {
        self.model.rules.rules.get(applied.rule)
    }
}

/// The rule between these labels, if what should be the same is not known to differ.
fn apply(place: usize, rule: &Rule, change: &Labels, symptom: &Labels) -> Option<Applied> {
    let mut unsaid = false;
    for name in &rule.same {
        match change.share(symptom, name) {
            Some(true) => {}
            Some(false) => return None,
            None => unsaid = true,
        }
    }
    let (strength, scope) = match (rule.strength < 1.0, unsaid) {
        (true, _) => (rule.strength, 0.0),
        (false, false) => (rule.strength, RULE_SCOPE),
        (false, true) => (rule.strength.sqrt(), RULE_SCOPE_UNSAID),
    };
    Some(Applied { rule: place, strength, scope })
}
