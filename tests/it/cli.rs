//! The binary: what it prints where, and how it exits.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::JoinHandle,
};

use serde_json::{Value, json};

fn antecede() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antecede"));
    command.env_remove("ANTECEDE_URL").env_remove("ANTECEDE_TOKEN_FILE").env_remove("USER");
    command
}

/// Runs it; what the words of `line` ask for.
fn run(line: &str) -> Output {
    antecede().args(line.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

fn assert_exit(output: &Output, code: i32) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
}

/// A server that gives one answer to each of so many requests; joined, it tells the requests.
struct Canned {
    url: String,
    served: JoinHandle<Vec<String>>,
}

impl Canned {
    fn new<const N: usize>(replies: [(u16, &'static str); N]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = move |(status, body): (u16, &str)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut request).unwrap(), 0, "a whole request");
            }
            let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut sent = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut sent).unwrap();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} .\r\ncontent-length: {length}\r\n");
            write!(stream, "{head}connection: close\r\n\r\n{body}").unwrap();
            request + str::from_utf8(&sent).unwrap()
        };
        let served = std::thread::spawn(move || replies.into_iter().map(serve).collect());
        Self { url, served }
    }

    fn run(self, line: &str) -> (Output, Vec<String>) {
        let output = run(&format!("{line} --server {}", self.url));
        (output, self.served.join().unwrap())
    }
}

fn founding() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("incidents/founding.json")
}

fn replay(arguments: &str) -> Output {
    run(&format!("replay {} {arguments}", founding().display()))
}

#[test]
fn help_that_was_asked_for_is_data() {
    let output = run("--help");
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("Usage: antecede"));
}

#[test]
fn wrong_usage_could_not_run() {
    for line in ["", "frobnicate", "replay", "change - --title x", "suspects --at noon"] {
        let output = run(line);
        assert_exit(&output, 2);
        assert_eq!(stdout(&output), "", "{line}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for line in ["ready", "incidents", "suspects inc_1", "note hello"] {
        let output = run(&format!("{line} --server http://{address}"));
        assert_exit(&output, 2);
        let said = stderr(&output);
        let sentence = format!("error: cannot reach antecede at http://{address}/ (does it run?");
        assert!(said.starts_with(&sentence), "{line}: {said}");
        assert_eq!(said.matches(&address.to_string()).count(), 1, "{line}: {said}");
    }
}

#[test]
fn an_address_that_is_no_url_is_refused() {
    let output = run("ready --server localhost:8377");
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("\"localhost:8377\" is not a server"), "{}", stderr(&output));
}

#[test]
fn ready_is_told_by_the_exit_code() {
    let (output, requests) = Canned::new([(200, "ready\n")]).run("ready");
    assert_exit(&output, 0);
    assert!(requests.iter().all(|request| request.starts_with("GET /-/ready HTTP")));
    let (output, _) = Canned::new([(503, "the engine is behind\n")]).run("ready");
    assert_exit(&output, 1);
    assert_eq!(stderr(&output), "not ready: the engine is behind\n");
}

#[test]
fn a_change_is_posted_and_its_number_printed() {
    let reply = r#"{"seq": 7, "accepted": 1, "duplicates": 0, "ids": ["c1"]}"#;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let line = format!("change --id c1 --title x --token-file {}", token.display());

    let (output, requests) = Canned::new([(200, reply)]).run(&line);

    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "seq 7  c1\n");
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert!(request.starts_with("POST /api/v1/changes HTTP"), "{request}");
    assert!(request.contains("authorization: Bearer secret\r\n"), "{request}");
    assert!(request.ends_with(r#"{"id":"c1","title":"x"}"#), "{request}");
}

#[test]
fn what_was_not_taken_is_told_and_found() {
    let reply = r#"{"seq": 7, "rejected": [{"index": 0, "field": "kind", "reason": "is odd"}]}"#;
    let (output, _) = Canned::new([(200, reply)]).run("note hello");
    assert_exit(&output, 1);
    assert_eq!(stdout(&output), "seq 7\n");
    assert_eq!(stderr(&output), "rejected: 0: kind: is odd\n");
}

#[test]
fn a_refusal_is_shown_with_its_field_and_hint() {
    let problem = r#"{"title": "Bad request", "status": 400, "field": "at",
        "detail": "is not a time", "hint": "want RFC 3339"}"#;
    let (output, _) = Canned::new([(400, problem)]).run("incidents");
    assert_exit(&output, 2);
    assert_eq!(stderr(&output), "error: Bad request: at: is not a time\n  hint: want RFC 3339\n");
}

