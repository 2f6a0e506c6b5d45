//! Competing hazards: every change set, and nothing recorded, may have caused an incident.
//!
//! Its first symptom `a` begins by itself at its base rate `λ_a` per hour. A broken change `c`
//! begins it at `s·m·ḡ` per hour: `s` for how it stands to the symptom, `m` for what a rule knows,
//! `ḡ` for the density of its lag. Once something is broken the other symptoms follow, on the
//! services that the change reaches, `s_f`, and by any other cause on one in so many, `r`. So
//!
//! ```text
//! ln odds(c) = ln(q / (1-q)) + ln(ḡ / λ_a) + ln(s_a·m_a) + Σ_f ln(s_f·m_f / r) / √F - V
//! ```
//!
//! against "no recorded change". The lag counts once: when the later symptoms show says how the
//! trouble spread. `1/√F`, because the symptoms of one incident do not speak independently. `V` is
//! for symptoms that were there before the change.

use std::collections::BTreeMap;

use super::{
    candidate::{Candidate, candidates},
    family::{BaseRates, Family},
    grouping::LINK_LEAST,
    kernel::{Kernel, SKEW},
    model::Model,
    scope::{Relation, relation},
    time::Interval,
};
use crate::{
    event::{Change, Labels, Time},
    rules::{Rule, change_labels},
};

/// What may have caused what: the changes, the families and how they can be tied.
pub(super) struct Ground<'a> {
    pub(super) model: &'a Model,
    pub(super) changes: &'a [Change],
    pub(super) families: &'a [Family],
    pub(super) candidates: Vec<Candidate>,
    pub(super) rates: BaseRates,
    /// For each change, the rules whose change side it meets.
    rules: Vec<Vec<&'a Rule>>,
}

/// The best tie between a change set and a family.
#[derive(Clone, Debug)]
pub(super) struct Tie<'a> {
    /// Index of the candidate.
    pub(super) candidate: usize,
    /// Index of the member that explains the family best.
    pub(super) member: usize,
    /// Index of the family.
    pub(super) family: usize,
    pub(super) relation: Relation,
    pub(super) rule: Option<Applied<'a>>,
    /// Mean lag density, per hour.
    pub(super) density: f64,
}

/// A rule that holds between a change and a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied<'a> {
    pub(super) rule: &'a Rule,
    /// Its strength, less where a label that should be the same is not said.
    pub(super) strength: f64,
    /// How strong a relation the rule itself is.
    scope: f64,
}

/// What a rule ties is related, whatever the catalogue knows of it ...
const RULE_SCOPE: f64 = 0.30;
/// ... and less where one side does not say the labels that should be the same.
const RULE_SCOPE_UNSAID: f64 = 0.10;

impl Tie<'_> {
    /// How strongly the change reaches the symptom, rule included.
    fn reach(&self) -> f64 {
        self.rule.map_or(self.relation.strength, |rule| {
            rule.strength * self.relation.strength.max(rule.scope * self.relation.environment)
        })
    }

    /// Whether anything is known to tie the two.
    fn is_known(&self) -> bool {
        self.relation.in_scope() || self.rule.is_some_and(|rule| rule.strength > 1.0)
    }

    /// How much the change adds to the symptom's rate, per hour.
    pub(super) fn hazard(&self) -> f64 {
        self.reach() * self.density
    }

    /// What the relation says, against a reach of `reference`, and what the rule adds.
    fn scope_and_rule(&self, reference: f64) -> (f64, f64) {
        let related = (self.relation.strength / reference).ln().clamp(-SCOPE_MAX, SCOPE_MAX);
        let ruled = (self.reach() / reference).ln().clamp(-SCOPE_MAX, SCOPE_MAX);
        (related, ruled - related)
    }
}

/// One symptom's place says no more than this, in nats.
const SCOPE_MAX: f64 = 5.0;

/// Of an incident's further symptoms any cause reaches so many services.
const REACH_OF_ANY: f64 = 0.15;

impl<'a> Ground<'a> {
    pub(super) fn new(
        model: &'a Model,
        changes: &'a [Change],
        families: &'a [Family],
        observed_from: Option<Time>,
    ) -> Self {
        let rules = changes
            .iter()
            .map(|change| {
                let labels = change_labels(change);
                model.rules.rules.iter().filter(|rule| rule.change.matches(&labels)).collect()
            })
            .collect();
        Self {
            model,
            changes,
            families,
            candidates: candidates(changes),
            rates: BaseRates::new(families, observed_from),
            rules,
        }
    }

