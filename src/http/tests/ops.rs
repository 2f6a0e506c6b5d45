//! Paths, methods, tokens, health and metrics.

use std::{collections::BTreeMap, fs, sync::Arc};

use serde_json::json;
use warp::http::{StatusCode, header};

use super::{Daemon, alert, webhook};
use crate::{
    http::{Admission, Reload, Reloaded, Tokens},
    problem::Problem,
};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let daemon = Daemon::start();
    for path in
        ["/nothing", "/api/v1/incident", "/api/v1/incidents/a/b", "/api/v1/incidents/a/impact/b"]
    {
        daemon.get(path).await.problem(404);
    }
}

#[tokio::test]
async fn a_known_path_names_its_methods() {
    let daemon = Daemon::start();
    for (method, path, allowed) in [
        ("GET", "/webhooks/alertmanager", "POST"),
        ("PUT", "/api/v1/changes", "GET, HEAD, POST"),
        ("DELETE", "/api/v1/incidents/inc_1", "GET, HEAD"),
        ("POST", "/-/ready", "GET, HEAD"),
        ("GET", "/-/reload", "POST, PUT"),
    ] {
        let reply = daemon.send(warp::test::request().method(method).path(path)).await;
        assert_eq!(reply.headers[header::ALLOW], allowed, "{method} {path}");
        reply.problem(405);
    }
}

#[tokio::test]
async fn only_a_listed_token_comes_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, "\n").unwrap();
    assert!(Tokens::load(&file).is_err(), "a file without a token lets everybody or nobody in");
    fs::write(&file, "old-token\nnew-token\n\n").unwrap();
    let daemon = Daemon::with(|log| log, Some(Tokens::load(&file).unwrap()));
    let ask = |value: &str| {
        let request = warp::test::request().path("/api/v1/incidents");
        daemon.send(request.header("authorization", value))
    };
    for good in ["Bearer old-token", "bearer  new-token"] {
        ask(good).await.ok();
    }
    for bad in ["Bearer", "Bearer ", "Bearer old-toke", "Bearer old-token2", "Basic old-token", ""]
    {
        let reply = ask(bad).await;
        assert!(reply.headers.contains_key(header::WWW_AUTHENTICATE), "{bad}");
        reply.problem(401);
    }
    daemon.get("/metrics").await.problem(401);
    daemon.post("/-/reload", &json!({})).await.problem(401);
    daemon.get("/-/healthy").await.ok();
}

#[tokio::test]
async fn a_token_is_good_for_what_stands_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, "reed a\n").unwrap();
    let refused = format!("{:#}", Tokens::load(&file).unwrap_err());
    assert!(refused.contains("line 1") && refused.contains("ingest, read, admin"), "{refused}");
    assert!(!refused.contains("reed"), "it may be half of a token: {refused}");
    fs::write(&file, "ingest pipeline\nread  eyes\nread,admin keeper\nall\n").unwrap();
    let daemon = Daemon::with(|log| log, Some(Tokens::load(&file).unwrap()));
    let told = async |token: &str, method: &str, path: &str| {
        let request = warp::test::request().method(method).path(path);
        let request = request.header("authorization", format!("Bearer {token}")).body("{}");
        daemon.send(request).await.status.as_u16()
    };
    let (ask, tell) = (("GET", "/api/v1/incidents"), ("POST", "/api/v1/notes"));
    let say = ("POST", "/incidents/inc_1/notes");
    // A body that is nothing is refused only after the token was looked at.
    for (token, (method, path), status) in [
        ("pipeline", ask, 403),
        ("pipeline", tell, 400),
        ("pipeline", ("GET", "/"), 403),
        ("pipeline", ("POST", "/-/reload"), 403),
        ("eyes", ask, 200),
        ("eyes", ("GET", "/"), 200),
        ("eyes", tell, 403),
        ("eyes", say, 403),
        ("keeper", ask, 200),
        ("keeper", tell, 403),
        ("all", ask, 200),
        ("all", tell, 400),
        ("all", say, 400),
    ] {
        assert_eq!(told(token, method, path).await, status, "{token}: {method} {path}");
    }
}

