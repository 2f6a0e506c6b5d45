//! Links within the page, which keep the moment that is looked at.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::event::{Time, show_time};

/// Where a link leads, and what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// What it says.
    pub words: String,
    /// Where it leads.
    pub href: String,
}

impl Link {
    pub(super) fn new(words: impl Into<String>, href: String) -> Self {
        Self { words: words.into(), href }
    }
}

/// A path with a query out of what is given; times as people can read them.
pub(super) fn href(path: &str, query: &[(&str, Option<String>)]) -> String {
    let mut href = path.to_owned();
    let mut joint = '?';
    for (name, value) in query {
        if let Some(value) = value {
            href.push(joint);
            href.push_str(name);
            href.push('=');
            href.push_str(&encoded(value));
            joint = '&';
        }
    }
    href
}

/// A time in a query.
pub(super) fn time(time: Option<Time>) -> Option<String> {
    time.map(show_time)
}

/// What stands for itself in a part of a URL, and in a cookie (RFC 3986, "unreserved").
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text as a part of a URL: what is not plain is percent-encoded.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}