    /// How the candidates are tied to a family, best member each: those that can have caused it.
    pub(super) fn ties(&self, family: usize) -> Vec<Tie<'a>> {
        let Some(symptom) = self.families.get(family) else { return Vec::new() };
        let earliest = symptom.onset.from - self.model.settings.look_back;
        let alert_rules: Vec<_> = self
            .model
            .rules
            .rules
            .iter()
            .filter(|rule| rule.alert.matches(&symptom.labels))
            .map(|rule| rule.name.as_str())
            .collect();
        let mut ties = Vec::new();
        for (candidate, set) in self.candidates.iter().enumerate() {
            let best = set
                .members
                .iter()
                .filter_map(|member| Some((*member, self.changes.get(*member)?)))
                .filter(|(_, change)| {
                    change.started_at >= earliest && change.started_at <= symptom.onset.to + SKEW
                })
                .map(|(member, change)| {
                    self.tie(candidate, (member, change), (family, symptom), &alert_rules)
                })
                .max_by(|one, other| one.hazard().total_cmp(&other.hazard()));
            ties.extend(best.filter(|tie| tie.hazard() > 0.0));
        }
        ties
    }

    fn tie(
        &self,
        candidate: usize,
        (member, change): (usize, &'a Change),
        (family, symptom): (usize, &Family),
        alert_rules: &[&str],
    ) -> Tie<'a> {
        // What was rolled out after the symptom began cannot have caused it, and is left out of the
        // mean rather than counted against the part that can.
        let end = change.finished_at.unwrap_or(symptom.onset.to);
        let effect = Interval {
            from: change.started_at,
            to: end.min(symptom.onset.to).max(change.started_at),
        };
        Tie {
            candidate,
            member,
            family,
            relation: relation(change, &symptom.labels, &self.model.catalog),
            rule: self.applied(member, change, symptom, alert_rules),
            density: Kernel::of(change).mean_density(effect, symptom.onset),
        }
    }

    /// The rule that says most about the pair: the strongest that speaks for it, else the strongest
    /// that speaks against it.
    fn applied(
        &self,
        member: usize,
        change: &Change,
        symptom: &Family,
        alert_rules: &[&str],
    ) -> Option<Applied<'a>> {
        let labels = change.scope.labels();
        let lag = symptom.onset.to - change.started_at;
        let holding = self
            .rules
            .get(member)?
            .iter()
            .filter(|rule| lag <= rule.window && alert_rules.contains(&rule.name.as_str()));
        let applied = holding.filter_map(|rule| apply(rule, labels, &symptom.labels));
        applied.max_by(|one, other| {
            let rank = |applied: &Applied<'_>| {
                if applied.strength >= 1.0 { applied.strength } else { -1.0 / applied.strength }
            };
            rank(one).total_cmp(&rank(other)).then_with(|| other.rule.name.cmp(&one.rule.name))
        })
    }
}

/// The rule between these labels, if what should be the same is not known to differ.
fn apply<'a>(rule: &'a Rule, change: &Labels, symptom: &Labels) -> Option<Applied<'a>> {
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
    Some(Applied { rule, strength, scope })
}

/// A candidate's odds against "no recorded change", over an incident's families: terms in nats, to
/// the thousandth.
#[derive(Clone, Debug)]
pub(super) struct Odds<'a> {
    pub(super) candidate: usize,
    /// `ln(q / (1-q))`.
    pub(super) prior: f64,
    /// What the time from the change to the first symptom that it explains says.
    pub(super) lag: f64,
    /// The tie to the first symptom that it explains.
    pub(super) anchor: &'a Tie<'a>,
    /// Its ties to all families that began after it, with what relation and rule say.
    pub(super) ties: Vec<(&'a Tie<'a>, f64, f64)>,
    /// What is taken off for symptoms that were there before.
    pub(super) exoneration: f64,
}

impl Odds<'_> {
    /// The sum of the terms.
    pub(super) fn log_odds(&self) -> f64 {
        let ties: f64 = self.ties.iter().map(|(_, scope, rule)| scope + rule).sum();
        nats(self.prior + self.lag + ties + self.exoneration)
    }
}

