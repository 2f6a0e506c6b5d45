//! Durations as Prometheus writes them: `1h30m`, `15d`, `500ms`.

use chrono::TimeDelta;

#[cfg(test)]
mod tests;

/// Milliseconds of each unit, biggest first, and whether it is written only where it leaves no
/// rest: `8d` is not `1w1d`.
const UNITS: [(&str, i64, bool); 7] = [
    ("y", 365 * 86_400_000, true),
    ("w", 7 * 86_400_000, true),
    ("d", 86_400_000, false),
    ("h", 3_600_000, false),
    ("m", 60_000, false),
    ("s", 1_000, false),
    ("ms", 1, false),
];

/// What Prometheus can hold: 2^63 nanoseconds, 292 years.
const MILLISECONDS_MAX: i64 = i64::MAX / 1_000_000;

/// Parses `1h30m`: units `y w d h m s ms`, each at most once, biggest first; `0` alone is zero.
///
/// # Errors
/// A sentence that names what was written and shows what a duration looks like.
pub fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    if text == "0" {
        return Ok(TimeDelta::zero());
    }
    let unreadable = || {
        format!(
            "{text:?} is not a duration: want whole numbers with the units y, w, d, h, m, s, ms, \
             biggest first, as in \"1h30m\""
        )
    };
    let too_long = || format!("{text:?} is too long a duration: at most 292y");

    let (mut rest, mut units, mut total) = (text, UNITS.iter(), 0_i64);
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(unreadable)?;
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(unit_end);
        if digits.is_empty() {
            return Err(unreadable());
        }
        // The iterator goes on from the last unit, so that one that is bigger or the same is not found.
        let (_, size, _) = units.find(|(unit, _, _)| *unit == name).ok_or_else(unreadable)?;
        let count: i64 = digits.parse().map_err(|_overflow| too_long())?;
        total = count
            .checked_mul(*size)
            .and_then(|part| total.checked_add(part))
            .filter(|sum| *sum <= MILLISECONDS_MAX)
            .ok_or_else(too_long)?;
        rest = tail;
    }
    if text.is_empty() { Err(unreadable()) } else { Ok(TimeDelta::milliseconds(total)) }
}

/// Writes a duration in the form that [`parse_duration`] reads; the sign of a negative one is lost.
pub fn show_duration(duration: TimeDelta) -> String {
    let mut rest = duration.num_milliseconds().saturating_abs();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut parts = Vec::new();
    for (unit, size, only_exact) in UNITS {
        if rest < size || (only_exact && rest % size != 0) {
            continue;
        }
        parts.push(format!("{}{unit}", rest / size));
        rest %= size;
    }
    parts.concat()
}

/// Writes a duration as people say it, to the minute from an hour on: `4 h 14 min`, `6 min`, `40 s`,
/// `3 d 2 h`. The sign of a negative one is lost: the sentence around it says before or after.
pub fn say_duration(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds().saturating_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let (big, small) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds} s"),
        (0, 0, minutes) => ((minutes, "min"), (seconds % 60, "s")),
        (0, hours, minutes) => ((hours, "h"), (minutes, "min")),
        (days, hours, _) => ((days, "d"), (hours, "h")),
    };
    match small {
        (0, _) => format!("{} {}", big.0, big.1),
        (count, unit) => format!("{} {} {count} {unit}", big.0, big.1),
    }
}
