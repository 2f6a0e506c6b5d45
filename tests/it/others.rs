//! What is sent on to others: annotations into a Grafana, action items to where work is kept. The
//! whole program, and receivers on loopback that take what the real ones take.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::mpsc::{self, Receiver},
    thread,
};

use antecede::{clock, event::show_time};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Daemon};

/// A request as it came in.
#[derive(Debug)]
struct Request {
    path: String,
    head: String,
    body: Value,
}

/// A receiver that answers so, each time.
struct Hook {
    address: SocketAddr,
    received: Receiver<Request>,
}

impl Hook {
    fn start(status: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap_or(0) == 0 {
                        break;
                    }
                }
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let body = serde_json::from_slice(&body).unwrap();
                let length = answer.len();
                let reply = format!(
                    "HTTP/1.1 {status} .\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
                );
                stream.write_all(reply.as_bytes()).unwrap();
                if sender.send(Request { path, head, body }).is_err() {
                    return;
                }
            }
        });
        Self { address, received }
    }

    fn next(&self) -> Request {
        self.received.recv_timeout(DEADLINE).unwrap()
    }
}

fn ago(minutes: i64) -> String {
    show_time(clock::now() - TimeDelta::minutes(minutes))
}

/// Tells of a deploy that ended, and of an alert after it; the incident's id.
fn incident(daemon: &Daemon) -> String {
    let change = json!({"id": "c1", "title": "checkout <2>", "kind": "deploy", "service": "checkout",
        "environment": "production", "status": "succeeded",
        "started_at": ago(9), "finished_at": ago(8)});
    daemon.post("/api/v1/changes", &change.to_string());
    let alert = json!({"alertname": "CheckoutErrors", "service": "checkout",
        "environment": "production", "starts_at": ago(5)});
    let seq = daemon.post("/api/v1/alerts", &alert.to_string())["seq"].clone();
    let list = daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
    list["incidents"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_change_that_ended_and_an_incident_whose_cause_is_named_are_drawn_once() {
    let grafana = Hook::start(200, r#"{"message": "Annotation added", "id": 1}"#);
    let config = format!(
        "[grafana]\nurl = \"http://{}/grafana/\"\ntoken_file = \"grafana.token\"\n",
        grafana.address
    );
    let mut daemon = Daemon::with_files(&config, &[("grafana.token", "glsa_test\n")]);
    let old = json!({"id": "c0", "title": "long ago", "kind": "deploy", "status": "succeeded",
        "started_at": ago(200), "finished_at": ago(190)});
    daemon.post("/api/v1/changes", &old.to_string());
    let id = incident(&daemon);
    let mut drawn = [grafana.next(), grafana.next()];
    drawn.sort_by_key(|one| one.body["tags"][1].to_string());
    let [change, named] = &drawn;
    for one in &drawn {
        assert_eq!(one.path, "/grafana/api/annotations");
        assert!(one.head.contains("authorization: Bearer glsa_test\r\n"), "{}", one.head);
    }
    assert_eq!(change.body["text"], "checkout &lt;2&gt; (deploy, succeeded)");
    let took = change.body["timeEnd"].as_i64().unwrap() - change.body["time"].as_i64().unwrap();
    assert!((59_000..=61_000).contains(&took), "{took}");
    let tags = change.body["tags"].as_array().unwrap();
    assert!(tags.contains(&json!("service:checkout")), "{tags:?}");
    assert!(named.body["text"].as_str().unwrap().contains(&format!("/incidents/{id}")));

    // What was sent and is not yet recorded as taken would be sent again.
    for _ in &drawn {
        daemon.wait_for("somebody was told");
    }
    daemon.stop();
    daemon.restart();
    let next = json!({"id": "c2", "title": "the next", "kind": "config", "status": "succeeded",
        "started_at": ago(1), "finished_at": ago(1)});
    daemon.post("/api/v1/changes", &next.to_string());
    let then = grafana.next();
    assert_eq!(then.body["text"], "the next (config, succeeded)", "nothing is drawn again");
}

/// Posts an action item; the status of the reply, and what it says.
fn act(daemon: &Daemon, id: &str, item: &Value) -> (u16, String) {
    let path = format!("/api/v1/incidents/{id}/actions");
    let reply = daemon.try_post(&path, &item.to_string()).unwrap();
    (reply.status, reply.body)
}

#[test]
fn an_action_item_goes_to_the_tracker_that_is_named_in_its_own_form() {
    let linear = Hook::start(200, r#"{"data": {"issueCreate": {"success": true}}}"#);
    let jira = Hook::start(201, r#"{"id": "1", "key": "OPS-1"}"#);
    let webhook = Hook::start(204, "");
    let config = format!(
        "[actions.linear]\nurl = \"http://{}/graphql\"\nteam = \"t-1\"\ntoken_file = \"linear\"\n\
         [actions.jira]\nurl = \"http://{}\"\nuser = \"bot@example.com\"\ntoken_file = \"jira\"\n\
         project = \"OPS\"\n\
         [actions.webhook]\nurl = \"http://{}/actions\"\nsecret_file = \"secret\"\n",
        linear.address, jira.address, webhook.address
    );
    let secret = format!("whsec_{}", STANDARD.encode([7; 32]));
    let files =
        [("linear", "lin_api_key\n"), ("jira", "jira-token\n"), ("secret", secret.as_str())];
    let daemon = Daemon::with_files(&config, &files);
    let id = incident(&daemon);
    let item =
        |to: &str| json!({"to": to, "title": "Drain before removal", "description": "As said."});
    for to in ["linear", "jira", "webhook"] {
        let (status, body) = act(&daemon, &id, &item(to));
        assert_eq!(status, 202, "{to}: {body}");
    }
    let made = linear.next();
    assert_eq!(
        (made.path.as_str(), &made.body["variables"]["input"]["teamId"]),
        ("/graphql", &json!("t-1"))
    );
    assert_eq!(made.body["variables"]["input"]["title"], "Drain before removal");
    assert!(made.head.contains("authorization: lin_api_key\r\n"), "{}", made.head);
    let made = jira.next();
    assert_eq!(made.path, "/rest/api/2/issue");
    assert_eq!(made.body["fields"]["project"]["key"], "OPS");
    assert_eq!(made.body["fields"]["issuetype"]["name"], "Task");
    assert!(
        made.body["fields"]["description"].as_str().unwrap().contains(&format!("/incidents/{id}"))
    );
    let basic = STANDARD.encode("bot@example.com:jira-token");
    assert!(made.head.contains(&format!("authorization: Basic {basic}\r\n")), "{}", made.head);
    let made = webhook.next();
    assert_eq!(made.body["type"], "action_item.created");
    assert!(made.head.contains("webhook-signature: v1,"), "{}", made.head);

    let page = daemon.try_get(&format!("/incidents/{id}/postmortem")).unwrap().body;
    assert!(page.contains("<option>jira</option>"), "{page}");
    for (item, word) in [
        (item("slack"), "jira"),
        (json!({"to": "jira", "title": " "}), "title"),
        (json!({"to": "jira"}), "title"),
    ] {
        let (status, body) = act(&daemon, &id, &item);
        assert_eq!(status, 400, "{body}");
        assert!(body.contains(word), "{body}");
    }
    assert_eq!(act(&daemon, "inc_0", &item("jira")).0, 404);
}

#[test]
fn without_a_tracker_the_page_has_no_form_and_the_reply_says_what_to_add() {
    let daemon = Daemon::start();
    let id = incident(&daemon);
    let (status, body) = act(&daemon, &id, &json!({"to": "jira", "title": "x"}));
    assert_eq!(status, 400);
    assert!(body.contains("[actions.jira]"), "{body}");
    let page = daemon.try_get(&format!("/incidents/{id}/postmortem")).unwrap().body;
    assert!(!page.contains("<select"), "{page}");
}
