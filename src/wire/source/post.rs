//! A post as it came, before anything of it is understood.

use std::{borrow::Cow, fmt};

use crate::event::Time;

/// A post to a source.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Its headers.
    pub headers: &'a Headers<'a>,
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

/// Headers that say something, sorted; their names are in small letters.
#[derive(Clone, Default)]
pub struct Headers<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl Headers<'_> {
    /// The value of a header. An empty one says nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Of a name that is there twice the last counts.
        let held = self.0.iter().rfind(|(held, _)| held == name);
        held.map(|(_, value)| *value)
    }

    /// The headers whose names begin so, less that beginning.
    pub(super) fn beginning_with<'h>(
        &'h self,
        start: &'h str,
    ) -> impl Iterator<Item = (&'h str, &'h str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(start)?, *value)))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(headers: I) -> Self {
        let said = headers.into_iter().map(|(name, value)| (small(name), value.trim()));
        let mut said: Vec<_> = said.filter(|(_, value)| !value.is_empty()).collect();
        said.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(said)
    }
}

/// The name in small letters, which most are already.
fn small(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

impl fmt::Debug for Headers<'_> {
    /// Names only: among the values are tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
