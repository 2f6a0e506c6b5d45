//! A world of many days: each has a deploy, the alert that it causes, one that fires every day, and a
//! note. So there is something that comes too late, and something that is old.

use antecede::{
    event::{Time, parse_time, show_time},
    wire::case::Post,
};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::Daemon;

/// So many minutes after the beginning of a day.
pub(crate) fn moment(day: i64, minutes: i64) -> Time {
    parse_time("2024-03-01T00:00:00Z").unwrap() + TimeDelta::days(day) + TimeDelta::minutes(minutes)
}

/// What happened on these days, in the order in which it did.
pub(crate) fn happened(days: impl IntoIterator<Item = i64>) -> Vec<Post> {
    days.into_iter().flat_map(of_day).collect()
}

fn of_day(day: i64) -> Vec<Post> {
    let service = format!("service-{}", day % 3);
    let change = json!({
        "id": format!("deploy-{day}"), "kind": "deploy", "action": "update", "status": "succeeded",
        "title": format!("{service} build {day}"), "service": service,
        "environment": "production", "revision": format!("r{day}"),
        "started_at": show_time(moment(day, 600)), "finished_at": show_time(moment(day, 605)),
    });
    let note = json!({"at": show_time(moment(day, 640)), "text": format!("noted on day {day}")});
    let post = |minutes, path, body: Value| Post {
        at: moment(day, minutes),
        path,
        body: body.to_string(),
    };
    let fired = |name: &str, service: &str, start, end: Option<i64>| {
        webhook(name, service, moment(day, start), end.map(|end| moment(day, end)))
    };
    let hook = "/webhooks/alertmanager";
    vec![
        post(300, hook, fired("EveryDay", "batch", 300, None)),
        post(330, hook, fired("EveryDay", "batch", 300, Some(330))),
        post(605, "/api/v1/changes", change),
        post(610, hook, fired("ErrorRate", &service, 610, None)),
        post(640, "/api/v1/notes", note),
        post(660, hook, fired("ErrorRate", &service, 610, Some(660))),
    ]
}

fn webhook(name: &str, service: &str, start: Time, end: Option<Time>) -> Value {
    let status = if end.is_some() { "resolved" } else { "firing" };
    let labels = json!({"alertname": name, "service": service, "environment": "production"});
    json!({
        "version": "4", "status": status,
        "alerts": [{
            "status": status, "labels": labels, "startsAt": show_time(start),
            "endsAt": end.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), show_time),
        }],
    })
}

/// Posts it all; the log's end.
pub(crate) fn tell(daemon: &Daemon, posts: &[Post]) -> u64 {
    let seqs = posts.iter().map(|post| daemon.post(post.path, &post.body)["seq"].as_u64().unwrap());
    seqs.max().unwrap()
}

/// What a daemon says to each question, once so much of the log is assessed.
pub(crate) fn asked(daemon: &Daemon, seq: u64, questions: &[String]) -> Vec<(String, String)> {
    let ask = |question: &String| {
        let joint = if question.contains('?') { '&' } else { '?' };
        let path = format!("/api/v1/{question}{joint}wait_seq={seq}&timeout=60s");
        let mut answer = daemon.get(&path);
        // A live answer has the time at which it was given.
        answer.as_object_mut().unwrap().remove("at");
        (question.clone(), answer.to_string())
    };
    questions.iter().map(ask).collect()
}

/// All that can be asked about what happened from one day to another, live and as of some times.
pub(crate) fn questions(from: i64, to: i64) -> Vec<String> {
    let (start, end) = (show_time(moment(from, 0)), show_time(moment(to, 0)));
    let lists = ["incidents", "alerts", "changes", "timeline"];
    let live = lists.map(|list| match list {
        "timeline" => format!("{list}?start={start}&end={end}"),
        _ => format!("{list}?start={start}&end={end}&limit=1000"),
    });
    let then = [(to - 1, 615), (to - 1, 1_000), (to, 0)].map(|(day, minutes)| {
        format!("incidents?limit=1000&at={}", show_time(moment(day, minutes)))
    });
    live.into_iter().chain(then).collect()
}
