//! Holds the Dockerfile against the tree: what it copies is there and suffices for its own build
//! command, and what it starts refuses to serve strangers. It needs no Docker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::harness::antecede;

/// An instruction of a Dockerfile: its word, and the rest with continued lines joined.
type Instruction = (String, String);

#[test]
fn the_build_command_builds_from_what_is_copied() {
    let context = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker");
    if context.is_dir() {
        fs::remove_dir_all(&context).unwrap();
    }
    fs::create_dir_all(&context).unwrap();
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let build = stage("build");
    for (sources, target) in build.iter().filter_map(copied) {
        for source in sources {
            assert!(
                ignored.lines().any(|line| line == format!("!{source}")),
                "{source} is ignored"
            );
            copy(&root().join(source), &context.join(target).join(file_to(source, target)));
        }
    }

    lend_dependencies(&context.join("target/debug"));
    let words = cargo_command(&build);
    assert!(words.starts_with(&["build".to_owned(), "--release".to_owned()]), "{words:?}");
    // What the image gets out of it.
    assert!(words.ends_with(&["--bin".to_owned(), "antecede".to_owned()]), "{words:?}");
    let built = Command::new(env!("CARGO"))
        // To compile takes minutes and says nothing about what is copied: `check` for `build`.
        .args(["check", "--profile", "dev"])
        .args(&words[2..])
        .current_dir(&context)
        .env("CARGO_TARGET_DIR", context.join("target"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// Links what is compiled of the dependencies into another target directory. Nothing of this package
/// goes along: two trees that share its fingerprints take each other's sources for their own.
fn lend_dependencies(to: &Path) {
    fs::create_dir_all(to).unwrap();
    let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("debug");
    for part in ["build", "deps", ".fingerprint"] {
        let linked = Command::new("cp").arg("-al").arg(compiled.join(part)).arg(to).status();
        assert!(linked.unwrap().success(), "{part}");
        for entry in fs::read_dir(to.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !["antecede-", "libantecede-", "it-"].iter().any(|own| name.starts_with(own)) {
                continue;
            }
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
}

#[test]
fn the_image_has_the_compiler_that_the_tree_asks_for() {
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let toolchain: toml::Table = toolchain.parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    let (_, from) = stage("build").swap_remove(0);
    let tag = from.strip_prefix("rust:").unwrap().split('-').next().unwrap();
    assert!(channel.starts_with(tag), "{from} is not Rust {channel}");
}

#[test]
fn every_copy_source_exists() {
    let last = stage("");
    let sources: Vec<_> = last.iter().filter_map(copied).flat_map(|(sources, _)| sources).collect();
    assert_eq!(sources, ["config", "rules"]);
    for source in sources {
        assert!(root().join(source).exists(), "{source} is not there");
    }
    let built =
        last.iter().any(|(_, rest)| rest == "--from=build /image/antecede /usr/local/bin/antecede");
    assert!(built, "the image does not hold the program");
}

#[test]
fn the_image_does_not_serve_strangers_without_a_token() {
    let last = stage("");
    let words = |word: &str| -> Vec<String> {
        let (_, rest) = last.iter().find(|(found, _)| found == word).unwrap();
        serde_json::from_str(rest).unwrap()
    };
    assert_eq!(words("ENTRYPOINT"), ["antecede"]);
    let dir = tempfile::tempdir().unwrap();
    let args = words("CMD").into_iter().map(|arg| {
        arg.replace("/etc/antecede", env!("CARGO_MANIFEST_DIR"))
            .replace("/var/lib/antecede", dir.path().to_str().unwrap())
    });
    let started = antecede().args(args).env_remove("ANTECEDE_TOKEN_FILE").output().unwrap();
    let told = String::from_utf8_lossy(&started.stderr);
    assert_eq!(started.status.code(), Some(2), "{told}");
    assert!(told.contains("no token is asked for"), "{told}");
    assert!(told.contains("0.0.0.0:8377"), "{told}");
}

#[test]
fn its_health_is_asked_of_the_daemon() {
    let last = stage("");
    let (_, check) = last.iter().find(|(word, _)| word == "HEALTHCHECK").unwrap();
    let (_, command) = check.split_once("CMD ").unwrap();
    let command: Value = serde_json::from_str(command).unwrap();
    assert_eq!(command, serde_json::json!(["antecede", "ready"]));
    let help = antecede().args(["ready", "--help"]).output().unwrap();
    assert!(help.status.success());
    assert!(last.iter().any(|(word, user)| word == "USER" && user == "nonroot"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The instructions of one stage, its `FROM` first; the last stage has no name.
fn stage(name: &str) -> Vec<Instruction> {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap();
        if word == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().unwrap().push((word.to_owned(), rest.trim().to_owned()));
    }
    let ending = if name.is_empty() { String::new() } else { format!(" AS {name}") };
    let named = |stage: &Vec<Instruction>| match name {
        "" => !stage[0].1.contains(" AS "),
        _ => stage[0].1.ends_with(&ending),
    };
    stages.into_iter().find(named).unwrap()
}

/// What an instruction copies from the tree, and whereto.
fn copied((word, rest): &Instruction) -> Option<(Vec<&str>, &str)> {
    let mut words: Vec<_> = rest.split_whitespace().collect();
    let target = words.pop()?;
    (word == "COPY" && !rest.contains("--from")).then_some((words, target))
}

/// Docker copies the *content* of a directory, and a file under its own name.
fn file_to(source: &str, target: &str) -> PathBuf {
    let into_dir = target.ends_with('/');
    if into_dir { PathBuf::from(source) } else { PathBuf::new() }
}

/// With times as they are, so that what did not change is not compiled again.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-rp"]).arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "cannot copy {}", from.display());
}

/// The words after `cargo` of the stage's one cargo command.
fn cargo_command(stage: &[Instruction]) -> Vec<String> {
    let runs = stage.iter().filter(|(word, _)| word == "RUN");
    let commands = runs.flat_map(|(_, rest)| rest.split("&&"));
    let mut cargo = commands.filter_map(|command| command.split_once("cargo build"));
    let (_, words) = cargo.next().unwrap();
    assert!(cargo.next().is_none(), "more than one cargo command");
    std::iter::once("build").chain(words.split_whitespace()).map(str::to_owned).collect()
}
