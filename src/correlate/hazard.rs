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

use std::{collections::BTreeMap, sync::Arc};

use super::{
    candidate::{Candidate, Changes, Slot as ChangeSlot},
    family::{Families, Family, Slot, hash as family_hash},
    grouping::{Blamed, LINK_LEAST},
    kernel::{Kernel, SKEW, prior},
    learning::{Coincidence, SHOWS_WITHIN, TIMES_MAX, same_time_of_day},
    model::Model,
    scope::{Relation, relation},
    time::Interval,
    vocabulary::{self, Word},
};
use crate::{
    event::{Change, Labels, Time},
    rules::Rule,
};

/// What may have caused what: the changes, the families and how they can be tied.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) model: &'a Model,
    pub(super) changes: &'a Changes,
    pub(super) families: &'a Families,
}

/// A family with the rules whose alert side it meets, by their place in the set.
pub(super) struct Symptom<'a> {
    pub(super) slot: Slot,
    pub(super) family: &'a Family,
    rules: Vec<usize>,
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
    weight: f64,
    /// The part of that strength that is owed to the environments.
    environment: f64,
    pub(super) rule: Option<Applied>,
    /// Mean lag density, per hour.
    pub(super) density: f64,
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
}

/// What a rule ties is related, whatever the catalogue knows of it ...
const RULE_SCOPE: f64 = 0.30;
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
    fn is_known(&self) -> bool {
        self.in_scope() || self.rule.is_some_and(|rule| rule.strength > 1.0)
    }

    /// How much the change adds to the symptom's rate, per hour.
    pub(super) fn hazard(&self) -> f64 {
        self.reach() * self.density
    }

    /// The same, where the density is not less than this.
    pub(super) fn hazard_or(&self, density: f64) -> f64 {
        self.reach() * self.density.max(density)
    }

    /// What the relation says, against a reach of `reference`, and what the rule adds.
    fn scope_and_rule(&self, reference: f64) -> (f64, f64) {
        let related = self.weight / reference;
        let ruled = self.rule.map_or(related, |rule| {
            rule.strength * (self.weight.max(rule.scope * self.environment) / reference)
        });
        let (related, ruled) = (bounded(related), bounded(ruled));
        (related, ruled - related)
    }
}

fn bounded(ratio: f64) -> f64 {
    ratio.ln().clamp(-SCOPE_MAX, SCOPE_MAX)
}

/// One symptom's place says no more than this, in nats.
const SCOPE_MAX: f64 = 5.0;

/// A rule or a relation to the first symptom is measured against certainty.
const WEIGHT_OF_FIRST: f64 = 1.0;

/// Any cause stands to a symptom so that its relation says this much.
const WEIGHT_OF_ANY: f64 = 0.2;

