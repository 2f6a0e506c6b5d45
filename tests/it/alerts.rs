//! Alerts as they really come, to the running daemon: again, late, out of order, contradicted, from
//! replicas, and without an end.

use std::time::Duration;

use antecede::{
    clock,
    correlate::{Model, State, assess},
    event::{
        Action, AlertReport, ChangeId, ChangeReport, Event, Kind, Status, Time, parse_time,
        show_time,
    },
};
use serde_json::{Value, json};

use crate::harness::Daemon;

const GO_ZERO: &str = "0001-01-01T00:00:00Z";

fn day(time: &str) -> String {
    format!("2023-02-23T{time}Z")
}

/// One alert of a webhook; it fires while it has no end.
fn alert(name: &str, starts: &str, ends: Option<&str>) -> Value {
    json!({
        "status": if ends.is_some() { "resolved" } else { "firing" },
        "labels": {"alertname": name, "service": "api", "environment": "production"},
        "annotations": {"summary": format!("{name} says so")},
        "startsAt": day(starts),
        "endsAt": ends.map_or_else(|| GO_ZERO.to_owned(), day),
        "generatorURL": "http://prometheus.example/graph",
    })
}

/// A webhook as Alertmanager sends it: one status for a group that may have both.
fn group(alerts: &[Value]) -> Value {
    let fires = alerts.iter().any(|alert| alert["status"] == "firing");
    json!({
        "version": "4",
        "groupKey": "{}:{}",
        "status": if fires { "firing" } else { "resolved" },
        "receiver": "web\\.hook",
        "truncatedAlerts": 0,
        "alerts": alerts,
    })
}

/// Posts a webhook; how many of its alerts told something new.
fn notify(daemon: &Daemon, alerts: &[Value]) -> Value {
    let reply = daemon.post("/webhooks/alertmanager", &group(alerts).to_string());
    assert_eq!(reply["rejected"], json!([]), "{reply}");
    daemon.get(&format!("/api/v1/incidents?wait_seq={}", reply["seq"]));
    reply["accepted"].clone()
}

/// Posts to the path of Alertmanager's API, which says nothing but that all is well.
fn post(daemon: &Daemon, alerts: &Value) {
    let reply = daemon.try_post("/api/v2/alerts", &alerts.to_string()).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
}

/// The episodes by start, once as much is assessed as the log has.
fn episodes(daemon: &Daemon, query: &str) -> Vec<Value> {
    let end = daemon.post("/api/v1/notes", "[]")["seq"].clone();
    let list = daemon.get(&format!("/api/v1/alerts?wait_seq={end}{query}"));
    let mut episodes = list["alerts"].as_array().unwrap().clone();
    episodes.reverse();
    episodes
}

/// Name, start and end of each.
fn told(episodes: &[Value]) -> Vec<(String, String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let told = episodes.iter().map(|one| {
        let [name, start] = ["alertname", "starts_at"].map(|key| text(&one[key]).unwrap());
        (name, start, text(&one["ends_at"]))
    });
    told.collect()
}

fn episode(name: &str, starts: &str, ends: Option<&str>) -> (String, String, Option<String>) {
    (name.to_owned(), day(starts), ends.map(day))
}

/// What the daemon stored.
fn rows(daemon: &Daemon) -> String {
    let metrics = daemon.try_get("/metrics").unwrap().body;
    let row = metrics.lines().find(|line| line.starts_with("antecede_store_rows{store=\"log\"}"));
    row.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn gos_zero_time_is_no_end() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    let firing = episodes(&daemon, "&firing=true");
    assert_eq!(told(&firing), [episode("Down", "15:06:00", None)]);
}

