//! Tests of rules: `rules/*.test.toml`, in the manner of `promtool test rules`. Pure: callers read
//! the files and run the tests.
//!
//! In: the text of a test file. Out: for each test the events that would have arrived, and what is
//! expected of the answer at certain times. Times are durations from the start of the test.
//!
//! ```toml
//! rules = ["node-groups.toml"]          # relative to this file
//!
//! [[service]]                           # a catalogue, if the test needs one
//! name = "api"
//! depends_on = ["kubernetes"]
//!
//! [[test]]
//! name = "pods cannot be scheduled an hour after their nodes were removed"
//!
//! [[test.change]]
//! id = "removal"
//! at = "0s"
//! finished = "37m"                      # without it, it runs
//! kind = "infrastructure"
//! action = "delete"
//! environment = "production"
//! title = "Remove legacy node groups"
//!
//! [[test.alert]]
//! at = "1h45m"                          # and `until`, if it ends
//! alertname = "KubePodsUnschedulable"
//! environment = "production"
//!
//! [[test.expect]]
//! at = "1h50m"
//! likely = "removal"
//! rule = "node-groups-removed"
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use toml::Spanned;

use crate::{
    catalog::{Catalog, read_services},
    document::{Document, Section},
    event::{AlertReport, ChangeId, ChangeReport, Event, Labels, Status, Time, time_of_micros},
    problem::{Problem, nearest},
};

/// The words that an expected answer may have.
pub const ANSWERS: [&str; 4] = ["likely", "suspects", "none", "unknown"];

/// When tests begin: a midnight, so that days do not end by surprise.
pub fn epoch() -> Time {
    time_of_micros(1_704_067_200_000_000)
}

/// A file of tests.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// The rule files that are tested, as paths from the test file.
    pub rules: Vec<Spanned<String>>,
    /// The catalogue, empty if none is given.
    pub catalog: Catalog,
    /// The tests, in the order of the file.
    pub tests: Vec<Test>,
}

/// One story, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Test {
    /// What it shows, as a sentence.
    pub name: String,
    /// Everything that arrived.
    pub events: Vec<Event>,
    /// What is expected, at one time each.
    pub expects: Vec<Expect>,
}

/// What one incident is expected to be like at one time; everything that is said must hold of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// When.
    pub at: Time,
    /// Of how many incidents it is one.
    pub incidents: Option<usize>,
    /// What is said of its cause: one of [`ANSWERS`].
    pub answer: Option<String>,
    /// Changes that are the first suspect, as its members.
    pub first: Vec<String>,
    /// Changes that are the first suspect, with the answer `likely`.
    pub likely: Vec<String>,
    /// Changes that are cleared.
    pub cleared: Vec<String>,
    /// Changes that are responses.
    pub responses: Vec<String>,
    /// Rules that speak for or against the first suspect.
    pub rules: Vec<Spanned<String>>,
    /// Rules that say nothing of any suspect.
    pub no_rules: Vec<Spanned<String>>,
}

impl TestFile {
    /// The tests in the text of the file of this name.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let document = Document::new(file, text);
        let mut root = document.root();
        let rules = root.need("rules", Section::texts).map(Spanned::into_inner).unwrap_or_default();
        let mut services = BTreeMap::new();
        read_services(&mut root, &mut services);
        let sections = root.sections("test");
        if sections.is_empty() {
            document.wrong(root.place(), "the file has no tests", "begin one with `[[test]]`");
        }
        let mut names = BTreeSet::new();
        let tests = sections.into_iter().filter_map(|section| read_test(section, &mut names));
        let tests = tests.collect();
        root.finish();
        let problems = document.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { rules, catalog: Catalog::new(services), tests })
    }
}

fn read_test(mut section: Section<'_>, names: &mut BTreeSet<String>) -> Option<Test> {
    let document = section.document();
    let name = section.need("name", Section::text);
    if let Some(twice) = name.as_ref().filter(|name| !names.insert(name.get_ref().clone())) {
        let what = format!("the test {:?} is there twice", twice.get_ref());
        document.wrong(twice.span(), what, "say what is different about this one");
    }
    let mut ids = BTreeSet::new();
    let mut events = Vec::new();
    for mut change in section.sections("change") {
        events.extend(read_change(&mut change, &mut ids).into_iter().flatten());
        change.finish();
    }
    for mut alert in section.sections("alert") {
        events.extend(read_alert(&mut alert).into_iter().flatten());
        alert.finish();
    }
    let expected = section.sections("expect");
    if expected.is_empty() {
        let hint = "add a `[[test.expect]]`";
        document.wrong(section.place(), "the test expects nothing, so it cannot fail", hint);
    }
    let mut expects = Vec::new();
    for mut expect in expected {
        expects.push(read_expect(&mut expect, &ids));
        expect.finish();
    }
    section.finish();
    Some(Test { name: name?.into_inner(), events, expects })
}

