//! What is wrong with a file that people wrote: where, what, and what to do about it.

use std::{fmt, ops::Range};

use serde::Serialize;

/// One thing wrong at one place.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Problem {
    /// The file's name, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, with the name of the thing.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a byte range of a file's text.
    pub fn at(file: &str, text: &str, span: Range<usize>, what: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            what: what.into(),
            hint: None,
        }
    }

    /// A problem of a file as a whole, as that it cannot be read.
    pub fn of_file(file: &str, what: impl Into<String>) -> Self {
        Self::at(file, "", 0..0, what)
    }

    /// A problem at a line and column, both from 1.
    pub fn at_line(file: &str, (line, column): (usize, usize), what: impl Into<String>) -> Self {
        Self { line, column, ..Self::of_file(file, what) }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, what, hint } = self;
        write!(f, "{file}:{line}:{column}: {what}")?;
        match hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The known word that was probably meant: the one with the fewest slips of the pen, at most one
/// for every three letters.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips_max = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|one| (slips(word, one), one))
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, one)| one)
}

/// How many letters must be put in, left out or exchanged to make one word the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (taken, mine) in one.to_lowercase().chars().enumerate() {
        let (mut corner, mut left) = (taken, taken + 1);
        for (cell, theirs) in row.iter_mut().skip(1).zip(&other) {
            let above = *cell;
            left = (left + 1).min(above + 1).min(corner + usize::from(mine != *theirs));
            corner = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = taken + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
