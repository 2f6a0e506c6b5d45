//! The official SDKs of CloudEvents and CDEvents send, in every mode that they know.

use cdevents_sdk::{CDEvent, Content, Subject, spec_0_4_1, spec_0_5_1};
use cloudevents::{Event, EventBuilder as _, EventBuilderV10};
use serde_json::{Value, json};
use warp::http::Request;

use crate::harness::Daemon;

fn cdevent(content: impl Into<Content>, id: &str) -> CDEvent {
    CDEvent::from(
        Subject::from(content)
            .with_id("shop/checkout".try_into().unwrap())
            .with_source("/cd/acme".try_into().unwrap()),
    )
    .with_id(id.try_into().unwrap())
    .with_source("/cd/acme".try_into().unwrap())
}

fn deployed(id: &str) -> CDEvent {
    use spec_0_5_1::service_deployed::{Content, ContentEnvironment};
    let environment = ContentEnvironment { id: "production".try_into().unwrap(), source: None };
    let artifact_id = "pkg:oci/checkout@2.14.0".try_into().unwrap();
    cdevent(Content { artifact_id, environment }, id)
}

fn rolled_back(id: &str) -> CDEvent {
    use spec_0_4_1::service_rolledback::{Content, ContentEnvironment};
    let environment = ContentEnvironment { id: "production".try_into().unwrap(), source: None };
    let artifact_id = "pkg:oci/checkout@2.13.9".try_into().unwrap();
    cdevent(Content { artifact_id, environment }, id)
}

fn event(event: CDEvent) -> Event {
    event.try_into().unwrap()
}

fn structured(daemon: &Daemon, body: &impl serde::Serialize, media_type: &str) -> Value {
    let body = serde_json::to_string(body).unwrap();
    let media_type = format!("Content-Type: {media_type}");
    daemon.post_as_sent("/events", &[&media_type], &body).taken()
}

fn binary(daemon: &Daemon, event: Event) -> Value {
    let request: Request<Option<Vec<u8>>> = event.try_into().unwrap();
    let headers = request.headers().iter();
    let headers: Vec<_> =
        headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    let body = String::from_utf8(request.body().clone().unwrap_or_default()).unwrap();
    daemon.post_as_sent("/events", &headers, &body).taken()
}

/// The change that a reply names, once it is assessed.
fn change(daemon: &Daemon, reply: &Value) -> Value {
    let id = reply["ids"][0].as_str().unwrap().replace('/', "%2F");
    daemon.get(&format!("/api/v1/changes/{id}?wait_seq={}", reply["seq"]))["change"].clone()
}

#[test]
fn the_sdk_of_cdevents_is_understood_in_every_mode() {
    let daemon = Daemon::start();
    let first = structured(&daemon, &event(deployed("1")), "application/cloudevents+json");
    let deploy = change(&daemon, &first);
    assert_eq!((&deploy["kind"], &deploy["revision"]), (&json!("deploy"), &json!("2.14.0")));
    let scope = (&deploy["scope"]["service"], &deploy["scope"]["environment"]);
    assert_eq!(scope, (&json!("checkout"), &json!("production")));

    let second = binary(&daemon, event(rolled_back("2")));
    let rollback = change(&daemon, &second);
    assert_eq!((&rollback["kind"], &rollback["revision"]), (&json!("rollback"), &json!("2.13.9")));

    let batch = [event(deployed("3")), event(rolled_back("4"))];
    let third = structured(&daemon, &batch, "application/cloudevents-batch+json");
    assert_eq!((&third["accepted"], &third["rejected"]), (&json!(2), &json!([])));

    // Without an envelope it is the same event.
    let bare = deployed("5");
    let body = serde_json::to_string(&bare).unwrap();
    let fourth = daemon.post_as_sent("/webhooks/cdevents", &[], &body).taken();
    assert_eq!(fourth["accepted"], 1);
    let again = binary(&daemon, event(bare));
    assert_eq!((&again["duplicates"], &again["ids"]), (&json!(1), &fourth["ids"]));
}

#[test]
fn the_sdk_of_cloudevents_is_understood_and_its_unknown_types_are_kept() {
    let daemon = Daemon::start();
    let event = || {
        let builder = EventBuilderV10::new().id("7").ty("com.acme.flushed").source("/caches");
        let data = json!({"service": "sessions", "environment": "production"});
        builder.subject("sessions").data("application/json", data).build().unwrap()
    };
    let reply = binary(&daemon, event());
    let told = change(&daemon, &reply);
    assert_eq!(
        (&told["kind"], &told["title"]),
        (&json!("other"), &json!("com.acme.flushed sessions"))
    );
    assert_eq!(told["scope"]["kind_as_sent"], "com.acme.flushed");
    let again = structured(&daemon, &event(), "application/cloudevents+json");
    assert_eq!((&again["duplicates"], &again["accepted"]), (&json!(1), &json!(0)));
}
