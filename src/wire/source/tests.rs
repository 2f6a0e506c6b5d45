//! Payloads in the shape that the real systems send, beside what they must become, and the laws that
//! every source keeps.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Time, parse_time},
    wire::Ending,
};

/// How the files end that stand beside a payload.
const GOLDEN: &str = ".golden.json";
const HEADERS: &str = ".headers";

/// Those whose payloads stand in `tests/data/payloads`, and are held by the tests of `wire`.
const TESTED_ELSEWHERE: [&str; 5] =
    ["alertmanager", "alertmanager_api", "changes", "alerts", "notes"];

fn received() -> Time {
    parse_time("2026-11-27T00:00:00Z").unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The payloads of one source: all that is neither a golden, nor headers, nor about where they are
/// from.
fn payloads(source: &str) -> Vec<PathBuf> {
    let beside = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(GOLDEN) || name.ends_with(HEADERS) || name.ends_with(".md")
    };
    files(&folder().join(source)).into_iter().filter(|path| !beside(path)).collect()
}

fn header_lines(payload: &Path) -> String {
    fs::read_to_string(payload.with_extension("headers")).unwrap_or_default()
}

fn headers_in(lines: &str) -> Headers<'_> {
    lines.lines().filter_map(|line| line.split_once(": ")).collect()
}

fn told(source: &Source, headers: &Headers<'_>, body: &[u8]) -> Told {
    source.normalise(&Post { headers, query: &[], body, received: received() }).into()
}

/// `UPDATE=1` writes what the payloads become; read the difference before you commit it.
#[test]
fn every_payload_becomes_exactly_its_golden() {
    for source in SOURCES.iter().filter(|source| !TESTED_ELSEWHERE.contains(&source.name)) {
        let (mut good, mut damaged) = (0, 0);
        for payload in payloads(source.name) {
            let told =
                told(source, &headers_in(&header_lines(&payload)), &fs::read(&payload).unwrap());
            *if told.is_flawed() { &mut damaged } else { &mut good } += 1;
            let golden = payload.with_extension("golden.json");
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&golden, format!("{:#}\n", json!(told))).unwrap();
            }
            let want: Value = serde_json::from_slice(&fs::read(&golden).unwrap()).unwrap();
            assert_eq!(json!(told), want, "{}", payload.display());
        }
        assert!(good >= 2 && damaged >= 1, "{}: {good} good, {damaged} damaged", source.name);
        let about = folder().join(source.name).join("SOURCE.md");
        assert!(about.is_file(), "{} does not say where its payloads are from", source.name);
    }
}

