//! The configuration, read anew while the daemon runs: what is better counts at once, what is broken
//! changes nothing, and nothing that comes meanwhile is lost.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use antecede::{
    event::parse_time,
    wire::case::{Case, Post, posts},
};
use serde_json::{Value, json};

use crate::{
    answer::day,
    founding::founding,
    harness::{Daemon, Reply},
};

/// One rule file instead of those that are built in.
const CONFIG: &str = "[rules]\nembedded = false\nfiles = [\"rules.toml\"]\n";

/// The file of `rules/` without which the removal of the node groups is a suspect among others.
const HELPS: &str = "node-groups.toml";

/// One that has nothing to say of the founding incident.
const HELPS_NOT: &str = "config.toml";

/// A daemon with a rule file of the repository as its only one.
fn daemon(rules: &str) -> Daemon {
    Daemon::prepared(CONFIG, |dir| put_rules(dir, rules))
}

fn put_rules(dir: &Path, rules: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules").join(rules);
    fs::copy(file, dir.join("rules.toml")).unwrap();
}

/// What was posted of the founding incident when its second alert fired.
fn story() -> Vec<Post> {
    let mut posts = posts(&Case::parse(founding().to_string().as_bytes()).unwrap());
    let until = parse_time(&day("16:50")).unwrap();
    posts.retain(|post| post.at <= until);
    posts
}

fn tell(daemon: &Daemon) {
    let last = story().iter().map(|post| daemon.post(post.path, &post.body)).last().unwrap();
    daemon.get(&format!("/api/v1/incidents?wait_seq={}", last["seq"]));
}

/// The hash of the configuration that an answer was given under, and the answer without its time and
/// what goes on until then.
fn told(daemon: &Daemon) -> (String, Value) {
    let mut answer = daemon.get("/api/v1/incidents");
    for incident in answer["incidents"].as_array_mut().unwrap() {
        incident["impact"].take();
    }
    let config = answer["config"].as_str().unwrap().to_owned();
    (config, answer["incidents"].take())
}

fn reload(daemon: &Daemon) -> Reply {
    daemon.try_post("/-/reload", "").unwrap()
}

fn metric(daemon: &Daemon, name: &str) -> String {
    let page = daemon.try_get("/metrics").unwrap().body;
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).trim().to_owned()
}

#[test]
fn a_changed_rule_file_changes_the_answer_and_its_hash_on_sighup() {
    let daemon = daemon(HELPS_NOT);
    tell(&daemon);
    let (hash, incidents) = told(&daemon);
    assert_eq!(incidents[0]["answer"], "none", "{incidents:#}");

    put_rules(daemon.dir(), HELPS);
    daemon.hang_up();
    daemon.wait_for("the configuration was read anew");

    let (new_hash, incidents) = told(&daemon);
    assert_eq!(incidents[0]["answer"], "suspects", "{incidents:#}");
    assert_ne!(new_hash, hash);
    assert_eq!(metric(&daemon, &format!("antecede_config_info{{hash=\"{new_hash}\"}}")), "1");
    let as_of = daemon.get(&format!("/api/v1/incidents?at={}", day("16:50")));
    assert_eq!(as_of["config"], new_hash);
    assert_eq!(as_of["incidents"][0]["answer"], "suspects");
}

#[test]
fn a_broken_rule_file_keeps_the_old_rules_and_points_at_line_and_column() {
    let daemon = daemon(HELPS);
    tell(&daemon);
    let before = told(&daemon);
    assert_eq!(metric(&daemon, "antecede_config_last_reload_successful"), "1");
    let rules = daemon.dir().join("rules.toml");
    fs::write(&rules, "[[rule]]\nname = \"half\"\n  widow = \"1h\"\n").unwrap();

    daemon.hang_up();
    daemon.wait_for("rules.toml:3:3: ");
    daemon.wait_for("the configuration stays as it was");
    assert_eq!(told(&daemon), before);
    assert_eq!(metric(&daemon, "antecede_config_last_reload_successful"), "0");

    let reply = reload(&daemon);
    assert_eq!(reply.status, 500, "{}", reply.body);
    let problem: Value = serde_json::from_str(&reply.body).unwrap();
    let found: Vec<_> = problem["problems"].as_array().unwrap().iter().collect();
    let misspelt = found.iter().find(|one| one["what"].as_str().unwrap().contains("widow"));
    let misspelt = misspelt.unwrap_or_else(|| panic!("{problem:#}"));
    assert_eq!(misspelt["file"], rules.to_str().unwrap());
    assert_eq!((&misspelt["line"], &misspelt["column"]), (&json!(3), &json!(3)), "{problem:#}");
    assert!(found.len() > 1, "a rule without its sides has more than one problem: {problem:#}");
    assert_eq!(told(&daemon), before);

    put_rules(daemon.dir(), HELPS);
    let reloaded = reload(&daemon).taken();
    assert_eq!(reloaded, json!({"config": before.0, "assessed": true, "needs_restart": []}));
    assert_eq!(metric(&daemon, "antecede_config_last_reload_successful"), "1");
}

