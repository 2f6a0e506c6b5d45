//! Fields as the world writes them: the same thing as a string here and a number there, and times in
//! every form.

use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::{
    event::{Time, micros, parse_time, time_of_micros},
    wire::moment::Moment,
};

/// A word or a sentence; anything that is none says nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Text(pub(super) Option<String>);

impl Text {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether it says this.
    pub(super) fn is(&self, word: &str) -> bool {
        self.get() == Some(word)
    }

    /// This, or what the other says.
    pub(super) fn or(self, other: Self) -> Option<String> {
        self.0.or(other.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(text_of(Value::deserialize(deserializer)?)))
    }
}

/// What a value says as text.
pub(super) fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether something is so; anything but `true` is not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)? == Value::Bool(true)))
    }
}

/// A time in any form that occurs, or none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stamp(pub(super) Option<Time>);

impl Stamp {
    /// As our own forms have it.
    pub(super) fn moment(self) -> Moment {
        Moment(self.0)
    }

    /// This, or the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        stamp_of(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What a value says as a time.
pub(super) fn stamp_of(value: &Value) -> Result<Stamp, String> {
    match value {
        Value::Null => Ok(Stamp(None)),
        Value::String(text) => parse(text.trim()).map(Stamp),
        Value::Number(number) => parse(&number.to_string()).map(Stamp),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err("want a time: RFC 3339, or Unix seconds or milliseconds".to_owned())
        }
    }
}

fn parse(text: &str) -> Result<Option<Time>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(time) = text.parse().ok().and_then(since_1970) {
        return Ok(Some(time));
    }
    let offset = |form| DateTime::parse_from_str(text, form).ok().map(|time| time.to_utc());
    let utc = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S UTC").ok();
    let time = offset("%Y-%m-%dT%H:%M:%S%.f%z")
        .or_else(|| offset("%Y-%m-%d %H:%M:%S %z"))
        .or_else(|| utc().map(|time| time.and_utc()));
    let time = match time {
        Some(time) => time_of_micros(micros(time)),
        None => parse_time(text)?,
    };
    // Go's zero time, year 1, is how Go programs write "not set".
    Ok((time.timestamp() > GO_ZERO_SECONDS).then_some(time))
}

const GO_ZERO_SECONDS: i64 = -62_135_596_800;

/// A whole number of seconds, milliseconds, microseconds or nanoseconds, by its size.
fn since_1970(count: i64) -> Option<Time> {
    match count {
        100_000_000_000_000_000.. => Some(time_of_micros(count / 1_000)),
        100_000_000_000_000.. => Some(time_of_micros(count)),
        100_000_000_000.. => DateTime::from_timestamp_millis(count),
        _ => DateTime::from_timestamp(count, 0),
    }
}

/// The bytes that `%41` and the like stand for. `plus`: a `+` is a space, as in forms.
pub(super) fn percent_decoded(text: &str, plus: bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit =
        |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            b'+' if plus => b' ',
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::show_time;

    #[test]
    fn every_form_of_a_time_that_occurs_is_read() {
        let want = "2023-02-23T15:06:00Z";
        for written in [
            json!(want),
            json!("2023-02-23T16:06:00+01:00"),
            json!("2023-02-23T15:06:00.000+0000"),
            json!("2023-02-23 17:06:00 +0200"),
            json!("2023-02-23 15:06:00 UTC"),
            json!(1_677_164_760),
            json!("1677164760"),
            json!(1_677_164_760.0),
            json!(1_677_164_760_000_i64),
            json!("1677164760000"),
            json!(1_677_164_760_000_000_i64),
            json!(1_677_164_760_000_000_000_i64),
        ] {
            let read = stamp_of(&written).unwrap().0.map(show_time);
            assert_eq!(read.as_deref(), Some(want), "{written}");
        }
        for unset in [json!(null), json!(""), json!("0001-01-01T00:00:00Z")] {
            assert_eq!(stamp_of(&unset), Ok(Stamp(None)), "{unset}");
        }
        for wrong in [json!("yesterday"), json!([]), json!({}), json!(true), json!("2023-02-23")] {
            assert!(stamp_of(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn percents_are_decoded_and_what_is_broken_is_not() {
        assert_eq!(percent_decoded("a%20%C3%A9+b", false).as_deref(), Some("a é+b"));
        assert_eq!(percent_decoded("a+b", true).as_deref(), Some("a b"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(broken, true), None, "{broken}");
        }
    }
}