#[test]
fn a_group_that_both_of_a_pair_of_alertmanagers_send_is_one_set_of_events() {
    let daemon = Daemon::start();
    let firing = [alert("Down", "15:06:00", None), alert("Slow", "15:06:10", None)];
    assert_eq!(notify(&daemon, &firing), 2);
    let resolved = firing.each_ref().map(|alert| {
        let mut alert = alert.clone();
        alert["status"] = json!("resolved");
        alert["endsAt"] = json!(day("15:20:00"));
        alert
    });
    let before = rows(&daemon);
    assert_eq!(notify(&daemon, &firing), 0, "the other one, 15 s later");
    assert_eq!(rows(&daemon), before);
    assert_eq!((notify(&daemon, &resolved), notify(&daemon, &resolved)), (json!(2), json!(0)));
    let wanted = [
        episode("Down", "15:06:00", Some("15:20:00")),
        episode("Slow", "15:06:10", Some("15:20:00")),
    ];
    assert_eq!(told(&episodes(&daemon, "")), wanted);
}

/// After a resolve, replicas of an Alertmanager that heard of it late say again that the alert
/// fires, and then that it is resolved.
#[test]
fn a_resolve_that_another_replica_contradicts_stays() {
    let daemon = Daemon::start();
    let firing = [alert("Down", "15:06:00", None)];
    let resolved = [alert("Down", "15:06:00", Some("15:20:00"))];
    notify(&daemon, &firing);
    assert_eq!(notify(&daemon, &resolved), 1);
    for late in [&firing, &resolved, &firing] {
        assert_eq!(notify(&daemon, late), 0);
        let all = episodes(&daemon, "");
        assert_eq!(told(&all), [episode("Down", "15:06:00", Some("15:20:00"))]);
    }
    let incidents = daemon.get("/api/v1/incidents");
    assert_eq!(incidents["incidents"][0]["ended_at"], day("15:20:00"));
}

#[test]
fn of_two_ends_of_one_firing_the_later_counts() {
    let daemon = Daemon::start();
    for ends in ["15:20:00", "15:21:30", "15:20:30"] {
        notify(&daemon, &[alert("Down", "15:06:00", Some(ends))]);
    }
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", Some("15:21:30"))]);
}

#[test]
fn an_alert_that_fires_anew_after_its_resolve_is_another_episode() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", Some("15:20:00"))]);
    notify(&daemon, &[alert("Down", "17:00:00", None)]);
    let wanted = [episode("Down", "15:06:00", Some("15:20:00")), episode("Down", "17:00:00", None)];
    assert_eq!(told(&episodes(&daemon, "")), wanted);
    // The older resolve, once more, takes nothing from the newer one.
    notify(&daemon, &[alert("Down", "17:00:00", Some("17:10:00"))]);
    notify(&daemon, &[alert("Down", "15:06:00", Some("15:20:00"))]);
    let wanted = [wanted[0].clone(), episode("Down", "17:00:00", Some("17:10:00"))];
    assert_eq!(told(&episodes(&daemon, "")), wanted);
}

#[test]
fn a_resolve_without_a_firing_tells_both() {
    let daemon = Daemon::start();
    assert_eq!(notify(&daemon, &[alert("Down", "15:06:00", Some("15:20:00"))]), 1);
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", Some("15:20:00"))]);
    let incidents = daemon.get("/api/v1/incidents?state=open");
    assert_eq!(incidents["incidents"], json!([]), "nothing fires");
    let then = format!("&at={}", day("15:10:00"));
    assert_eq!(told(&episodes(&daemon, &then)), [episode("Down", "15:06:00", None)]);
}

#[test]
fn a_resolve_that_was_lost_is_told_by_the_next_firing() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    notify(&daemon, &[alert("Down", "16:00:00", Some("16:10:00"))]);
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", Some("16:10:00"))]);
}

#[test]
fn a_reminder_after_hours_changes_nothing() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    let (before, rows_before) = (episodes(&daemon, ""), rows(&daemon));
    let mut reminder = group(&[alert("Down", "15:06:00", None)]);
    reminder["notification_reason"] = json!("repeat interval elapsed");
    let reply = daemon.post("/webhooks/alertmanager", &reminder.to_string());
    assert_eq!((&reply["accepted"], &reply["duplicates"]), (&json!(0), &json!(1)));
    assert_eq!((episodes(&daemon, ""), rows(&daemon)), (before, rows_before));
}

