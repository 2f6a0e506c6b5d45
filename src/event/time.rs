//! Times: UTC, in whole microseconds, so that a time survives the store unchanged.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A moment in UTC.
pub type Time = DateTime<Utc>;

/// Microseconds since 1970; what the stores sort by.
pub fn micros(time: Time) -> i64 {
    time.timestamp_micros()
}

/// The moment that [`micros`] came from; times out of chrono's range become the epoch.
pub fn time_of_micros(micros: i64) -> Time {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// An RFC 3339 time, or Unix seconds with an optional fraction; cut to microseconds.
///
/// # Errors
/// A sentence that says what a time looks like.
pub fn parse_time(text: &str) -> Result<Time, String> {
    let parsed = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Some(time.to_utc()),
        Err(_not_rfc3339) => unix_seconds(text),
    };
    match parsed {
        Some(time) => Ok(time_of_micros(micros(time))),
        None => Err(format!(
            "{text:?} is not a time: want RFC 3339 as in \"2023-02-23T15:06:00Z\", or Unix seconds"
        )),
    }
}

fn unix_seconds(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    DateTime::from_timestamp(seconds, 0)?.checked_add_signed(TimeDelta::nanoseconds(nanos))
}

/// RFC 3339 with `Z`, and no more digits of a second than the time has.
pub fn show_time(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