/// What stands for a secret in payloads is `hunter2`, and base64 of it.
#[test]
fn no_secret_of_a_payload_is_kept() {
    let holds = |path: &PathBuf| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        text.contains("hunter2") || text.contains("aHVudGVyMg")
    };
    let all: Vec<_> = files(&folder()).iter().flat_map(|source| files(source)).collect();
    let (goldens, others): (Vec<PathBuf>, Vec<PathBuf>) =
        all.into_iter().partition(|path| path.to_string_lossy().ends_with(GOLDEN));
    assert!(others.iter().filter(|path| holds(path)).count() >= 8, "payloads hold no secrets");
    assert_eq!(goldens.into_iter().filter(holds).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn every_folder_of_payloads_is_a_source() {
    for path in files(&folder()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(Source::named(&name).is_some() || name == "own", "there is no source {name}");
    }
}

#[test]
fn names_and_addresses_are_taken_once() {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for source in SOURCES {
        assert!(names.insert(source.name), "{} is there twice", source.name);
        for path in source.paths {
            assert!(paths.insert(path), "{path} is there twice");
            assert_eq!(Source::at(path).unwrap().name, source.name);
        }
        let told = [source.about, source.id, source.taken, source.left];
        assert!(told.iter().all(|text| !text.is_empty()), "{} says too little", source.name);
        assert!(!source.schemes.is_empty(), "{} cannot show that it is itself", source.name);
    }
}

#[test]
fn a_webhooks_address_may_say_what_a_query_would() {
    let addressed = |path: &str| {
        Source::addressed(path).map(|(source, said)| {
            let said = said.into_iter().map(|(name, value)| format!("{name}={value}"));
            (source.name, said.collect::<Vec<_>>().join("&"))
        })
    };
    for (path, source, said) in [
        ("/webhooks/k8s-audit", "kubernetes_audit", ""),
        ("/webhooks/k8s-audit/", "kubernetes_audit", ""),
        ("/webhooks/k8s-audit/cluster=main", "kubernetes_audit", "cluster=main"),
        ("/webhooks/aws/environment=a%20b/region=x/", "cloudtrail", "environment=a b&region=x"),
        ("/api/v1/changes", "changes", ""),
    ] {
        assert_eq!(addressed(path), Some((source, said.to_owned())), "{path}");
    }
    for path in ["/api/v1/changes/a=b", "/api/v1/changes/", "/webhooks/x/a=b", "/webhooks/=", "/"] {
        assert_eq!(addressed(path), None, "{path}");
    }
}

#[test]
fn what_the_address_says_fills_in_what_the_post_does_not() {
    let query: Vec<_> = [("environment", "prod"), ("service", "web"), ("actor", "ci"), ("x", "y")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let body = json!({"title": "t", "service": "api", "status": "succeeded",
        "started_at": "2026-11-26T10:00:00Z", "finished_at": "2026-11-26T10:05:00Z"});
    let body = body.to_string();
    let (headers, body) = (Headers::default(), body.as_bytes());
    let post = Post { headers: &headers, query: &query, body, received: received() };
    let normalised = Source::named("changes").unwrap().normalise(&post).unwrap();
    let [Event::Change(started), Event::Change(ended)] = &normalised.items[0].events[..] else {
        panic!("{normalised:?}");
    };
    assert_eq!(started.labels.first("environment"), Some("prod"));
    assert_eq!(started.labels.values("service").collect::<Vec<_>>(), ["api"]);
    assert_eq!((started.actor.as_deref(), started.labels.has("x")), (Some("ci"), false));
    assert!(ended.labels.is_empty(), "the report of the end says nothing but that");
}

/// What the folder's payload becomes.
fn golden(source: &str, payload: &str) -> Value {
    let path = folder().join(source).join(payload);
    json!(told(
        Source::named(source).unwrap(),
        &headers_in(&header_lines(&path)),
        &fs::read(&path).unwrap()
    ))
}

#[test]
fn two_versions_of_cdevents_tell_the_same() {
    let [old, new] = ["0.4", "0.5"]
        .map(|version| golden("cdevents", &format!("service-deployed-{version}.json")));
    assert_eq!(old, new);
}

#[test]
fn an_end_by_name_is_of_what_began_before_it_give_or_take_two_clocks() {
    let labels: Labels = [("id", "7"), ("alertname", "A")].into_iter().collect();
    let at = parse_time("2026-11-20T10:00:00Z").unwrap();
    let ending = Ending { labels: [("id", "7")].into_iter().collect(), at, id: None };
    let began = |seconds| at + chrono::TimeDelta::seconds(seconds);
    assert!(ending.is_of(&labels, began(-60)) && ending.is_of(&labels, began(300)));
    assert!(!ending.is_of(&labels, began(301)), "that is the next time that it fires");
    assert!(!ending.is_of(&[("id", "8")].into_iter().collect(), began(-60)));
    let Event::Alert(end) = ending.end(labels.clone(), began(9)).events.remove(1) else { panic!() };
    assert_eq!((end.starts_at, end.ends_at), (began(9), Some(began(9))));
    let Event::Alert(end) = ending.end(labels, began(-9)).events.remove(1) else { panic!() };
    assert_eq!((end.starts_at, end.ends_at), (began(-9), Some(at)));
}

#[test]
fn alertmanagers_recorder_and_its_webhook_tell_one_alert_once() {
    let recorded = golden("alertmanager_events", "resolved.json");
    let webhook = json!({"version": "4", "alerts": [{
        "status": "resolved",
        "labels": {"alertname": "DemoAlert", "server": "ni3", "severity": "critical"},
        "startsAt": "2026-11-20T10:00:00.123Z", "endsAt": "2026-11-20T10:30:00Z",
    }]});
    let source = Source::named("alertmanager").unwrap();
    let posted = json!(told(source, &Headers::default(), webhook.to_string().as_bytes()));
    let ids = |told: &Value| -> BTreeSet<_> {
        let events: Vec<Event> =
            serde_json::from_value(told["items"][0]["events"].clone()).unwrap();
        events.iter().map(Event::id).collect()
    };
    assert_eq!(ids(&recorded).len(), 2);
    assert_eq!(ids(&recorded), ids(&posted));
}

#[test]
fn reports_of_one_change_have_one_id() {
    for (source, reports) in [
        ("github", &["deployment.json", "deployment-status-success.json"][..]),
        ("gitlab", &["deployment-running.json", "deployment-success.json"]),
        ("argocd", &["running.json", "succeeded.json"]),
        ("cdevents", &["pipelinerun-started-binary.json", "pipelinerun-finished.json"]),
        ("cloudevents", &["tekton-started.json", "tekton-failed.json"]),
    ] {
        let ids: BTreeSet<_> =
            reports.iter().map(|one| golden(source, one)["items"][0]["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "{source}: {ids:?}");
    }
}

#[test]
fn no_value_that_may_be_secret_is_kept() {
    let told = golden("gitlab", "pipeline.json").to_string();
    assert!(told.contains("pipeline of") && !told.contains("hunter2"), "{told}");
    let told = golden("pagerduty_events", "trigger.json").to_string();
    assert!(!told.contains("0123456789abcdef"), "{told}");
}

#[test]
fn headers_are_shown_without_their_values() {
    let headers: Headers<'_> =
        [("Authorization", "Bearer hunter2"), ("X-Empty", " ")].into_iter().collect();
    assert_eq!(format!("{headers:?}"), "{\"authorization\"}");
    assert_eq!(headers.get("authorization"), Some("Bearer hunter2"));
}

/// The headers with which one of the source's payloads comes.
fn some_headers(source: &Source) -> BTreeSet<Option<PathBuf>> {
    if TESTED_ELSEWHERE.contains(&source.name) {
        return BTreeSet::from([None]);
    }
    let all = files(&folder().join(source.name));
    let mut of: BTreeSet<_> = all
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(HEADERS))
        .map(Some)
        .collect();
    of.insert(None);
    of
}

/// What every source keeps to, whatever comes.
fn stands(source: &Source, body: &[u8]) {
    for path in some_headers(source) {
        let lines = path.map(|path| header_lines(&path)).unwrap_or_default();
        let post = Post { headers: &headers_in(&lines), query: &[], body, received: received() };
        if let Ok(normalised) = source.normalise(&post) {
            let things = normalised.items.len() + normalised.rejected.len();
            assert!(things <= crate::wire::ITEMS_MAX, "{}: {things} things", source.name);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("2026-11-26T10:00:00Z")),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,10}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts something else at one place of a payload.
fn spoil(value: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        value.clone_from(with);
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| spoil(one, place, with)),
        Value::Object(map) => map.values_mut().for_each(|one| spoil(one, place, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_source_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        for source in SOURCES {
            stands(source, &body);
        }
    }

    #[test]
    fn no_json_makes_a_source_panic(body in any_json()) {
        for source in SOURCES {
            stands(source, body.to_string().as_bytes());
        }
    }

    /// Nearly right is where mistakes hide: a real payload, of which one part is something else.
    #[test]
    fn no_payload_with_another_part_makes_a_source_panic(place in 0usize..80, with in any_json()) {
        for source in SOURCES.iter().filter(|source| !TESTED_ELSEWHERE.contains(&source.name)) {
            for payload in payloads(source.name) {
                let read = fs::read(&payload).unwrap();
                let Ok(mut body) = serde_json::from_slice::<Value>(&read) else { continue };
                spoil(&mut body, &mut { place }, &with);
                let lines = header_lines(&payload);
                let headers = headers_in(&lines);
                let body = body.to_string();
                let body = body.as_bytes();
                let post = Post { headers: &headers, query: &[], body, received: received() };
                drop(source.normalise(&post));
            }
        }
    }
}

/// One that the configuration could describe.
fn own(makes: Makes, fields: &[(&'static str, &str)]) -> Own {
    let origin = |text: &str| vec![Origin::parse(text).unwrap()];
    Own {
        name: "acme".to_owned(),
        makes,
        each: None,
        only: Labels::default(),
        fields: fields.iter().map(|(field, text)| (*field, origin(text))).collect(),
        labels: vec![("team".to_owned(), Origin::parse("/team").unwrap())],
        words: [("GO", "started"), ("DONE", "succeeded")].into_iter().collect(),
    }
}

fn told_by(own: &Own, body: &Value) -> Value {
    let (headers, body) = (Headers::default(), body.to_string());
    let body = body.as_bytes();
    let post = Post { headers: &headers, query: &[], body, received: received() };
    json!(Told::from(own.normalise(&post)))
}

#[test]
fn any_json_becomes_a_change_by_pointers() {
    let mut own = own(
        Makes::Changes,
        &[
            ("id", "/id"),
            ("title", "/what/name"),
            ("kind", "/kind"),
            ("status", "/state"),
            ("service", "/apps"),
            ("environment", "production"),
            ("started_at", "/at"),
        ],
    );
    own.only.insert("/type", "deploy");
    let body = json!({"type": "deploy", "id": 7, "what": {"name": "x 7"}, "kind": "flag",
        "state": "GO", "apps": ["a", "b"], "team": "blue", "at": 1_795_168_800});
    let change = &told_by(&own, &body)["items"][0]["events"][0];
    let want = json!({"type": "change", "id": "acme:7", "title": "x 7", "kind": "feature_flag",
        "status": "started", "at": "2026-11-20T10:00:00Z", "started_at": "2026-11-20T10:00:00Z",
        "labels": {"service": ["a", "b"], "environment": "production", "team": "blue"}});
    assert_eq!(*change, want);
    let mut other = body.clone();
    other["type"] = json!("build");
    let ignored = json!([{"index": 0, "reason": "/type says \"build\""}]);
    assert_eq!(told_by(&own, &other)["ignored"], ignored);
    let mut odd = body.clone();
    (odd["kind"], odd["state"]) = (json!("valve"), json!("HALF"));
    let told = &told_by(&own, &odd)["items"][0];
    assert_eq!(told["events"][0]["kind"], "other");
    let remarks = json!([
        "\"valve\" is no kind that is known: it is taken as other",
        "\"HALF\" is no status that is known: it is taken as started"
    ]);
    assert_eq!(told["remarks"], remarks);
    let missing = told_by(&own, &json!({"type": "deploy"}));
    assert_eq!(missing["rejected"][0]["field"], "title");
    own.each = Some("/all".to_owned());
    let told = told_by(&own, &json!({"all": [body, other]}));
    assert_eq!(
        (told["items"].as_array().unwrap().len(), &told["ignored"][0]["index"]),
        (1, &json!(1))
    );
    assert_eq!(told_by(&own, &json!({"all": 1}))["refused"]["field"], "/all");
}

#[test]
fn any_json_becomes_an_alert_that_its_id_ends() {
    let own = own(
        Makes::Alerts,
        &[("id", "/key"), ("alertname", "/rule"), ("status", "/state"), ("starts_at", "/since")],
    );
    let firing =
        json!({"key": "k", "rule": "Full", "state": "bad", "since": "2026-11-20T10:00:00Z"});
    let alert = &told_by(&own, &firing)["items"][0]["events"][0];
    let labels = json!({"alertname": "Full", "id": "k", "source": "acme"});
    assert_eq!((&alert["labels"], &alert["starts_at"]), (&labels, &json!("2026-11-20T10:00:00Z")));
    let ends = &told_by(&own, &json!({"key": "k", "rule": "Full", "state": "OK"}))["ends"];
    let labels = json!({"id": "k", "source": "acme"});
    assert_eq!(*ends, json!([{"labels": labels, "at": "2026-11-27T00:00:00Z", "id": "k"}]));
}

#[test]
fn a_pointer_is_told_from_a_text() {
    assert_eq!(Origin::parse("/a~1b"), Ok(Origin::Pointer("/a~1b".to_owned())));
    assert_eq!(Origin::parse("deploy"), Ok(Origin::Fixed("deploy".to_owned())));
    for wrong in ["/a~b", "/~", "/a~2"] {
        assert!(Origin::parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_json_makes_a_mapping_panic(body in any_json()) {
        for makes in [Makes::Changes, Makes::Alerts] {
            let fields: Vec<_> = makes.fields().iter().map(|field| (*field, "/a")).collect();
            told_by(&own(makes, &fields), &body);
            told_by(&own(makes, &fields), &json!([{"a": body}]));
        }
    }
}
