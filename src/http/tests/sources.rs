//! What comes from others' tools: who is let in, and in whose words it is answered.

use std::{collections::BTreeMap, sync::Arc};

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};
use sha2::Sha256;
use warp::http::header;

use super::{Daemon, Reply};
use crate::{
    http::{Admission, Tokens},
    store::Seq,
    wire::{
        signature::{Secrets, Verifier},
        source::{SOURCES, Source},
    },
};

fn release() -> String {
    json!({"action": "published", "repository": {"name": "web", "full_name": "acme/web"},
        "release": {"tag_name": "v7", "published_at": "2023-02-23T12:00:00Z"}})
    .to_string()
}

fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digits = mac.finalize().into_bytes();
    let digits: Vec<_> = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={}", digits.concat())
}

/// The source has these secrets from now on, and the daemon this token.
fn guard(daemon: &Daemon, source: &str, secrets: &str, token: Option<&str>) {
    let mut held = Secrets::default();
    held.add(secrets);
    let verifier = Verifier::new(Source::named(source).unwrap().schemes.to_vec(), held);
    let doors = BTreeMap::from([(source.to_owned(), verifier)]);
    let tokens = token.map(|token| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token).unwrap();
        Tokens::load(file.path()).unwrap()
    });
    let admission = Admission { tokens, body_bytes_max: 1 << 20, doors, own: BTreeMap::new() };
    daemon.admissions.send_replace(Arc::new(admission));
}

async fn send(daemon: &Daemon, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = warp::test::request().method("POST").path(path).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    daemon.send(request).await
}

async fn github(daemon: &Daemon, signature: &str, token: &str, body: &str) -> Reply {
    let headers = [
        ("x-github-event", "release"),
        ("x-hub-signature-256", signature),
        ("authorization", token),
    ];
    send(daemon, "/webhooks/github", &headers, body).await
}

#[tokio::test]
async fn a_signature_is_let_in_in_a_tokens_place_and_a_wrong_one_is_not_read() {
    let daemon = Daemon::start();
    let body = release();
    guard(&daemon, "github", "old\nnew", Some("token"));
    for secret in ["old", "new"] {
        github(&daemon, &sign(secret, &body), "", &body).await.ok();
    }
    github(&daemon, "", "Bearer token", &body).await.ok();
    for (signature, token) in [
        ("", ""),
        ("", "Bearer tokens"),
        (&*sign("other", &body), ""),
        // Whoever signs has to sign rightly, token or not.
        (&*sign("other", &body), "Bearer token"),
        (&*sign("new", "{}"), ""),
    ] {
        let reply = github(&daemon, signature, token, &body).await;
        assert!(reply.headers.contains_key(header::WWW_AUTHENTICATE), "{signature}");
        reply.problem(401);
    }
    // What is no JSON would be refused with 400 were it read.
    github(&daemon, &sign("other", "no JSON"), "", "no JSON").await.problem(401);
    github(&daemon, &sign("new", "no JSON"), "", "no JSON").await.problem(400);
    let page = daemon.get("/-/healthy").await;
    page.ok();
    let request = warp::test::request().path("/metrics").header("authorization", "Bearer token");
    let page = daemon.send(request).await.body;
    let page = page.as_str().unwrap();
    for counted in ["code=\"401\",source=\"github\"} 6", "result=\"accepted\",source=\"github\"} 1"]
    {
        assert!(page.contains(counted), "no {counted} in\n{page}");
    }
}

#[tokio::test]
async fn a_source_with_secrets_needs_them_where_the_daemon_asks_for_no_token() {
    let daemon = Daemon::start();
    let body = release();
    github(&daemon, "", "", &body).await.ok();
    guard(&daemon, "github", "secret", None);
    github(&daemon, "", "", &body).await.problem(401);
    github(&daemon, &sign("secret", &body), "", &body).await.ok();
    // Others are as they were.
    daemon.post("/api/v1/changes", &json!({"title": "t"})).await.ok();
}

#[tokio::test]
async fn what_is_none_of_our_business_is_taken_and_says_why() {
    let daemon = Daemon::start();
    let reply = send(&daemon, "/webhooks/github", &[("x-github-event", "ping")], "{}").await.ok();
    assert_eq!((&reply["ignored"], &reply["accepted"]), (&json!(1), &json!(0)));
    assert_eq!(reply["ignored_because"], json!(["a ping"]));
}

