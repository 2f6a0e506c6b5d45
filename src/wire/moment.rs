//! Times as sources write them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::{Time, parse_time, show_time};

/// Go's zero time, year 1: how Go programs write "not set".
const GO_ZERO_SECONDS: i64 = -62_135_596_800;

/// A time, or a field that says none: absent, `null`, empty, or Go's zero time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Moment(pub(super) Option<Time>);

impl Moment {
    pub(super) fn is_unset(&self) -> bool {
        self.0.is_none()
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.map(show_time).serialize(serializer)
    }
}

struct MomentVisitor;

impl de::Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time: RFC 3339, or Unix seconds")
    }

    fn visit_unit<E>(self) -> Result<Moment, E> {
        Ok(Moment(None))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        if text.is_empty() {
            return Ok(Moment(None));
        }
        let time = parse_time(text).map_err(E::custom)?;
        Ok(Moment((time.timestamp() != GO_ZERO_SECONDS).then_some(time)))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Moment, E> {
        self.visit_str(&format!("{seconds:.6}"))
    }
}
