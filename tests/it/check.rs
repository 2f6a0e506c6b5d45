//! `check` and `test rules` on files that are good, bad, and expected to fail.

use std::{fs, io, path::PathBuf};

use antecede::{
    cli::{
        check::{check_config, check_rules},
        test_rules::test_rules,
    },
    problem::Problem,
};

fn data(name: &str) -> PathBuf {
    PathBuf::from("tests/data/check").join(name)
}

fn said(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{problem}\n")).collect();
    lines.concat()
}

/// Beside each file stands what is said of it; `config-`, `catalog-` and `backstage-` files are for one
/// command, `rules-` files for the other.
#[test]
fn every_file_is_said_of_what_stands_beside_it() {
    let mut seen = 0;
    for entry in fs::read_dir(data("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".toml").or(name.strip_suffix(".yaml"));
        let Some(stem) = stem else { continue };
        let path = data(&name);
        let told = if stem.starts_with("rules-") {
            check_rules(std::slice::from_ref(&path))
        } else {
            check_config(std::slice::from_ref(&path))
        };
        let want = fs::read_to_string(data(&format!("{stem}.txt"))).unwrap();
        let told = said(&told);
        assert!(told == want, "{name}: expected\n{want}\ngot\n{told}");
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} files were found");
}

#[test]
fn rule_names_are_checked_over_all_files_that_are_given() {
    let twice = [data("rules-good.toml"), data("rules-good.toml")];
    assert!(said(&check_rules(&twice)).contains("\"cache-flush-then-slow\" is there twice"));
}

#[test]
fn what_cannot_be_read_is_said_by_name() {
    let away = [data("away.toml")];
    assert!(
        said(&check_rules(&away)).starts_with("tests/data/check/away.toml:1:1: cannot be read")
    );
    assert!(
        said(&check_config(&away)).starts_with("tests/data/check/away.toml:1:1: cannot be read")
    );
    let empty = tempfile::tempdir().unwrap();
    let told = said(&check_rules(&[empty.path().to_owned()]));
    assert!(told.contains("holds no files `*.toml`"), "{told}");
}

const CRASH: &str = r#"
[[test.change]]
id = "deploy"
at = "0s"
finished = "4m"
kind = "deploy"
action = "update"
service = "shop"
environment = "production"

[[test.alert]]
at = "18m"
until = "30m"
alertname = "KubePodCrashLooping"
service = "shop"
environment = "production"
"#;

/// The mismatches of a test of the shipped deploy rules with these expectations.
fn mismatches(expects: &str) -> io::Result<String> {
    let dir = tempfile::tempdir()?;
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/deploy.toml");
    let text = format!("rules = '{rules}'\n[[test]]\nname = \"a\"\n{CRASH}{expects}");
    let path = dir.path().join("a.test.toml");
    fs::write(&path, text)?;
    Ok(match test_rules(&[path]) {
        Ok(tested) => tested.into_iter().flat_map(|one| one.mismatches).collect(),
        Err(problems) => said(&problems),
    })
}

#[test]
fn what_is_not_as_expected_is_told_with_what_was_and_why() {
    for (expect, want) in [
        ("answer = \"none\"", "answer: expected none, got "),
        ("cleared = \"deploy\"", "cleared: expected deploy among them"),
        ("responses = \"deploy\"", "responses: expected deploy among them"),
        ("incidents = 2", "incidents: expected 2, got 1"),
        (
            "rule = \"deploy-then-requests-fail\"",
            "rule: expected deploy-then-requests-fail in the first suspect's evidence",
        ),
        (
            "no_rule = \"deploy-then-pods-fail\"",
            "no_rule: expected deploy-then-pods-fail in no evidence",
        ),
        (
            "rule = \"deploy-then-nothing\"",
            "there is no rule \"deploy-then-nothing\" in the rule files",
        ),
    ] {
        let told = mismatches(&format!("[[test.expect]]\nat = \"20m\"\n{expect}\n")).unwrap();
        assert!(told.contains(want), "{want}\nis not in\n{told}");
    }
    let told = mismatches("[[test.expect]]\nat = \"20m\"\nanswer = \"none\"\n").unwrap();
    assert!(told.starts_with("at 20m:\n  answer: "), "{told}");
    assert!(told.contains("rule deploy-then-pods-fail: "), "the evidence is shown: {told}");
    let told = mismatches("[[test.expect]]\nat = \"10m\"\nfirst = \"deploy\"\n").unwrap();
    assert!(told.contains("expected an incident, got none"), "{told}");
}

#[test]
fn what_is_as_expected_passes() {
    let expects = "[[test.expect]]\nat = \"20m\"\nincidents = 1\nfirst = \"deploy\"\n\
                   rule = \"deploy-then-pods-fail\"\nno_rule = \"deploy-then-requests-fail\"\n\
                   [[test.expect]]\nat = \"10m\"\nincidents = 0\n";
    assert_eq!(mismatches(expects).unwrap(), "");
}

#[test]
fn a_rule_file_stands_for_the_tests_beside_it() {
    let tested = test_rules(&[PathBuf::from("rules/deploy.toml")]).unwrap();
    assert!(!tested.is_empty());
    assert!(tested.iter().all(|one| one.file == "rules/deploy.test.toml"));
    let told = said(&test_rules(&[data("rules-good.toml")]).unwrap_err());
    assert!(
        told.starts_with("tests/data/check/rules-good.test.toml:1:1: cannot be read"),
        "{told}"
    );
}
