//! A post as it came, before anything of it is understood.

use std::{collections::BTreeMap, fmt};

use crate::event::Time;

/// A post to a source.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Its headers.
    pub headers: &'a Headers,
    /// What stands behind the `?` of its address.
    pub query: &'a [(String, String)],
    /// Its body, unpacked.
    pub body: &'a [u8],
    /// When it came.
    pub received: Time,
}

impl<'a> Post<'a> {
    /// A parameter of the query, where it says something.
    pub fn asks(&self, name: &str) -> Option<&'a str> {
        let named = self.query.iter().find(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Headers that say something; their names are compared in small letters.
#[derive(Clone, Default)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// The value of a header. An empty one says nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The headers whose names begin so, less that beginning.
    pub(super) fn beginning_with<'h>(
        &'h self,
        start: &'h str,
    ) -> impl Iterator<Item = (&'h str, &'h str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(start)?, &**value)))
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let lowered = headers.into_iter().map(|(name, value)| {
            let value: String = value.into();
            (name.as_ref().to_ascii_lowercase(), value.trim().to_owned())
        });
        Self(lowered.filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl fmt::Debug for Headers {
    /// Names only: among the values are tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
