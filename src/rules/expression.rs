//! Regular expressions over a whole value, compiled once they are asked.
//!
//! Of the hundreds in a pack of rules an installation asks few, and one takes thirty kilobytes in the
//! mean.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// A compiled expression takes at most so much memory: room for a list of some hundreds of names.
const BYTES_MAX: usize = 1 << 20;

/// A value that nobody uses: a letter that Unicode leaves to private use.
pub(super) const NOBODYS: &str = "\u{e000}";

/// An expression that a value must match from the beginning to the end, exactly as in Alertmanager.
#[derive(Debug)]
pub(super) struct Expression {
    /// With its anchors.
    anchored: String,
    meets_empty: bool,
    meets_nobodys: bool,
    compiled: OnceLock<Option<Regex>>,
}

impl Expression {
    /// The expression that is written so.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let say = |error| say_error(source, &error);
        // Alone first: `a)|(b` is balanced only by the brackets around it, and would not be anchored.
        compile(source).map_err(say)?;
        let anchored = format!("^(?:{source})$");
        let regex = compile(&anchored).map_err(say)?;
        let (meets_empty, meets_nobodys) = (regex.is_match(""), regex.is_match(NOBODYS));
        Ok(Self { anchored, meets_empty, meets_nobodys, compiled: OnceLock::new() })
    }

    /// With its anchors, as it is compiled.
    pub(super) fn anchored(&self) -> &str {
        &self.anchored
    }

    /// Whether the empty value matches.
    pub(super) fn meets_empty(&self) -> bool {
        self.meets_empty
    }

    /// Whether a value matches. For none and for [`NOBODYS`], which every rule is asked as it is read,
    /// nothing is compiled to stay.
    pub(super) fn is_match(&self, value: &str) -> bool {
        match value {
            "" => return self.meets_empty,
            NOBODYS => return self.meets_nobodys,
            _ => {}
        }
        // It could be compiled once, so it can be again.
        let compiled = self.compiled.get_or_init(|| compile(&self.anchored).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

fn compile(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression).size_limit(BYTES_MAX).dfa_size_limit(BYTES_MAX).build()
}

fn say_error(source: &str, error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(limit) = error {
        return format!(
            "the regular expression {source:?} is too big: compiled it takes more than {limit} bytes"
        );
    }
    // The message proper stands on the last line, under a picture of the expression.
    let picture = error.to_string();
    let reason = picture.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("{source:?} is not a regular expression: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_rule_is_asked_as_it_is_read_leaves_nothing_compiled() {
        for (source, [empty, nobodys]) in [
            ("a.*", [false, false]),
            (".*", [true, true]),
            ("(a|b)*", [true, false]),
            (".", [false, true]),
        ] {
            let expression = Expression::new(source).unwrap();
            let asked = ["", NOBODYS].map(|value| expression.is_match(value));
            assert_eq!(asked, [empty, nobodys], "{source}");
            assert!(expression.compiled.get().is_none(), "{source}");
            expression.is_match("a");
            assert!(expression.compiled.get().is_some(), "{source}");
        }
    }
}
