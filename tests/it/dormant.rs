//! What lay dormant for weeks is told with what woke it: after the window has moved on, a restart, a
//! loss of the state, and as of then; what came too late is told after a rebuild.

use std::fs;

use antecede::{
    event::{Time, show_time},
    wire::case::Post,
};
use serde_json::{Value, json};

use crate::{
    days::{happened, moment, tell},
    harness::{Daemon, antecede},
};

/// The day of the restart after which the ledger is down.
const LAST: i64 = 24;

fn changed(id: &str, (kind, action): (&str, &str), at: Time) -> Post {
    let body = json!({
        "id": id, "kind": kind, "action": action, "status": "succeeded", "title": format!("{id} of the ledger"),
        "service": "ledger", "environment": "production", "started_at": show_time(at), "finished_at": show_time(at),
    });
    Post { at, path: "/api/v1/changes", body: body.to_string() }
}

fn setting(id: &str, day: i64) -> Post {
    changed(id, ("config", "update"), moment(day, 500))
}

/// The ledger is started anew, and is down: the log's end.
fn breaks(daemon: &Daemon) -> u64 {
    let alert = json!({"version": "4", "status": "firing", "alerts": [{
        "status": "firing", "startsAt": show_time(moment(LAST, 706)), "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "LedgerDown", "service": "ledger", "environment": "production"},
    }]});
    let restart = changed("restart", ("other", "restart"), moment(LAST, 700));
    let path = "/webhooks/alertmanager";
    tell(daemon, &[restart, Post { at: moment(LAST, 706), path, body: alert.to_string() }])
}

