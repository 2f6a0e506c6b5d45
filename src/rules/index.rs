//! One side of all rules, so that nobody has to try them all.
//!
//! In: the matchers of that side, once, when the rules are read. Out: for labels, the places of the
//! rules that they meet, in order. It never decides by itself: what it picks is tried in full, and
//! what it leaves out has a matcher that these labels cannot meet.

use std::collections::BTreeMap;

use regex::{RegexSet, RegexSetBuilder};

use super::{Matcher, Matchers};
use crate::event::Labels;

/// A value that more rules than this name picks too many: `kind="deploy"` stands in most of them,
/// and an expression beside it says more.
const CROWD: usize = if cfg!(test) { 2 } else { 32 };

/// So many expressions are asked at once. More would be asked still faster, as long as the automaton
/// that is made while asking has room; where it has not, it is many times slower.
const SET_MAX: usize = if cfg!(test) { 3 } else { 512 };

/// A compiled set takes at most so much memory, and what is made while asking it as much again.
const SET_BYTES_MAX: usize = if cfg!(test) { 1 << 18 } else { 1 << 22 };

/// The rules by a matcher that has to hold for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// By label and value, those that need one of the values that they name.
    values: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// By label, those that need a value that an expression matches.
    expressions: BTreeMap<String, Vec<Expressions>>,
    /// Those that say only what may not be, or that an absent label meets, too.
    rest: Vec<usize>,
}

/// Expressions that are asked at once.
#[derive(Clone, Debug)]
struct Expressions {
    set: RegexSet,
    /// For each expression the rules that need it.
    places: Vec<Vec<usize>>,
}

/// By what a rule is found.
enum Key<'r> {
    /// Matchers of which [`Matcher::only`] tells the values.
    Values(&'r Matcher),
    /// The name of a label and an expression over it.
    Expression(&'r str, &'r str),
}

impl Index {
    /// The index of rules with these matchers, which are called by their places.
    pub(super) fn new(sides: &[&Matchers]) -> Self {
        let crowds = Crowds::of(sides);
        let mut index = Self::default();
        let mut expressions = BTreeMap::<_, BTreeMap<_, Vec<_>>>::new();
        for (place, side) in sides.iter().enumerate() {
            match crowds.key(side) {
                Some(Key::Values(matcher)) => index.name(matcher, place),
                Some(Key::Expression(name, expression)) => {
                    let asked = expressions.entry(name).or_default();
                    asked.entry(expression).or_default().push(place);
                }
                None => index.rest.push(place),
            }
        }
        for (name, asked) in expressions {
            let asked: Vec<_> = asked.into_iter().collect();
            let mut sets = Vec::new();
            asked.chunks(SET_MAX).for_each(|chunk| index.gather(chunk, &mut sets));
            index.expressions.insert(name.to_owned(), sets);
        }
        index
    }

    /// Files a rule under the values that a matcher of it names.
    fn name(&mut self, matcher: &Matcher, place: usize) {
        let named = self.values.entry(matcher.name().to_owned()).or_default();
        for value in matcher.only().into_iter().flatten() {
            named.entry(value.clone()).or_default().push(place);
        }
    }

    /// Makes a set of these expressions, or several where one would be too big; an expression for
    /// which there is none has its rules tried one by one.
    fn gather(&mut self, asked: &[(&str, Vec<usize>)], sets: &mut Vec<Expressions>) {
        let set = RegexSetBuilder::new(asked.iter().map(|(expression, _)| expression))
            .size_limit(SET_BYTES_MAX)
            .dfa_size_limit(SET_BYTES_MAX)
            .build();
        match (set, asked) {
            (Ok(set), _) => {
                let places = asked.iter().map(|(_, places)| places.clone()).collect();
                sets.push(Expressions { set, places });
            }
            (Err(_), [] | [_]) => self.rest.extend(asked.iter().flat_map(|(_, places)| places)),
            (Err(_), _) => {
                let (one, other) = asked.split_at(asked.len() / 2);
                self.gather(one, sets);
                self.gather(other, sets);
            }
        }
    }

    /// The rules that these labels may meet, in order: all that they do meet, and few besides.
    pub(super) fn candidates(&self, labels: &Labels) -> Vec<usize> {
        let mut picked = self.rest.clone();
        for (name, values) in labels.by_name() {
            let named = self.values.get(name);
            let sets = self.expressions.get(name).map(Vec::as_slice).unwrap_or_default();
            for value in values {
                picked.extend(named.and_then(|named| named.get(value)).into_iter().flatten());
                picked.extend(sets.iter().flat_map(|one| one.matched(value)));
            }
        }
        // A label with several values may meet one rule by each of them.
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}

impl Expressions {
    /// The rules that need an expression which matches the value.
    fn matched(&self, value: &str) -> impl Iterator<Item = usize> {
        let matched = self.set.matches(value).into_iter();
        matched.filter_map(|which| self.places.get(which)).flatten().copied()
    }
}

/// How many rules name a value of a label.
struct Crowds<'r>(BTreeMap<(&'r str, &'r str), usize>);

impl<'r> Crowds<'r> {
    fn of(sides: &[&'r Matchers]) -> Self {
        let mut crowds = BTreeMap::new();
        for matcher in sides.iter().flat_map(|side| &side.0) {
            for value in matcher.only().into_iter().flatten() {
                *crowds.entry((matcher.name(), value.as_str())).or_default() += 1;
            }
        }
        Self(crowds)
    }

    /// How many rules are picked together with one that is filed under this matcher's values.
    fn around(&self, matcher: &'r Matcher) -> Option<usize> {
        let size = |value: &'r String| self.0.get(&(matcher.name(), value.as_str()));
        Some(matcher.only()?.iter().filter_map(size).sum())
    }

    /// By what the rule is best found.
    fn key(&self, side: &'r Matchers) -> Option<Key<'r>> {
        let named = side.0.iter().filter_map(|one| Some((self.around(one)?, one)));
        let named = named.min_by_key(|(crowd, _)| *crowd);
        let expression = || {
            let mut asked = side.0.iter();
            asked.find_map(|one| Some(Key::Expression(one.name(), one.expression()?)))
        };
        match named {
            Some((crowd, matcher)) if crowd <= CROWD => Some(Key::Values(matcher)),
            Some((_, matcher)) => expression().or(Some(Key::Values(matcher))),
            None => expression(),
        }
    }
}
