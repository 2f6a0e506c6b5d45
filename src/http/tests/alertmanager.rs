//! The paths that stand for an Alertmanager: its clients get its answers.

use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::{StatusCode, header};

use super::{Daemon, ingest::FullLog};
use crate::store::Seq;

const PATH: &str = "/api/v2/alerts";

fn posted(name: &str) -> Value {
    json!({"labels": {"alertname": name}, "startsAt": "2023-02-23T19:13:00Z"})
}

fn stored(daemon: &Daemon) -> usize {
    daemon.api.parts.engine.log().after(Seq(0), 100).unwrap().len()
}

#[tokio::test]
async fn an_alertmanagers_client_is_answered_with_an_empty_200() {
    let daemon = Daemon::start();
    for body in [json!([posted("A"), posted("B")]), json!([])] {
        let reply = daemon.post(PATH, &body).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, json!("")));
        assert_eq!(reply.headers.get(header::CONTENT_TYPE), None);
    }
    assert_eq!(stored(&daemon), 2);
}

#[tokio::test]
async fn the_good_among_bad_alerts_are_stored_and_the_reasons_are_one_json_string() {
    let daemon = Daemon::start();
    let mut backwards = posted("C");
    backwards["endsAt"] = json!("2023-02-23T19:12:59Z");
    let body = json!([posted("A"), {"labels": {"alertname": ""}}, posted("B"), backwards]);
    let reply = daemon.post(PATH, &body).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.headers[header::CONTENT_TYPE], "application/json");
    let reasons = "alert 1: labels.alertname is missing; alert 3: endsAt is before startsAt; \
                   the others are stored";
    assert_eq!(reply.body, reasons);
    assert_eq!(stored(&daemon), 2);
    let text = daemon.get("/metrics").await.ok();
    for line in [
        r#"antecede_ingest_events_total{result="accepted",source="alertmanager_api"} 2"#,
        r#"antecede_ingest_events_total{result="rejected",source="alertmanager_api"} 2"#,
        r#"antecede_ingest_requests_total{code="400",source="alertmanager_api"} 1"#,
    ] {
        assert!(text.as_str().unwrap().contains(line), "no {line} in\n{text}");
    }
}

#[tokio::test]
async fn a_body_of_nothing_good_is_refused_in_words() {
    let daemon = Daemon::start();
    for (body, reason) in [
        (json!([{}]), "alert 0: labels.alertname is missing; nothing in the body could be taken"),
        (json!(["a"]), "alert 0 invalid type"),
        (json!({"version": "4"}), "invalid type: map, expected a sequence"),
    ] {
        let reply = daemon.post(PATH, &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(reply.body.as_str().unwrap().starts_with(reason), "{}", reply.body);
    }
    assert_eq!(stored(&daemon), 0);
}

#[tokio::test]
async fn a_store_that_is_away_is_never_an_acknowledgement() {
    let daemon = Daemon::with(|log| Arc::new(FullLog(log)), None);
    let bad_too = json!([posted("A"), {}]);
    for body in [json!([posted("A")]), bad_too] {
        let reply = daemon.post(PATH, &body).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers[header::RETRY_AFTER], "1");
        assert_eq!(reply.body, "the log's queue is full");
    }
}

#[tokio::test]
async fn a_refresh_is_counted_and_adds_no_row() {
    let daemon = Daemon::start();
    for _ in 0..3 {
        // Without an end it holds for five minutes from its receipt: each time for longer.
        daemon.post(PATH, &json!([posted("A")])).await.ok();
    }
    assert_eq!(stored(&daemon), 1);
    assert_eq!(daemon.api.parts.engine.log().size().unwrap().rows, 1);
    assert_eq!(daemon.api.parts.engine.log().end().unwrap(), Seq(3));
}

#[tokio::test]
async fn a_tool_that_asks_for_the_status_first_gets_one() {
    let daemon = Daemon::start();
    let status = daemon.get("/api/v2/status").await.ok();
    assert_eq!(status["cluster"]["status"], "disabled");
    assert_eq!(status["versionInfo"]["version"], env!("CARGO_PKG_VERSION"));
    crate::event::parse_time(status["uptime"].as_str().unwrap()).unwrap();
    let head = daemon.send(warp::test::request().method("HEAD").path("/api/v2/status")).await;
    assert_eq!(head.status, StatusCode::OK);
    let asked = daemon.get(PATH).await;
    assert_eq!(asked.headers[header::ALLOW], "POST");
    assert_eq!(asked.status, StatusCode::METHOD_NOT_ALLOWED);
}