#[tokio::test]
async fn who_may_come_in_and_with_how_much_may_change() {
    let daemon = Daemon::start();
    daemon.get("/api/v1/incidents").await.ok();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, "a-token").unwrap();
    let admission = |tokens| {
        let (doors, own) = (BTreeMap::new(), BTreeMap::new());
        let admission = Admission { tokens, body_bytes_max: 3, doors, own };
        daemon.admissions.send_replace(Arc::new(admission))
    };
    admission(Some(Tokens::load(&file).unwrap()));
    daemon.get("/api/v1/incidents").await.problem(401);
    admission(None);
    daemon.post("/api/v1/notes", &json!({"text": "long"})).await.problem(413);
}

#[tokio::test]
async fn a_reload_is_answered_with_what_came_of_it() {
    let mut daemon = Daemon::start();
    let problem = Problem::at("rules.toml", "\n  x", 3..4, "is odd").hint("do not");
    let reloaded = Reloaded {
        config: "c0ffee".to_owned(),
        assessed: true,
        needs_restart: vec!["server.listen"],
    };
    for outcome in [Err(vec![problem]), Ok(reloaded)] {
        let (api, put) = (daemon.api.clone(), warp::test::request().method("PUT"));
        let asked = async move { put.path("/-/reload").reply(&crate::http::routes(api)).await };
        let answered = async {
            let Reload { answer } = daemon.reloads.recv().await.unwrap();
            answer.send(outcome.clone()).unwrap();
        };
        let (reply, ()) = tokio::join!(asked, answered);
        let body: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        if outcome.is_ok() {
            let said =
                json!({"config": "c0ffee", "assessed": true, "needs_restart": ["server.listen"]});
            assert_eq!((reply.status(), body), (StatusCode::OK, said));
        } else {
            assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let said = json!([{
                "file": "rules.toml", "line": 2, "column": 3, "what": "is odd", "hint": "do not",
            }]);
            assert_eq!(body["problems"], said);
        }
    }
}

#[tokio::test]
async fn it_is_ready_once_the_engine_has_caught_up() {
    let daemon = Daemon::start();
    for path in ["/-/ready", "/readyz"] {
        daemon.get(path).await.problem(503);
    }
    daemon.ready.send_replace(true);
    for path in ["/-/ready", "/readyz", "/-/healthy", "/healthz", "/livez"] {
        daemon.get(path).await.ok();
        let head = daemon.send(warp::test::request().method("HEAD").path(path)).await;
        assert_eq!(head.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let daemon = Daemon::start();
    let mut body = webhook(&[alert("A"), alert("A"), json!({})]);
    body["truncatedAlerts"] = json!(97);
    daemon.post("/webhooks/alertmanager", &body).await.ok();
    daemon.get("/nowhere").await.problem(404);
    let text = daemon.get("/metrics").await.ok();
    for line in [
        r#"antecede_ingest_events_total{result="accepted",source="alertmanager"} 1"#,
        r#"antecede_ingest_events_total{result="duplicate",source="alertmanager"} 1"#,
        r#"antecede_ingest_events_total{result="rejected",source="alertmanager"} 1"#,
        r#"antecede_ingest_requests_total{code="200",source="alertmanager"} 1"#,
        r#"antecede_http_requests_total{code="404",route="unknown"} 1"#,
        "antecede_alertmanager_truncated_alerts_total 97",
        "antecede_engine_lag_events 1",
        r#"antecede_store_rows{store="log"} 1"#,
        "antecede_build_info{",
        "process_open_fds",
    ] {
        assert!(text.as_str().unwrap().contains(line), "no {line} in\n{text}");
    }
}
