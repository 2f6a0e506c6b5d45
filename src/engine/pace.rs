//! How far the engine is behind, and how posts keep pace with it.
//!
//! In a storm whoever posts can be faster than the engine, and then an answer is older with every second:
//! when it matters most. So posts are held back a little once the oldest event has waited too long.

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

/// A post is held back for as long as the oldest event has waited beyond this, ...
const HELD_BEYOND: Duration = Duration::from_millis(700);
/// ... at most for so long: no sender gives up for it, ...
const HELD_MOST: Duration = Duration::from_millis(250);
/// ... and not at all where the engine is further behind: it stands still or begins anew, and will not
/// keep pace with slower posts either.
const HELD_UNTIL: Duration = Duration::from_secs(5);

/// When the log reached which end, of what may not be assessed yet.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<VecDeque<(Instant, Seq)>>);

impl Pace {
    /// The log's end is there now.
    pub(super) fn log_reaches(&self, end: Seq) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_news = marks.back().is_none_or(|(at, seq)| now - *at >= MARK_EVERY && *seq < end);
        if is_news && marks.len() < MARKS_MAX {
            marks.push_back((now, end));
        }
    }

    /// How long the oldest event waits, where the log is assessed so far; of what came since the start.
    pub(super) fn lag(&self, assessed: Seq) -> Duration {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while marks.pop_front_if(|(_, seq)| *seq <= assessed).is_some() {}
        marks.front().map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }
}

/// How long a post is held back when the oldest event waits for so long.
pub(super) fn held_back(lag: Duration) -> Duration {
    if lag > HELD_UNTIL {
        return Duration::ZERO;
    }
    lag.saturating_sub(HELD_BEYOND).min(HELD_MOST)
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
        #[test]
        fn a_post_is_held_back_while_that_helps_and_never_for_long(millis in 0_u64..20_000) {
            let lag = Duration::from_millis(millis);
            let held = held_back(lag);
            prop_assert!(held <= HELD_MOST);
            prop_assert_eq!(held.is_zero(), lag <= HELD_BEYOND || lag > HELD_UNTIL);
            prop_assert!(lag > HELD_UNTIL || held_back(lag + Duration::from_millis(1)) >= held
                || lag == HELD_UNTIL);
        }
    }
}