impl<'a> Ground<'a> {
    /// A family, ready to be tied.
    pub(super) fn symptom(self, slot: Slot, family: &'a Family) -> Symptom<'a> {
        Symptom { slot, family, rules: self.model.rules.rules.of_alert(family.labels()) }
    }

    /// How the candidates are tied to a symptom, best member each: those that can have caused it.
    pub(super) fn ties(self, symptom: &Symptom<'_>) -> Tied {
        let earliest = symptom.family.onset_from - self.model.settings.look_back;
        let candidates = self.changes.between(earliest, symptom.family.onset_to + SKEW);
        let ties = candidates.filter_map(|set| self.best(set, symptom)).collect();
        Tied { family: symptom.slot, ties }
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
        let relation = relation(change, family.labels(), &self.model.catalog);
        Tie {
            candidate,
            member,
            family: symptom.slot,
            strength: relation.strength,
            weight: relation.weight,
            environment: relation.environment,
            rule: self.applied(member, change, symptom),
            density: Kernel::of(change).mean_density(effect, family.onset()),
        }
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

/// A candidate's odds against "no recorded change", over an incident's families: terms in nats, to
/// the thousandth.
#[derive(Clone, Debug)]
pub(super) struct Odds {
    pub(super) candidate: ChangeSlot,
    /// `ln(q / (1-q))`.
    pub(super) prior: f64,
    /// What is added where an incident beside this one is put down to it.
    pub(super) blamed: f64,
    /// What the time from the change to the first symptom that it explains says.
    pub(super) lag: f64,
    /// The tie to the first symptom that it explains.
    pub(super) anchor: Tie,
    /// Its ties to all families that began after it, with what relation and rule say.
    pub(super) ties: Vec<(Tie, f64, f64)>,
    /// What is taken off for symptoms that were there before.
    pub(super) exoneration: f64,
    /// What the words say that it shares with the symptoms.
    pub(super) words: f64,
    /// What is taken off because the same was done before, and nothing fell sick.
    pub(super) repeats: f64,
    /// What is added where the first symptom followed the same change before, more often than by chance.
    pub(super) learned: f64,
    /// What the change says that was made later to mend what this one altered.
    pub(super) mending: f64,
}

impl Odds {
    /// The sum of the terms.
    pub(super) fn log_odds(&self) -> f64 {
        nats(self.terms() + self.calibration())
    }

    fn terms(&self) -> f64 {
        let ties: f64 = self.ties.iter().map(|(_, scope, rule)| scope + rule).sum();
        let rest = self.words + self.repeats + self.learned + self.mending + self.exoneration;
        self.prior + self.blamed + self.lag + ties + rest
    }

    /// What is taken off because the terms are not independent: together they say less.
    pub(super) fn calibration(&self) -> f64 {
        nats(self.terms() * (CALIBRATION - 1.0))
    }
}

/// Of the sum of the terms this much is left (a temperature; see ARCHITECTURE.md).
const CALIBRATION: f64 = 0.8;

/// A guilty change meets a rule for one of its symptoms about as often as this.
const RULE_MEETS_GUILT: f64 = 0.35;

/// So many changes more, that meet no rule, are taken for granted: of a few nothing can be learned.
const RULE_CHANGES_LEAST: f64 = 20.0;

/// The most that a rule may say here, in nats: how much more often a guilty change meets one than the
/// changes did that came before this story. Where many do, by what people change there and by how many
/// rules there are, that another does says little, however sure the rule is of itself.
fn most_of_rules(by_candidate: &BTreeMap<usize, Vec<Tie>>) -> f64 {
    let meets =
        |ties: &&Vec<Tie>| ties.iter().any(|tie| tie.rule.is_some_and(|rule| rule.strength > 1.0));
    let others = super::number(by_candidate.values().filter(meets).count()) - 1.0;
    let share = others / (super::number(by_candidate.len()) + RULE_CHANGES_LEAST);
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
        let is_said = tie.0.rule.is_some_and(|rule| rule.scope >= RULE_SCOPE);
        let not_against = if is_said { rule.clamp(0.0, (-scope).max(0.0)) } else { 0.0 };
        tie.2 = if best == Some(place) { nats(rule.min(most)) } else { not_against };
    }
}

/// A change that broke one thing breaks another in one of two cases.
const BREAKS_MORE: f64 = 0.5;

/// The prior of a change that broke something else, by so much surety.
fn breaks_more(prior: f64, sure: f64) -> f64 {
    prior + sure * (BREAKS_MORE - prior).max(0.0)
}

fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
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

/// What a word says less than this it says of any change ...
const RARITY_FREE: f64 = 1.5;
/// ... and beyond it this much of the rest, since chance shares words, too ...
const WORD_WEIGHT: f64 = 0.25;
/// ... and all of them together no more than this.
const WORDS_MAX: f64 = 2.5;

/// Had the change been bad, the same would have broken something the other time in two of three cases.
const REPEATED_ONCE: f64 = -1.2;
/// More repeats say little more: it may be bad here alone.
const REPEATED_OFTEN: f64 = -2.0;
/// That two symptoms are in one story says by itself that they belong together, as surely as the
/// grouping asks for.
const GROUPED: f64 = LINK_LEAST / (1.0 + LINK_LEAST);

/// Of the symptoms before a change, and of those after it, the nearest to it are asked: more of them
/// say the same.
const WITNESSES_MAX: usize = 16;

impl<'a> Ground<'a> {
    /// The odds of every candidate that explains something of these families, which come by start,
    /// for an incident whose first symptom began at `onset`; `blamed` is what the incidents beside it
    /// are put down to.
    pub(super) fn odds(self, families: &[Tied], onset: Time, blamed: &[Blamed]) -> Vec<Odds> {
        let mut by_candidate = BTreeMap::<usize, Vec<Tie>>::new();
        for tie in families.iter().flat_map(|tied| tied.ties.iter()) {
            by_candidate.entry(self.changes.place(tie.candidate)).or_default().push(*tie);
        }
        let weight = 1.0 / super::number(families.len().max(1)).sqrt();
        let (said, rate) = (self.said(families), self.usual_rate(families, onset));
        let (most_of_rules, asked) = (most_of_rules(&by_candidate), by_candidate.len());
        let odds = by_candidate.into_iter().filter_map(|(place, ties)| {
            let set = self.changes.candidates().get(place)?;
            let anchor = *ties.iter().find(|tie| tie.is_known()).or(ties.first())?;
            // One act is counted once: by that of its members which breaks most.
            let prior = ties
                .iter()
                .filter_map(|tie| self.changes.get(tie.member))
                .map(prior)
                .fold(0.0, f64::max);
            let log_prior = nats(log_odds(prior));
            let known = blamed.iter().find(|one| one.candidate == set.id());
            let known = known.map_or(0.0, |one| log_odds(breaks_more(prior, one.sure)) - log_prior);
            let mut ties: Vec<_> = ties
                .into_iter()
                .map(|tie| {
                    if tie.family == anchor.family {
                        let (scope, rule) = tie.scope_and_rule(WEIGHT_OF_FIRST);
                        (tie, nats(scope), nats(rule))
                    } else {
                        let (scope, rule) = tie.scope_and_rule(WEIGHT_OF_ANY);
                        (tie, nats(scope * weight), nats(rule))
                    }
                })
                .collect();
            count_rules_once(&mut ties, most_of_rules);
            Some(Odds {
                candidate: set.id(),
                prior: log_prior,
                blamed: nats(known),
                lag: nats((anchor.density / rate).ln()),
                exoneration: nats(self.exoneration(set, families, onset)),
                words: nats(self.words(set, &said, onset)),
                repeats: nats(self.repeats(set, onset)),
                learned: nats(self.learned(set, &anchor, onset, asked)),
                mending: 0.0,
                anchor,
                ties,
            })
        });
        odds.collect()
    }

    /// How probable it is that the change behind this tie breaks anything at all.
    pub(super) fn prior_of(self, tie: &Tie) -> f64 {
        self.changes.get(tie.member).map_or(0.0, prior)
    }

    /// How often per hour the symptoms of a story begin by themselves: of a few the rarest may be so
    /// only because it was not heard of before, so it is the middle one's rate.
    fn usual_rate(self, families: &[Tied], onset: Time) -> f64 {
        let mut rates: Vec<_> =
            families.iter().map(|tied| self.families.per_hour(tied.family, onset)).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(1.0)
    }

    /// The words of these families, each once, in order.
    pub(super) fn said(self, families: &[Tied]) -> Vec<Word> {
        let spots = families.iter().filter_map(|tied| self.families.spot(tied.family));
        let mut said: Vec<_> = spots.flat_map(|spot| spot.words.iter().copied()).collect();
        said.sort_unstable();
        said.dedup();
        said
    }

    /// What the words say that the set's best member shares with the symptoms.
    fn words(self, set: &Candidate, said: &[Word], onset: Time) -> f64 {
        let members = set.members.iter().map(|member| {
            let words = vocabulary::shared(self.changes.words(*member), said);
            words.map(|word| (self.changes.rarity(word, onset) - RARITY_FREE).max(0.0)).sum::<f64>()
        });
        (members.fold(0.0, f64::max) * WORD_WEIGHT).min(WORDS_MAX)
    }

    /// What is taken off because the same was done before, elsewhere or here, and nothing fell sick.
    fn repeats(self, set: &Candidate, onset: Time) -> f64 {
        match self.harmless_repeats(set, onset) {
            0 => 0.0,
            1 => REPEATED_ONCE,
            _ => REPEATED_OFTEN,
        }
    }

    /// How often the same was done long enough before to have shown, and what it was done to stayed
    /// well: at most two are looked for.
    pub(super) fn harmless_repeats(self, set: &Candidate, onset: Time) -> usize {
        self.done_before(set, onset).filter(|change| self.stayed_well(change)).take(2).count()
    }

    /// When the same was done before, long enough before the onset to have shown, by start.
    fn done_before<'s>(
        self,
        set: &'s Candidate,
        onset: Time,
    ) -> impl DoubleEndedIterator<Item = &'a Change> + use<'a, 's> {
        let alike = self.changes.alike(set.id()).iter().filter(|slot| !set.members.contains(slot));
        alike.filter_map(move |slot| self.changes.get(*slot)).filter(move |change| {
            change.started_at < set.started_at && change.started_at < onset - SHOWS_WITHIN
        })
    }