#[test]
fn a_group_that_is_sent_again_for_a_new_alert_is_no_new_firing_of_the_others() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    let both = [alert("Down", "15:06:00", None), alert("Slow", "15:09:00", None)];
    assert_eq!(notify(&daemon, &both), 1);
    let wanted = [episode("Down", "15:06:00", None), episode("Slow", "15:09:00", None)];
    assert_eq!(told(&episodes(&daemon, "")), wanted);
}

#[test]
fn of_a_group_with_both_statuses_each_alert_counts_for_itself() {
    let daemon = Daemon::start();
    let both = [alert("Down", "15:06:00", Some("15:08:00")), alert("Slow", "15:06:00", None)];
    assert_eq!(group(&both)["status"], "firing");
    notify(&daemon, &both);
    assert_eq!(told(&episodes(&daemon, "&firing=true")), [episode("Slow", "15:06:00", None)]);
}

#[test]
fn alerts_that_were_left_out_of_a_webhook_are_counted() {
    let daemon = Daemon::start();
    let mut cut = group(&[alert("Down", "15:06:00", None)]);
    cut["truncatedAlerts"] = json!(12);
    daemon.post("/webhooks/alertmanager", &cut.to_string());
    let metrics = daemon.try_get("/metrics").unwrap().body;
    assert!(metrics.contains("antecede_alertmanager_truncated_alerts_total 12\n"), "{metrics}");
}

/// The two of a pair see it some seconds apart, and tell so by a label that is not the alert's.
#[test]
fn replicas_whose_starts_differ_by_seconds_are_one_episode() {
    let daemon = Daemon::start();
    let of_replica = |replica: &str, starts: &str, ends: Option<&str>| {
        let mut one = alert("Down", starts, ends);
        one["labels"]["prometheus_replica"] = json!(replica);
        one
    };
    notify(&daemon, &[of_replica("b", "15:06:04", None), of_replica("a", "15:06:00", None)]);
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", None)]);
    notify(&daemon, &[of_replica("a", "15:06:00", Some("15:20:00"))]);
    assert_eq!(told(&episodes(&daemon, "&firing=true")).len(), 1, "the other one fires");
    notify(&daemon, &[of_replica("b", "15:06:04", Some("15:20:07"))]);
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", Some("15:20:07"))]);
}

#[test]
fn the_words_of_an_alert_change_without_a_new_row() {
    let daemon = Daemon::start();
    let mut reports = Vec::new();
    for percent in [91, 97, 93] {
        let mut one = alert("DiskFull", "15:06:00", None);
        one["annotations"]["summary"] = json!(format!("{percent} % full"));
        reports.push(one);
    }
    for one in &reports {
        notify(&daemon, std::slice::from_ref(one));
    }
    assert_eq!(rows(&daemon), "1");
    let other = Daemon::start();
    for one in reports.iter().rev() {
        notify(&other, std::slice::from_ref(one));
    }
    let summary = |daemon: &Daemon| episodes(daemon, "")[0]["summary"].clone();
    assert_eq!(summary(&daemon), summary(&other), "their order decides nothing");
}

#[test]
fn an_alert_is_shown_under_alertmanagers_fingerprint() {
    let daemon = Daemon::start();
    let mut watchdog = alert("Watchdog", "15:06:00", None);
    watchdog["labels"] = json!({"alertname": "Watchdog", "severity": "none"});
    notify(&daemon, &[watchdog]);
    assert_eq!(episodes(&daemon, "")[0]["fingerprint"], "448881ef475b9b26");
}

/// What Prometheus posts: it holds for four minutes from now.
fn refresh(name: &str, starts: &str, now: Time) -> Value {
    refresh_of(name, &day(starts), now)
}