#[test]
fn a_reload_under_load_loses_nothing() {
    let daemon = daemon(HELPS_NOT);
    let noise: Vec<_> = (0..200).map(|n| format!("noise-{n}")).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for id in &noise {
                let change = json!({"id": id, "title": id, "started_at": day("12:00")});
                daemon.post("/api/v1/changes", &change.to_string());
            }
            tell(&daemon);
            over.store(true, Ordering::SeqCst);
        });
        while !over.load(Ordering::SeqCst) {
            for rules in [HELPS_NOT, HELPS] {
                put_rules(daemon.dir(), rules);
                reload(&daemon).taken();
            }
        }
    });
    let kept = daemon.get("/api/v1/changes?limit=1000");
    let kept: Vec<_> = kept["changes"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    for id in &noise {
        assert!(kept.contains(&&json!(id)), "{id} is lost");
    }

    let undisturbed = self::daemon(HELPS);
    for id in &noise {
        let change = json!({"id": id, "title": id, "started_at": day("12:00")});
        undisturbed.post("/api/v1/changes", &change.to_string());
    }
    tell(&undisturbed);
    assert_eq!(told(&daemon), told(&undisturbed));
}

#[test]
fn no_answer_is_labelled_with_a_configuration_that_it_was_not_given_under() {
    let daemon = daemon(HELPS);
    tell(&daemon);
    let one = told(&daemon);
    put_rules(daemon.dir(), HELPS_NOT);
    reload(&daemon).taken();
    let other = told(&daemon);
    assert!(one.0 != other.0 && one.1 != other.1);

    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !over.load(Ordering::SeqCst) {
                seen.push(told(&daemon));
            }
            seen
        });
        for rules in [HELPS, HELPS_NOT].repeat(10) {
            put_rules(daemon.dir(), rules);
            reload(&daemon).taken();
        }
        over.store(true, Ordering::SeqCst);
        asking.join().unwrap()
    });
    for answer in seen {
        assert!(answer == one || answer == other, "{answer:?}");
    }
}

#[test]
fn a_changed_token_applies_and_a_missing_one_changes_nothing() {
    let mut daemon = Daemon::with("[server]\ntoken_file = \"token\"\n");
    fs::write(daemon.dir().join("token"), "the-next\n").unwrap();
    reload(&daemon).taken();
    assert_eq!(reload(&daemon).status, 401, "the old token lets nobody in");
    daemon.use_token("the-next");
    daemon.get("/api/v1/incidents");

    fs::write(daemon.dir().join("token"), "\n").unwrap();
    let reply = reload(&daemon);
    assert_eq!(reply.status, 500, "{}", reply.body);
    assert!(reply.body.contains("has no token"), "{}", reply.body);
    assert!(!reply.body.contains("the-next"), "{}", reply.body);
    daemon.get("/api/v1/incidents");
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_is_applied() {
    let daemon = daemon(HELPS);
    let before = told(&daemon).0;
    let config = format!("{CONFIG}[correlation]\nhorizon = \"9d\"\n[server]\nbody_bytes_max = 9\n");
    fs::write(daemon.dir().join("antecede.toml"), config).unwrap();
    let reloaded = reload(&daemon).taken();
    assert_eq!(reloaded["needs_restart"], json!(["correlation.horizon"]));
    assert_eq!(reloaded["config"], before, "answers depend on nothing else that was altered");
    assert_eq!(daemon.try_post("/api/v1/notes", "{\"text\": \"long\"}").unwrap().status, 413);
}