    /// What is added where the symptom followed the same change before, more often than by chance.
    fn learned(self, set: &Candidate, anchor: &Tie, onset: Time, asked: usize) -> f64 {
        let coincidence = self.coincidence(set, anchor, onset);
        coincidence.map_or(0.0, |coincidence| coincidence.nats(asked))
    }

    /// How often the same was done before to the same services, and how often the symptom followed.
    pub(super) fn coincidence(
        self,
        set: &Candidate,
        anchor: &Tie,
        onset: Time,
    ) -> Option<Coincidence> {
        if !self.model.settings.learn {
            return None;
        }
        let services: Vec<_> = self.changes.get(anchor.member)?.scope.services().collect();
        let symptom = self.families.spot(anchor.family)?;
        let began = |at: &Time| {
            let mut begun = self.families.begun(*at, *at + SHOWS_WITHIN);
            begun.any(|spot| spot.is_same_symptom(symptom))
        };
        let same = self.done_before(set, onset);
        let same =
            same.filter(|one| one.scope.services().any(|service| services.contains(&service)));
        let times: Vec<_> = same.rev().take(TIMES_MAX).map(|change| change.started_at).collect();
        let first = *times.last()?;
        let free = |at: &Time| !times.iter().any(|time| (*time - *at).abs() <= SHOWS_WITHIN);
        let others = same_time_of_day(set.started_at, first).filter(free);
        let others: Vec<_> = others.collect();
        Some(Coincidence {
            times: times.len(),
            followed: times.iter().filter(|at| began(at)).count(),
            days: others.len(),
            anyway: others.iter().filter(|at| began(at)).count(),
        })
    }