#[test]
fn an_answer_that_is_not_there_yet_is_undecided() {
    let problem = r#"{"title": "Not assessed yet", "status": 503}"#;
    let replies = [(503, problem)];
    let (output, requests) = Canned::new(replies).run("incidents --wait-seq 9 --timeout 5s");
    assert_exit(&output, 3);
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert!(request.contains("wait_seq=9&timeout=5s"), "{request}");
    let (output, _) = Canned::new(replies).run("incidents");
    assert_exit(&output, 2);
}

#[test]
fn without_incidents_there_are_no_suspects() {
    let (output, requests) = Canned::new([(200, r#"{"incidents": []}"#)]).run("suspects");
    assert_exit(&output, 1);
    assert_eq!((stdout(&output), stderr(&output)), ("", "no incidents\n"));
    assert!(requests[0].starts_with("GET /api/v1/incidents?limit=1 HTTP"), "{requests:?}");
}

#[test]
fn suspects_and_timeline_of_the_newest_incident_are_told_to_people() {
    const NEWEST: &str = r#"{"at": "2023-02-23T15:10:00Z", "config": "", "next": null,
        "incidents": [{"id": "inc_1", "state": "open", "answer": "none", "headline": "",
        "started_at": "2023-02-23T15:06:00Z", "ended_at": null, "closes_at": null, "alert_count": 0,
        "alerts": [], "families": [], "none_probability": 0.9, "suspects": [], "cleared": [],
        "responses": ["c 1"], "impact": []}]}"#;
    let one: &'static str = NEWEST
        .replace("\"incidents\": [", "\"incident\": ")
        .replace("\"impact\": []}]}", "\"impact\": []}}")
        .leak();
    let change = r#"{"change": {"id": "c 1", "kind": "deploy", "action": "update",
        "title": "Tried something", "status": "started", "scope": {"service": "api"},
        "started_at": "2023-02-23T15:08:00Z", "finished_at": null}}"#;

    let (output, requests) =
        Canned::new([(200, NEWEST), (200, one), (200, change)]).run("suspects --at 1677165000");
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.starts_with("NO CHANGE  "), "{text}");
    assert!(text.contains("open for 4 min"), "{text}");
    assert!(text.contains("15:08  started  Tried something  api"), "{text}");
    assert!(requests[1].starts_with("GET /api/v1/incidents/inc_1?at="), "{requests:?}");
    assert!(requests[2].starts_with("GET /api/v1/changes/c%201?at="), "{requests:?}");

    let entries = r#"{"at": "2023-02-23T15:10:00Z", "entries": [{"at": "2023-02-23T15:06:00Z", "kind": "alert_firing",
        "title": "Down", "role": "symptom", "services": ["api"], "environments": []}],
        "truncated": true}"#;
    let (output, requests) = Canned::new([(200, entries)]).run("timeline inc_1");
    assert_exit(&output, 0);
    assert!(stdout(&output).contains("ALERT  Down, api"), "{}", stdout(&output));
    assert!(stderr(&output).starts_with("there is more"), "{}", stderr(&output));
    assert!(requests[0].starts_with("GET /api/v1/incidents/inc_1/timeline HTTP"), "{requests:?}");

    let (output, requests) = Canned::new([(200, entries)]).run("timeline --start 0");
    assert_exit(&output, 0);
    assert!(requests[0].starts_with("GET /api/v1/timeline?start=1970-01-01T00"), "{requests:?}");
}

#[test]
fn replay_answers_in_the_fields_and_ids_of_the_contract() {
    let output = replay("--until 2023-02-23T19:27:00Z --format json");
    assert_exit(&output, 0);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["until"], "2023-02-23T19:27:00Z");
    assert!(answer["config"].is_string());
    let incidents = answer["incidents"].as_array().unwrap();
    let [incident] = &incidents[..] else { panic!("one story: {incidents:#?}") };
    assert_eq!(incident["alerts"], json!(["a1", "a2", "a3", "a4", "a5"]));
    let suspect = &incident["suspects"][0];
    let mut halves: Vec<_> = suspect["changes"].as_array().unwrap().iter().collect();
    halves.sort_by_key(|half| half.as_str());
    assert_eq!(halves, ["c-nodegroups-production", "c-nodegroups-staging"]);
    assert!(suspect["change"].as_str().unwrap().starts_with("c-nodegroups-"));
    let cleared = incident["cleared"].as_array().unwrap();
    assert!(cleared.iter().any(|one| one["change"] == "c-api"), "{cleared:#?}");
    for field in ["id", "state", "answer", "started_at", "ended_at", "none_probability", "impact"] {
        assert!(!incident[field].is_null() || field == "ended_at", "{field} is missing");
    }
    for field in ["rank", "probability", "summary", "evidence"] {
        assert!(!suspect[field].is_null(), "{field} is missing");
    }
}

