//! Where a time stands, and which times are named along the edge.

use chrono::TimeDelta;

use super::Sheet;
use crate::event::Time;

/// From times to units of the drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: Time,
    seconds: f64,
    left: f64,
    width: f64,
}

/// Steps that people read off a clock, in minutes.
const STEPS: [i64; 19] = [
    1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 20_160, 43_200, 129_600,
    525_600, YEARS,
];
/// Twenty years: more is not shown.
const YEARS: i64 = 10_512_000;

impl Scale {
    pub(super) fn new(from: Time, to: Time, sheet: &Sheet) -> Self {
        let seconds = seconds(to - from).max(1.0);
        Self { from, seconds, left: sheet.gutter, width: sheet.width - sheet.gutter }
    }

    /// Where the time stands, within the edges.
    pub(super) fn x(&self, time: Time) -> f64 {
        let part = seconds(time - self.from) / self.seconds;
        self.left + self.width * part.clamp(0.0, 1.0)
    }

    /// The left and the right edge.
    pub(super) fn edges(&self) -> (f64, f64) {
        (self.left, self.left + self.width)
    }

    /// The times to name, at least so many units apart.
    pub(super) fn ticks(&self, apart: f64) -> Vec<Time> {
        let most = (self.width / apart).max(1.0);
        let minutes = self.seconds / 60.0;
        let fits = |step: &i64| minutes / float(*step) <= most;
        let step = STEPS.into_iter().find(fits).unwrap_or(YEARS) * 60;
        let first = self.from.timestamp().div_euclid(step) * step + step;
        let times = (0..500).map_while(|n| {
            let since = first.checked_add(step.checked_mul(n)?)? - self.from.timestamp();
            let time = self.from.checked_add_signed(TimeDelta::seconds(since))?;
            let whole = time.checked_sub_signed(TimeDelta::nanoseconds(nanos(time)))?;
            (seconds(whole - self.from) <= self.seconds).then_some(whole)
        });
        times.collect()
    }
}

fn nanos(time: Time) -> i64 {
    i64::from(time.timestamp_subsec_nanos())
}

fn seconds(delta: TimeDelta) -> f64 {
    float(delta.num_milliseconds()) / 1_000.0
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "times are below 2^53 ms")]
fn float(whole: i64) -> f64 {
    whole as f64
}