    /// Whether nothing began on what was changed within the time in which most changes show.
    fn stayed_well(self, change: &Change) -> bool {
        let services: Vec<_> = change.scope.services().map(family_hash).collect();
        let until = change.started_at + SHOWS_WITHIN;
        let begun = self.families.begun(change.started_at, until).take(WITNESSES_MAX);
        !begun.into_iter().any(|spot| spot.services.iter().any(|(one, _)| services.contains(one)))
    }

    /// What symptoms that were there before the change take off its odds: the surer it is that they
    /// are of one story with those that came after it, the more.
    fn exoneration(self, set: &Candidate, families: &[Tied], onset: Time) -> f64 {
        let members = families.iter().map(|tied| tied.family);
        let members = members.filter_map(|slot| Some((slot, self.families.get(slot)?)));
        let (earlier, mut later): (Vec<_>, Vec<_>) =
            members.partition(|(_, family)| family.onset_to < set.started_at - SKEW);
        later.truncate(WITNESSES_MAX);
        let strays: f64 = earlier
            .iter()
            .rev()
            .filter(|(slot, family)| {
                family.fired_since(set.started_at)
                    && self.families.per_hour(*slot, onset) <= EXONERATING_RATE
            })
            .take(WITNESSES_MAX)
            .map(|(slot, _)| 1.0 - self.one_story(*slot, &later, onset))
            .product();
        (strays + (1.0 - strays) * EXONERATION.exp()).ln()
    }

    /// How sure it is that a symptom is of one story with one of those that came later.
    fn one_story(self, earlier: Slot, later: &[(Slot, &Family)], onset: Time) -> f64 {
        let Some(earlier) = self.families.spot(earlier) else { return GROUPED };
        let later = later.iter().filter_map(|(slot, _)| Some((*slot, self.families.spot(*slot)?)));
        let links = later.map(|(slot, spot)| {
            let link = super::grouping::spread(self.model, earlier, spot);
            link / (link + self.families.per_hour(slot, onset))
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
