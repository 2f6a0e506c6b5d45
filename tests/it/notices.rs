//! Somebody is told: the whole program, and a receiver of its notices on loopback.

use std::{
    collections::VecDeque,
    fs,
    io::Read as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    thread,
};

use antecede::{
    event::{parse_time, show_time},
    wire::case::{Case, Post, posts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::oneshot};
use warp::{
    Buf as _, Filter as _,
    http::{HeaderMap, Response},
};

use crate::{
    founding::founding,
    harness::{DEADLINE, Daemon, antecede},
};

/// The bytes of the secret, and how it is written into a file.
const SECRET: &[u8; 32] = b"only for tests, 32 bytes of text";

fn secret_text() -> String {
    format!("whsec_{}", STANDARD.encode(SECRET))
}

/// A notice as it came in.
#[derive(Debug)]
struct Received {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Received {
    fn new(headers: &HeaderMap, body: String) -> Self {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/json");
        Self {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// What it says, in short, once its signature holds.
    fn gist(&self) -> String {
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let expected =
            format!("v1,{}", STANDARD.encode(hmac_by_the_book(SECRET, signed.as_bytes())));
        assert_eq!(self.signature, expected, "{self:#?}");
        let notice = self.json();
        let first = notice["data"]["suspect"]["change"].as_str().unwrap_or("nobody").to_owned();
        format!("{} {first}", notice["type"].as_str().unwrap())
    }
}

/// HMAC-SHA256 as RFC 2104 writes it, so that what is tested does not check itself.
fn hmac_by_the_book(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| -> Vec<u8> {
        let key = key.iter().copied().chain(std::iter::repeat(0)).take(64);
        key.map(|byte| byte ^ pad).collect()
    };
    let inner = Sha256::digest([&padded(0x36), message].concat());
    Sha256::digest([&padded(0x5c)[..], &inner[..]].concat()).into()
}

/// A receiver, which answers as it is told, then 204.
struct Hook {
    address: SocketAddr,
    received: Receiver<Received>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Hook {
    /// One that gives these answers first: a status, and a header of its own.
    fn start(answers: &[(u16, &'static str, &'static str)]) -> Self {
        Self::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), answers)
    }

    /// The same, on this listener.
    fn on(listener: std::net::TcpListener, answers: &[(u16, &'static str, &'static str)]) -> Self {
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let (sender, received) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let answer = move |headers: HeaderMap, mut body: Box<dyn warp::Buf + Send>| {
            let body = body.copy_to_bytes(body.remaining());
            let body = String::from_utf8(body.to_vec()).unwrap();
            // The test may be over.
            drop(sender.send(Received::new(&headers, body)));
            let next = answers.lock().unwrap().pop_front();
            let (status, name, value) = next.unwrap_or((204, "x-nothing", "0"));
            Response::builder().status(status).header(name, value).body("").unwrap()
        };
        let serve = move || {
            let body =
                warp::body::aggregate().map(|body| -> Box<dyn warp::Buf + Send> { Box::new(body) });
            let route = warp::post().and(warp::header::headers_cloned()).and(body).map(answer);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let server = warp::serve(route).incoming(listener);
                server.graceful(async { drop(stopped.await) }).run().await;
            });
        };
        let thread = thread::spawn(serve);
        Self { address, received, stop: Some(stop), thread: Some(thread) }
    }

    /// The next notice.
    fn next(&self) -> Received {
        self.received.recv_timeout(DEADLINE).expect("a notice")
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A receiver that panicked has been missed by the test already.
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

/// A daemon that tells this address, as fast as it can.
fn daemon(address: SocketAddr, more: &str, files: &[(&str, &str)]) -> Daemon {
    let config = format!(
        "[notify]\nurl = \"http://{address}/hooks/hunter2\"\nsecret_file = \"secret\"\n\
         settle = \"0s\"\nretry = \"10ms\"\n{more}"
    );
    let secret = secret_text();
    Daemon::with_files(&config, &[&[("secret", secret.as_str())], files].concat())
}

/// What depended on what in the founding incident.
fn founding_catalog() -> String {
    let mut services = founding()["catalog"].clone();
    for service in services.as_array_mut().unwrap() {
        service["name"] = service.as_object_mut().unwrap().remove("service").unwrap();
    }
    toml::to_string(&json!({ "service": services })).unwrap()
}

/// The founding incident as if it were of today, as its tools post it.
fn founding_today() -> Vec<Post> {
    let mut today = founding();
    let case = Case::parse(today.to_string().as_bytes()).unwrap();
    let recorded = posts(&case).iter().map(|post| post.at).max().unwrap();
    // By whole days: what depends on the time of day stays as it is.
    let days = antecede::clock::now().date_naive() - recorded.date_naive();
    shift_times(&mut today, days);
    posts(&Case::parse(today.to_string().as_bytes()).unwrap())
}

/// Moves every time of a document.
fn shift_times(value: &mut Value, shift: TimeDelta) {
    match value {
        Value::String(text) => {
            if let Ok(time) = parse_time(text) {
                *text = show_time(time + shift);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift_times(item, shift)),
        Value::Object(fields) => fields.values_mut().for_each(|field| shift_times(field, shift)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Posts a deploy, and an alert that it explains; nothing ties them to anything else.
fn break_something(daemon: &Daemon, what: &str) {
    let ago = |minutes| show_time(antecede::clock::now() - TimeDelta::minutes(minutes));
    let place = json!({"service": what, "environment": what, "cluster": what});
    let change = json!({
        "id": format!("deploy-{what}"), "kind": "deploy", "action": "update", "status": "succeeded",
        "title": format!("{what} 7"), "started_at": ago(10), "finished_at": ago(9), "labels": place,
    });
    daemon.post("/api/v1/changes", &change.to_string());
    let mut labels = place;
    labels["alertname"] = json!(format!("ErrorRateOf{what}"));
    let alert = json!({
        "status": "firing", "labels": labels,
        "startsAt": ago(5), "endsAt": "0001-01-01T00:00:00Z",
    });
    let webhook = json!({"version": "4", "status": "firing", "alerts": [alert]});
    daemon.post("/webhooks/alertmanager", &webhook.to_string());
}

/// The next notice is about what breaks here: so there was none before it.
#[track_caller]
fn assert_silent_until_something_breaks(daemon: &Daemon, hook: &Hook, what: &str) {
    break_something(daemon, what);
    assert!(hook.next().gist().ends_with(&format!(" deploy-{what}")), "{what}");
}

#[test]
fn the_founding_incident_tells_somebody_at_its_first_alert_and_when_the_cause_is_likely() {
    let hook = Hook::start(&[]);
    let more = "fresh = \"1d\"\n[catalog]\nfiles = [\"catalog.toml\"]\n";
    let daemon = daemon(hook.address, more, &[("catalog.toml", &founding_catalog())]);
    let (mut told, mut answer) = (Vec::new(), Value::Null);
    for post in founding_today() {
        let seq = daemon.post(post.path, &post.body)["seq"].clone();
        let list = daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
        let incidents = list["incidents"].as_array().unwrap();
        assert!(incidents.len() <= 1, "{list:#}");
        let Some(incident) = incidents.first() else { continue };
        // Each answer is to be told before the next is made.
        if incident["answer"] != answer {
            answer = incident["answer"].clone();
            told.push(format!("{} {}", post.at.format("%H:%M"), hook.next().gist()));
        }
    }
    let expected = [
        "15:06 incident.suspected c-nodegroups-staging",
        "16:48 incident.suspect_likely c-nodegroups-production",
    ];
    assert_eq!(told, expected);
    assert_silent_until_something_breaks(&daemon, &hook, "elsewhere");
    let metrics = daemon.try_get("/metrics").unwrap().body;
    assert!(
        metrics.contains("antecede_notices_total{receiver=\"notices\",result=\"retried\"} 0"),
        "{metrics}"
    );
    assert!(!metrics.contains("hunter2"), "{metrics}");
}

#[test]
fn a_receiver_that_fails_twice_gets_the_same_notice_again() {
    let hook = Hook::start(&[(500, "x-nothing", "0"), (429, "retry-after", "0")]);
    let daemon = daemon(hook.address, "", &[]);
    break_something(&daemon, "here");
    let sent = [hook.next(), hook.next(), hook.next()];
    for again in &sent[1..] {
        assert_eq!((&again.id, &again.body), (&sent[0].id, &sent[0].body));
        again.gist();
    }
    assert_silent_until_something_breaks(&daemon, &hook, "elsewhere");
    let metrics = daemon.try_get("/metrics").unwrap().body;
    for line in [
        "{receiver=\"notices\",result=\"retried\"} 2",
        "{receiver=\"notices\",result=\"given_up\"} 0",
    ] {
        assert!(metrics.contains(&format!("antecede_notices_total{line}")), "{metrics}");
    }
}

#[test]
fn what_a_kill_keeps_from_being_delivered_is_delivered_after_the_start() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = daemon(listener.local_addr().unwrap(), "", &[]);
    break_something(&daemon, "here");
    // It connects only when the notice is in the outbox, and then has no answer.
    let (mut stream, _) = listener.accept().unwrap();
    let head = read_head(&mut stream);
    daemon.kill();
    drop(stream);
    let hook = Hook::on(listener, &[]);
    daemon.restart();
    let notice = hook.next();
    assert!(head.contains(&format!("webhook-id: {}\r\n", notice.id)), "{head}");
    assert!(notice.gist().ends_with(" deploy-here"));
    assert_silent_until_something_breaks(&daemon, &hook, "elsewhere");
}

fn read_head(stream: &mut std::net::TcpStream) -> String {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn a_state_that_is_built_anew_tells_nothing() {
    let hook = Hook::start(&[]);
    let mut daemon = daemon(hook.address, "", &[]);
    break_something(&daemon, "here");
    assert!(hook.next().gist().ends_with(" deploy-here"));
    // What was sent and is not yet recorded as taken would be sent again.
    daemon.wait_for("somebody was told");
    assert!(daemon.stop().success());
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        // The last two are gone already where the daemon ended well.
        drop(fs::remove_file(daemon.dir().join("data").join(name)));
    }
    daemon.restart();
    assert_silent_until_something_breaks(&daemon, &hook, "elsewhere");
}

#[test]
fn a_rebuild_tells_nobody() {
    let hook = Hook::start(&[]);
    let mut daemon = daemon(hook.address, "", &[]);
    break_something(&daemon, "here");
    assert!(hook.next().gist().ends_with(" deploy-here"));
    // What was sent and is not yet recorded as taken would be sent again.
    daemon.wait_for("somebody was told");
    assert!(daemon.stop().success());
    let config = daemon.dir().join("antecede.toml");
    let mut rebuild = antecede();
    rebuild.arg("rebuild").arg("--config").arg(&config);
    rebuild.arg("--data-dir").arg(daemon.dir().join("data"));
    let output = rebuild.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "made the state anew of 3 events, none of which had come late: 1 incidents\n"
    );
    daemon.restart();
    assert_silent_until_something_breaks(&daemon, &hook, "elsewhere");
}

#[test]
fn what_is_long_past_is_told_to_nobody() {
    let hook = Hook::start(&[]);
    let daemon = daemon(hook.address, "", &[]);
    for post in posts(&Case::parse(founding().to_string().as_bytes()).unwrap()) {
        daemon.post(post.path, &post.body);
    }
    assert_silent_until_something_breaks(&daemon, &hook, "elsewhere");
}