#[tokio::test]
async fn every_address_of_the_table_takes_posts_and_refuses_what_is_damaged() {
    let daemon = Daemon::start();
    for source in SOURCES {
        for path in source.paths {
            let reply = send(&daemon, path, &[], "{\"damaged").await;
            assert_eq!(reply.status, 400, "{path}: {:#}", reply.body);
            let reply = daemon.send(warp::test::request().method("DELETE").path(path)).await;
            assert_eq!(reply.status, 405, "{path}");
        }
    }
    let stored = daemon.get("/api/v1/changes").await.ok();
    assert_eq!(stored["changes"], Value::from(Vec::<Value>::new()));
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn pagerdutys_clients_hear_exactly_202_and_400_for_nothing() {
    let daemon = Daemon::start();
    let change = json!({"routing_key": KEY, "payload": {"summary": "Deployed 7"}}).to_string();
    let reply = send(&daemon, "/v2/change/enqueue", &[], &change).await;
    assert_eq!((reply.status.as_u16(), &reply.body["status"]), (202, &json!("success")));
    let alert = json!({"routing_key": KEY, "event_action": "trigger", "dedup_key": "a",
        "payload": {"summary": "Full", "source": "x", "severity": "error"}});
    let reply = send(&daemon, "/v2/enqueue", &[], &alert.to_string()).await;
    assert_eq!((reply.status.as_u16(), &reply.body["dedup_key"]), (202, &json!("a")));
    for (path, body) in [("/v2/enqueue", ""), ("/v2/change/enqueue", "{}")] {
        let reply = send(&daemon, path, &[], body).await;
        assert_eq!((reply.status.as_u16(), &reply.body["status"]), (400, &json!("invalid event")));
        assert_ne!(reply.body["errors"], json!([]), "the reason is told");
    }
    guard(&daemon, "pagerduty_changes", KEY, Some("token"));
    assert_eq!(send(&daemon, "/v2/change/enqueue", &[], &change).await.status.as_u16(), 202);
    let other = change.replace(KEY, "R1");
    assert_eq!(send(&daemon, "/v2/change/enqueue", &[], &other).await.status.as_u16(), 401);
}

#[tokio::test]
async fn datadogs_and_grafanas_clients_hear_what_they_know() {
    let daemon = Daemon::start();
    let event = json!({"title": "Deployed 7", "text": "x"}).to_string();
    let reply = send(&daemon, "/api/v1/events", &[], &event).await;
    assert_eq!((reply.status.as_u16(), &reply.body["status"]), (202, &json!("ok")));
    assert_eq!(reply.body["event"]["id"], 1);
    let annotation = json!({"text": "Deployed 7", "time": 1_677_164_760_000_i64}).to_string();
    let reply = send(&daemon, "/api/annotations", &[], &annotation).await.ok();
    assert_eq!(reply["message"], "Annotation added");
    assert!(reply["id"].is_u64(), "{reply}");
    let reply = send(&daemon, "/api/annotations", &[], "{}").await;
    assert_eq!(reply.status.as_u16(), 400);
    assert!(reply.body["message"].as_str().unwrap().contains("text is missing"), "{}", reply.body);
    let reply = send(&daemon, "/api/v1/events", &[], "[]").await;
    assert_eq!(reply.status.as_u16(), 400);
    assert!(reply.body["errors"].is_array(), "{}", reply.body);
    guard(&daemon, "datadog", "dd-key", None);
    assert_eq!(send(&daemon, "/api/v1/events", &[], &event).await.status.as_u16(), 401);
    let reply = send(&daemon, "/api/v1/events?api_key=dd-key", &[], &event).await;
    assert_eq!(reply.status.as_u16(), 202);
    let reply = send(&daemon, "/api/v1/events", &[("dd-api-key", "dd-key")], &event).await;
    assert_eq!(reply.status.as_u16(), 202);
}

#[tokio::test]
async fn cloudevents_ask_first_and_grafana_may_put() {
    let daemon = Daemon::start();
    let ask = warp::test::request().method("OPTIONS").path("/events");
    let reply = daemon.send(ask.header("webhook-request-origin", "events.example.com")).await;
    assert_eq!(reply.headers["webhook-allowed-origin"], "events.example.com");
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["webhook-allowed-rate"]),
        (200, &"*".parse().unwrap())
    );
    let put = warp::test::request().method("PUT").path("/webhooks/grafana");
    daemon.send(put.body(json!({"version": "1", "alerts": []}).to_string())).await.ok();
    let put = warp::test::request().method("PUT").path("/webhooks/github");
    daemon.send(put).await.problem(405);
    let ask = warp::test::request().method("OPTIONS").path("/webhooks/github");
    daemon.send(ask).await.problem(405);
}

#[tokio::test]
async fn a_delivery_that_is_made_twice_tells_it_once() {
    let daemon = Daemon::start();
    let first = github(&daemon, "", "", &release()).await.ok();
    let second = github(&daemon, "", "", &release()).await.ok();
    assert_eq!((&first["accepted"], &second["accepted"]), (&json!(1), &json!(0)));
    assert_eq!((&second["duplicates"], &second["ids"]), (&json!(1), &first["ids"]));
}

/// Values of the shapes that sources look for.
fn any_body() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "action",
        "event_action",
        "trigger",
        "resolve",
        "payload",
        "summary",
        "dedup_key",
        "type",
        "routing_key",
        "title",
        "text",
        "data",
        "context",
        "subject",
        "specversion",
        "id",
        "status",
        "alerts",
        "labels",
        "alertname",
        "startsAt",
        "object_kind",
        "push",
        "deployment",
        "name",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    let json = leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop_oneof![4 => json.prop_map(|json| json.to_string()), 1 => "\\PC{0,40}"]
}

#[tokio::test]
async fn no_body_is_answered_with_an_error_of_ours() {
    let daemon = Daemon::start();
    daemon.assessed.send_replace(Seq(u64::MAX));
    let mut runner = TestRunner::deterministic();
    for _ in 0..64 {
        let body = any_body().new_tree(&mut runner).unwrap().current();
        for source in SOURCES {
            let headers = [("x-github-event", "deployment")];
            let reply = send(&daemon, source.paths[0], &headers, &body).await;
            let status = reply.status.as_u16();
            assert!([200, 202, 400].contains(&status), "{} {status} to {body}", source.name);
        }
    }
}
