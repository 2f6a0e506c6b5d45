//! What is old is dropped in the background: incidents stay as they were told, what is inside the
//! window is answered with the same bytes, and a kill in the middle loses nothing that should stay.

use std::{collections::BTreeSet, fs};

use antecede::event::show_time;
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    days::{asked, happened, moment, questions, tell},
    faults::{Disk, When},
    harness::{Daemon, antecede},
    load::{assert_same, events_of, logged},
};

/// So many days happened, ...
const DAYS: i64 = 20;
/// ... of which those from this one on are held, ...
const HELD: i64 = 14;
/// ... and incidents before this one are frozen.
const JUDGED: i64 = 16;

fn config(retention: &str) -> String {
    format!(
        "[store]\nretention = \"{retention}\"\n[correlation]\nlook_back = \"24h\"\n\
         dormant = \"2d\"\nhorizon = \"2d\"\n"
    )
}

/// What the daemon says when a pass is over.
fn marker() -> String {
    format!("what happened before {} is dropped", show_time(moment(HELD, 0)))
}

/// A daemon that was told of all days, and keeps them for so long; the log's end.
fn keeping(retention: &str) -> (Daemon, u64) {
    let daemon = Daemon::with(&config(retention));
    let seq = tell(&daemon, &happened(0..DAYS));
    (daemon, seq)
}

/// What can be asked of the days that are answered as if nothing had been dropped.
fn recent() -> Vec<String> {
    questions(JUDGED + 2, DAYS)
}

/// All incidents as they are told now.
fn incidents(daemon: &Daemon, seq: u64) -> Vec<Value> {
    let page = |cursor: &str| {
        let path = format!("/api/v1/incidents?limit=3&wait_seq={seq}&timeout=60s{cursor}");
        daemon.get(&path)
    };
    let mut answer = page("");
    let mut all = Vec::new();
    loop {
        all.extend(answer["incidents"].as_array().unwrap().iter().cloned());
        let Some(next) = answer["next"].as_str() else { return all };
        answer = page(&format!("&cursor={next}"));
    }
}

#[test]
fn what_is_old_is_dropped_and_what_is_asked_of_the_window_is_answered_as_before() {
    let (whole, seq) = keeping("0");
    let (daemon, _) = keeping("5d");
    daemon.wait_for(&marker());
    assert_same(&asked(&daemon, seq, &recent()), &asked(&whole, seq, &recent()));

    let mut told = incidents(&daemon, seq);
    let mut frozen = 0;
    for incident in &mut told {
        let old = incident["started_at"].as_str().unwrap() < show_time(moment(JUDGED, 0)).as_str();
        let flag = incident.as_object_mut().unwrap().remove("frozen");
        assert_eq!(flag, old.then_some(Value::Bool(true)), "{incident:#}");
        frozen += usize::from(old);
    }
    let expected = incidents(&whole, seq);
    assert!(told == expected, "{:#}\n{:#}", json!(told), json!(expected));
    assert_eq!(frozen, 2 * usize::try_from(JUDGED).unwrap());

    let alerts = daemon.get("/api/v1/alerts?limit=1000");
    assert_eq!(
        alerts["alerts"].as_array().unwrap().len(),
        2 * usize::try_from(DAYS - HELD).unwrap()
    );
    let metrics = daemon.try_get("/metrics").unwrap().body;
    let oldest = moment(HELD, 300).timestamp();
    for line in [
        format!("antecede_retention_incidents_frozen_total {frozen}"),
        format!("antecede_log_oldest_event_timestamp_seconds {oldest}"),
        "antecede_retention_rows_dropped_total{store=\"log\"} 98".to_owned(),
    ] {
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }
}

#[test]
fn a_frozen_incident_is_found_by_itself_and_by_its_alerts_and_says_that_it_is_frozen() {
    let (daemon, seq) = keeping("5d");
    daemon.wait_for(&marker());
    let oldest = incidents(&daemon, seq).pop().unwrap();
    let (id, alert) = (oldest["id"].as_str().unwrap(), oldest["alerts"][0].as_str().unwrap());
    for name in [id, alert] {
        let found = daemon.get(&format!("/api/v1/incidents/{name}"));
        assert_eq!(found["incident"], oldest);
        for part in ["suspects", "timeline"] {
            let part = daemon.get(&format!("/api/v1/incidents/{name}/{part}"));
            assert_eq!((&part["incident"], &part["frozen"]), (&json!(id), &json!(true)));
        }
    }
    let caused = incidents(&daemon, seq).into_iter().rfind(|one| one["suspects"][0].is_object());
    let caused = caused.unwrap();
    assert_eq!(caused["frozen"], true);
    let suspects =
        daemon.get(&format!("/api/v1/incidents/{}/suspects", caused["id"].as_str().unwrap()));
    assert_eq!(suspects["suspects"], caused["suspects"]);
}