fn read_change(section: &mut Section<'_>, ids: &mut BTreeSet<String>) -> Option<Vec<Event>> {
    let document = section.document();
    let id = section.need("id", Section::text);
    if let Some(twice) = id.as_ref().filter(|id| !ids.insert(id.get_ref().clone())) {
        let what = format!("the change {:?} is there twice", twice.get_ref());
        document.wrong(twice.span(), what, "give each its own `id`");
    }
    let at = section.need("at", read_time);
    let finished = read_time(section, "finished");
    check_order(section, at.as_ref(), finished.as_ref());
    let status = read_word(section, "status");
    let kind = section.need("kind", read_word);
    let action = section.need("action", read_word);
    let labels = read_labels(section, ["service", "environment"]);
    let mut text = |key| section.text(key).map(Spanned::into_inner);
    let words = [text("title"), text("actor"), text("revision"), text("change_set")];

    let started_at = at?.into_inner();
    let (at, usual) = match finished {
        Some(finished) => (finished.into_inner(), Status::Succeeded),
        None => (started_at, Status::Started),
    };
    let mut report = ChangeReport::new(ChangeId(id?.into_inner()), status.unwrap_or(usual), at);
    report.started_at = Some(started_at);
    report.kind = Some(kind?);
    report.action = Some(action?);
    report.labels = labels;
    [report.title, report.actor, report.revision, report.change_set] = words;
    Some(report.facts().into_iter().map(Event::Change).collect())
}

fn read_alert(section: &mut Section<'_>) -> Option<Vec<Event>> {
    let at = section.need("at", read_time);
    let until = read_time(section, "until");
    check_order(section, at.as_ref(), until.as_ref());
    let labels = read_labels(section, ["alertname", "service", "environment", "severity"]);
    if !labels.has("alertname") {
        let hint = "add `alertname = \"...\"`";
        section.document().wrong(section.place(), "the alert has no `alertname`", hint);
    }
    let report = AlertReport {
        labels,
        starts_at: at?.into_inner(),
        ends_at: until.map(Spanned::into_inner),
        expires_at: None,
        pending_at: None,
        summary: None,
        url: None,
    };
    Some(report.facts().into_iter().map(Event::Alert).collect())
}

fn read_expect(section: &mut Section<'_>, ids: &BTreeSet<String>) -> Expect {
    let document = section.document();
    let at = section.need("at", read_time);
    let answer = section.text("answer");
    if let Some(unknown) = answer.as_ref().filter(|one| !ANSWERS.contains(&one.get_ref().as_str()))
    {
        let what = format!("there is no answer {:?}", unknown.get_ref());
        document.wrong(unknown.span(), what, format!("it is one of {}", ANSWERS.join(", ")));
    }
    let changes = |section: &mut Section<'_>, key| -> Vec<String> {
        let written = section.texts(key).map(Spanned::into_inner).unwrap_or_default();
        for id in written.iter().filter(|id| !ids.contains(id.get_ref())) {
            let hint = match nearest(id.get_ref(), ids.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => "name it by its `id`".to_owned(),
            };
            document.wrong(id.span(), format!("the test has no change {:?}", id.get_ref()), hint);
        }
        written.into_iter().map(Spanned::into_inner).collect()
    };
    let expect = Expect {
        at: at.map(Spanned::into_inner).unwrap_or_default(),
        incidents: section.count("incidents").map(Spanned::into_inner),
        answer: answer.map(Spanned::into_inner),
        first: changes(section, "first"),
        likely: changes(section, "likely"),
        cleared: changes(section, "cleared"),
        responses: changes(section, "responses"),
        rules: section.texts("rule").map(Spanned::into_inner).unwrap_or_default(),
        no_rules: section.texts("no_rule").map(Spanned::into_inner).unwrap_or_default(),
    };
    let only_time = Expect { at: expect.at, ..Expect::default() };
    if expect == only_time {
        document.wrong(section.place(), "nothing is expected, so it cannot fail", "say what is");
    }
    expect
}

/// A time, written as a duration from the start of the test.
fn read_time(section: &mut Section<'_>, key: &'static str) -> Option<Spanned<Time>> {
    let after = section.duration(key)?;
    Some(Spanned::new(after.span(), epoch() + *after.get_ref()))
}

fn check_order(section: &Section<'_>, from: Option<&Spanned<Time>>, to: Option<&Spanned<Time>>) {
    if let (Some(from), Some(to)) = (from, to)
        && from.get_ref() > to.get_ref()
    {
        section.document().wrong(to.span(), "it ends before it begins", "exchange the times");
    }
}

/// One of an enum's words.
fn read_word<T: FromStr<Err = String>>(section: &mut Section<'_>, key: &'static str) -> Option<T> {
    let written = section.text(key)?;
    section.parsed(&written, T::from_str, "write one of these").map(Spanned::into_inner)
}

/// The labels of `labels = { ... }`, and those that may stand beside it.
fn read_labels<const N: usize>(section: &mut Section<'_>, beside: [&'static str; N]) -> Labels {
    let mut labels = section.labels("labels");
    for name in beside {
        for value in section.texts(name).map(Spanned::into_inner).unwrap_or_default() {
            labels.insert(name, value.into_inner());
        }
    }
    labels
}
