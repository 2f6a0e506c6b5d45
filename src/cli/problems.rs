//! Prints what is wrong with files, and what came of the tests in them. These are the data here, so
//! they go to stdout, and decide the exit code.

use std::fmt::Display;

use serde_json::{Value, json};

use super::{
    args::Format,
    out::{Outcome, print, print_json, say},
    test_rules::Tested,
};
use crate::{problem::Problem, say::say_count};

/// All problems, or nothing where there are none.
pub(super) fn report(problems: &[Problem], format: Format) -> anyhow::Result<Outcome> {
    match format {
        Format::Json => print_json(&problems)?,
        Format::Text => print(&lines(problems))?,
    }
    if problems.is_empty() {
        return Ok(Outcome::Fine);
    }
    say(&say_count(problems.len(), "problem"));
    Ok(Outcome::Found)
}

fn lines<T: Display>(things: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for thing in things {
        text.push_str(&thing.to_string());
        text.push('\n');
    }
    text
}

/// Each test with whether it passed, and what was expected of those that did not; or why none ran.
pub(super) fn report_tests(
    ran: Result<Vec<Tested>, Vec<Problem>>,
    format: Format,
) -> anyhow::Result<Outcome> {
    let tests = match ran {
        Ok(tests) => tests,
        Err(problems) => return report(&problems, format),
    };
    match format {
        Format::Json => print_json(&tests.iter().map(test_json).collect::<Vec<_>>())?,
        Format::Text => print(&tests.iter().map(test_text).collect::<String>())?,
    }
    let failed = tests.iter().filter(|test| !test.passed()).count();
    say(&format!("{}, {failed} failed", say_count(tests.len(), "test")));
    Ok(if failed == 0 { Outcome::Fine } else { Outcome::Found })
}

fn test_json(tested: &Tested) -> Value {
    let Tested { file, test, mismatches } = tested;
    json!({ "file": file, "test": test, "passed": tested.passed(), "mismatches": mismatches })
}

fn test_text(tested: &Tested) -> String {
    let word = if tested.passed() { "ok" } else { "FAILED" };
    let head = format!("{word:<6}  {}: {}", tested.file, tested.test);
    let mismatches = tested.mismatches.iter().flat_map(|mismatch| mismatch.lines());
    let mismatches = mismatches.map(|line| format!("        {line}"));
    lines(std::iter::once(head).chain(mismatches))
}
