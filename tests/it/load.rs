//! Posts to try a daemon with, what the log must hold of each, and what is answered in the end.

use std::{collections::BTreeMap, fs, path::Path};

use antecede::{
    event::{EventId, Time, parse_time, show_time},
    wire::{
        alertmanager,
        case::{Case, Post, posts},
        change, note,
    },
};
use chrono::TimeDelta;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{chance::Chance, harness::Daemon};

/// The founding incident and some noise of a large system on its day, shuffled.
pub(crate) fn load(noises: usize) -> Vec<Post> {
    mixed(noises, noise)
}

/// The founding incident among posts of a quarter of a megabyte: the log's write-ahead log is full,
/// and is copied into the log, every few of them.
pub(crate) fn heavy_load(posts: usize) -> Vec<Post> {
    mixed(posts, heavy)
}

fn mixed(more: usize, post: impl Fn(usize, &mut Chance) -> Post) -> Vec<Post> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("incidents/founding.json");
    let case = Case::parse(&fs::read(file).unwrap()).unwrap();
    let mut chance = Chance(1);
    let mut load = posts(&case);
    load.extend((0..more).map(|number| post(number, &mut chance)));
    chance.shuffle(&mut load);
    load
}

/// Sixteen notes, each as long as a note may be.
fn heavy(number: usize, chance: &mut Chance) -> Post {
    let at = parse_time("2023-02-23T08:00:00Z").unwrap() + minutes(chance.below(840));
    let note = |part| {
        let text = format!("note {number}.{part} ").repeat(1_200);
        json!({"at": show_time(at), "text": text})
    };
    let body: Value = (0..16).map(note).collect();
    Post { at, path: "/api/v1/notes", body: body.to_string() }
}

/// A change, or an alert that fires or has ended, somewhere on the day of the founding incident.
fn noise(number: usize, chance: &mut Chance) -> Post {
    let service = format!("service-{}", chance.index(60));
    let start = parse_time("2023-02-23T08:00:00Z").unwrap() + minutes(chance.below(840));
    let end = start + minutes(1 + chance.below(60));
    let (path, body) = match number % 3 {
        0 => {
            let change = json!({
                "id": format!("noise-{number}"), "kind": "deploy", "action": "update",
                "title": format!("{service} build {number}"), "status": "succeeded",
                "service": service, "environment": "production",
                "started_at": show_time(start), "finished_at": show_time(end),
            });
            ("/api/v1/changes", change)
        }
        1 => ("/webhooks/alertmanager", webhook(&service, number, start, Some(end))),
        _ => ("/webhooks/alertmanager", webhook(&service, number, start, None)),
    };
    Post { at: end, path, body: body.to_string() }
}

fn webhook(service: &str, number: usize, start: Time, end: Option<Time>) -> Value {
    let status = if end.is_some() { "resolved" } else { "firing" };
    json!({
        "version": "4", "status": status, "receiver": "antecede", "groupKey": "{}",
        "alerts": [{
            "status": status,
            "labels": {
                "alertname": "Noise", "service": service, "environment": "production",
                "severity": "warning", "number": number.to_string(),
            },
            "annotations": {},
            "startsAt": show_time(start),
            "endsAt": end.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), show_time),
        }],
    })
}

fn minutes(count: u64) -> TimeDelta {
    TimeDelta::minutes(count.try_into().unwrap())
}

/// The events that a post is stored as.
pub(crate) fn events_of(post: &Post) -> Vec<EventId> {
    let body = post.body.as_bytes();
    let normalised = match post.path {
        "/api/v1/changes" => change::normalise(body, post.at),
        "/api/v1/notes" => note::normalise(body, post.at),
        "/webhooks/alertmanager" => alertmanager::normalise(body, post.at),
        path => panic!("nothing is posted to {path}"),
    };
    let items = normalised.unwrap().items;
    items.iter().flat_map(|item| &item.events).map(antecede::event::Event::id).collect()
}

/// The events of a log that nobody has open, each with its place; none where there is no log yet. It
/// is read from a copy, so that what a crash left is still there for the daemon to mend.
pub(crate) fn logged(data: &Path) -> BTreeMap<EventId, u64> {
    let copy = TempDir::new().unwrap();
    for name in ["log.db", "log.db-wal", "log.db-journal"] {
        if data.join(name).exists() {
            fs::copy(data.join(name), copy.path().join(name)).unwrap();
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let Ok(log) = Connection::open_with_flags(copy.path().join("log.db"), flags) else {
        return BTreeMap::new();
    };
    let health: String = log.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(health, "ok");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'event'";
    if log.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
        return BTreeMap::new();
    }
    let mut query = log.prepare("SELECT id, seq FROM event").unwrap();
    let rows = query.query_map([], |row| Ok((EventId(row.get(0)?), row.get(1)?))).unwrap();
    let mut events = BTreeMap::new();
    for row in rows {
        let (id, seq): (_, i64) = row.unwrap();
        let seq = seq.try_into().unwrap();
        assert_eq!(events.insert(id, seq), None, "{id:?} is in the log twice");
    }
    events
}

/// What a daemon says to each question, as of the end and live, when every sender has posted all it
/// has, for a second time where its first was acknowledged.
pub(crate) fn answers(daemon: &Daemon, load: &[Post]) -> Vec<(String, String)> {
    let seqs = load.iter().map(|post| daemon.post(post.path, &post.body)["seq"].as_u64().unwrap());
    let seq = seqs.max().unwrap();
    let end = show_time(load.iter().map(|post| post.at).max().unwrap());
    let ask = |question: String| {
        let path = format!("/api/v1/{question}limit=1000&wait_seq={seq}&timeout=60s");
        let mut answer = daemon.get(&path);
        // A live answer has the time at which it was given, and what goes on lasts until then.
        answer.as_object_mut().unwrap().remove("at");
        for incident in answer["incidents"].as_array_mut().into_iter().flatten() {
            incident.as_object_mut().unwrap().remove("impact");
        }
        let answer = answer.to_string();
        assert!(answer.contains("started_at") || answer.contains("starts_at"), "{answer}");
        (question, answer)
    };
    let as_of = format!("incidents?at={end}&");
    [as_of, "incidents?".to_owned(), "alerts?".to_owned(), "changes?".to_owned()].map(ask).into()
}

/// The one must be the other, byte for byte.
#[track_caller]
pub(crate) fn assert_same(answers: &[(String, String)], expected: &[(String, String)]) {
    assert_eq!(answers.len(), expected.len());
    for ((question, answer), (_, expected)) in answers.iter().zip(expected) {
        assert!(answer == expected, "{question}:\n{}", difference(answer, expected));
    }
}

/// Where two answers part.
fn difference(one: &str, other: &str) -> String {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let around =
        |text: &str| -> String { text.chars().skip(same.saturating_sub(200)).take(400).collect() };
    format!("{}\n{}", around(one), around(other))
}
