//! `test rules`: runs the tests beside rule files. In: paths. Out: what came of each test, with the
//! answer and its evidence where that was not as expected; printing it is the caller's.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::check::{TEST_SUFFIX, files_of};
use crate::{
    correlate::{Answer, Incident, Model, Suspect, Term, assess},
    duration::show_duration,
    problem::Problem,
    rules::{
        RuleSet,
        testfile::{Expect, Test, TestFile, epoch},
    },
};

/// What came of one test.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tested {
    /// The test file.
    pub file: String,
    /// The test's name.
    pub test: String,
    /// For each expectation that was not met: what was expected, what was, and why.
    pub mismatches: Vec<String>,
}

impl Tested {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Runs the tests in these files; in directories, those in `*.test.toml`. A rule file stands for
/// the tests beside it.
///
/// # Errors
/// Every problem of the test files, and of the rule files that they test: nothing was run.
pub fn test_rules(paths: &[PathBuf]) -> Result<Vec<Tested>, Vec<Problem>> {
    let paths: Vec<_> = paths.iter().map(|path| tests_beside(path)).collect();
    let (files, mut problems) = files_of(&paths, TEST_SUFFIX);
    let mut ready = Vec::new();
    for (name, text) in &files {
        match prepare(name, text) {
            Ok((model, tests)) => ready.push((name, model, tests)),
            Err(more) => problems.extend(more),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let outcomes = ready.iter().flat_map(|(name, model, tests)| {
        tests.iter().map(|test| Tested {
            file: (*name).clone(),
            test: test.name.clone(),
            mismatches: run(model, test),
        })
    });
    Ok(outcomes.collect())
}

fn tests_beside(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    match name.strip_suffix(".toml") {
        Some(stem) if !name.ends_with(TEST_SUFFIX) => PathBuf::from(format!("{stem}{TEST_SUFFIX}")),
        _ => path.to_owned(),
    }
}

/// The tests of a file, and the model of the rules and the catalogue that it names.
fn prepare(name: &str, text: &str) -> Result<(Model, Vec<Test>), Vec<Problem>> {
    let TestFile { rules: named, catalog, tests } = TestFile::parse(name, text)?;
    let base = Path::new(name).parent().unwrap_or(Path::new(""));
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for file in &named {
        let path = base.join(file.get_ref());
        match fs::read_to_string(&path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                let hint = "rule files are named as seen from the test file";
                problems.push(Problem::at(name, text, file.span(), what).hint(hint));
            }
        }
    }
    let rules = RuleSet::parse(&files).unwrap_or_else(|more| {
        problems.extend(more);
        RuleSet::default()
    });
    if problems.is_empty() {
        problems.extend(unknown_rules(&rules, &tests).map(|unknown| {
            let what = format!("there is no rule {:?} in the rule files", unknown.get_ref());
            Problem::at(name, text, unknown.span(), what).hint("add its file to `rules`")
        }));
    }
    if problems.is_empty() {
        Ok((Model { rules, catalog, ..Model::default() }, tests))
    } else {
        Err(problems)
    }
}

fn unknown_rules<'t>(
    rules: &'t RuleSet,
    tests: &'t [Test],
) -> impl Iterator<Item = &'t Spanned<String>> {
    tests
        .iter()
        .flat_map(|test| &test.expects)
        .flat_map(|expect| expect.rules.iter().chain(&expect.no_rules))
        .filter(|name| !rules.rules.iter().any(|rule| &rule.name == name.get_ref()))
}

fn run(model: &Model, test: &Test) -> Vec<String> {
    test.expects.iter().filter_map(|expect| mismatch(model, test, expect)).collect()
}

