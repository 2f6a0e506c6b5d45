//! What this site teaches: whether an alert followed a change that was made before, more often than
//! chance would have it.
//!
//! An event coincidence analysis: of the earlier times at which the same was done to the same thing,
//! how many were followed by the alert within the time in which most changes show. What chance does
//! is asked of the same time of day on the other days, so that office hours, in which both changes
//! and alerts are many, prove nothing.

use chrono::TimeDelta;

use super::time::day;
use crate::event::Time;

/// Three of four changes that break something show within this time (37 public incidents).
pub(super) const SHOWS_WITHIN: TimeDelta = TimeDelta::hours(1);

/// So many earlier times are looked at, the latest.
pub(super) const TIMES_MAX: usize = 16;

/// Once is an accident.
const FOLLOWED_LEAST: usize = 2;

/// What happened is believed like this many times more at which chance alone was at work.
const SHRINK: f64 = 4.0;

/// A coincidence has to be rarer than this among all the changes that are asked.
const FALSE_ALARMS: f64 = 0.05;

/// No more is learned from a coincidence than this, in nats.
const LEARNED_MAX: f64 = 2.0;

/// How often a change was made before, and what followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coincidence {
    /// Times at which the same was done before.
    pub(super) times: usize,
    /// After so many of them the alert began within [`SHOWS_WITHIN`].
    pub(super) followed: usize,
    /// Days on which it was not done ...
    pub(super) days: usize,
    /// ... and on which the alert began at that time of day all the same.
    pub(super) anyway: usize,
}

impl Coincidence {
    /// What it says in nats, where so many changes are asked: nothing where chance explains it.
    pub(super) fn nats(self, asked: usize) -> f64 {
        let number = super::number;
        let by_chance = (number(self.anyway) + 0.5) / (number(self.days) + 1.0);
        let chance_of_this = tail(self.times, self.followed, by_chance);
        if self.followed < FOLLOWED_LEAST || chance_of_this * number(asked) > FALSE_ALARMS {
            return 0.0;
        }
        let shrunk = number(self.followed) + SHRINK * by_chance;
        let rate = shrunk / (number(self.times) + SHRINK);
        (rate / by_chance).ln().clamp(0.0, LEARNED_MAX)
    }
}

/// The chance that of `n` trials `k` or more come out, each with probability `p`.
fn tail(n: usize, k: usize, p: f64) -> f64 {
    let mut term = (1.0 - p).powf(super::number(n));
    let mut below = 0.0;
    for i in 0..k.min(n + 1) {
        below += term;
        term *= super::number(n - i) / super::number(i + 1) * p / (1.0 - p);
    }
    (1.0 - below).max(0.0)
}

/// The same time of day as `at` on the days from `from` on that are over before it.
pub(super) fn same_time_of_day(at: Time, from: Time) -> impl Iterator<Item = Time> {
    let days = (day(at) - day(from)).num_days();
    (1..=days).map(move |back| at - TimeDelta::days(back)).filter(move |one| *one >= from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coincidence(times: usize, followed: usize, days: usize, anyway: usize) -> Coincidence {
        Coincidence { times, followed, days, anyway }
    }

    #[test]
    fn what_follows_each_time_and_never_otherwise_is_learned() {
        let learned = coincidence(4, 4, 9, 0).nats(100);
        assert!(learned > 1.5, "{learned}");
    }

    #[test]
    fn what_begins_at_that_time_of_day_anyway_teaches_nothing() {
        assert!(coincidence(4, 4, 9, 9).nats(1) <= 0.0);
    }

    #[test]
    fn among_many_changes_one_is_followed_by_chance() {
        let twice = coincidence(3, 2, 9, 0);
        assert!(twice.nats(1) > 0.0);
        assert!(twice.nats(1000) <= 0.0);
    }

    #[test]
    fn once_is_an_accident() {
        assert!(coincidence(1, 1, 9, 0).nats(1) <= 0.0);
    }

    #[test]
    fn the_tail_is_the_sum_of_the_chances() {
        // Of two coins one or more in three of four cases, both in one of four.
        assert!((tail(2, 1, 0.5) - 0.75).abs() < 1e-12);
        assert!((tail(2, 2, 0.5) - 0.25).abs() < 1e-12);
        assert!((tail(2, 0, 0.5) - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn more_followed_says_no_less_and_is_bounded(
            times in 1_usize..20, days in 1_usize..20, anyway in 0_usize..20, asked in 1_usize..1000,
        ) {
            let anyway = anyway.min(days);
            let said: Vec<_> =
                (0..=times).map(|followed| coincidence(times, followed, days, anyway).nats(asked)).collect();
            prop_assert!(said.is_sorted(), "{said:?}");
            prop_assert!(said.iter().all(|nats| (0.0..=LEARNED_MAX).contains(nats)), "{said:?}");
        }
    }
}
