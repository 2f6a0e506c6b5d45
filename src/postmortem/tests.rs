//! What the document says, and that it names no person where it need not.

use proptest::prelude::*;

use super::{markdown::text, *};
use crate::event::parse_time;

fn incident(json: &serde_json::Value) -> Incident {
    let mut whole = serde_json::json!({
        "id": "inc_1", "state": "closed", "answer": "none", "headline": "",
        "started_at": "2023-02-23T15:06:00Z", "ended_at": "2023-02-23T16:06:00Z",
        "closes_at": null, "alert_count": 1, "families": [], "none_probability": 0.9,
        "suspects": [], "cleared": [], "responses": [], "impact": [],
    });
    for (name, value) in json.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn written(incident: &Incident, entries: &[Entry], actors: bool) -> PostMortem {
    let changes = Changes::new();
    let named_at = parse_time("2023-02-23T15:16:00Z").ok();
    postmortem(Sources { incident, entries, changes: &changes, named_at, actors })
}

#[test]
fn a_title_names_what_was_out_and_not_all_of_it() {
    let impact: Vec<_> = (0..8)
        .map(|n| {
            serde_json::json!({"service": format!("s{n}"), "environment": "", "outage_seconds": n,
                "degraded_seconds": 9, "outages": []})
        })
        .collect();
    let many = written(&incident(&serde_json::json!({"impact": impact})), &[], false);
    assert_eq!(many.title, "Outage of s1, s2, s3, s4, s5 and 2 more on 2023-02-23");
    let none = written(&incident(&serde_json::json!({"impact": impact[..1]})), &[], false);
    assert_eq!(none.title, "Trouble with something on 2023-02-23");
}

#[test]
fn times_are_counted_from_the_first_alert() {
    let document = written(&incident(&serde_json::json!({})), &[], false);
    let told: Vec<_> = document.learnings.iter().map(|one| one.seconds).collect();
    assert_eq!(told, [None, Some(600), None, Some(3_600)]);
}

#[test]
fn who_changed_something_is_told_where_it_is_asked_for_and_who_wrote_always() {
    let line = |kind: &str, change: Option<&str>| -> Entry {
        let json = serde_json::json!({"at": "2023-02-23T15:06:00Z", "kind": kind, "title": "x",
            "role": "context", "services": [], "environments": [], "actor": "somebody",
            "change": change});
        serde_json::from_value(json).unwrap()
    };
    let entries = [line("change_started", Some("c")), line("note", None)];
    let told = |actors| -> Vec<bool> {
        let document = written(&incident(&serde_json::json!({})), &entries, actors);
        document.timeline.iter().map(|entry| entry.actor.is_some()).collect()
    };
    assert_eq!(told(false), [false, true]);
    assert_eq!(told(true), [true, true]);
}

#[test]
fn the_most_urgent_severity_is_told() {
    let family = |severity: &str| {
        serde_json::json!({"alertname": "A", "services": [], "environments": [],
            "severity": severity, "onset_from": "2023-02-23T15:00:00Z",
            "onset_to": "2023-02-23T15:06:00Z", "starts_at": "2023-02-23T15:06:00Z",
            "ends_at": null, "episodes": 1})
    };
    let families = ["warning", "Critical", "info"].map(family);
    let document = written(&incident(&serde_json::json!({"families": families})), &[], false);
    assert_eq!(document.severity.as_deref(), Some("Critical"));
}

proptest! {
    #[test]
    fn nothing_that_is_written_is_markup(words in any::<String>()) {
        let escaped = text(&words);
        prop_assert!(!escaped.contains(['<', '>', '\n', '\r']), "{escaped:?}");
        let bare = escaped.replace("\\\\", "").replace("\\|", "").replace("\\`", "").replace("\\[", "");
        prop_assert!(!bare.contains(['|', '`', '[']), "{escaped:?}");
    }
}
