//! The founding incident through HTTP, as Alertmanager and the pipelines would post it: in whatever
//! order it arrives, and however often, the daemon says the same, byte for byte, and says what
//! `replay` says.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use antecede::{
    correlate::Told,
    event::{Episode, EpisodeId, Mapping, show_time},
    wire::case::{Case, Post, posts},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    answer::{assert_lawful, assert_same, day, difference, replay},
    chance::Chance,
    founding::{TIMES, founding, noisy},
    harness::Daemon,
};

/// How many requests are under way at once, where all are posted at once.
const CLIENTS: usize = 32;

/// A recorded incident, ready to be posted.
struct Recorded {
    text: Value,
    case: Case,
    posts: Vec<Post>,
    dir: TempDir,
}

/// All that is known.
const LISTS: [&str; 3] =
    ["/api/v1/incidents?limit=1000", "/api/v1/changes?limit=1000", "/api/v1/alerts?limit=1000"];

/// How posts are sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Each when the one before is assessed.
    OneAtATime,
    /// By many senders, none of which waits for another.
    AllAtOnce,
}

/// What a daemon says: query by query.
type Answers = BTreeMap<String, String>;

#[test]
fn the_order_of_arrival_decides_nothing() {
    let recorded = Recorded::new(founding());
    let (inverted, twice) = (reversed(&recorded.posts), doubled(&recorded.posts));
    let [one, other, third] = [1, 2, 3].map(|seed| shuffled(&twice, seed));
    let expected = recorded.answers(&recorded.posts, Pace::OneAtATime);
    for (what, posts, pace) in [
        ("in reverse order", &inverted, Pace::OneAtATime),
        ("shuffled", &shuffled(&recorded.posts, 4), Pace::OneAtATime),
        ("each twice", &twice, Pace::OneAtATime),
        ("each twice and shuffled", &one, Pace::OneAtATime),
        ("all at once", &recorded.posts, Pace::AllAtOnce),
        ("all at once, in reverse order", &inverted, Pace::AllAtOnce),
        ("all at once, each twice and shuffled", &other, Pace::AllAtOnce),
        ("all at once, each twice and shuffled otherwise", &third, Pace::AllAtOnce),
    ] {
        assert_alike(what, &recorded.answers(posts, pace), &expected);
    }
}

#[test]
fn in_noise_too_the_order_of_arrival_decides_nothing() {
    let recorded = Recorded::new(noisy(1));
    let [expected, answers] = [recorded.posts.clone(), shuffled(&recorded.posts, 1)].map(|posts| {
        let daemon = recorded.deliver(&posts, Pace::AllAtOnce);
        let mut answers = answers(&daemon, LISTS.map(|list| format!("{list}&at={}", day("19:27"))));
        answers.extend(live_answers(&daemon, paths(&daemon, "")));
        answers
    });
    assert_alike("shuffled", &answers, &expected);
}

