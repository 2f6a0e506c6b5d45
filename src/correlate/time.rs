//! Intervals and hours.

use chrono::{NaiveTime, TimeDelta};

use crate::{duration::say_duration, event::Time};

/// From one moment to another, which is not earlier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Interval {
    pub(super) from: Time,
    pub(super) to: Time,
}

impl Interval {
    /// How long it is.
    pub(super) fn length(self) -> TimeDelta {
        self.to - self.from
    }

    /// The shortest that holds both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// How long it is, in hours.
    pub(super) fn hours(self) -> f64 {
        hours(self.to - self.from)
    }

    /// `n` moments spread evenly over it, the middles of its equal parts.
    pub(super) fn moments(self, n: i32) -> impl Iterator<Item = Time> {
        let length = self.to - self.from;
        // One moment is enough where all of them would be the same.
        let n = if length < TimeDelta::seconds(30) { 1 } else { n };
        (0..n).map(move |i| self.from + length * (2 * i + 1) / (2 * n))
    }
}

/// A duration in hours.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
pub(super) fn hours(duration: TimeDelta) -> f64 {
    duration.num_microseconds().unwrap_or(i64::MAX) as f64 / 3_600e6
}

/// The start of the UTC day that the time is in.
pub(super) fn day(time: Time) -> Time {
    time.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// A number of minutes in words.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "at most some weeks")]
pub(super) fn say_minutes(minutes: f64) -> String {
    say_duration(TimeDelta::minutes(minutes as i64))
}
