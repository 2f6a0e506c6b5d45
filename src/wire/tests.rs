//! Payloads as sources send them, beside the events that they must become, and the laws of the
//! edge: no input makes it panic, and a case file tells what its posts tell.

use std::{collections::BTreeSet, fs, path::Path};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Normalised, Refused, alert, alertmanager, alertmanager_api,
    case::{Case, posts},
    change, note,
};
use crate::event::{ChangeHistory, Episode, Event, EventId, Labels, Mapping, Time, parse_time};

type Normalise = fn(&[u8], Time) -> Result<Normalised, Refused>;

const SOURCES: [(&str, Normalise); 5] = [
    ("alerts", alert::normalise),
    ("alertmanager", alertmanager::normalise),
    ("alertmanager_api", alertmanager_api::normalise),
    ("changes", change::normalise),
    ("notes", note::normalise),
];

fn received() -> Time {
    parse_time("2023-02-24T00:00:00Z").unwrap()
}

fn shown(result: Result<Normalised, Refused>) -> Value {
    match result {
        Ok(normalised) => json!({
            "items": normalised.items.iter().map(|item| json!({
                "id": item.id,
                "events": item.events,
            })).collect::<Vec<_>>(),
            "rejected": normalised.rejected,
            "truncated": normalised.truncated,
        }),
        Err(refused) => json!({ "refused": refused }),
    }
}

/// `UPDATE=1` writes what the payloads become; read the difference before you commit it.
#[test]
fn every_payload_becomes_exactly_its_events() {
    for (source, normalise) in SOURCES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/payloads").join(source);
        let files: BTreeSet<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let payloads: Vec<_> =
            files.iter().filter(|path| !path.to_string_lossy().ends_with(".events.json")).collect();
        assert!(payloads.len() > 2, "no payloads in {}", folder.display());
        for payload in payloads {
            let got = shown(normalise(&fs::read(payload).unwrap(), received()));
            let golden = payload.with_extension("events.json");
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&golden, format!("{got:#}\n")).unwrap();
            }
            let want: Value = serde_json::from_slice(&fs::read(&golden).unwrap()).unwrap();
            assert_eq!(got, want, "{}", payload.display());
        }
    }
}

fn accepted(normalise: Normalise, body: &Value) -> Normalised {
    normalise(body.to_string().as_bytes(), received()).unwrap()
}

fn ids(normalised: &Normalised) -> BTreeSet<EventId> {
    normalised.items.iter().flat_map(|item| &item.events).map(Event::id).collect()
}

#[test]
fn a_resolved_alert_tells_again_what_its_firing_told() {
    let alert = |status: &str, ends_at: &str| {
        json!({"version": "4", "alerts": [{
            "status": status, "labels": {"alertname": "A"}, "annotations": {"summary": "s"},
            "startsAt": "2023-02-23T19:13:00Z", "endsAt": ends_at,
        }]})
    };
    let firing = accepted(alertmanager::normalise, &alert("firing", "0001-01-01T00:00:00Z"));
    let resolved = accepted(alertmanager::normalise, &alert("resolved", "2023-02-23T20:00:00Z"));
    assert!(ids(&firing).is_subset(&ids(&resolved)));
    assert_eq!(ids(&resolved).len(), 2);
}

/// Prometheus tells an end again for a quarter of an hour, and may have told it to an Alertmanager
/// too.
#[test]
fn an_end_that_is_told_again_and_elsewhere_is_one() {
    let posted = json!([{
        "labels": {"alertname": "A", "pod": ""}, "annotations": {"summary": "at 93 %"},
        "startsAt": "2023-02-23T19:13:00.5Z", "endsAt": "2023-02-23T20:00:00Z",
    }]);
    let webhook = json!({"version": "4", "alerts": [{
        "status": "resolved", "labels": {"alertname": "A"}, "annotations": {"summary": "at 97 %"},
        "startsAt": "2023-02-23T19:13:00.5Z", "endsAt": "2023-02-23T20:00:00Z",
    }]});
    let first = accepted(alertmanager_api::normalise, &posted);
    let later = parse_time("2023-02-24T00:14:00Z").unwrap();
    let again = alertmanager_api::normalise(posted.to_string().as_bytes(), later).unwrap();
    assert_eq!(ids(&first), ids(&again));
    assert_eq!(ids(&first), ids(&accepted(alertmanager::normalise, &webhook)));
}

