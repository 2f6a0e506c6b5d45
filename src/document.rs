//! A TOML file that a person wrote, read so that everything wrong with it is told at once.
//!
//! In: the file's name and text. Out: values with their place in the text, key by key, and a
//! problem for each thing that is not as it should be: syntax, a key that nobody asked for, a
//! value of the wrong type. A reader asks for what it wants and goes on without what it does not
//! get; it never stops at the first problem, as a derived deserializer would. Where the syntax is
//! broken, nothing else is told: half of it would not be so.

use std::{cell::RefCell, fmt, ops::Range};

use chrono::TimeDelta;
use toml::{
    Spanned,
    de::{DeArray, DeFloat, DeInteger, DeTable, DeValue},
};

use crate::{
    duration::parse_duration,
    event::Labels,
    problem::{Problem, nearest},
};

/// A file's text, and what is wrong with it so far.
#[derive(Debug)]
pub struct Document<'t> {
    file: &'t str,
    text: &'t str,
    syntax: RefCell<Vec<Problem>>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Document<'t> {
    /// The document in this text of the file of this name.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, syntax: RefCell::default(), problems: RefCell::default() }
    }

    /// The file's own keys and tables; whatever the syntax errors left of them.
    pub fn root(&self) -> Section<'_> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let broken = errors.into_iter().map(|error| {
            let what = format!("this is not TOML: {}", error.message().replace('\n', ", "));
            Problem::at(self.file, self.text, error.span().unwrap_or_default(), what)
                .hint("texts stand in quotes, tables begin with `[name]`")
        });
        self.syntax.borrow_mut().extend(broken);
        Section {
            document: self,
            name: "the file".to_owned(),
            path: String::new(),
            place: 0..0,
            table: table.into_inner(),
            known: Vec::new(),
        }
    }

    /// Says what is wrong at a place, and what to do about it.
    pub fn wrong(&self, place: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::at(self.file, self.text, place, what).hint(hint);
        self.problems.borrow_mut().push(problem);
    }

    /// The value, or what is wrong with what was written for it.
    pub fn checked<T>(
        &self,
        place: Range<usize>,
        value: Result<T, String>,
        hint: &str,
    ) -> Option<T> {
        value.map_err(|what| self.wrong(place, what, hint)).ok()
    }

    /// Everything that is wrong, in the order of the text.
    pub fn problems(self) -> Vec<Problem> {
        let syntax = self.syntax.into_inner();
        let mut problems = if syntax.is_empty() { self.problems.into_inner() } else { syntax };
        problems.sort();
        problems
    }
}

