//! What is shipped works: configuration, rules and their tests.

use std::{collections::BTreeSet, fs, path::PathBuf};

use antecede::{
    cli::{
        check::{check_config, check_rules},
        test_rules::test_rules,
    },
    config::read_rule_files,
    problem::Problem,
    rules::{RuleSet, SHIPPED},
};

fn of_repo(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn said(problems: &[Problem]) -> String {
    let root = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    let lines: Vec<_> = problems.iter().map(|problem| format!("{problem}\n")).collect();
    lines.concat().replace(&root, "")
}

#[test]
fn shipped_configuration_and_catalogue_have_no_problems() {
    let paths = ["config/antecede.toml", "config/catalog.toml"].map(of_repo);
    assert_eq!(said(&check_config(&paths)), "");
}

#[test]
fn shipped_rules_have_no_problems() {
    assert_eq!(said(&check_rules(&[of_repo("rules")])), "");
}

#[test]
fn every_rule_file_is_compiled_in() {
    let in_dir: Vec<_> = read_rule_files(&of_repo("rules"))
        .unwrap()
        .into_iter()
        .map(|(name, text)| (format!("rules/{}", name.rsplit('/').next().unwrap()), text))
        .collect();
    let compiled_in = SHIPPED.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(in_dir, compiled_in);
}

#[test]
fn shipped_rules_pass_their_tests() {
    let tested =
        test_rules(&[of_repo("rules")]).unwrap_or_else(|problems| panic!("{}", said(&problems)));
    let failed: Vec<_> = tested
        .iter()
        .filter(|one| !one.passed())
        .map(|one| format!("{}: {}\n{}\n", one.file, one.test, one.mismatches.join("\n")))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(tested.len() >= 15, "only {} tests were found", tested.len());
}

#[test]
fn every_shipped_rule_is_expected_in_a_test() {
    let mut untested: BTreeSet<_> =
        RuleSet::embedded().rules.iter().map(|rule| rule.name.clone()).collect();
    for entry in fs::read_dir(of_repo("rules")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".test.toml") {
            let text = fs::read_to_string(path).unwrap();
            untested.retain(|rule| !text.contains(&format!("{rule:?}")));
        }
    }
    assert_eq!(untested, BTreeSet::new());
}