/// To the thousandth, so that what is printed is what was counted.
pub(super) fn nats(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Symptoms that are surely of one story, and were there before: strong, and not a veto. In 2 of 51
/// recorded cases a stray alert came before the true cause.
const EXONERATION: f64 = -4.0;

/// A symptom that begins more often than once a day is there before any change, and clears none.
const EXONERATING_RATE: f64 = 1.0 / 24.0;

/// That two symptoms are in one story says by itself that they belong together, as surely as the
/// grouping asks for.
const GROUPED: f64 = LINK_LEAST / (1.0 + LINK_LEAST);

/// Of the symptoms before a change, and of those after it, the nearest to it are asked: more of them
/// say the same.
const WITNESSES_MAX: usize = 16;

impl Ground<'_> {
    /// The odds of every candidate that explains something of these families, for an incident whose
    /// first symptom began at `onset`. `ties` are those of all families there are.
    pub(super) fn odds<'t>(
        &self,
        families: &[usize],
        ties: &'t [Vec<Tie<'t>>],
        onset: Time,
    ) -> Vec<Odds<'t>> {
        let mut by_candidate = BTreeMap::<usize, Vec<&Tie<'_>>>::new();
        for tie in families.iter().filter_map(|family| ties.get(*family)).flatten() {
            by_candidate.entry(tie.candidate).or_default().push(tie);
        }
        let weight = 1.0 / super::number(families.len().max(1)).sqrt();
        let odds = by_candidate.into_iter().filter_map(|(candidate, ties)| {
            let set = self.candidates.get(candidate)?;
            let anchor = *ties.iter().find(|tie| tie.is_known()).or(ties.first())?;
            let rate = self.rates.per_hour(&self.families.get(anchor.family)?.key, onset);
            let ties = ties
                .into_iter()
                .map(|tie| {
                    let (scope, rule) = if tie.family == anchor.family {
                        tie.scope_and_rule(1.0)
                    } else {
                        let (scope, rule) = tie.scope_and_rule(REACH_OF_ANY);
                        (scope * weight, rule * weight)
                    };
                    (tie, nats(scope), nats(rule))
                })
                .collect();
            Some(Odds {
                candidate,
                prior: nats((set.prior / (1.0 - set.prior)).ln()),
                lag: nats((anchor.density / rate).ln()),
                exoneration: nats(self.exoneration(set, families, onset)),
                anchor,
                ties,
            })
        });
        odds.collect()
    }

    /// What symptoms that were there before the change take off its odds: the surer it is that they
    /// are of one story with those that came after it, the more.
    fn exoneration(&self, set: &Candidate, families: &[usize], onset: Time) -> f64 {
        let members = families.iter().filter_map(|family| self.families.get(*family));
        let (earlier, mut later): (Vec<_>, Vec<_>) =
            members.partition(|family| family.onset.to < set.started_at - SKEW);
        later.truncate(WITNESSES_MAX);
        let strays: f64 = earlier
            .iter()
            .rev()
            .filter(|family| {
                family.fired_since(set.started_at)
                    && self.rates.per_hour(&family.key, onset) <= EXONERATING_RATE
            })
            .take(WITNESSES_MAX)
            .map(|family| 1.0 - self.one_story(family, &later, onset))
            .product();
        (strays + (1.0 - strays) * EXONERATION.exp()).ln()
    }

    /// How sure it is that a symptom is of one story with one of those that came later.
    fn one_story(&self, earlier: &Family, later: &[&Family], onset: Time) -> f64 {
        let links = later.iter().map(|family| {
            let link = super::grouping::spread(self, earlier, family);
            link / (link + self.rates.per_hour(&family.key, onset))
        });
        links.fold(GROUPED, f64::max)
    }
}

/// Probabilities by the softmax over the log-odds and "none" at zero: (of none, of each).
pub(super) fn softmax(log_odds: &[f64]) -> (f64, Vec<f64>) {
    let top = log_odds.iter().copied().fold(0.0, f64::max);
    let none = (-top).exp();
    let each: Vec<_> = log_odds.iter().map(|odds| (odds - top).exp()).collect();
    let sum = none + each.iter().sum::<f64>();
    (none / sum, each.into_iter().map(|one| one / sum).collect())
}
