//! Competing hazards: every change set, and nothing recorded, may have caused an incident.
//!
//! Its first symptom `a` begins by itself at its base rate `λ_a` per hour, and by a broken change `c`
//! at a density `ḡ` per hour. Once something is broken the other symptoms follow, and by any other
//! cause on one in so many, `r`. How `c` stands to a symptom says `w`, what a rule knows `m`. So
//!
//! ```text
//! ln odds(c) = T · ( ln(q / (1-q)) + B + ln(ḡ / λ_a) + ln w_a + Σ_f ln(w_f / r) / √F + ln m + E ) + P
//! ```
//!
//! against "no recorded change". The lag counts once: when the later symptoms show says how the
//! trouble spread. `1/√F`, because the symptoms of one incident do not speak independently; for the
//! same reason `m` counts once for all of them, and `T` takes a part off the sum. `B` is for what
//! incidents beside this one are put down to, and `E` for the rest: words, what came of the same
//! before and what people said of it, what was done to mend it, and symptoms that were there before
//! the change. `P` is what people say of the change and this very incident. `w` is one weight for the
//! first symptom and another for the further ones.

use super::{
    bond::{Bond, Bonds, most_of_rules, weigh},
    candidate::{Candidate, Changes, Slot as ChangeSlot},
    family::{Family, Slot, hash as family_hash},
    feedback::Taught,
    hazard::{Ground, Tie, Tied},
    kernel::SKEW,
    learning::{Coincidence, SHOWS_WITHIN, TIMES_MAX, same_time_of_day},
    spread::{LINK_LEAST, spread},
    vocabulary::{self, Word},
};
use crate::event::{Change, Time};

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
    /// What relations and rules say of all families that began after it.
    pub(super) reach: f64,
    /// Whether it is close enough to any of them to answer for it.
    pub(super) in_scope: bool,
    /// Its ties to them, with what relation and rule say: only of one that is told.
    pub(super) ties: Vec<(Tie, f64, f64)>,
    /// The most that a rule may say.
    most_of_rules: f64,
    /// What is taken off for symptoms that were there before.
    pub(super) exoneration: f64,
    /// What the words say that it shares with the symptoms.
    pub(super) words: f64,
    /// What is taken off because the same was done before, and nothing fell sick.
    pub(super) repeats: f64,
    /// What is added where the first symptom followed the same change before, more often than by chance.
    pub(super) learned: f64,
    /// What people said of changes like it where the same alert fired before.
    pub(super) taught: Taught,
    /// What the change says that was made later to mend what this one altered.
    pub(super) mending: f64,
    /// What people say of it and this incident: not tempered, since it hangs together with nothing.
    pub(super) feedback: f64,
}

/// A change that another story is put down to first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blamed {
    pub(super) candidate: ChangeSlot,
    /// The probability that it broke that story, or another.
    pub(super) sure: f64,
    /// The first symptom of that story.
    pub(super) first: Slot,
}

impl Blamed {
    /// What two stories say of one change; the earlier one is told.
    pub(super) fn and(self, other: Self) -> Self {
        Self { sure: 1.0 - (1.0 - self.sure) * (1.0 - other.sure), ..self }
    }
}

impl Odds {
    /// The sum of the terms.
    pub(super) fn log_odds(&self) -> f64 {
        nats(self.terms() + self.calibration() + self.feedback)
    }

    /// Fills in its ties to these families, for it is told.
    pub(super) fn fill_in(&mut self, families: &[Tied], changes: &Changes) {
        let of_it = families.iter().filter_map(|tied| tied.tie(self.candidate, changes));
        self.ties = of_it.map(|tie| (*tie, 0.0, 0.0)).collect();
        weigh(&mut self.ties, families.len(), self.most_of_rules);
    }

    fn terms(&self) -> f64 {
        let rest = self.words + self.repeats + self.learned + self.mending + self.exoneration;
        let rest = rest + nats(self.taught.nats());
        self.prior + self.blamed + self.lag + self.reach + rest
    }

    /// What is taken off because the terms are not independent: together they say less.
    pub(super) fn calibration(&self) -> f64 {
        nats(self.terms() * (CALIBRATION - 1.0))
    }
}

/// Of the sum of the terms this much is left (a temperature; see ARCHITECTURE.md).
const CALIBRATION: f64 = 0.8;

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
const EXONERATION: f64 = -3.5;

/// A symptom that begins more often than once a day is there before any change, and clears none.
const EXONERATING_RATE: f64 = 1.0 / 24.0;

/// What a word says less than this it says of any change ...
const RARITY_FREE: f64 = 1.5;
/// ... and beyond it this much of the rest, since chance shares words, too ...
const WORD_WEIGHT: f64 = 0.3;
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
        let Some(bonds) = Bonds::new(self, families) else { return Vec::new() };
        let (said, rate) = (self.said(families), self.usual_rate(families, onset));
        let lessons = self.lessons(families, onset);
        let candidates = bonds.candidates();
        let asked = candidates.len();
        let most_of_rules = most_of_rules(families, asked);
        let onsets = families.iter().filter_map(|tied| self.families.get(tied.family));
        let first_onset = onsets.map(|family| family.onset_to).min();
        let mut odds = Vec::with_capacity(asked);
        for set in candidates {
            let bond = bonds.bond(set, most_of_rules);
            let Some(Bond { anchor, reach, in_scope, prior }) = bond else { continue };
            let log_prior = nats(log_odds(prior));
            let known = blamed.iter().find(|one| one.candidate == set.id());
            let known = known.map_or(0.0, |one| log_odds(breaks_more(prior, one.sure)) - log_prior);
            // Most changes began before all symptoms.
            let is_first = first_onset.is_none_or(|onset| onset >= set.started_at - SKEW);
            let exoneration = if is_first { 0.0 } else { self.exoneration(set, families, onset) };
            odds.push(Odds {
                candidate: set.id(),
                prior: log_prior,
                blamed: nats(known),
                lag: nats((anchor.density / rate).ln()),
                exoneration: nats(exoneration),
                words: nats(self.words(set, &said, onset)),
                repeats: nats(self.repeats(set, onset)),
                learned: nats(self.learned(set, &anchor, onset, asked)),
                taught: self.taught(set, families, &lessons),
                mending: 0.0,
                feedback: 0.0,
                anchor,
                reach,
                in_scope,
                ties: Vec::new(),
                most_of_rules,
            });
        }
        odds
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
    pub(super) fn stayed_well(self, change: &Change) -> bool {
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
            let link = spread(self.model, earlier, spot);
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
