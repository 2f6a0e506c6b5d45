//! Who is heard, and what silence does to an answer.

use serde_json::{Value, json};

use super::{Daemon, alert, at, query::incident, webhook};
use crate::{clock, event::Time, store::State as _, store::StateBatch};

/// A daemon that misses terraform, and has an incident that no change is suspected of.
fn doubtful() -> Daemon {
    let daemon = Daemon::that_misses_terraform();
    let incidents = vec![incident()];
    daemon.state.commit(&StateBatch { incidents, ..StateBatch::default() }).unwrap();
    daemon
}

async fn feed(daemon: &Daemon, name: &str) -> Value {
    let feeds = daemon.get("/api/v1/feeds").await.ok();
    let all = feeds["feeds"].as_array().unwrap();
    all.iter().find(|feed| feed["name"] == name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn whoever_posts_is_heard_and_a_refused_post_is_nobodys() {
    let daemon = Daemon::start();
    let change = json!({"title": "a", "kind": "deploy", "started_at": "2023-02-23T12:00:00Z"});
    daemon.post("/api/v1/changes", &json!([change, {"title": 7}])).await.ok();
    daemon.post("/api/v1/changes", &json!({"kind": "dns"})).await.problem(400);
    daemon.post("/api/v1/notes", &json!({"text": "hello"})).await.ok();
    let feeds = daemon.get("/api/v1/feeds").await.ok();
    assert_eq!(feeds["feeds"].as_array().unwrap().len(), 1, "{feeds:#}");
    let first = feed(&daemon, "changes:deploy").await;
    assert_eq!((&first["carries"], &first["every_seconds"]), (&json!("changes"), &Value::Null));
    assert_eq!((&first["configured"], &first["silent"]), (&json!(false), &json!(false)));

    let before = clock::now();
    daemon.post("/webhooks/alertmanager", &webhook(&[alert("A")])).await.ok();
    // What is posted again is heard as well.
    daemon.post("/api/v1/changes", &change).await.ok();
    for name in ["alertmanager", "changes:deploy"] {
        let heard: Time = at(feed(&daemon, name).await["last_heard"].as_str().unwrap());
        assert!(heard >= before, "{name}");
    }
}

#[tokio::test]
async fn a_heartbeat_ends_the_silence_of_a_feed_that_is_known() {
    let daemon = Daemon::that_misses_terraform();
    assert_eq!(feed(&daemon, "terraform").await["silent"], true);
    let text = daemon.get("/metrics").await.ok();
    assert!(
        text.as_str().unwrap().contains("antecede_feed_silent{feed=\"terraform\"} 1"),
        "{text}"
    );
    let reply = daemon.post("/api/v1/heartbeats/terraform", &json!({"any": "body"})).await.ok();
    assert_eq!(reply["feed"], "terraform");
    let heard = feed(&daemon, "terraform").await;
    assert_eq!((&heard["silent"], &heard["every_seconds"]), (&json!(false), &json!(300)));
    assert_eq!(heard["last_heard"], reply["heard_at"]);
    let text = daemon.get("/metrics").await.ok();
    for line in [
        "antecede_feed_silent{feed=\"terraform\"} 0",
        "antecede_feed_last_heard_timestamp_seconds{feed=\"terraform\"} 1",
    ] {
        assert!(text.as_str().unwrap().contains(line), "no {line} in {text}");
    }
    let unknown = daemon.post("/api/v1/heartbeats/teraform", &json!({})).await.problem(404);
    assert!(unknown["hint"].as_str().unwrap().contains("[[feed]]"), "{unknown}");
    daemon.get("/api/v1/heartbeats/terraform").await.problem(405);
}

#[tokio::test]
async fn none_is_told_as_unknown_while_somebody_is_silent_and_after() {
    let daemon = doubtful();
    for beaten in [false, true] {
        if beaten {
            daemon.post("/api/v1/heartbeats/terraform", &json!({})).await.ok();
        }
        let list = daemon.get("/api/v1/incidents").await.ok();
        let one = daemon.get("/api/v1/incidents/inc_1").await.ok();
        let suspects = daemon.get("/api/v1/incidents/inc_1/suspects").await.ok();
        for told in [&list["incidents"][0], &one["incident"], &suspects] {
            assert_eq!(told["answer"], "unknown", "{told:#}");
            let headline = told["headline"].as_str().unwrap();
            let words = if beaten { " to " } else { " since " };
            assert!(
                headline.contains("not heard from terraform") && headline.contains(words),
                "{headline}"
            );
        }
        let timeline = daemon.get("/api/v1/incidents/inc_1/timeline").await.ok();
        let gap = timeline["entries"].as_array().unwrap().iter().find(|one| one["kind"] == "gap");
        assert!(gap.unwrap()["title"].as_str().unwrap().starts_with("not heard from terraform"));
        let range = daemon.get("/api/v1/timeline").await.ok();
        assert_eq!(range["entries"][0]["kind"], "gap", "{range:#}");
    }
}

#[tokio::test]
async fn none_stays_none_where_everybody_is_heard() {
    let daemon = Daemon::start();
    let incidents = vec![incident()];
    daemon.state.commit(&StateBatch { incidents, ..StateBatch::default() }).unwrap();
    let one = daemon.get("/api/v1/incidents/inc_1").await.ok();
    assert_eq!(one["incident"]["answer"], "none");
}
