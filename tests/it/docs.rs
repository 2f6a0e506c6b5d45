//! Holds the documents against the program: commands parse, output is what is printed, files are
//! there, configurations are accepted, requests are answered.

use std::{fs, path::Path};

use antecede::{catalog::Catalog, config::Config, problem::Problem, rules::RuleSet};
use regex::Regex;

use crate::harness::{Daemon, antecede};

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

#[test]
fn every_command_is_one_that_the_program_takes() {
    let commands = commands(&read("README.md"));
    assert!(commands.len() > 8, "{commands:?}");
    for words in commands {
        // With --help at the end, everything before it is read and nothing is done.
        let output = antecede().args(&words).arg("--help").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "antecede {}: {told}", words.join(" "));
    }
}

#[test]
fn every_output_is_what_is_printed() {
    let mut shown = 0;
    for (language, block) in blocks(&read("README.md")) {
        if language != "console" {
            continue;
        }
        let (command, expected) = block.split_once('\n').unwrap();
        let args = words(command.strip_prefix("$ antecede ").unwrap());
        let output = antecede().args(&args).current_dir(root()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let mut left = printed.lines();
        for line in expected.lines().filter(|line| !line.is_empty() && line.trim() != "...") {
            assert!(
                left.any(|printed| printed == line),
                "{command} prints no {line:?}:\n{printed}"
            );
            shown += 1;
        }
    }
    assert!(shown > 5, "README.md shows no answer");
}

#[test]
fn every_file_that_is_named_is_there() {
    let path = Regex::new(r"`((?:\.ci|config|deploy|incidents|rules|scripts|src|tests)/[\w./-]*|[A-Z]\w+\.md|Dockerfile|LICENSE|\w+[.-]?\w+\.toml)`").unwrap();
    for document in DOCUMENTS {
        for named in path.captures_iter(&read(document)) {
            assert!(root().join(&named[1]).exists(), "{document} names {}", &named[1]);
        }
    }
}

#[test]
fn every_rule_catalogue_and_configuration_is_accepted() {
    let mut checked = 0;
    for (_, block) in
        blocks(&read("README.md")).into_iter().filter(|(language, _)| language == "toml")
    {
        let file = [("README.md".to_owned(), block.clone())];
        let accepted = match block.lines().next() {
            Some("[[rule]]") => RuleSet::parse(&file).map(drop),
            Some("[[service]]") => Catalog::parse(&file).map(drop),
            _ => config(&block),
        };
        assert_eq!(accepted, Ok(()), "{block}");
        checked += 1;
    }
    assert!(checked > 3, "{checked}");
}

/// Loads a part of a configuration.
fn config(part: &str) -> Result<(), Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("antecede.toml");
    fs::write(&path, part).unwrap();
    Config::load(Some(&path)).map(drop)
}

#[test]
fn every_configuration_of_others_is_part_of_the_one_that_is_tested() {
    let wholes = ["deploy/alertmanager.yml", "deploy/prometheus.yml"].map(read);
    let parts: Vec<_> =
        blocks(&read("README.md")).into_iter().filter(|(language, _)| language == "yaml").collect();
    assert_eq!(parts.len(), 3);
    for (_, part) in parts {
        let held = wholes.iter().any(|whole| whole.contains(&part));
        assert!(held, "no file of deploy/ holds\n{part}");
    }
}

#[test]
fn every_request_is_answered() {
    let daemon = Daemon::start();
    let text = read("README.md");
    let curl = Regex::new(r"curl http://127\.0\.0\.1:8377(\S+) --json '([^']+)'").unwrap();
    let mut posted = 0;
    for request in curl.captures_iter(&text) {
        let reply = daemon.post(&request[1], &request[2]);
        assert_eq!(reply["rejected"], serde_json::json!([]), "{reply}");
        posted += 1;
    }
    assert_eq!(posted, 1);
    // The first path of a row stands whole, the others are further ones like it.
    let row = Regex::new(r"(?m)^\| `GET (/[^`\[{]+)`").unwrap();
    // A stream is answered for as long as somebody listens; the page's tests do.
    let paths = row.captures_iter(&text).map(|row| row[1].to_owned());
    let paths: Vec<_> = paths.filter(|path| !path.ends_with("/stream")).collect();
    assert!(paths.len() > 3, "{paths:?}");
    for path in paths {
        let reply = daemon.try_get(&path).unwrap();
        assert!([200, 503].contains(&reply.status), "{path}: {reply:?}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The fenced blocks of a document, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let fences: Vec<_> = text.split("\n```").collect();
    let open = fences.iter().skip(1).step_by(2);
    open.map(|block| block.split_once('\n').unwrap())
        .map(|(language, block)| (language.to_owned(), format!("{block}\n")))
        .collect()
}

/// The arguments of every `antecede` that a document calls, in its blocks and in its sentences.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let call = Regex::new(
        r"(?m)(?:^(?:\$ )?(?:antecede|target/release/antecede|cargo run --release --) |`antecede )([^`\n]+)",
    )
    .unwrap();
    call.captures_iter(&joined).map(|call| words(&call[1])).collect()
}

/// As a shell splits them.
fn words(command: &str) -> Vec<String> {
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).unwrap();
    let one = |found: regex::Captures<'_>| {
        found.get(1).or(found.get(2)).map(|word| word.as_str().to_owned()).unwrap()
    };
    word.captures_iter(command).map(one).collect()
}
