//! Sources as their users meet them: the documentation, the command line, and a daemon that is posted
//! to.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use antecede::{
    config::Config,
    event::parse_time,
    wire::source::{Headers, Post, SOURCES, Source},
};
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Daemon, antecede, unpacked_dir};

/// The section that is about no source of the table, and the source that it describes.
const OWN: (&str, &str) = ("Sources of your own", "acme");

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources.md")
}

/// One section of the document.
struct Section {
    heading: String,
    text: String,
}

fn sections() -> Vec<Section> {
    let text = fs::read_to_string(document()).unwrap();
    let mut sections = text.split("\n## ").map(|section| {
        let (heading, text) = section.split_once('\n').unwrap();
        Section { heading: heading.to_owned(), text: text.to_owned() }
    });
    sections.next();
    sections.collect()
}

impl Section {
    /// Its blocks in one language.
    fn blocks(&self, language: &str) -> Vec<&str> {
        let open = format!("```{language}\n");
        self.text.split(&*open).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
    }

    fn source(&self) -> &str {
        if self.heading == OWN.0 { OWN.1 } else { &self.heading }
    }
}

/// What the table says of a source, as it stands at the head of its section.
fn head(source: &Source) -> String {
    let paths: Vec<_> = source.paths.iter().map(|path| format!("`{path}`")).collect();
    let schemes: Vec<_> =
        source.schemes.iter().map(antecede::wire::signature::Scheme::shown).collect();
    format!(
        "- What sends it: {}\n- Path: {}\n- Secrets: {}\n- Told apart by: {}\n- Taken: {}\n- Left: {}\n",
        source.about,
        paths.join(", "),
        schemes.join(", "),
        source.id,
        source.taken,
        source.left
    )
}

/// `UPDATE=1` writes what the table says; read the difference before you commit it.
#[test]
fn every_source_has_a_section_that_says_what_the_table_says() {
    if std::env::var_os("UPDATE").is_some() {
        write_heads();
    }
    let sections = sections();
    let headings: Vec<_> = sections.iter().map(|section| section.heading.as_str()).collect();
    let known: Vec<_> = SOURCES.iter().map(|source| source.name).chain([OWN.0]).collect();
    assert_eq!(headings, known, "the sections stand in the order of the table");
    for (section, source) in sections.iter().zip(SOURCES) {
        let want = format!("\n{}\n", head(source));
        assert!(section.text.starts_with(&want), "{} does not begin with{want}", section.heading);
    }
}

fn write_heads() {
    let text = fs::read_to_string(document()).unwrap();
    let old = Regex::new(r"^\n(- [^\n]*\n)+").unwrap();
    let mut parts = text.split("\n## ");
    let mut written = parts.next().unwrap().to_owned();
    for part in parts {
        let (heading, rest) = part.split_once('\n').unwrap();
        let rest = match Source::named(heading) {
            Some(source) => format!("\n{}{}", head(source), old.replace(rest, "")),
            None => rest.to_owned(),
        };
        written.extend(["\n## ", heading, "\n", &rest]);
    }
    fs::write(document(), written).unwrap();
}

