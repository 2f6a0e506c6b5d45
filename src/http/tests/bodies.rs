//! Bodies as they are packed and labelled: every path that takes posts takes them alike.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use warp::{http::header, test::RequestBuilder};

use super::{BODY_MAX, Daemon, Reply, alert, webhook};

/// Every path that something is posted to, with a body for it.
fn posts() -> [(&'static str, String); 4] {
    let posted = json!([{"labels": {"alertname": "A"}, "startsAt": "2023-02-23T19:13:00Z"}]);
    [
        ("/webhooks/alertmanager", webhook(&[alert("A")]).to_string()),
        ("/api/v2/alerts", posted.to_string()),
        ("/api/v1/changes", json!({"id": "run-7"}).to_string()),
        ("/api/v1/notes", json!({"text": "deploys frozen"}).to_string()),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn post(path: &str) -> RequestBuilder {
    warp::test::request().method("POST").path(path)
}

async fn post_packed(daemon: &Daemon, path: &str, encoding: &str, body: &[u8]) -> Reply {
    daemon.send(post(path).header("content-encoding", encoding).body(body)).await
}

#[tokio::test]
async fn a_body_of_any_content_type_or_none_is_taken() {
    let types = ["application/json", "text/plain", "application/x-www-form-urlencoded", "a/b+json"];
    for (path, body) in posts() {
        let daemon = Daemon::start();
        daemon.send(post(path).body(&body)).await.ok();
        for one in types {
            daemon.send(post(path).header("content-type", one).body(&body)).await.ok();
        }
    }
}

#[tokio::test]
async fn a_gzip_body_is_taken_on_every_path() {
    for (path, body) in posts() {
        let daemon = Daemon::start();
        for encoding in ["gzip", "x-gzip", "GZIP"] {
            post_packed(&daemon, path, encoding, &gzip(body.as_bytes())).await.ok();
        }
        post_packed(&daemon, path, "identity", body.as_bytes()).await.ok();
        // As a tool writes it that packs a stream in parts.
        let (one, other) = body.as_bytes().split_at(body.len() / 2);
        post_packed(&daemon, path, "gzip", &[gzip(one), gzip(other)].concat()).await.ok();
    }
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_a_large_one_is_refused() {
    let packed = gzip(&vec![b' '; 1000 * BODY_MAX]);
    assert!(packed.len() < BODY_MAX + 1000, "{} bytes are no bomb", packed.len());
    for (path, _) in posts() {
        let daemon = Daemon::start();
        let reply = post_packed(&daemon, path, "gzip", &packed).await;
        assert_eq!(reply.status, 413, "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn what_unpacks_to_nothing_is_bounded_too() {
    let empty = gzip(b"");
    let packed = empty.repeat(BODY_MAX / empty.len() + 1);
    let daemon = Daemon::start();
    post_packed(&daemon, "/api/v1/notes", "gzip", &packed).await.problem(413);
}

#[tokio::test]
async fn a_broken_gzip_body_is_a_bad_request() {
    for (path, body) in posts() {
        let daemon = Daemon::start();
        let whole = gzip(body.as_bytes());
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        let cut_off = &whole[..whole.len() - 9];
        let without_sum = &whole[..whole.len() - 2];
        for broken in [body.as_bytes(), cut_off, without_sum, &damaged] {
            let reply = post_packed(&daemon, path, "gzip", broken).await;
            assert_eq!(reply.status, 400, "{path}: {}", reply.body);
            assert!(reply.body.to_string().contains("is no gzip"), "{path}: {}", reply.body);
        }
        assert_eq!(daemon.api.parts.engine.log().end().unwrap().0, 0, "nothing of it is stored");
    }
}

#[tokio::test]
async fn other_encodings_are_refused_with_the_one_that_is_taken() {
    for (path, _) in posts() {
        let daemon = Daemon::start();
        for encoding in ["br", "zstd", "deflate", "gzip, gzip"] {
            let reply = post_packed(&daemon, path, encoding, b"x").await;
            assert_eq!(reply.status, 415, "{path}: {}", reply.body);
            assert_eq!(reply.headers[header::ACCEPT_ENCODING], "gzip");
        }
    }
}
