//! The one reader of the wall clock.

use crate::event::{Time, micros, time_of_micros};

/// The time now, in whole microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the one reader of the clock")]
pub fn now() -> Time {
    time_of_micros(micros(chrono::Utc::now()))
}