fn refresh_of(name: &str, starts_at: &str, now: Time) -> Value {
    let ends = now + Duration::from_mins(4);
    json!({
        "labels": {"alertname": name, "service": "api", "environment": "production"},
        "annotations": {"summary": format!("{name} says so")},
        "startsAt": starts_at,
        "endsAt": show_time(ends),
        "generatorURL": "http://prometheus.example/graph",
    })
}

#[test]
fn refreshes_put_the_end_off_and_add_no_row_and_without_one_it_ends() {
    let daemon = Daemon::start();
    let now = clock::now();
    let minute = |n: u64| now + Duration::from_mins(n);
    let starts_at = show_time(now - Duration::from_mins(1));
    for n in 0..5 {
        post(&daemon, &json!([refresh_of("Down", &starts_at, minute(n))]));
    }
    assert_eq!(rows(&daemon), "1");
    let live = &episodes(&daemon, "&firing=true")[0];
    assert_eq!(
        (&live["ends_at"], &live["end_expected"]),
        (&json!(show_time(minute(8))), &json!(true))
    );
    let as_of = |moment: Time, path: &str| daemon.get(&format!("{path}at={}", show_time(moment)));
    let incident = &as_of(minute(7), "/api/v1/incidents?")["incidents"][0];
    assert_eq!((&incident["state"], &incident["ended_at"]), (&json!("open"), &Value::Null));
    let incident = &as_of(minute(8), "/api/v1/incidents?")["incidents"][0];
    assert_eq!(incident["state"], "quiet");
    assert_eq!(incident["ended_at"], show_time(minute(8)), "when it was heard of last");
    let path = format!("/api/v1/incidents/{}/timeline?", incident["id"].as_str().unwrap());
    let kinds = |moment| {
        let told = as_of(moment, &path);
        let entries = told["entries"].as_array().unwrap().clone();
        entries.iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(minute(7)), ["alert_firing"]);
    assert_eq!(kinds(minute(8)), ["alert_firing", "alert_expired"]);
}

#[test]
fn an_alert_without_an_end_holds_for_five_minutes() {
    let daemon = Daemon::start();
    let before = clock::now();
    post(&daemon, &json!([{"labels": {"alertname": "Down"}, "startsAt": day("15:06:00")}]));
    let after = clock::now();
    let ends = episodes(&daemon, "")[0]["ends_at"].as_str().map(parse_time).unwrap().unwrap();
    let five = Duration::from_mins(5);
    assert!(before + five <= ends && ends <= after + five, "{before} {ends} {after}");
}

#[test]
fn a_resolve_that_is_told_for_a_quarter_of_an_hour_is_one() {
    let daemon = Daemon::start();
    post(&daemon, &json!([refresh("Down", "15:06:00", clock::now())]));
    let mut resolved = refresh("Down", "15:06:00", clock::now());
    resolved["endsAt"] = json!(day("15:20:00"));
    for _ in 0..15 {
        post(&daemon, &json!([resolved]));
    }
    assert_eq!(rows(&daemon), "2", "that it fired, and that it ended");
    let over = episodes(&daemon, "");
    assert_eq!(told(&over), [episode("Down", "15:06:00", Some("15:20:00"))]);
    assert_eq!(over[0]["end_expected"], Value::Null);
    post(&daemon, &json!([refresh("Down", "15:06:00", clock::now())]));
    assert_eq!(episodes(&daemon, ""), over, "one that comes late does not reopen it");
}

/// A Prometheus that lists both an Alertmanager and the daemon.
#[test]
fn what_comes_by_both_ways_is_told_once() {
    let daemon = Daemon::start();
    post(&daemon, &json!([refresh("Down", "15:06:00", clock::now())]));
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    post(&daemon, &json!([refresh("Down", "15:06:00", clock::now())]));
    assert_eq!(rows(&daemon), "1");
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", None)]);
    notify(&daemon, &[alert("Down", "15:06:00", Some("15:20:00"))]);
    let mut resolved = refresh("Down", "15:06:00", clock::now());
    resolved["endsAt"] = json!(day("15:20:00"));
    post(&daemon, &json!([resolved]));
    assert_eq!(rows(&daemon), "2");
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", Some("15:20:00"))]);
}

