//! What many trials come to.

use std::collections::BTreeMap;

use super::{Baseline, Course, Trial};

/// A count as a number to reckon with.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts below 2^53")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// How well the guilty change was ranked, over incidents that a change caused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measure {
    /// So many incidents.
    pub count: usize,
    /// Share in which it came first.
    pub first: f64,
    /// Share in which it was among the first three.
    pub first_three: f64,
    /// Mean of one over its place, 0 where it was not named.
    pub reciprocal_rank: f64,
}

impl Measure {
    fn of(ranks: impl IntoIterator<Item = Option<usize>>) -> Self {
        let ranks: Vec<_> = ranks.into_iter().collect();
        let within = |most| share(&ranks, |rank| rank.is_some_and(|rank| rank <= most));
        let inverse = ranks.iter().map(|rank| rank.map_or(0.0, |rank| 1.0 / number(rank)));
        Self {
            count: ranks.len(),
            first: within(1),
            first_three: within(3),
            reciprocal_rank: mean(inverse),
        }
    }
}

/// Answers of about the same probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// So many.
    pub count: usize,
    /// The mean probability of the first suspect.
    pub said: f64,
    /// The share in which it was guilty.
    pub right: f64,
}

/// What the trials of one moment come to. Incidents with a latent cause are counted apart.
#[derive(Clone, Debug)]
pub struct Report {
    /// The product.
    pub product: Measure,
    /// The product, where the cause was latent.
    pub latent: Measure,
    /// The simpler ways, each with the probability that it is no worse than the product by chance.
    pub baselines: Vec<(Baseline, Measure, f64)>,
    /// The product by kind of cause.
    pub classes: Vec<(String, Measure)>,
    /// `likely` answers to incidents that a change caused, and how many of them were right.
    pub likely: (usize, usize),
    /// Incidents that no change caused, and how many of them a change was blamed for.
    pub blamed_no_change: (usize, usize),
    /// The same for incidents whose cause was taken out.
    pub blamed_without_cause: (usize, usize),
    /// The same for the incidents of the noise.
    pub blamed_strangers: (usize, usize),
    /// Mean squared error of the answers.
    pub brier: f64,
    /// First suspects by their probability: as many in each.
    pub reliability: Vec<Bin>,
    /// Mean share of an incident's own alerts that its incident held.
    pub gathered: f64,
    /// Mean share of an incident's alerts that were its own.
    pub purity: f64,
}

const BINS: usize = 5;

impl Report {
    /// What the trials come to.
    pub fn of(trials: &[Trial]) -> Self {
        let caused: Vec<_> =
            trials.iter().filter(|trial| trial.by_change && !trial.latent).collect();
        let mut classes: BTreeMap<&str, Vec<Option<usize>>> = BTreeMap::new();
        for trial in &caused {
            classes.entry(&trial.class).or_default().push(trial.rank);
        }
        let likely: Vec<_> = caused.iter().filter(|trial| trial.is_likely()).collect();
        let no_change: Vec<_> = trials.iter().filter(|trial| !trial.by_change).collect();
        let without: Vec<_> = trials.iter().filter_map(|one| one.blamed_without_cause).collect();
        let strangers = trials.iter().map(|trial| trial.strangers);
        Self {
            product: Measure::of(caused.iter().map(|trial| trial.rank)),
            latent: Measure::of(trials.iter().filter(|one| one.latent).map(|one| one.rank)),
            baselines: Baseline::ALL.iter().map(|one| versus(*one, &caused)).collect(),
            classes: classes
                .into_iter()
                .map(|(class, ranks)| (class.to_owned(), Measure::of(ranks)))
                .collect(),
            likely: (likely.len(), likely.iter().filter(|trial| trial.is_right()).count()),
            blamed_no_change: (
                no_change.len(),
                no_change.iter().filter(|trial| trial.is_likely()).count(),
            ),
            blamed_without_cause: (without.len(), without.iter().filter(|blamed| **blamed).count()),
            blamed_strangers: strangers.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1)),
            brier: mean(trials.iter().filter(|one| !one.latent).map(|one| one.brier)),
            reliability: reliability(&caused, &no_change),
            gathered: mean(trials.iter().map(|one| one.gathered)),
            purity: mean(trials.iter().map(|one| one.purity)),
        }
    }
}

fn versus(baseline: Baseline, caused: &[&Trial]) -> (Baseline, Measure, f64) {
    let of = |trial: &Trial| {
        let found = trial.baselines.iter().find(|(one, _)| *one == baseline);
        found.and_then(|(_, rank)| *rank)
    };
    let better = caused.iter().filter(|one| one.is_right() && of(one) != Some(1)).count();
    let worse = caused.iter().filter(|one| !one.is_right() && of(one) == Some(1)).count();
    (baseline, Measure::of(caused.iter().map(|trial| of(trial))), mcnemar(better, worse))
}

/// How probable it is that of so many cases in which two ways differ one is better in as many as
/// this, or more, if neither is better: the exact one-sided test of `McNemar`.
pub fn mcnemar(better: usize, worse: usize) -> f64 {
    let n = better + worse;
    // Of all 2^n ways the share of those with `better` successes or more, term by term in logarithms.
    let ln_choose =
        |k: usize| -> f64 { (1..=k).map(|i| (number(n - k + i) / number(i)).ln()).sum() };
    let all = number(n) * std::f64::consts::LN_2;
    (better..=n).map(|k| (ln_choose(k) - all).exp()).sum::<f64>().min(1.0)
}

fn reliability(caused: &[&Trial], no_change: &[&Trial]) -> Vec<Bin> {
    let all = caused.iter().chain(no_change);
    let mut said: Vec<(f64, bool)> = all
        .filter_map(|trial| Some((trial.first.as_ref()?.1, trial.is_right() && trial.by_change)))
        .collect();
    said.sort_by(|one, other| one.0.total_cmp(&other.0));
    let size = said.len().div_ceil(BINS).max(1);
    let bins = said.chunks(size).map(|bin| Bin {
        count: bin.len(),
        said: mean(bin.iter().map(|(probability, _)| *probability)),
        right: share(bin, |(_, right)| *right),
    });
    bins.collect()
}

/// Mean flips, and median minutes until the guilty change was first for good, with how often it was.
pub fn courses(courses: &[Course]) -> (f64, Option<i64>, usize) {
    let mut minutes: Vec<_> = courses.iter().filter_map(|course| course.minutes).collect();
    minutes.sort_unstable();
    let median = minutes.get(minutes.len() / 2).copied();
    (mean(courses.iter().map(|course| number(course.flips))), median, minutes.len())
}

fn share<T>(all: &[T], is: impl Fn(&T) -> bool) -> f64 {
    if all.is_empty() {
        0.0
    } else {
        number(all.iter().filter(|one| is(one)).count()) / number(all.len())
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / number(count) }
}