/// What is read from the state is what a fold of the log says, of an incident that is over and of
/// one that goes on.
#[test]
fn the_answer_of_now_is_the_answer_as_of_now() {
    let recorded = Recorded::new(founding());
    let mut wrong = Vec::new();
    for until in ["23:00", "20:20"] {
        let mut posts = recorded.posts.clone();
        posts.retain(|post| show_time(post.at) <= day(until));
        let daemon = recorded.deliver(&posts, Pace::OneAtATime);
        for path in paths(&daemon, "") {
            let live = daemon.get(&path);
            let folded = daemon.get(&format!("{path}&at={}", live["at"].as_str().unwrap()));
            let found = difference(&format!("{live:#}"), &format!("{folded:#}"));
            wrong.extend(found.map(|found| format!("posted until {until}: {path}: {found}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_daemon_and_replay_say_the_same() {
    for text in [founding(), noisy(2)] {
        let recorded = Recorded::new(text);
        let daemon = recorded.deliver(&recorded.posts, Pace::AllAtOnce);
        let names = recorded.names(&daemon);
        for until in TIMES {
            let at = day(until);
            let said = daemon.get(&format!("/api/v1/incidents?limit=1000&at={at}"));
            let told = replay(&recorded.text, until, &[]);
            assert_eq!(said["config"], told.config.as_str(), "they answer under one configuration");
            let mut incidents: Vec<Told> =
                serde_json::from_value(said["incidents"].clone()).unwrap();
            incidents.sort_by_key(|one| one.incident.started_at);
            assert_lawful(&incidents);
            assert!(incidents.iter().all(|one| one.alerts.len() == one.incident.alert_count));
            for alert in incidents.iter_mut().flat_map(|one| &mut one.alerts) {
                *alert = EpisodeId(names[alert].clone());
            }
            let text = |incidents: &[Told]| format!("{:#}", json!(incidents));
            assert_same(until, &text(&incidents), &text(&told.incidents));
        }
    }
}

/// The catalogue of a recorded incident, as a file.
pub(crate) fn catalog_of(case: &Case) -> String {
    let services = case.services.iter().map(|one| {
        let mut service = json!({"name": one.service, "depends_on": one.depends_on});
        one.tier.iter().for_each(|tier| service["tier"] = json!(tier));
        service
    });
    toml::to_string(&json!({"service": services.collect::<Vec<_>>()})).unwrap()
}

impl Recorded {
    fn new(text: Value) -> Self {
        let case = Case::parse(text.to_string().as_bytes()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("catalog.toml"), catalog_of(&case)).unwrap();
        Self { text, posts: posts(&case), case, dir }
    }

    /// A daemon that knows the recorded catalogue.
    fn daemon(&self) -> Daemon {
        let file = self.dir.path().join("catalog.toml");
        Daemon::with(&format!("[catalog]\nfiles = [{:?}]\n", file.to_str().unwrap()))
    }

    /// A daemon to which this was posted, and which has assessed it.
    fn deliver(&self, posts: &[Post], pace: Pace) -> Daemon {
        let daemon = self.daemon();
        match pace {
            Pace::OneAtATime => posts.iter().for_each(|one| wait(&daemon, post(&daemon, one))),
            Pace::AllAtOnce => wait(&daemon, post_at_once(&daemon, posts)),
        }
        daemon
    }

    /// What a daemon says as of each time, and of now, when this was posted to it.
    fn answers(&self, posts: &[Post], pace: Pace) -> Answers {
        let daemon = self.deliver(posts, pace);
        let then = TIMES.iter().flat_map(|until| paths(&daemon, &format!("&at={}", day(until))));
        let mut answers = answers(&daemon, then);
        answers.extend(live_answers(&daemon, paths(&daemon, "")));
        answers
    }

    /// The file's ids of the alert episodes that a daemon holds.
    fn names(&self, daemon: &Daemon) -> BTreeMap<EpisodeId, String> {
        let alerts = daemon.get("/api/v1/alerts?limit=1000");
        assert_eq!(alerts["next"], Value::Null, "there are more alerts than fit a page");
        let episodes: Vec<Episode> = serde_json::from_value(alerts["alerts"].clone()).unwrap();
        let name = |episode: Episode| {
            let mapping = Mapping::default();
            let names: Vec<_> = self.case.alerts(&episode, &mapping).collect();
            let [name] = names[..] else { panic!("{episode:?} is {names:?}") };
            (episode.id.clone(), name.to_owned())
        };
        episodes.into_iter().map(name).collect()
    }
}

fn reversed(posts: &[Post]) -> Vec<Post> {
    posts.iter().rev().cloned().collect()
}

fn doubled(posts: &[Post]) -> Vec<Post> {
    posts.iter().flat_map(|post| [post.clone(), post.clone()]).collect()
}

fn shuffled(posts: &[Post], seed: u64) -> Vec<Post> {
    let mut posts = posts.to_vec();
    Chance(seed).shuffle(&mut posts);
    posts
}

/// Posts it; the number that the log has reached.
fn post(daemon: &Daemon, post: &Post) -> u64 {
    let reply = daemon.post(post.path, &post.body);
    assert_eq!(reply["rejected"], json!([]), "{}", post.body);
    reply["seq"].as_u64().unwrap()
}

/// Waits until the log is assessed as far as that.
fn wait(daemon: &Daemon, seq: u64) {
    daemon.get(&format!("/api/v1/incidents?limit=1&wait_seq={seq}&timeout=60s"));
}

/// Posts it all from several senders; the number that the log has reached.
fn post_at_once(daemon: &Daemon, posts: &[Post]) -> u64 {
    let (next, end) = (AtomicUsize::new(0), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(one) = posts.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let seq = post(daemon, one);
                    let mut end = end.lock().unwrap();
                    *end = seq.max(*end);
                }
            });
        }
    });
    end.into_inner().unwrap()
}

fn answers(daemon: &Daemon, paths: impl IntoIterator<Item = String>) -> Answers {
    let ask = |path: String| {
        let reply = daemon.try_get(&path).unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        (path, reply.body)
    };
    paths.into_iter().map(ask).collect()
}

/// The same as of now, whenever that is.
fn live_answers(daemon: &Daemon, paths: Vec<String>) -> Answers {
    let ask = |path: String| {
        let mut answer = daemon.get(&path);
        answer["at"] = json!("now");
        (path, answer.to_string())
    };
    paths.into_iter().map(ask).collect()
}

/// The queries for all that is known as of a moment.
fn paths(daemon: &Daemon, moment: &str) -> Vec<String> {
    let lists = LISTS.map(|list| format!("{list}{moment}"));
    let incidents = daemon.get(&lists[0]);
    let incidents = incidents["incidents"].as_array().unwrap();
    assert!(!incidents.is_empty(), "nothing is known{moment}");
    let of_one = incidents.iter().flat_map(|incident| {
        let id = incident["id"].as_str().unwrap();
        ["", "/timeline", "/suspects", "/impact"]
            .map(|part| format!("/api/v1/incidents/{id}{part}?timeout=60s{moment}"))
    });
    lists.iter().cloned().chain(of_one).collect()
}

/// The same bytes; a difference is shown where it begins.
#[track_caller]
fn assert_alike(what: &str, answers: &Answers, expected: &Answers) {
    let asked = |answers: &Answers| answers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(asked(answers), asked(expected), "{what}: other incidents");
    for (path, answer) in answers {
        let pretty = |text: &str| format!("{:#}", serde_json::from_str::<Value>(text).unwrap());
        let other = &expected[path];
        assert_same(&format!("{what}: {path}"), &pretty(answer), &pretty(other));
        assert!(answer == other, "{what}: {path}: the same, in other bytes");
    }
}