/// A silence keeps the resolve of an alert back whose firing was told.
#[test]
fn an_end_that_alertmanager_keeps_back_comes_straight() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    let mut resolved = refresh("Down", "15:06:00", clock::now());
    resolved["endsAt"] = json!(day("15:20:00"));
    post(&daemon, &json!([resolved]));
    assert_eq!(told(&episodes(&daemon, "")), [episode("Down", "15:06:00", Some("15:20:00"))]);
}

/// The state is written when something comes, and read when somebody asks: an end that is over in
/// between is seen by whoever asks.
#[test]
fn an_incident_that_was_stored_ends_when_its_alerts_expire_as_a_fold_of_then_says() {
    let start = parse_time(&day("15:06:00")).unwrap();
    let minute = |n: u64| start + Duration::from_mins(n);
    let alert = |name: &str, starts: u64, ends: Option<u64>, expires: Option<u64>| {
        let labels = [("alertname", name), ("service", "api"), ("environment", "production")];
        Event::Alert(AlertReport {
            labels: labels.into_iter().collect(),
            starts_at: minute(starts),
            ends_at: ends.map(minute),
            expires_at: expires.map(minute),
            pending_at: None,
            summary: None,
            url: None,
        })
    };
    let events = [
        alert("ProbeFailed", 0, None, Some(9)),
        alert("ApiDown", 2, None, Some(30)),
        alert("Slow", 1, None, None),
        alert("Slow", 1, Some(3), None),
        alert("Errors5xx", 3, None, Some(20)),
    ];
    let model = Model::default();
    let incident = |at: Time| {
        let assessment = assess(&model, &events, at);
        let [incident] = &assessment.incidents[..] else { panic!("{:#?}", assessment.incidents) };
        incident.clone()
    };
    let stored = incident(minute(3));
    assert_eq!((stored.ended_at, stored.end()), (None, Some(minute(30))));
    let mut states = Vec::new();
    for n in 3..120 {
        let read = stored.clone().at(minute(n));
        assert_eq!(read, incident(minute(n)), "after {n} minutes");
        states.push(read.state);
    }
    states.dedup();
    assert_eq!(states, [State::Open, State::Quiet, State::Closed]);
    let outage = |n| {
        let impact = stored.clone().at(minute(n)).impact.remove(0);
        (impact.outage_seconds / 60, impact.outages[0].ongoing)
    };
    assert_eq!([29, 30, 60].map(outage), [(29, true), (30, false), (30, false)]);
}

#[test]
fn an_episode_is_placed_at_its_start_however_late_it_comes() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Slow", "18:00:00", None)]);
    notify(&daemon, &[alert("Down", "15:06:00", Some("15:20:00"))]);
    let range = format!("start={}&end={}", day("15:00:00"), day("15:10:00"));
    let timeline = daemon.get(&format!("/api/v1/timeline?{range}"));
    assert_eq!(timeline["entries"][0]["title"], "Down", "{timeline:#}");
    assert_eq!(timeline["entries"][0]["at"], day("15:06:00"));
}

#[test]
fn an_ended_incident_takes_no_alert_of_a_later_story() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "05:06:00", Some("05:20:00"))]);
    notify(&daemon, &[alert("Down", "17:00:00", None)]);
    let list = daemon.get("/api/v1/incidents");
    let told: Vec<_> = list["incidents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["state"].clone(), one["alerts"].as_array().unwrap().len()))
        .collect();
    assert_eq!(told, [(json!("open"), 1), (json!("closed"), 1)]);
}

#[test]
fn a_flapping_alert_loses_none_of_its_firings() {
    let daemon = Daemon::start();
    for hour in 10..20 {
        let (starts, ends) = (format!("{hour}:00:00"), format!("{hour}:10:00"));
        notify(&daemon, &[alert("Down", &starts, None)]);
        notify(&daemon, &[alert("Down", &starts, Some(&ends))]);
    }
    assert_eq!(episodes(&daemon, "").len(), 10);
}

