//! What is posted, and what is said to it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;
use warp::http::header;

use super::{Daemon, alert, webhook};
use crate::{
    event::{ChangeReport, Event, EventId, Time},
    store::{Appended, Log, Logged, Seq, Size, StoreError},
};

#[tokio::test]
async fn a_change_is_acknowledged_with_its_place_and_its_id() {
    let daemon = Daemon::start();
    let change = json!({"title": "api 7", "started_at": "2023-02-23T12:00:00Z"});
    let first = daemon.post("/api/v1/changes", &change).await.ok();
    assert_eq!(first["seq"], 1);
    assert_eq!((&first["accepted"], &first["duplicates"]), (&json!(1), &json!(0)));
    let id = first["ids"][0].as_str().unwrap();
    assert!(id.starts_with("chg_"), "{id}");

    let again = daemon.post("/api/v1/changes", &json!([change])).await.ok();
    assert_eq!(again["seq"], 1);
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(1)));
    assert_eq!(again["ids"], json!([id]));
}

#[tokio::test]
async fn what_ends_what_was_known_is_new() {
    let daemon = Daemon::start();
    daemon.post("/webhooks/alertmanager", &webhook(&[alert("A")])).await.ok();
    let mut resolved = alert("A");
    resolved["status"] = json!("resolved");
    resolved["endsAt"] = json!("2023-02-23T20:00:00Z");
    let reply = daemon.post("/webhooks/alertmanager", &webhook(&[alert("A"), resolved])).await.ok();
    assert_eq!((&reply["accepted"], &reply["duplicates"]), (&json!(1), &json!(1)));
    assert_eq!(reply["ids"], json!([]));
}

#[tokio::test]
async fn an_alert_of_our_own_form_is_told_that_it_comes_too_late() {
    let daemon = Daemon::start();
    let alert =
        |day: u32| json!({"alertname": "A", "starts_at": format!("2023-02-{day}T00:00:00Z")});
    let first = daemon.post("/api/v1/alerts", &json!([alert(23), alert(22)])).await.ok();
    assert_eq!((&first["accepted"], &first["late"]), (&json!(2), &json!(0)));
    let second = daemon.post("/api/v1/alerts", &json!([alert(10), alert(22)])).await.ok();
    assert_eq!((&second["accepted"], &second["late"]), (&json!(1), &json!(1)));
    assert_eq!(second["duplicates"], 1);
}

#[tokio::test]
async fn one_bad_alert_of_a_hundred_is_rejected_alone() {
    let daemon = Daemon::start();
    let mut alerts: Vec<_> = (0..100).map(|n| alert(&format!("A{n}"))).collect();
    alerts[41]["startsAt"] = json!("yesterday");
    let reply = daemon.post("/webhooks/alertmanager", &webhook(&alerts)).await.ok();
    assert_eq!(reply["accepted"], 99);
    assert_eq!(reply["rejected"].as_array().unwrap().len(), 1);
    assert_eq!(reply["rejected"][0]["index"], 41);
    assert_eq!(reply["rejected"][0]["field"], "startsAt");
}

#[tokio::test]
async fn a_post_of_nothing_good_is_refused_with_every_reason() {
    let daemon = Daemon::start();
    let reply = daemon.post("/api/v1/notes", &json!([{"at": 7}, {"text": ""}])).await.problem(400);
    assert_eq!(reply["rejected"][0]["field"], "at");
    assert_eq!(reply["rejected"][1]["field"], "text");
}

#[tokio::test]
async fn a_webhook_of_no_alerts_is_taken() {
    let daemon = Daemon::start();
    let reply = daemon.post("/webhooks/alertmanager", &webhook(&[])).await.ok();
    assert_eq!((&reply["seq"], &reply["accepted"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_body_that_is_no_webhook_is_refused_by_the_name_of_its_field() {
    let daemon = Daemon::start();
    let reply = daemon.post("/webhooks/alertmanager", &json!({"text": "hi"})).await.problem(400);
    assert_eq!(reply["field"], "version");
    let request = warp::test::request().method("POST").path("/api/v1/changes").body("{\n\"a\": }");
    let reply = daemon.send(request).await.problem(400);
    assert!(reply["detail"].as_str().unwrap().contains("line 2 column 6"), "{reply}");
}

/// A log whose queue is full.
#[derive(Debug)]
pub(super) struct FullLog(pub(super) Arc<dyn Log>);

impl Log for FullLog {
    fn append(&self, _events: Vec<Event>) -> BoxFuture<'static, Result<Appended, StoreError>> {
        Box::pin(async { Err(StoreError::Full) })
    }

    fn end(&self) -> Result<Seq, StoreError> {
        self.0.end()
    }

    fn tail(&self) -> watch::Receiver<Seq> {
        self.0.tail()
    }

    fn after(&self, seq: Seq, limit: usize) -> Result<Vec<Logged>, StoreError> {
        self.0.after(seq, limit)
    }

    fn window(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(Logged),
    ) -> Result<(), StoreError> {
        self.0.window(from, to, until, each)
    }

    fn event(&self, at: Time, id: &EventId) -> Result<Option<Event>, StoreError> {
        self.0.event(at, id)
    }

    fn newest(&self, to: Time, until: Seq) -> Result<Option<Time>, StoreError> {
        self.0.newest(to, until)
    }

    fn oldest(&self, from: Time, until: Seq) -> Result<Option<Time>, StoreError> {
        self.0.oldest(from, until)
    }

    fn forget(&self, before: Time, until: Seq, limit: usize) -> Result<usize, StoreError> {
        self.0.forget(before, until, limit)
    }

    fn changes(
        &self,
        from: Time,
        to: Time,
        until: Seq,
        each: &mut dyn FnMut(EventId, ChangeReport),
    ) -> Result<(), StoreError> {
        self.0.changes(from, to, until, each)
    }

    fn held_from(&self) -> Result<Option<Time>, StoreError> {
        self.0.held_from()
    }

    fn size(&self) -> Result<Size, StoreError> {
        self.0.size()
    }
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let daemon = Daemon::with(|log| Arc::new(FullLog(log)), None);
    let reply = daemon.post("/webhooks/alertmanager", &webhook(&[alert("A")])).await;
    assert_eq!(reply.headers[header::RETRY_AFTER], "1");
    reply.problem(503);
}