#[test]
fn an_answer_that_takes_what_was_dropped_is_refused_with_the_oldest_day() {
    let (daemon, _) = keeping("5d");
    daemon.wait_for(&marker());
    let ask = |day| {
        let at = show_time(moment(day, 0));
        daemon.try_get(&format!("/api/v1/incidents?at={at}")).unwrap()
    };
    for day in [-5, 3, HELD + 2] {
        let reply = ask(day);
        assert_eq!(reply.status, 410, "{}", reply.body);
        let problem: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(problem["field"], "at");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&show_time(moment(HELD, 0))), "{detail}");
    }
    assert_eq!(ask(HELD + 4).status, 200);
}

#[test]
fn a_rebuild_of_what_is_held_says_the_same_and_leaves_frozen_incidents_as_they_were() {
    let (mut daemon, seq) = keeping("5d");
    daemon.wait_for(&marker());
    let all = [recent(), questions(0, DAYS)].concat();
    let (before, told) = (asked(&daemon, seq, &all), incidents(&daemon, seq));
    assert!(daemon.stop().success());
    let mut rebuild = antecede();
    rebuild.arg("rebuild").arg("--config").arg(daemon.dir().join("antecede.toml"));
    let output = rebuild.arg("--data-dir").arg(daemon.dir().join("data")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    daemon.restart();
    daemon.wait_for(&marker());
    assert_same(&asked(&daemon, seq, &all), &before);
    assert_eq!(incidents(&daemon, seq), told);
}

/// The log's last event may be one that came late and was dropped: nobody waits for it for ever.
#[test]
fn the_end_of_a_log_whose_last_events_were_dropped_is_reached() {
    let mut daemon = Daemon::with(&config("5d"));
    tell(&daemon, &happened(10..DAYS - 1));
    tell(&daemon, &happened([0]));
    // The day moves on, and what came late is old.
    tell(&daemon, &happened([DAYS - 1]));
    daemon.wait_for(&marker());
    let seq = tell(&daemon, &happened([1]));
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
    assert!(daemon.stop().success());
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        drop(fs::remove_file(daemon.dir().join("data").join(file)));
    }
    daemon.restart();
    daemon.wait_for(&marker());
    assert!(daemon.stop().success());
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        drop(fs::remove_file(daemon.dir().join("data").join(file)));
    }
    daemon.restart();
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}&timeout=60s"));
}

#[test]
fn a_kill_while_old_rows_are_dropped_loses_nothing_that_is_held_and_it_goes_on_later() {
    let (expected, expected_incidents) = {
        let (daemon, seq) = keeping("5d");
        daemon.wait_for(&marker());
        (asked(&daemon, seq, &recent()), incidents(&daemon, seq))
    };
    let held: BTreeSet<_> = happened(HELD..DAYS).iter().flat_map(events_of).collect();
    let mut chance = Chance::given();
    let mut killed = 0;
    for ways in [[When::Before, When::After], [When::Torn, When::PowerLoss]] {
        let disk = Disk::new();
        let file = disk.path().join("antecede.toml");
        fs::write(&file, config("0")).unwrap();
        let watched = disk.faults();
        let daemon = Daemon::launch(disk.path(), |command| watched.apply(command)).unwrap();
        let seq = tell(&daemon, &happened(0..DAYS));
        daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
        assert!(daemon.stop().success());
        fs::write(&file, config("5d")).unwrap();
        for call in (20..160).step_by(7) {
            let when = ways[chance.index(ways.len())];
            let faults = disk.faults().kill(call, when).seed(chance.below(u64::MAX));
            let end = match Daemon::launch(disk.path(), |command| faults.apply(command)) {
                Err(end) => end,
                Ok(daemon) => {
                    if daemon.find(&marker()).is_some() {
                        daemon.kill();
                    }
                    daemon.end()
                }
            };
            killed += usize::from(end.told.contains("faults: killed"));
            let left: BTreeSet<_> = logged(&disk.data()).into_keys().collect();
            assert!(left.is_superset(&held), "{when:?} call {call}: something is lost");
        }
        let daemon = Daemon::launch(disk.path(), |_| ()).unwrap();
        daemon.wait_for(&marker());
        assert_same(&asked(&daemon, seq, &recent()), &expected);
        assert_eq!(incidents(&daemon, seq), expected_incidents);
        daemon.kill();
        assert!(logged(&disk.data()).into_keys().eq(held.iter().copied()));
    }
    assert!(killed > 9, "{killed} were killed");
}