#[test]
fn alerts_that_differ_in_one_label_are_two() {
    let daemon = Daemon::start();
    let on_pod = |pod: &str| {
        let mut one = alert("Down", "15:06:00", None);
        one["labels"]["pod"] = json!(pod);
        one
    };
    notify(&daemon, &[on_pod("api-1"), on_pod("api-2")]);
    let all = episodes(&daemon, "");
    assert_eq!(all.len(), 2);
    assert_ne!(all[0]["fingerprint"], all[1]["fingerprint"]);
    notify(
        &daemon,
        &[{
            let mut one = alert("Down", "15:06:00", Some("15:20:00"));
            one["labels"]["pod"] = json!("api-1");
            one
        }],
    );
    assert_eq!(told(&episodes(&daemon, "&firing=true")).len(), 1, "the other one fires");
}

#[test]
fn notes_outlive_every_update_of_what_they_are_about() {
    let daemon = Daemon::start();
    notify(&daemon, &[alert("Down", "15:06:00", None)]);
    let id = episodes(&daemon, "")[0]["id"].as_str().unwrap().to_owned();
    let note = json!({"text": "a disk was pulled", "incident": id, "at": day("15:07:00")});
    daemon.post("/api/v1/notes", &note.to_string());
    post(&daemon, &json!([refresh("Down", "15:06:00", clock::now())]));
    notify(&daemon, &[alert("Down", "15:06:00", None), alert("Slow", "15:08:00", None)]);
    notify(&daemon, &[alert("Down", "15:06:00", Some("15:20:00"))]);
    let timeline = daemon.get(&format!("/api/v1/incidents/{id}/timeline"));
    let notes: Vec<_> = timeline["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == "note")
        .map(|entry| entry["title"].as_str().unwrap())
        .collect();
    assert_eq!(notes, ["a disk was pulled"], "{timeline:#}");
}

/// The clock of the pipeline is ahead of Prometheus' by most of a minute.
#[test]
fn a_change_stamped_after_the_alert_by_a_skewed_clock_is_still_its_suspect() {
    let fired = parse_time(&day("15:06:00")).unwrap();
    let place = [("service", "api"), ("environment", "production")];
    let mut deploy = ChangeReport::new(
        ChangeId("deploy".to_owned()),
        Status::Succeeded,
        fired + Duration::from_secs(50),
    );
    deploy.kind = Some(Kind::Deploy);
    deploy.action = Some(Action::Update);
    deploy.title = Some("api 2.0".to_owned());
    deploy.labels = place.into_iter().collect();
    let report = AlertReport {
        labels: [("alertname", "Errors5xx")].into_iter().chain(place).collect(),
        starts_at: fired,
        ends_at: None,
        expires_at: None,
        pending_at: None,
        summary: None,
        url: None,
    };
    let events = [Event::Change(deploy), Event::Alert(report)];
    let assessment = assess(&Model::default(), &events, fired + Duration::from_mins(2));
    let [incident] = &assessment.incidents[..] else { panic!("{:#?}", assessment.incidents) };
    assert_eq!(incident.state, State::Open);
    assert_eq!(incident.suspects[0].change.0, "deploy", "{incident:#?}");
}

#[test]
fn a_source_whose_clock_is_a_day_ahead_is_told_so() {
    let daemon = Daemon::start();
    let mut ahead = alert("Down", "15:06:00", None);
    ahead["startsAt"] = json!(show_time(clock::now() + Duration::from_hours(25)));
    let body = group(&[ahead, alert("Slow", "15:06:00", None)]).to_string();
    let reply = daemon.post("/webhooks/alertmanager", &body);
    assert_eq!(
        (&reply["accepted"], &reply["rejected"][0]["field"]),
        (&json!(1), &json!("startsAt"))
    );
}
