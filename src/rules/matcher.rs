//! Label matchers, written and meant as Alertmanager's: `service=~"api|web"`.
//!
//! A label that is absent is the empty string. A label with several values meets a positive matcher
//! if any of them does; a negative matcher is the negation of the positive one. Regular expressions
//! must match the whole value.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    expression::Expression,
    lexer::{self, Lexer},
};
use crate::event::Labels;

/// What makes up an expression that is more than a list of names.
const META: [char; 13] = ['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$'];

/// How a matcher compares.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Like,
    /// `!~`
    NotLike,
}

impl Op {
    /// As it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Like => "=~",
            Self::NotLike => "!~",
        }
    }

    const fn positive(self) -> bool {
        matches!(self, Self::Equal | Self::Like)
    }
}

/// One condition on a label.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: Op,
    value: String,
    test: Test,
}

/// What a value is asked, before a negation.
#[derive(Clone, Debug)]
enum Test {
    /// To be one of these. Most expressions in use are lists of names: they are cheap to ask and
    /// can be indexed.
    OneOf(BTreeSet<String>),
    /// To match as a whole.
    Expression(Arc<Expression>),
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::OneOf(values) => values.contains(value),
            Self::Expression(expression) => expression.is_match(value),
        }
    }
}

impl Matcher {
    /// A matcher for one value.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        let test = Test::OneOf(BTreeSet::from([value.clone()]));
        Self { name, op: Op::Equal, value, test }
    }

    /// A matcher of these parts.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the expression.
    pub fn new(name: impl Into<String>, op: Op, value: impl Into<String>) -> Result<Self, String> {
        let (name, value) = (name.into(), value.into());
        let test = match op {
            Op::Equal | Op::NotEqual => Test::OneOf(BTreeSet::from([value.clone()])),
            Op::Like | Op::NotLike if !value.contains(META) => {
                Test::OneOf(value.split('|').map(str::to_owned).collect())
            }
            Op::Like | Op::NotLike => Test::Expression(Arc::new(Expression::new(&value)?)),
        };
        Ok(Self { name, op, value, test })
    }

    /// The label that it asks.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> Op {
        self.op
    }

    /// Whether the labels meet it. A positive matcher holds if any value of the label matches, a
    /// negative one is its negation; an absent label is the empty string.
    pub fn matches(&self, labels: &Labels) -> bool {
        let holds = if labels.has(&self.name) {
            labels.values(&self.name).any(|value| self.test.holds(value))
        } else {
            self.test.holds("")
        };
        holds == self.op.positive()
    }

    /// The values that it names one by one, as `a="b"`, `a!="b"` and `a=~"b|c"` do; none where it
    /// has a true expression.
    pub fn named(&self) -> Option<&BTreeSet<String>> {
        match &self.test {
            Test::OneOf(values) => Some(values),
            Test::Expression(_) => None,
        }
    }

    /// The only values with which it holds, where there are such and the empty one is not among
    /// them: what an index can be built on.
    pub fn only(&self) -> Option<&BTreeSet<String>> {
        self.named().filter(|values| self.op.positive() && !values.contains(""))
    }

    /// The expression that a value of the label must match for it to hold, from the beginning to the
    /// end, where it has one and an absent label does not meet it.
    pub(super) fn expression(&self) -> Option<&str> {
        match &self.test {
            Test::Expression(expression) => {
                let must = self.op.positive() && !expression.meets_empty();
                must.then_some(expression.anchored())
            }
            Test::OneOf(_) => None,
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, op, value, test: _ } = self;
        if name.is_empty() || name.contains(lexer::reserved) {
            lexer::quote(f, name)?;
        } else {
            f.write_str(name)?;
        }
        f.write_str(op.symbol())?;
        lexer::quote(f, value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq for Matcher {
    /// Whether they are written the same: the test follows from the rest.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Matchers(pub Vec<Matcher>);

impl Matchers {
    /// Parses `{a="b", c=~"d"}`, with or without the braces.
    ///
    /// # Errors
    /// A sentence that names what was written.
    pub fn parse(text: &str) -> Result<Self, String> {
        Lexer::new(text).matchers().map(Self)
    }

    /// Whether all hold.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels))
    }

    /// The only values of this label with which they hold, where a matcher names them.
    pub fn only(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.0.iter().filter(|matcher| matcher.name == name).find_map(Matcher::only)
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, matcher) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{matcher}")?;
        }
        f.write_str("}")
    }
}
