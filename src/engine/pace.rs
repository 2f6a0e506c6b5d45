//! The engine's pace: when it rests, how far it is behind, and how posts keep pace with it.
//!
//! In a storm whoever posts can be faster than the engine, and then an answer is older with every second:
//! when it matters most. So posts wait while too many events wait for the engine.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::store::Seq;

/// How closely it is remembered when the log reached which end, ...
const MARK_EVERY: Duration = Duration::from_millis(20);
/// ... and at most so often: when nobody asks, or the engine is minutes behind.
const MARKS_MAX: usize = 1 << 14;

/// After a batch the engine rests so many times as long as that took: in a storm more of the machine is
/// left to those who post, and the next batch, being larger, costs less an alert.
const REST_TIMES: u32 = 4;
/// But an event that comes right after a batch was read waits for that, the rest and its own batch: no
/// longer than this.
const REST_UNTIL: Duration = Duration::from_millis(600);
/// Batches that take less are not rested after.
const REST_LEAST: Duration = Duration::from_millis(5);

/// How long to rest after a batch that took so long, with events that had been gathered for so long.
///
/// Where each batch takes the part `u` of the time in which its events came, and batches and rests go on
/// evenly, then `took = u (took + rest)`, and the wait above is `2 took + rest = rest (1 + u) / (1 - u)`.
pub(super) fn rest_after(took: Duration, gathered: Duration) -> Duration {
    if took < REST_LEAST || took >= gathered {
        return Duration::ZERO;
    }
    let load = took.div_duration_f64(gathered);
    let even = REST_UNTIL.mul_f64((1.0 - load) / (1.0 + load));
    // One that took longer than it does evenly leaves less: what gathered meanwhile is to be caught up.
    (took * REST_TIMES).min(even).min(REST_UNTIL.saturating_sub(took * 2))
}

/// A post waits while more events than this wait for the engine: it takes them in within a second, and
/// they have room in memory until then, so that it need not read them from the file. It is some more than
/// the engine takes at once: while it writes these, the next may come.
const WAITING_MAX: u64 = 40 << 10;
/// It waits at most for so long: no sender gives up for it, ...
const HELD_MOST: Duration = Duration::from_secs(1);
/// ... and not at all where the oldest event waits for longer than this: the engine stands still or
/// begins anew, and will not keep pace with slower posts either.
const HELD_UNTIL: Duration = Duration::from_secs(10);

/// Knows how far behind the engine is, and whether posts are to wait for it.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the log reached which end, of what may not be assessed yet.
    marks: Mutex<VecDeque<(Instant, Seq)>>,
    waiting_max: u64,
    /// For how long a post waits at most.
    pub(super) held_most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { marks: Mutex::default(), waiting_max: WAITING_MAX, held_most: HELD_MOST }
    }
}

impl Pace {
    /// The log's end is there now.
    pub(super) fn log_reaches(&self, end: Seq) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_news = marks.back().is_none_or(|(at, seq)| now - *at >= MARK_EVERY && *seq < end);
        if is_news && marks.len() < MARKS_MAX {
            marks.push_back((now, end));
        }
    }

    /// One by which a post waits while more than so many events do, and so long.
    #[cfg(test)]
    pub(super) fn holding(waiting_max: u64, held_most: Duration) -> Self {
        Self { waiting_max, held_most, ..Self::default() }
    }

    /// What the log holds up to here waits since then.
    #[cfg(test)]
    pub(super) fn waits_since(&self, end: Seq, then: Instant) {
        *self.marks.lock().unwrap() = VecDeque::from([(then, end)]);
    }

    /// How long the oldest event waits, where the log is assessed so far; of what came since the start.
    pub(super) fn lag(&self, assessed: Seq) -> Duration {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        while marks.pop_front_if(|(_, seq)| *seq <= assessed).is_some() {}
        marks.front().map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }

    /// Whether posts are to wait, where the log ends there and is assessed so far.
    pub(super) fn holds_back(&self, end: Seq, assessed: Seq) -> bool {
        end.0.saturating_sub(assessed.0) > self.waiting_max && self.lag(assessed) <= HELD_UNTIL
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_engine_lags_as_long_as_its_oldest_event_waits_and_no_longer() {
        let pace = Pace::default();
        pace.log_reaches(Seq(3));
        assert!(!pace.lag(Seq(2)).is_zero());
        // What waited is assessed, and what came since has no mark of its own yet.
        assert!(pace.lag(Seq(3)).is_zero());
        pace.log_reaches(Seq(9));
        assert!(pace.lag(Seq(9)).is_zero());
    }

    proptest! {
        /// Whatever the first batch took and whatever the load, rests become even, and nobody waits longer
        /// than the bound.
        #[test]
        fn rests_become_even_and_nobody_waits_for_long(
            (load, first) in (0.02..0.9, 0.005..0.6),
        ) {
            let (mut took, mut gathered) = (Duration::from_secs_f64(first), Duration::from_secs(1));
            let mut waits = Vec::new();
            for _ in 0..100 {
                let rest = rest_after(took, gathered);
                prop_assert!(rest <= took * REST_TIMES);
                gathered = took + rest;
                took = gathered.mul_f64(load);
                waits.push(gathered + took);
            }
            // Batches too short to be rested after come at once.
            let bound = REST_UNTIL.mul_f64(1.01);
            prop_assert!(waits.iter().rev().take(20).all(|wait| *wait <= bound), "{:?}", waits);
        }

        #[test]
        fn who_is_behind_or_has_little_to_do_does_not_rest(took in 0_u64..2_000, ahead in 0_u64..9) {
            let took = Duration::from_millis(took);
            prop_assert!(rest_after(took, took.saturating_sub(Duration::from_millis(ahead))).is_zero());
            let least = took.min(REST_LEAST / 2);
            prop_assert!(rest_after(least, Duration::from_secs(9)).is_zero());
        }
    }
}