#[test]
fn reports_of_start_and_end_without_an_id_are_one_change() {
    let start = json!({"title": "api 7", "service": "api", "started_at": "2023-02-23T12:00:00Z"});
    let mut end = start.clone();
    end["status"] = json!("failed");
    end["finished_at"] = json!("2023-02-23T12:09:00Z");
    let (start, end) = (accepted(change::normalise, &start), accepted(change::normalise, &end));
    assert_eq!(start.items[0].id, end.items[0].id);
    assert!(ids(&start).is_subset(&ids(&end)));
}

#[test]
fn changes_that_differ_in_one_thing_have_two_ids() {
    let base = json!({"title": "api 7", "service": "api", "started_at": "2023-02-23T12:00:00Z"});
    let id = |body: &Value| accepted(change::normalise, body).items[0].id.clone().unwrap();
    let mut seen = BTreeSet::from([id(&base)]);
    for (field, value) in [
        ("title", "api 8"),
        ("service", "web"),
        ("kind", "deploy"),
        ("action", "create"),
        ("started_at", "2023-02-23T12:00:01Z"),
        ("revision", "abc"),
        ("change_set", "abc"),
        ("environment", "abc"),
    ] {
        let mut other = base.clone();
        other[field] = json!(value);
        assert!(seen.insert(id(&other)), "{field} is not part of the id");
    }
}

#[test]
fn a_late_retry_of_a_change_without_a_time_has_the_same_content_id() {
    let body = json!({"id": "run-7", "title": "api 7"}).to_string();
    let first = change::normalise(body.as_bytes(), received()).unwrap();
    let later = parse_time("2023-02-24T00:00:09Z").unwrap();
    let again = change::normalise(body.as_bytes(), later).unwrap();
    assert_eq!(ids(&first), ids(&again));
}

fn case_text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/payloads/cases/twins.json");
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_case_is_read_alike_under_other_ids_and_in_another_order() {
    let case = Case::parse(case_text().as_bytes()).unwrap();
    let mut other: Value = serde_json::from_str(&case_text()).unwrap();
    other["truth"] = json!({"causes": ["z9"]});
    other["class"] = json!("no_change");
    let events = other["events"].as_array_mut().unwrap();
    events.reverse();
    for (n, event) in events.iter_mut().enumerate() {
        event["id"] = json!(format!("z{n}"));
    }
    let other = Case::parse(other.to_string().as_bytes()).unwrap();
    let told = |case: &Case| case.events.iter().map(Event::id).collect::<BTreeSet<_>>();
    assert_eq!(told(&case), told(&other));
    assert_eq!(case.changes.keys().collect::<Vec<_>>(), other.changes.keys().collect::<Vec<_>>());
}

#[test]
fn equal_changes_of_a_case_stay_two() {
    let case = Case::parse(case_text().as_bytes()).unwrap();
    let names: BTreeSet<_> = case.changes.values().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["c1", "c2", "c3"]));
    assert_eq!(case.services.len(), 2);
}

#[test]
fn an_episode_finds_its_alerts_in_the_case() {
    let case = Case::parse(case_text().as_bytes()).unwrap();
    let mapping = Mapping::default();
    for (name, want) in [("QueueFull", "a1"), ("CheckoutSlow", "a2")] {
        let report = case
            .events
            .iter()
            .find_map(|event| match event {
                Event::Alert(report) if report.labels.holds("alertname", name) => Some(report),
                Event::Alert(_) | Event::Change(_) | Event::Note(_) | Event::Feedback(_) => None,
            })
            .unwrap();
        let mut firings = crate::event::Firings::default();
        firings.absorb(report, Event::Alert(report.clone()).id());
        let episode = Episode::new(report, &mapping, &firings.stretches().next().unwrap());
        assert_eq!(case.alerts(&episode, &mapping).collect::<Vec<_>>(), [want]);
    }
}