/// A directory with a configuration and a file for each secret that it names.
fn with_config(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Regex::new(r#"secret_files = \["([^"]+)"\]"#).unwrap();
    for named in secrets.captures_iter(text) {
        fs::write(dir.path().join(&named[1]), "s3cret\n").unwrap();
    }
    let path = dir.path().join("antecede.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn every_configuration_that_is_shown_is_accepted() {
    let mut checked = 0;
    for section in sections() {
        for block in section.blocks("toml") {
            let (_dir, path) = with_config(block);
            let config = Config::load(Some(&path)).unwrap_or_else(|problems| {
                panic!("{}: {}", section.heading, problems[0]);
            });
            assert!(config.doors.contains_key(section.source()), "{}", section.heading);
            checked += 1;
        }
    }
    assert!(checked > 8, "only {checked} configurations are shown");
}

#[test]
fn every_address_that_is_shown_is_taken() {
    let url = Regex::new(r"https://antecede\.example(/[\w/=-]+)").unwrap();
    for section in sections() {
        let paths: Vec<_> =
            url.captures_iter(&section.text).map(|path| path[1].to_owned()).collect();
        for path in paths {
            let named = Source::addressed(&path).map(|(source, _)| source.name);
            let own = (path == format!("/webhooks/{}", OWN.1)).then_some(OWN.1);
            assert_eq!(named.or(own), Some(section.source()), "{path}");
        }
    }
}

/// Runs `normalise` on a payload.
fn normalise(args: &[&str], body: &str) -> (Option<i32>, String) {
    let mut child = antecede()
        .args(["normalise", "--received", "2026-11-27T00:00:00Z"])
        .args(args)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

#[test]
fn every_payload_that_is_shown_becomes_events() {
    let header = Regex::new(r"--header '([^']+)'").unwrap();
    for section in sections() {
        let blocks = section.blocks("json");
        assert!(!blocks.is_empty(), "{} shows no payload", section.heading);
        let (_dir, config) =
            with_config(section.blocks("toml").first().copied().unwrap_or_default());
        let config = config.display().to_string();
        for body in blocks {
            let mut args =
                vec!["--format", "json", "--config", &config, "--source", section.source()];
            let named = header.captures(&section.text).map(|found| found[1].to_owned());
            if let Some(named) = &named {
                args.extend(["--header", named]);
            }
            let (code, told) = normalise(&args, body);
            assert_eq!(code, Some(0), "{}: {told}", section.heading);
            let told: Value = serde_json::from_str(&told).unwrap();
            assert!(!told["items"].as_array().unwrap().is_empty(), "{}: {told:#}", section.heading);
        }
    }
}

#[test]
fn normalise_says_what_was_not_understood_and_why() {
    let body = r#"{"action": "published", "repository": {"full_name": "a/b"}, "release": {}}"#;
    let (code, told) =
        normalise(&["--source", "github", "--header", "X-GitHub-Event: release"], body);
    assert_eq!((code, told.trim()), (Some(1), "rejected 0: release.tag_name is missing"));
    let (code, told) = normalise(&["--source", "github", "--header", "x-github-event: star"], "{}");
    assert_eq!((code, told.trim()), (Some(0), "ignored 0: the event \"star\" tells of no change"));
    let (code, told) = normalise(&["--source", "cloudevents"], "{");
    assert_eq!(code, Some(1));
    assert!(told.starts_with("refused: EOF while parsing"), "{told}");
    let custom = r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "odd"}"#;
    let (code, told) = normalise(&["--source", "cloudevents"], custom);
    assert_eq!(code, Some(0));
    assert!(
        told.contains("note: \"odd\" is no kind that is known: it is taken as other"),
        "{told}"
    );
    let steered = custom.replace("odd", "\u{9b}2J");
    let (_, told) = normalise(&["--source", "cloudevents"], &steered);
    assert!(!told.contains('\u{9b}'), "it would steer a terminal: {told:?}");
    let (code, told) = normalise(&["--source", "githib"], "{}");
    assert_eq!(code, Some(2));
    assert!(told.contains("did you mean github?"), "{told}");
}

#[test]
fn the_list_names_every_source() {
    let output = antecede().args(["normalise", "--list"]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    for source in SOURCES {
        assert!(listed.contains(&format!("{}  {}", source.name, source.about)), "{}", source.name);
    }
    let output = antecede().args(["normalise", "--list", "--format", "json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, SOURCES.iter().map(|source| source.name).collect::<Vec<_>>());
}

const GUARDED: &str = "[sources.pagerduty_events]\nsecret_files = [\"keys\"]\n";

fn trigger(key: &str, service: &str) -> String {
    json!({"routing_key": key, "event_action": "trigger", "dedup_key": "db-1/disk",
        "payload": {"summary": "Disk full", "source": "db-1", "severity": "critical",
            "timestamp": "2026-11-20T10:00:00.000+0000", "custom_details": {"service": service}}})
    .to_string()
}

fn resolve(key: &str, of: &str) -> String {
    json!({"routing_key": key, "event_action": "resolve", "dedup_key": of}).to_string()
}

#[test]
fn an_alert_is_ended_by_its_name_and_secrets_are_read_anew() {
    let daemon = Daemon::with_files(GUARDED, &[("keys", "R0\n")]);
    let post = |body: &str| daemon.try_post("/v2/enqueue", body).unwrap();
    let reply = post(&trigger("R0", "orders"));
    assert_eq!(reply.status, 202, "{}", reply.body);
    assert!(reply.body.contains("\"dedup_key\":\"db-1/disk\""), "{}", reply.body);
    assert_eq!(post(&trigger("R1", "search")).status, 401);
    let firing = daemon.wait_until("/api/v1/alerts?firing=true", |answer| {
        answer["alerts"].as_array().is_some_and(|alerts| alerts.len() == 1)
    });
    assert_eq!(firing["alerts"][0]["scope"]["service"], "orders", "{firing:#}");

    // Nobody is ended by a name that nothing has, nor by that of another integration.
    assert_eq!(post(&resolve("R0", "db-2/disk")).status, 202);
    fs::write(daemon.dir().join("keys"), "R1\nR0\n").unwrap();
    daemon.post("/-/reload", "");
    assert_eq!(post(&resolve("R1", "db-1/disk")).status, 202);
    daemon.wait_until("/api/v1/alerts?firing=true", |answer| {
        answer["alerts"].as_array().is_some_and(|alerts| alerts.len() == 1)
    });
    let reply = post(&resolve("R0", "db-1/disk"));
    assert_eq!(reply.status, 202);
    assert!(reply.body.contains("\"dedup_key\":\"db-1/disk\""), "{}", reply.body);
    daemon.wait_until("/api/v1/alerts?firing=true", |answer| {
        answer["alerts"].as_array().is_some_and(Vec::is_empty)
    });
    assert_eq!(post("").status, 400, "clients try whether it is PagerDuty by this");
}

#[test]
fn a_source_of_ones_own_takes_posts_and_goes_with_the_configuration() {
    let config =
        sections().last().unwrap().blocks("toml")[0].replace("secret_files", "# secret_files");
    let config = config.replace("signature", "# signature");
    let daemon = Daemon::with(&config);
    let body = sections().last().unwrap().blocks("json")[0].to_owned();
    let reply = daemon.post("/webhooks/acme", &body);
    assert_eq!((&reply["accepted"], &reply["ids"]), (&json!(1), &json!(["acme:7"])));
    let changes = daemon.wait_until("/api/v1/changes", |answer| {
        answer["changes"].as_array().is_some_and(|changes| changes.len() == 1)
    });
    let change = &changes["changes"][0];
    assert_eq!((&change["kind"], &change["status"]), (&json!("deploy"), &json!("succeeded")));
    let metrics = daemon.try_get("/metrics").unwrap().body;
    let counted = "antecede_ingest_events_total{result=\"accepted\",source=\"acme\"} 1";
    assert!(metrics.contains(counted), "no {counted} in\n{metrics}");
    fs::write(daemon.dir().join("antecede.toml"), "").unwrap();
    daemon.post("/-/reload", "");
    assert_eq!(daemon.try_post("/webhooks/acme", &body).unwrap().status, 404);
}

#[test]
fn every_recorded_payload_is_answered_and_what_is_damaged_stores_nothing() {
    let daemon = Daemon::start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources");
    for source in SOURCES {
        let Ok(entries) = fs::read_dir(root.join(source.name)) else { continue };
        for golden in entries.map(|entry| entry.unwrap().path()) {
            let Some(stem) = golden.to_str().unwrap().strip_suffix(".golden.json") else {
                continue;
            };
            let told: Value = serde_json::from_slice(&fs::read(&golden).unwrap()).unwrap();
            let none = told["items"].as_array().unwrap().is_empty();
            let flawed = told.get("refused").is_some() || (none && told.get("rejected").is_some());
            let status = post_as_sent(&daemon, source, stem);
            assert_eq!(status / 100 == 4, flawed, "{stem} was answered with {status}");
            assert!(flawed || [200, 202].contains(&status), "{stem} was answered with {status}");
        }
    }
}

/// Posts a payload with its headers.
fn post_as_sent(daemon: &Daemon, source: &Source, stem: &str) -> u16 {
    let beside = fs::read_dir(Path::new(stem).parent().unwrap()).unwrap();
    let payload = beside.map(|entry| entry.unwrap().path()).find(|path| {
        let is_headers = path.extension().is_some_and(|end| end == "headers");
        path.with_extension("").to_str() == Some(stem) && !is_headers
    });
    let body = fs::read_to_string(payload.unwrap()).unwrap();
    let headers = fs::read_to_string(format!("{stem}.headers")).unwrap_or_default();
    let headers: Vec<_> = headers.lines().collect();
    daemon.post_as_sent(source.paths[0], &headers, &body).status
}

/// GitHub's examples as `scripts/test` fetches them from npm.
fn examples() -> Vec<(String, Value)> {
    let package = unpacked_dir().with_file_name("npm").join("package");
    let mut examples = Vec::new();
    for entry in fs::read_dir(&package).unwrap_or_else(|error| {
        panic!("{}: {error}: run scripts/test, which fetches it", package.display())
    }) {
        let Ok(text) = fs::read_to_string(entry.unwrap().path().join("index.json")) else {
            continue;
        };
        let events: Value = serde_json::from_str(&text).unwrap();
        for event in events.as_array().unwrap() {
            let name = event["name"].as_str().unwrap();
            let all = event["examples"].as_array().unwrap();
            examples.extend(all.iter().map(|example| (name.to_owned(), example.clone())));
        }
    }
    examples
}

#[test]
fn every_example_that_github_publishes_is_understood() {
    let github = Source::named("github").unwrap();
    let (mut seen, mut made) = (0, BTreeMap::<String, usize>::new());
    for (event, mut example) in examples() {
        // Of those that were closed none was merged: one field makes it so.
        if event == "pull_request" && example["action"] == "closed" {
            example["pull_request"]["merged"] = json!(true);
        }
        let headers: Headers<'_> = [("X-GitHub-Event", event.as_str())].into_iter().collect();
        let body = example.to_string();
        let received = parse_time("2026-11-27T00:00:00Z").unwrap();
        let post = Post { headers: &headers, query: &[], body: body.as_bytes(), received };
        let normalised = github.normalise(&post).unwrap_or_else(|refused| {
            panic!("{event}: {refused}\n{example:#}");
        });
        assert_eq!(normalised.rejected, [], "{event}: {example:#}");
        *made.entry(event).or_default() += normalised.items.len();
        seen += 1;
    }
    assert!(seen > 700, "only {seen} examples were found");
    for event in ["deployment", "deployment_status", "pull_request", "push", "release"] {
        assert!(made[event] > 0, "no {event} became a change: {made:?}");
    }
    let changes =
        ["deployment", "deployment_status", "workflow_run", "pull_request", "push", "release"];
    let others = made.iter().filter(|(event, _)| !changes.contains(&event.as_str()));
    assert_eq!(others.map(|(_, count)| count).sum::<usize>(), 0, "{made:?}");
}
