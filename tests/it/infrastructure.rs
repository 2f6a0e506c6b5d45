//! What tools of infrastructure send, posted to a daemon as they send it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
};

use antecede::event::parse_time;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha512;

use crate::harness::Daemon;

fn payload(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources").join(name);
    fs::read_to_string(file).unwrap()
}

/// The files below a directory that hold these bytes.
fn holding(dir: &Path, wanted: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(holding(&path, wanted));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(wanted) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_plan_leaves_no_secret_in_any_file_of_the_daemon() {
    let daemon = Daemon::start();
    for name in ["terraform/plan.json", "terraform/apply.ndjson", "cloudtrail/rds-modify.json"] {
        let body = payload(name);
        assert!(body.contains("hunter2"), "{name} holds no secret");
        let source = if name.starts_with("cloudtrail") { "aws" } else { "terraform" };
        let reply = daemon.post(&format!("/webhooks/{source}"), &body);
        assert_ne!(reply["accepted"], json!(0), "{reply}");
    }
    assert!(daemon.stop().success());
    assert!(!holding(daemon.dir(), "aws_eks_node_group").is_empty(), "nothing can be found there");
    assert_eq!(holding(daemon.dir(), "hunter2"), Vec::<PathBuf>::new());
}

#[test]
fn a_plan_and_its_apply_are_one_change_where_both_name_the_run() {
    let daemon = Daemon::start();
    let path = "/webhooks/terraform?run=42&environment=production";
    daemon.post(path, &payload("terraform/plan.json"));
    let change = |answer: &Value| {
        let all = answer["changes"].as_array().unwrap();
        all.iter().find(|change| change["id"] == "terraform:42:replace").cloned()
    };
    let planned = daemon.wait_until("/api/v1/changes", |answer| change(answer).is_some());
    assert_eq!(change(&planned).unwrap()["status"], "planned");
    // Later than the plan, which is as of its receipt.
    let now = parse_time(daemon.get("/api/v1/feeds")["at"].as_str().unwrap()).unwrap();
    let hour = (now + TimeDelta::hours(1)).format("%Y-%m-%dT%H").to_string();
    daemon.post(path, &payload("terraform/apply.ndjson").replace("2026-11-26T10", &hour));
    let done = daemon.wait_until("/api/v1/changes", |answer| {
        change(answer).is_some_and(|change| change["status"] == "succeeded")
    });
    let change = change(&done).unwrap();
    assert_eq!(change["change_set"], "terraform:42", "{change:#}");
    assert_eq!(change["scope"]["environment"], "production", "{change:#}");
    assert_eq!(change["started_at"], json!(format!("{hour}:00:00.123456Z")), "{change:#}");
}

#[test]
fn an_empty_signature_is_none_and_a_verification_is_answered() {
    let config = "[sources.hcp_terraform]\nsecret_files = [\"hcp\"]\n";
    let daemon = Daemon::with_files(config, &[("hcp", "s3cret\n")]);
    let body = payload("hcp_terraform/applied.json");
    let sign = |body: &str| {
        let mut mac = Hmac::<Sha512>::new_from_slice(b"s3cret").unwrap();
        mac.update(body.as_bytes());
        let hex = mac.finalize().into_bytes().into_iter().map(|byte| format!("{byte:02x}"));
        format!("X-TFE-Notification-Signature: {}", hex.collect::<String>())
    };
    let post = |header: &str, body: &str| {
        daemon.post_as_sent("/webhooks/hcp-terraform", &[header], body).status
    };
    assert_eq!(post("X-TFE-Notification-Signature: ", &body), 401);
    assert_eq!(post(&sign(&(body.clone() + " ")), &body), 401);
    assert_eq!(post(&sign(&body), &body), 200);
    let verification = payload("hcp_terraform/verification.json");
    assert_eq!(post(&sign(&verification), &verification), 200);
    let changes = daemon
        .wait_until("/api/v1/changes", |answer| !answer["changes"].as_array().unwrap().is_empty());
    assert_eq!(changes["changes"].as_array().unwrap().len(), 1, "{changes:#}");
}

#[test]
fn four_hundred_audit_events_are_taken_at_once() {
    let daemon = Daemon::start();
    let one: Value =
        serde_json::from_str(&payload("kubernetes_audit/what-people-do.json")).unwrap();
    let events = (0..400).map(|n| {
        let mut event = one["items"][0].clone();
        event["auditID"] = json!(format!("event-{n}"));
        event["objectRef"]["name"] = json!(format!("service-{n}"));
        event
    });
    let list = json!({"kind": "EventList", "items": events.collect::<Vec<_>>()});
    let reply = daemon.post("/webhooks/k8s-audit/cluster=main", &list.to_string());
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(400), &json!([])), "{reply}");
    let changes = daemon.get(&format!("/api/v1/changes?limit=1&wait_seq={}", reply["seq"]));
    assert_eq!(changes["changes"][0]["scope"]["cluster"], "main", "{changes:#}");
    let again = daemon.post("/webhooks/k8s-audit?cluster=main", &list.to_string());
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(400)), "{again}");
}

#[test]
fn a_wrong_token_is_refused_by_the_thousand_before_its_body_is_sent() {
    let config = "[sources.cloudtrail]\nsecret_files = [\"aws\"]\n";
    let daemon = Daemon::with_files(config, &[("aws", "s3cret\n")]);
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(daemon.address()).unwrap();
        let head =
            "POST /webhooks/aws HTTP/1.0\r\nContent-Length: 200000\r\nX-Api-Key: wrong\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.0 401");
    }
    let body = payload("cloudtrail/rds-modify.json");
    let reply = daemon.post_as_sent("/webhooks/aws", &["X-Api-Key: s3cret"], &body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let metrics = daemon.try_get("/metrics").unwrap().body;
    let counted = "antecede_ingest_requests_total{code=\"401\",source=\"cloudtrail\"} 1000";
    assert!(metrics.contains(counted), "no {counted} in\n{metrics}");
}