#[test]
fn replay_goes_to_the_last_event_unless_told_otherwise() {
    let whole = replay("--format json");
    assert_exit(&whole, 0);
    let answer: Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!(answer["until"], "2023-02-23T23:00:00Z");
    let before = replay("--until 2023-02-23T15:00:00Z --format json");
    let answer: Value = serde_json::from_slice(&before.stdout).unwrap();
    assert_eq!(answer["incidents"], json!([]));
}

#[test]
fn replay_without_catalogue_or_rules_is_another_configuration() {
    let configs: Vec<_> = ["", "--no-catalog", "--no-rules", "--no-rules --no-catalog"]
        .into_iter()
        .map(|flags| {
            let output = replay(&format!("{flags} --format json"));
            assert_exit(&output, 0);
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["config"].to_string()
        })
        .collect();
    let distinct: std::collections::BTreeSet<_> = configs.iter().collect();
    assert_eq!(distinct.len(), configs.len(), "{configs:?}");
}

#[test]
fn replay_tells_people_in_plain_text() {
    let output = replay("--until 2023-02-23T19:27:00Z");
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(!text.contains('\u{1b}'), "no colour without a terminal");
    let answer = "LIKELY  Remove legacy node groups";
    assert!(text.lines().any(|line| line.starts_with(answer)), "{text}");
    assert!(text.contains("1 h 45 min before the first alert"), "{text}");
}

#[test]
fn a_case_that_cannot_be_used_is_named() {
    let output = run("replay no/such/case.json");
    assert_exit(&output, 2);
    assert!(stderr(&output).starts_with("error: cannot read no/such/case.json: "));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("case.json");
    fs::write(&path, r#"{"events": [{"type": "alert"}]}"#).unwrap();
    let output = run(&format!("replay {}", path.display()));
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("events[0].alertname"), "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = antecede().args(["completions", "bash"]).stdout(writer).output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_configuration_that_cannot_be_used_does_not_start_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("antecede.toml");
    fs::write(&path, "[server]\nlisten = \"nowhere\"\nlsten = 1\n").unwrap();
    let output = run(&format!("serve --config {}", path.display()));
    assert_exit(&output, 2);
    let said = stderr(&output);
    for place in ["antecede.toml:2:", "antecede.toml:3:"] {
        assert!(said.contains(place), "{said}");
    }
    let output = run("serve --listen 0.0.0.0:0");
    assert_exit(&output, 2);
    assert!(stderr(&output).contains("no token is asked for"), "{}", stderr(&output));
}

#[test]
fn problems_of_files_are_data_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    fs::write(&path, "[servr]\n[server]\nlisten = 3\n").unwrap();
    let file = path.display();

    let output = run(&format!("check config {file}"));
    assert_exit(&output, 1);
    let starts = [format!("{file}:1:2: "), format!("{file}:3:10: ")];
    for start in &starts {
        assert!(stdout(&output).lines().any(|line| line.starts_with(start)), "{}", stdout(&output));
    }
    assert_eq!(stderr(&output), "2 problems\n");

    let output = run(&format!("check config {file} --format json"));
    assert_exit(&output, 1);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list[1]["line"], 3);
    assert!(list[0]["what"].as_str().unwrap().contains("servr"), "{list}");
}

#[test]
fn files_without_problems_are_silent() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let output = run(&format!("check rules {}", rules.display()));
    assert_exit(&output, 0);
    assert_eq!((stdout(&output), stderr(&output)), ("", ""));
}

#[test]
fn a_rule_test_that_fails_is_found_with_its_reasons() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/deploy.toml");
    let dir = tempfile::tempdir().unwrap();
    fs::copy(rules, dir.path().join("deploy.toml")).unwrap();
    let story = r#"
        rules = ["deploy.toml"]
        [[test]]
        name = "a deploy is not blamed"
        [[test.change]]
        id = "deploy"
        at = "0s"
        kind = "deploy"
        action = "update"
        service = "shop"
        title = "shop 4.2"
        [[test.alert]]
        at = "18m"
        alertname = "KubePodCrashLooping"
        service = "shop"
        [[test.expect]]
        at = "20m"
        EXPECTED
    "#;
    let path = dir.path().join("deploy.test.toml");
    for (expected, code, word) in
        [("likely = \"deploy\"", 0, "ok "), ("answer = \"none\"", 1, "FAILED ")]
    {
        fs::write(&path, story.replace("EXPECTED", expected)).unwrap();
        let output = run(&format!("test rules {}", path.display()));
        assert_exit(&output, code);
        assert!(stdout(&output).starts_with(word), "{}", stdout(&output));
        assert!(stderr(&output).starts_with("1 test, "), "{}", stderr(&output));
    }
}