/// One table of a document. What is asked for is taken out of it; [`Section::finish`] reports the
/// rest.
#[must_use = "`finish` reports the keys that nobody asked for"]
pub struct Section<'d> {
    document: &'d Document<'d>,
    /// What it is called in problems, as `[server]` or `[[rule]] "own name"`.
    name: String,
    /// The keys that lead to it.
    path: String,
    place: Range<usize>,
    table: DeTable<'d>,
    known: Vec<&'static str>,
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'d> Section<'d> {
    /// Where it begins: its header.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// The document that it is part of, to tell problems to.
    pub fn document(&self) -> &'d Document<'d> {
        self.document
    }

    /// Whether the key is written.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// What `read` makes of the key; a problem if the key is not there.
    pub fn need<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            let (name, hint) = (&self.name, format!("add `{key} = ...`"));
            self.document.wrong(self.place(), format!("{name} has no `{key}`"), hint);
        }
        read(self, key)
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Option<Spanned<String>> {
        self.read(key, "a string in quotes", as_text)
    }

    /// A string, or a list of strings.
    pub fn texts(&mut self, key: &'static str) -> Option<Spanned<Vec<Spanned<String>>>> {
        self.read(key, "a string or a list of strings", |value| {
            one_or_list(value)
                .iter()
                .map(|one| Some(Spanned::new(one.span(), as_text(one)?)))
                .collect()
        })
    }

    /// A number, whole or not.
    pub fn number(&mut self, key: &'static str) -> Option<Spanned<f64>> {
        self.read(key, "a number", |value| {
            let value = value.get_ref();
            let written = value
                .as_float()
                .map(DeFloat::as_str)
                .or_else(|| value.as_integer().map(DeInteger::as_str))?;
            written.parse().ok()
        })
    }

    /// A whole number, not negative.
    pub fn count(&mut self, key: &'static str) -> Option<Spanned<usize>> {
        self.read(key, "a whole number, not below 0", |value| {
            let written = value.get_ref().as_integer()?;
            usize::from_str_radix(written.as_str(), written.radix()).ok()
        })
    }

    /// `true` or `false`.
    pub fn truth(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        self.read(key, "`true` or `false`", |value| value.get_ref().as_bool())
    }

    /// A duration, written as Prometheus does.
    pub fn duration(&mut self, key: &'static str) -> Option<Spanned<TimeDelta>> {
        let written = self.read(key, "a duration in quotes, as \"1h30m\"", as_text)?;
        self.parsed(&written, parse_duration, "write it as Prometheus does, as \"1h30m\"")
    }

    /// A string that means something, or the problem with it.
    pub fn parsed<T>(
        &self,
        written: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
        hint: &str,
    ) -> Option<Spanned<T>> {
        let place = written.span();
        let value = self.document.checked(place.clone(), parse(written.get_ref()), hint)?;
        Some(Spanned::new(place, value))
    }

    /// A table of label names, each with a value or a list of them.
    pub fn labels(&mut self, key: &'static str) -> Labels {
        let mut labels = Labels::default();
        let Some(value) = self.take(key) else { return labels };
        let DeValue::Table(table) = value.get_ref() else {
            self.mistyped(key, &value, "a table of labels");
            return labels;
        };
        for (name, value) in table {
            for value in one_or_list(value) {
                match as_text(value) {
                    Some(text) => labels.insert(name.get_ref().as_ref(), text),
                    None => self.mistyped(name.get_ref(), value, "a string or a list of strings"),
                }
            }
        }
        labels
    }

    /// A table; an empty one if it is not there.
    pub fn section(&mut self, key: &'static str) -> Section<'d> {
        let name = |path: &str| format!("[{path}]");
        match self.take(key).map(|value| (value.span(), value.into_inner())) {
            Some((place, DeValue::Table(table))) => self.inner(key, name, place, table),
            Some((place, other)) => {
                self.mistyped(key, &Spanned::new(place.clone(), other), "a table");
                self.inner(key, name, place, DeTable::new())
            }
            None => self.inner(key, name, self.place(), DeTable::new()),
        }
    }

    /// The tables of a list of them, as `[[rule]]` writes it.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'d>> {
        let name = |path: &str| format!("[[{path}]]");
        let Some(value) = self.take(key) else { return Vec::new() };
        let place = value.span();
        let DeValue::Array(list) = value.into_inner() else {
            self.document.wrong(
                place,
                format!("`{key}` is not a list of tables"),
                format!("begin each with a line `{}`", name(&self.path_of(key))),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in list {
            match (value.span(), value.into_inner()) {
                (place, DeValue::Table(table)) => {
                    sections.push(self.inner(key, name, place, table));
                }
                (place, other) => {
                    self.mistyped(key, &Spanned::new(place, other), "a list of tables");
                }
            }
        }
        sections
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn inner(
        &self,
        key: &str,
        name: fn(&str) -> String,
        place: Range<usize>,
        table: DeTable<'d>,
    ) -> Section<'d> {
        let path = self.path_of(key);
        let name = match table.get("name").and_then(|name| name.get_ref().as_str()) {
            Some(own) => format!("{} {own:?}", name(&path)),
            None => name(&path),
        };
        Section { document: self.document, name, path, place, table, known: Vec::new() }
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let word = key.get_ref().as_ref();
            let hint = match nearest(word, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("it may have {}", self.known.join(", ")),
            };
            self.document.wrong(key.span(), format!("{} has no key `{word}`", self.name), hint);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        want: &str,
        read: impl FnOnce(&Spanned<DeValue<'d>>) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let value = self.take(key)?;
        let read = read(&value);
        if read.is_none() {
            self.mistyped(key, &value, want);
        }
        Some(Spanned::new(value.span(), read?))
    }

    fn mistyped(&self, key: &str, value: &Spanned<DeValue<'_>>, want: &str) {
        let what = format!("`{key}` is {}", type_name(value.get_ref()));
        self.document.wrong(value.span(), what, format!("write {want}"));
    }
}

fn one_or_list<'v, 'd>(value: &'v Spanned<DeValue<'d>>) -> &'v [Spanned<DeValue<'d>>] {
    value.get_ref().as_array().map_or(std::slice::from_ref(value), DeArray::as_ref)
}

fn as_text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    value.get_ref().as_str().map(str::to_owned)
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time without quotes",
        DeValue::Array(_) => "a list that holds other things",
        DeValue::Table(_) => "a table",
    }
}
