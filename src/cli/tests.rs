use clap::{CommandFactory as _, Parser as _};

use super::args::{Cli, Command};

fn parse(line: &str) -> Result<Cli, String> {
    let words = std::iter::once("antecede").chain(line.split_whitespace());
    Cli::try_parse_from(words).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_commands_of_the_contract_are_understood() {
    for line in [
        "serve --config f.toml --listen 127.0.0.1:1 --data-dir d --allow-unauthenticated --token-file t",
        "demo --listen 127.0.0.1:1 --speed 100 --exit",
        "replay case.json --until 2023-02-23T16:50:00Z --rules rules --no-catalog --format json",
        "replay case.json --no-rules",
        "check config a.toml b.toml",
        "check rules a.toml b.toml",
        "test rules a.test.toml",
        "change -",
        "change --id c --kind deploy --action update --service a --service b --status started",
        "note words --at 1677160680",
        "incidents --state open --start 1 --end 2 --limit 3 --match service=\"api\"",
        "suspects --at 2023-02-23T16:50:00Z --wait-seq 4 --timeout 5s",
        "suspects inc_1 --server http://127.0.0.1:1 --token-file t",
        "timeline inc_1",
        "timeline --start 1 --end 2",
        "ready",
        "completions bash",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
    }
}

#[test]
fn what_contradicts_itself_is_refused_by_name() {
    for (line, named) in [
        ("change - --title x", "--title"),
        ("change --kind sideways", "none of deploy, config"),
        ("change --label cluster", "want NAME=VALUE"),
        ("replay case.json --rules r --no-rules", "--no-rules"),
        ("replay case.json --until noon", "want RFC 3339"),
        ("timeline inc_1 --start 1", "--start"),
        ("suspects --timeout 5s", "--wait-seq"),
        ("check config", "FILE"),
    ] {
        match parse(line) {
            Ok(cli) => panic!("{line}: understood as {:?}", cli.command),
            Err(error) => assert!(error.contains(named), "{line}: {error}"),
        }
    }
}

#[test]
fn a_change_takes_a_label_apart_at_its_first_equals_sign() {
    match parse("change --label query=a=b").map(|cli| cli.command) {
        Ok(Command::Change(args)) => {
            assert_eq!(args.change.labels, [("query".to_owned(), "a=b".to_owned())]);
        }
        other => panic!("{other:?}"),
    }
}
