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
use crate::event::{Time, parse_time};

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

fn headers_of(payload: &Path) -> Headers {
    let text = fs::read_to_string(payload.with_extension("headers")).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(": ")).collect()
}

fn told(source: &Source, headers: &Headers, body: &[u8]) -> Told {
    source.normalise(&Post { headers, query: &[], body, received: received() }).into()
}

/// `UPDATE=1` writes what the payloads become; read the difference before you commit it.
#[test]
fn every_payload_becomes_exactly_its_golden() {
    for source in SOURCES.iter().filter(|source| !TESTED_ELSEWHERE.contains(&source.name)) {
        let (mut good, mut damaged) = (0, 0);
        for payload in payloads(source.name) {
            let told = told(source, &headers_of(&payload), &fs::read(&payload).unwrap());
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

#[test]
fn headers_are_shown_without_their_values() {
    let headers: Headers =
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
        let headers = path.map(|path| headers_of(&path)).unwrap_or_default();
        let post = Post { headers: &headers, query: &[], body, received: received() };
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
                let headers = headers_of(&payload);
                let body = body.to_string();
                let body = body.as_bytes();
                let post = Post { headers: &headers, query: &[], body, received: received() };
                drop(source.normalise(&post));
            }
        }
    }
}