#[test]
fn changes_of_two_cases_are_told_apart() {
    let case = Case::parse(case_text().as_bytes()).unwrap().with_own_ids();
    assert!(case.changes.values().all(|id| id.starts_with("twins/c")), "{:?}", case.changes);
    let bodies: Vec<_> = posts(&case).into_iter().map(|post| post.body).collect();
    let named = |body: &&String| body.contains(r#""id":"twins/c1""#);
    assert_eq!(bodies.iter().filter(named).count(), 2, "its start and its end: {bodies:#?}");
}

/// What the file says and what its posts say, once ids are set aside.
#[test]
fn the_posts_of_a_case_tell_the_same_events() {
    let text = case_text();
    let starts = r#""starts_at": "2024-05-02T09:10:00Z","#;
    let pending = format!(r#"{starts} "pending_at": "2024-05-02T09:05:00Z","#);
    for text in [text.replace(starts, &pending), text] {
        assert_posts_tell(&Case::parse(text.as_bytes()).unwrap());
    }
}

fn assert_posts_tell(case: &Case) {
    let posts = posts(case);
    assert!(posts.is_sorted_by_key(|post| post.at), "{posts:#?}");
    assert_eq!(posts.len(), 2 + 2 + 1 + 2 + 1 + 1, "{posts:#?}");
    let mut posted = BTreeSet::new();
    for post in posts {
        let normalise = match post.path {
            "/webhooks/alertmanager" => alertmanager::normalise,
            "/api/v1/alerts" => alert::normalise,
            "/api/v1/changes" => change::normalise,
            "/api/v1/notes" => note::normalise,
            other => panic!("nothing listens at {other}"),
        };
        let normalised = normalise(post.body.as_bytes(), post.at).unwrap();
        assert_eq!(normalised.rejected, []);
        for event in normalised.items.into_iter().flat_map(|item| item.events) {
            assert!(event.time() <= post.at, "{event:?} was posted at {}", post.at);
            posted.insert(nameless(event));
        }
    }
    let told: BTreeSet<_> = case.events.iter().cloned().map(nameless).collect();
    assert_eq!(posted, told);
}

fn nameless(event: Event) -> String {
    let mut value = serde_json::to_value(event).unwrap();
    if value["type"] == "change" {
        value["id"] = Value::Null;
    }
    value.to_string()
}

#[test]
fn a_bad_entry_of_a_case_is_named() {
    for (entry, want) in [
        (json!({"type": "alert", "starts_at": "2024-05-02T09:00:00Z"}), "events[0].alertname"),
        (json!({"type": "alert", "alertname": "A"}), "events[0].starts_at"),
        (json!({"type": "change", "title": "t"}), "events[0].started_at"),
        (json!({"type": "change", "id": "c"}), "events[0].title"),
        (json!({"type": "note", "text": "t"}), "events[0].at"),
        (json!({"type": "metric"}), "events[0].type"),
        (json!({"type": "change", "title": "t", "started_at": 7.5}), "events[0].started_at"),
    ] {
        let text = json!({"events": [entry]}).to_string();
        let refused = Case::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some(want), "{refused}");
    }
}

#[test]
fn a_list_of_too_many_things_is_refused() {
    let body = format!("[{}{{}}]", "{},".repeat(super::ITEMS_MAX));
    assert!(change::normalise(body.as_bytes(), received()).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[a-z_]{0,8}",
        Just("2023-02-23T19:13:00Z".to_owned()),
        Just("0001-01-01T00:00:00Z".to_owned()),
        Just("4".to_owned()),
        Just("resolved".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let keys = [
            "version",
            "alerts",
            "labels",
            "startsAt",
            "endsAt",
            "status",
            "alertname",
            "title",
            "id",
            "started_at",
            "finished_at",
            "resources",
            "text",
            "at",
            "events",
            "type",
            "annotations",
            "summary",
            "service",
            "kind",
            "action",
            "truncatedAlerts",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(keys.to_vec()), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

fn feed_all(body: &[u8], received: Time) {
    for (_, normalise) in SOURCES {
        if let Ok(normalised) = normalise(body, received) {
            for event in normalised.items.iter().flat_map(|item| &item.events) {
                let bytes = serde_json::to_vec(event).unwrap();
                let back: Event = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(&back, event, "an event does not survive the log");
                told_of(event);
            }
        }
    }
    drop(Case::parse(body));
}

fn told_of(event: &Event) {
    if let Event::Change(report) = event {
        let mut history = ChangeHistory::default();
        history.absorb(report, event.id());
        assert!(history.change(&report.id, &Mapping::default()).is_some());
    }
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(body in any_json(), micros in any::<i64>()) {
        feed_all(body.to_string().as_bytes(), crate::event::time_of_micros(micros));
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        feed_all(&body, received());
    }

    #[test]
    fn no_labels_make_it_panic(name in any::<String>(), value in any::<String>()) {
        let labels: Labels = [("alertname", "A"), (&name, &value)].into_iter().collect();
        let body = json!({"version": "4", "alerts": [{
            "labels": labels, "startsAt": "2023-02-23T19:13:00Z",
        }]});
        feed_all(body.to_string().as_bytes(), received());
    }
}
