//! `kill -9` at twenty random moments under load: nothing that was acknowledged is lost, and what
//! the daemon says at the end is what one says that nobody ever killed.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use antecede::{
    event::{Time, parse_time, show_time},
    wire::case::{Case, Post, posts},
};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{chance::Chance, harness::Daemon};

/// How often the daemon is killed.
const KILLS: usize = 20;

/// How many requests are under way at once.
const CLIENTS: usize = 4;

/// Between two kills there are at least 1 and at most so many acknowledgements.
const ACKS_MAX: usize = 60;

/// More posts than twenty kills let through.
const NOISE: usize = 1000;

#[test]
fn twenty_kills_under_load_lose_nothing_and_change_no_answer() {
    let load = load();
    let mut killed = Daemon::start();
    let (next, acknowledged) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let mut chance = Chance(20);
    for _ in 0..KILLS {
        let held_before = acknowledged.lock().unwrap().len();
        let acks = 1 + chance.index(ACKS_MAX);
        post_until_killed(&killed, &load, &next, &acknowledged, acks);
        killed.restart();
        for index in &acknowledged.lock().unwrap()[held_before..] {
            assert_known(&killed, &load[*index]);
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() < load.len(), "the load ended before the kills did");
    for index in acknowledged {
        assert_known(&killed, &load[index]);
    }

    let undisturbed = Daemon::start();
    let after_kills = answers(&killed, &load);
    for ((question, expected), (_, answer)) in answers(&undisturbed, &load).iter().zip(&after_kills)
    {
        assert!(answer == expected, "{question}:\n{}", difference(answer, expected));
    }
}

#[test]
fn a_daemon_that_is_asked_to_stop_ends_well_and_goes_on_later() {
    let mut daemon = Daemon::start();
    let posts = load();
    let seq = daemon.post(posts[0].path, &posts[0].body)["seq"].clone();
    let ended = daemon.stop();
    assert!(ended.success(), "{ended}");
    daemon.restart();
    assert_known(&daemon, &posts[0]);
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
}

/// Posts from several clients, each time the next of the load, until so many are acknowledged; then
/// kills the daemon under the rest. What no whole reply came back for is not acknowledged.
fn post_until_killed(
    daemon: &Daemon,
    load: &[Post],
    next: &AtomicUsize,
    acknowledged: &Mutex<Vec<usize>>,
    acks: usize,
) {
    let (ack, acked) = mpsc::channel();
    let client = |ack: mpsc::Sender<()>| {
        while let Some((index, post)) = take(load, next) {
            let Ok(reply) = daemon.try_post(post.path, &post.body) else { return };
            reply.taken();
            acknowledged.lock().unwrap().push(index);
            ack.send(()).unwrap();
        }
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let ack = ack.clone();
            scope.spawn(|| client(ack));
        }
        for () in acked.iter().take(acks) {}
        daemon.kill();
    });
}

fn take<'a>(load: &'a [Post], next: &AtomicUsize) -> Option<(usize, &'a Post)> {
    let index = next.fetch_add(1, Ordering::SeqCst);
    Some((index, load.get(index)?))
}

/// The log still has every event of the post: its retry adds none.
fn assert_known(daemon: &Daemon, post: &Post) {
    let reply = daemon.post(post.path, &post.body);
    assert_eq!(reply["accepted"], 0, "lost, though acknowledged: {} {reply}", post.body);
}

/// What the daemon says to each question, as of the end and live, when every sender has posted all
/// it has, for a second time where its first was acknowledged.
fn answers(daemon: &Daemon, load: &[Post]) -> Vec<(String, String)> {
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

/// Where two answers part.
fn difference(one: &str, other: &str) -> String {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let around =
        |text: &str| -> String { text.chars().skip(same.saturating_sub(200)).take(400).collect() };
    format!("{}\n{}", around(one), around(other))
}

/// The founding incident and a day's noise of a large system, shuffled.
fn load() -> Vec<Post> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("incidents/founding.json");
    let case = Case::parse(&fs::read(file).unwrap()).unwrap();
    let mut chance = Chance(1);
    let mut load = posts(&case);
    load.extend((0..NOISE).map(|number| noise(number, &mut chance)));
    chance.shuffle(&mut load);
    load
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