/// What is not as expected at one time.
fn mismatch(model: &Model, test: &Test, expect: &Expect) -> Option<String> {
    let incidents = assess(model, &test.events, expect.at).incidents;
    let mut unmet = Vec::new();
    if let Some(count) = expect.incidents.filter(|count| *count != incidents.len()) {
        unmet.push(format!("incidents: expected {count}, got {}", incidents.len()));
    }
    // Of several incidents, the one that comes closest is meant.
    match incidents.iter().map(|incident| compare(expect, incident)).min_by_key(Vec::len) {
        Some(closest) => unmet.extend(closest),
        None if asks_of_incident(expect) => unmet.push("expected an incident, got none".to_owned()),
        None => {}
    }
    if unmet.is_empty() {
        return None;
    }
    let mut text = format!("at {}:", show_duration(expect.at - epoch()));
    for line in &unmet {
        append(&mut text, format_args!("\n  {line}"));
    }
    for incident in &incidents {
        tell(&mut text, incident);
    }
    Some(text)
}

fn asks_of_incident(expect: &Expect) -> bool {
    let count_alone = Expect { at: expect.at, incidents: expect.incidents, ..Expect::default() };
    *expect != count_alone
}

/// What of the expectation does not hold of this incident.
fn compare(expect: &Expect, incident: &Incident) -> Vec<String> {
    let mut unmet = Vec::new();
    let answer = incident.answer.word();
    if let Some(want) = expect.answer.as_ref().filter(|want| *want != answer) {
        unmet.push(format!("answer: expected {want}, got {answer}"));
    }
    let first = incident.suspects.first();
    let is_first =
        |id: &String| first.is_some_and(|suspect| suspect.changes.iter().any(|one| one.0 == *id));
    let got = first.map_or("no suspect".to_owned(), |suspect| members(&suspect.changes));
    for id in expect.first.iter().chain(&expect.likely).filter(|id| !is_first(id)) {
        unmet.push(format!("first suspect: expected {id}, got {got}"));
    }
    if !expect.likely.is_empty() && incident.answer != Answer::Likely {
        unmet.push(format!("answer: expected likely, got {answer}"));
    }
    let cleared = |id: &&String| {
        incident.cleared.iter().flat_map(|cleared| &cleared.changes).any(|one| one.0 == **id)
    };
    for id in expect.cleared.iter().filter(|id| !cleared(id)) {
        unmet.push(format!("cleared: expected {id} among them"));
    }
    for id in
        expect.responses.iter().filter(|id| !incident.responses.iter().any(|one| one.0 == **id))
    {
        unmet.push(format!("responses: expected {id} among them"));
    }
    for rule in expect.rules.iter().filter(|rule| !first.is_some_and(|one| speaks(rule, one))) {
        unmet.push(format!("rule: expected {} in the first suspect's evidence", rule.get_ref()));
    }
    let any_speaks =
        |rule: &&Spanned<String>| incident.suspects.iter().any(|one| speaks(rule, one));
    for rule in expect.no_rules.iter().filter(any_speaks) {
        unmet.push(format!("no_rule: expected {} in no evidence", rule.get_ref()));
    }
    unmet
}

/// Whether the rule is among the suspect's evidence, whose text begins with its name.
fn speaks(rule: &Spanned<String>, suspect: &Suspect) -> bool {
    let begins = format!("rule {}: ", rule.get_ref());
    suspect.evidence.iter().any(|one| one.kind == Term::Rule && one.text.starts_with(&begins))
}

fn members(changes: &[crate::event::ChangeId]) -> String {
    changes.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join(" + ")
}

/// What the answer was, with its reasons.
fn tell(text: &mut String, incident: &Incident) {
    let Incident { answer, none_probability, suspects, cleared, responses, .. } = incident;
    append(text, format_args!("\n  {}: no change {none_probability:.2}", answer.word()));
    for Suspect { rank, probability, changes, log_odds, evidence, .. } in suspects {
        let changes = members(changes);
        append(text, format_args!("\n    {rank}. {probability:.2} {changes} ({log_odds:+.2})"));
        for one in evidence {
            append(text, format_args!("\n         {:+.2} {}", one.nats, one.text));
        }
    }
    for one in cleared {
        append(text, format_args!("\n    cleared {}: {}", members(&one.changes), one.reason));
    }
    if !responses.is_empty() {
        append(text, format_args!("\n    responses {}", members(responses)));
    }
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    text.write_fmt(more).unwrap_or_default();
}