/// What is told with the restart, and why.
fn told(daemon: &Daemon, question: &str) -> Vec<(String, String)> {
    let answer = daemon.get(&format!("/api/v1/incidents?limit=1&timeout=60s&{question}"));
    let suspect = &answer["incidents"][0]["suspects"][0];
    assert_eq!(suspect["change"], "restart", "{answer:#}");
    let woken = suspect["contributing"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    woken.iter().map(|one| (text(&one["change"]), text(&one["reason"]))).collect()
}

#[test]
fn what_was_set_weeks_before_is_told_with_the_restart_that_woke_it_whatever_happens_to_the_state() {
    let mut daemon = Daemon::start();
    tell(&daemon, &happened(0..2));
    tell(&daemon, &[setting("old", 2)]);
    tell(&daemon, &happened(3..LAST));
    let seq = breaks(&daemon);
    let expected = [("old", "made 22 d 3 h earlier; ledger was not started anew before this")];
    let expected = expected.map(|(id, why)| (id.to_owned(), why.to_owned()));
    let live = format!("wait_seq={seq}");
    assert_eq!(told(&daemon, &live), expected);
    assert_eq!(told(&daemon, &format!("at={}", show_time(moment(LAST, 710)))), expected);

    assert!(daemon.stop().success());
    daemon.restart();
    assert_eq!(told(&daemon, &live), expected, "after a restart");

    assert!(daemon.stop().success());
    fs::remove_file(daemon.dir().join("data/state.db")).unwrap();
    daemon.restart();
    assert_eq!(told(&daemon, &live), expected, "with another state");
    // Another report on the ledger's day, and then another day: the window moves on.
    let seq = tell(&daemon, &happened(LAST + 1..LAST + 3));
    let start = show_time(moment(LAST, 0));
    let end = show_time(moment(LAST, 1_000));
    let then = format!("wait_seq={seq}&start={start}&end={end}");
    assert_eq!(told(&daemon, &then), expected, "with another window");
}

#[test]
fn what_was_set_too_long_before_is_not() {
    let daemon = Daemon::with("[correlation]\ndormant = \"21d\"\n");
    tell(&daemon, &[setting("too old", 2), setting("old", 4)]);
    tell(&daemon, &happened(5..LAST));
    let seq = breaks(&daemon);
    let told = told(&daemon, &format!("wait_seq={seq}"));
    assert_eq!(told.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["old"]);
}

#[test]
fn what_was_told_too_late_to_count_does_after_a_rebuild() {
    let mut daemon = Daemon::start();
    tell(&daemon, &happened(0..LAST));
    tell(&daemon, &[setting("late", 2)]);
    let seq = breaks(&daemon);
    assert!(told(&daemon, &format!("wait_seq={seq}")).is_empty());
    assert!(daemon.stop().success());
    daemon.restart();
    assert!(told(&daemon, &format!("wait_seq={seq}")).is_empty(), "after a restart");

    assert!(daemon.stop().success());
    let data = daemon.dir().join("data");
    let output = antecede().arg("rebuild").arg("--data-dir").arg(&data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    daemon.restart();
    let told = told(&daemon, "");
    assert_eq!(told.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["late"]);
}

/// What is within the window, and came too late, counts as little as what is before it.
#[test]
fn a_change_that_was_told_too_late_is_suspected_after_a_rebuild_and_not_after_a_restart() {
    let mut daemon = Daemon::start();
    tell(&daemon, &happened(0..LAST));
    let suspected = |daemon: &Daemon, question: &str| {
        let start = show_time(moment(LAST - 8, 600));
        let end = show_time(moment(LAST - 8, 700));
        let path =
            format!("/api/v1/incidents?limit=1&timeout=60s&start={start}&end={end}{question}");
        daemon.get(&path)["incidents"][0].to_string().contains("missing link")
    };
    let late = json!({
        "id": "missing link", "kind": "deploy", "action": "update", "status": "succeeded",
        "title": "a deploy of the same minute", "service": format!("service-{}", (LAST - 8) % 3),
        "environment": "production", "started_at": show_time(moment(LAST - 8, 607)),
        "finished_at": show_time(moment(LAST - 8, 608)),
    });
    let seq = daemon.post("/api/v1/changes", &late.to_string())["seq"].as_u64().unwrap();
    assert!(!suspected(&daemon, &format!("&wait_seq={seq}")));
    assert!(daemon.stop().success());
    daemon.restart();
    assert!(!suspected(&daemon, &format!("&wait_seq={seq}")), "after a restart");
    assert!(daemon.stop().success());
    let data = daemon.dir().join("data");
    let output = antecede().arg("rebuild").arg("--data-dir").arg(&data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    daemon.restart();
    assert!(suspected(&daemon, ""));
}

/// Of a change that takes weeks its beginning may be told too late and its end in time: it counts from
/// then on, and is shown whole.
#[test]
fn what_was_told_of_a_change_in_time_hides_nothing_of_what_was_told_too_late() {
    let mut daemon = Daemon::start();
    tell(&daemon, &happened(0..LAST));
    let began = show_time(moment(LAST - 12, 600));
    let ended = show_time(moment(LAST - 1, 500));
    let reports = |id: &str| {
        let scope = json!({"id": id, "kind": "migration", "service": "ledger"});
        let mut start = scope.clone();
        start["status"] = "started".into();
        start["title"] = format!("{id} of all entries").into();
        start["started_at"] = began.clone().into();
        let mut end = scope;
        end["status"] = "succeeded".into();
        end["finished_at"] = ended.clone().into();
        [start, end]
    };
    let post = |body: &Value| daemon.post("/api/v1/changes", &body.to_string())["seq"].as_u64();
    for report in reports("apart") {
        post(&report).unwrap();
    }
    let [start, end] = reports("reversed");
    for report in [end, start] {
        post(&report).unwrap();
    }
    let seq = post(&Value::Array(reports("together").to_vec())).unwrap();

    let assert_whole = |daemon: &Daemon, seq: u64, when: &str| {
        let (start, end) = (&began, show_time(moment(LAST - 12, 601)));
        let path = format!("/api/v1/changes?wait_seq={seq}&timeout=60s&start={start}&end={end}");
        let changes = daemon.get(&path)["changes"].clone();
        for id in ["apart", "reversed", "together"] {
            let told = changes.as_array().unwrap().iter().find(|one| one["id"] == id);
            let told = told.unwrap_or_else(|| panic!("{id} {when}: {changes:#}"));
            let told = ["title", "started_at", "finished_at"].map(|field| told[field].clone());
            let expected = [format!("{id} of all entries"), began.clone(), ended.clone()];
            assert_eq!(told, expected.map(Value::from), "{id} {when}");
        }
    };
    assert_whole(&daemon, seq, "at first");
    assert!(daemon.stop().success());
    daemon.restart();
    assert_whole(&daemon, seq, "after a restart");
    let seq = tell(&daemon, &happened(LAST..=LAST));
    assert_whole(&daemon, seq, "with another window");
}
