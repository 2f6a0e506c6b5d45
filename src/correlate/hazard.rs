//! Hazards: how much each change set adds to the rate of a symptom.
//!
//! A broken change begins a symptom at `s·m·ḡ` per hour: `s` for how it stands to the symptom, `m`
//! for what a rule knows, `ḡ` for the density of its lag.

use std::{cell::RefCell, sync::Arc};

use super::{
    candidate::{Candidate, Changes, Reach, Slot as ChangeSlot},
    family::{Families, Family, Slot},
    feedback::Said,
    kernel::{Kernel, SKEW, prior},
    model::Model,
    scope::{Relation, Weight, relation},
    time::Interval,
};
use crate::{
    catalog::Catalog,
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
pub(super) struct Stand {
    /// How strong the relation is.
    strength: f64,
    /// What the relation says of guilt.
    weight: Weight,
    /// Whether the catalogue knows a way between the two.
    catalogued: bool,
    /// The part of that strength that is owed to the environments.
    environment: f64,
    /// What it says of the first symptom of a story, and of any other, in nats.
    pub(super) of_first: f64,
    pub(super) of_any: f64,
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
    /// How the member stands to it.
    stand: Stand,
    pub(super) rule: Option<Applied>,
    /// Mean lag density, per hour.
    pub(super) density: f64,
    /// What the rule adds for a symptom that is not the first, in nats.
    rule_of_any: f64,
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
    ties: Arc<[Tie]>,
    /// The candidate of each tie, apart from them: one is looked for among them.
    candidates: Arc<[ChangeSlot]>,
    /// The ties of which a rule speaks, by their place.
    ruled: Arc<[usize]>,
    /// How the changes stand to it, by what that depends on.
    stands: Arc<[Option<Stand>]>,
    /// What all of them add to its rate, per hour, as often as such changes break anything.
    pub(super) rate: f64,
}

impl Tied {
    /// The tie of this candidate.
    pub(super) fn tie(&self, candidate: ChangeSlot, changes: &Changes) -> Option<&Tie> {
        let place = changes.place(candidate);
        let place = self.candidates.binary_search_by_key(&place, |one| changes.place(*one)).ok()?;
        self.ties.get(place)
    }

    /// The ties of which a rule speaks.
    pub(super) fn ruled(&self) -> impl Iterator<Item = &Tie> {
        self.ruled.iter().filter_map(|place| self.ties.get(*place))
    }

    /// Reaches below this were asked about, not all of them.
    pub(super) fn reaches(&self) -> Reach {
        self.stands.len()
    }

    /// How changes of this reach stand to it.
    pub(super) fn stand(&self, reach: Reach) -> Option<&Stand> {
        self.stands.get(reach)?.as_ref()
    }
}

impl Stand {
    fn new(change: &Change, symptom: &Labels, catalog: &Catalog) -> Self {
        let Relation { strength, weight, catalogued, environment, way: _ } =
            relation(change, symptom, catalog);
        Self {
            strength,
            weight,
            catalogued,
            environment,
            of_first: bounded(weight.first / WEIGHT_OF_FIRST),
            of_any: bounded(weight.other / WEIGHT_OF_ANY),
        }
    }

    /// Whether the change is close enough to answer for the symptom.
    pub(super) fn in_scope(&self) -> bool {
        Relation::is_in_scope(self.strength)
    }

    /// What a rule adds to what the relation says.
    fn rule_adds(&self, rule: &Applied, weight: f64, reference: f64, related: f64) -> f64 {
        let weight = weight.max(rule.scope * self.environment);
        let ruled = bounded(rule.strength * (weight / reference));
        let counts = if self.catalogued && rule.speaks_for() { RULE_OF_RELATED } else { 1.0 };
        (ruled - related) * counts
    }
}

impl Applied {
    /// Whether it says that such changes cause such symptoms, and not that they do not.
    pub(super) fn speaks_for(&self) -> bool {
        self.strength > 1.0
    }
}

/// What a rule ties is related, whatever the catalogue knows of it ...
const RULE_SCOPE: f64 = 0.35;
/// ... and less where one side does not say the labels that should be the same.
const RULE_SCOPE_UNSAID: f64 = 0.10;

impl Tie {
    /// How strongly the change reaches the symptom, rule included.
    fn reach(&self) -> f64 {
        let Stand { strength, environment, .. } = self.stand;
        self.rule.map_or(strength, |rule| rule.strength * strength.max(rule.scope * environment))
    }

    /// Whether the change is close enough to answer for the symptom.
    pub(super) fn in_scope(&self) -> bool {
        self.stand.in_scope()
    }

    /// Whether both are known to be in different environments.
    pub(super) fn elsewhere(&self) -> bool {
        Relation::is_elsewhere(self.stand.environment)
    }

    /// Whether anything is known to tie the two.
    pub(super) fn is_known(&self) -> bool {
        self.in_scope() || self.rule.is_some_and(|rule| rule.speaks_for())
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
    pub(super) fn of_first(&self) -> (f64, f64) {
        let Stand { weight, of_first, .. } = self.stand;
        let adds = |rule| self.stand.rule_adds(&rule, weight.first, WEIGHT_OF_FIRST, of_first);
        (of_first, self.rule.map_or(0.0, adds))
    }

    /// What the relation to another symptom of it says, and what the rule adds.
    pub(super) fn of_any(&self) -> (f64, f64) {
        (self.stand.of_any, self.rule_of_any)
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
        let ties: Arc<[Tie]> = candidates.filter_map(|set| self.best(set, symptom)).collect();
        let places = ties.iter().zip(0..);
        Tied {
            family: symptom.slot,
            candidates: ties.iter().map(|tie| tie.candidate).collect(),
            ruled: places.filter(|(tie, _)| tie.rule.is_some()).map(|(_, place)| place).collect(),
            stands: symptom.relations.borrow().as_slice().into(),
            rate: ties.iter().map(|tie| self.rate_of(tie)).sum(),
            ties,
        }
    }

    /// What the change behind this tie adds to the symptom's rate, per hour, as often as it breaks anything.
    pub(super) fn rate_of(self, tie: &Tie) -> f64 {
        self.prior_of(tie) * tie.hazard()
    }

    /// How probable it is that the change behind this tie breaks anything at all.
    pub(super) fn prior_of(self, tie: &Tie) -> f64 {
        self.changes.get(tie.member).map_or(0.0, prior)
    }

    /// How one candidate is tied to a symptom, if it can have caused it.
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
        let rule = self.applied(member, change, symptom);
        let adds = |rule| stand.rule_adds(&rule, stand.weight.other, WEIGHT_OF_ANY, stand.of_any);
        Tie {
            candidate,
            member,
            family: symptom.slot,
            stand,
            rule,
            density: Kernel::of(change).mean_density(effect, family.onset()),
            rule_of_any: rule.map_or(0.0, adds),
        }
    }

    /// How a change stands to a symptom: reckoned once for all changes that stand alike to it.
    fn stand(self, (member, change): (ChangeSlot, &Change), symptom: &Symptom<'_>) -> Stand {
        let reach = self.changes.reach(member);
        let mut known = symptom.relations.borrow_mut();
        if known.len() <= reach {
            known.resize(reach + 1, None);
        }
        let reckon = || Stand::new(change, symptom.family.labels(), &self.model.catalog);
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
