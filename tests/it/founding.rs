//! The founding incident, asked as its engineers would have asked: what caused this? Then again, told
//! in other words, and hidden in an ordinary organisation's noise. The answer has to be the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
};

use antecede::{
    correlate::{Answer, Incident},
    duration::say_duration,
    event::parse_time,
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::{
    answer::{Told, assert_same, case, day, names, replay, repository},
    chance::Chance,
};

/// Where noise hides it from somebody yet: an alert has another change to blame that fits as well, by
/// time, place and words. What is found is taken out; nothing is to be put in.
const HIDDEN: [(u64, &str); 3] = [(8, "23:00"), (16, "16:50"), (16, "19:27")];

/// When it is asked: at the first alert, at the first in production, at the API deploy, at the end.
pub(crate) const TIMES: [&str; 4] = ["15:07", "16:50", "19:27", "23:00"];

/// The removal of the node groups.
const REMOVAL: [&str; 2] = ["c-nodegroups-production", "c-nodegroups-staging"];

/// All alerts of the incident, by the times at which it is asked.
const ALERTS: [&[&str]; 4] = [
    &["a1"],
    &["a1", "a2"],
    &["a1", "a2", "a3", "a4", "a5"],
    &["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11"],
];

pub(crate) fn founding() -> Value {
    case("incidents/founding.json")
}

/// The incident among three days of an ordinary organisation's changes and alerts, by seed.
pub(crate) fn noisy(seed: u64) -> Value {
    let packed = fs::File::open(repository(&format!("tests/data/founding/noise-{seed}.json.gz")));
    serde_json::from_reader(GzDecoder::new(packed.unwrap())).unwrap()
}

#[test]
fn the_removal_is_named_from_the_first_alert_on() {
    for (until, alerts) in TIMES.into_iter().zip(ALERTS) {
        let told = replay(&founding(), until, &[]);
        assert_eq!(in_file_order(told.alerts()), alerts, "at {until}");
        assert_eq!(named(told.incident()), REMOVAL, "at {until}");
    }
}

#[test]
fn staging_and_production_are_one_story_from_the_minute_of_the_second_alert_on() {
    let told = replay(&founding(), "16:48", &[]);
    assert_eq!(told.alerts(), ["a1", "a2"]);
}

#[test]
fn the_deploy_of_six_minutes_ago_is_cleared_by_the_earlier_symptoms() {
    for until in ["19:27", "23:00"] {
        let told = replay(&founding(), until, &[]);
        let reason = cleared(told.incident(), "c-api").expect("the deploy is cleared");
        for words in ["4 h 14 min before", "15:06", "KarpenterErrorLogs"] {
            assert!(reason.contains(words), "{words:?} is not in {reason:?}");
        }
    }
}

#[test]
fn at_the_end_the_removal_is_likely_and_the_cures_are_responses() {
    let told = replay(&founding(), "23:00", &[]);
    let incident = told.incident();
    assert_eq!(incident.answer, Answer::Likely);
    for cure in ["c-hotfix", "c-revert", "c-selector"] {
        assert!(names(&incident.responses).contains(&cure), "{cure}: {:?}", incident.responses);
    }
}

#[test]
fn outage_is_what_users_had_and_of_nothing_else() {
    let told = replay(&founding(), "23:00", &[]);
    let stretches = told.incident().impact.iter().flat_map(|impact| {
        let place = format!("{} {}", impact.service, impact.environment);
        impact.outages.iter().map(move |one| (place.clone(), (one.to - one.from).num_minutes()))
    });
    let outages: BTreeMap<_, _> = stretches.collect();
    let expected = [("dashboard", 17), ("live-api", 14), ("sdk", 17), ("test-api", 26)]
        .map(|(service, minutes)| (format!("{service} production"), minutes));
    assert_eq!(outages, BTreeMap::from(expected));
}

#[test]
fn the_answer_has_the_names_of_the_contract() {
    let answer: Value = serde_json::from_str(&replay(&founding(), "23:00", &[]).text).unwrap();
    assert_eq!(answer["until"], day("23:00"));
    let lists = [
        ("/config /incidents", ""),
        ("/id /state /answer /started_at /ended_at /alerts /none_probability", "/incidents/0"),
        ("/suspects /cleared /responses /impact", "/incidents/0"),
        ("/change /changes /rank /probability /summary", "/incidents/0/suspects/0"),
        ("/kind /nats /text", "/incidents/0/suspects/0/evidence/0"),
        ("/change /reason", "/incidents/0/cleared/0"),
        ("/service /environment /outage_seconds /degraded_seconds", "/incidents/0/impact/0"),
        ("/from /to", "/incidents/0/impact/1/outages/0"),
    ];
    for (fields, place) in lists {
        for field in fields.split(' ') {
            let there = answer.pointer(&format!("{place}{field}"));
            assert!(there.is_some_and(|value| !value.is_null()), "{place}{field} is missing");
        }
    }
    let before = replay(&founding(), "19:27", &[]);
    let before: Value = serde_json::from_str(&before.text).unwrap();
    assert_eq!(before["incidents"][0]["ended_at"], Value::Null);
}

#[test]
fn how_ids_are_spelled_decides_nothing() {
    for seed in 1..=3 {
        let (renamed, back) = respelled(&founding(), &mut Chance(seed));
        for until in TIMES {
            assert_tells_in_other_ids(&format!("seed {seed}"), &renamed, &back, &founding(), until);
        }
    }
}

#[test]
fn notes_cause_nothing() {
    assert_tells_the_same("notes", |case| {
        events(case).retain(|event| event["type"] != "note");
    });
}

#[test]
fn the_order_of_the_file_decides_nothing() {
    for seed in 1..=3 {
        assert_tells_the_same("order", |case| shuffle(case, &mut Chance(seed)));
    }
}

#[test]
fn what_was_known_only_afterwards_is_not_read() {
    const AFTERWARDS: [&str; 4] = ["truth", "class", "inferred", "sources"];
    assert_tells_the_same("removed", |case| {
        let case_fields = case.as_object_mut().unwrap();
        case_fields.retain(|name, _| !AFTERWARDS.contains(&name.as_str()));
        for event in events(case) {
            event.as_object_mut().unwrap().remove("evidence");
        }
    });
    assert_tells_the_same("altered", |case| {
        case["id"] = json!("another");
        case["truth"] = json!({"causes": ["c-api"], "innocent": REMOVAL, "why": "a lie"});
        case["class"] = json!("no_change");
        case["inferred"] = json!([]);
        for event in events(case) {
            let other = if event["evidence"] == "source" { "inferred" } else { "source" };
            event["evidence"] = json!(other);
        }
    });
}

/// One apply over two environments is one act, whether it is reported once or twice.
#[test]
fn one_change_in_two_environments_is_as_suspect_as_two() {
    const BOTH: &str = "c-nodegroups";
    let mut once = founding();
    events(&mut once).retain(|event| event["id"] != REMOVAL[0]);
    for event in events(&mut once).iter_mut().filter(|event| event["id"] == REMOVAL[1]) {
        event["id"] = json!(BOTH);
        event["environment"] = json!(["staging", "production"]);
        event["labels"]["cluster"] = json!(["staging-1", "prod-1"]);
    }
    let names = BTreeMap::from(REMOVAL.map(|half| (half.to_owned(), BOTH.to_owned())));
    for until in TIMES {
        let (once, twice) = (replay(&once, until, &[]), replay(&founding(), until, &[]));
        let (once, once_probabilities) = essence(&once, &BTreeMap::new());
        let (twice, twice_probabilities) = essence(&twice, &names);
        assert_same(until, &format!("{once:#}"), &format!("{twice:#}"));
        for (one, other) in once_probabilities.iter().zip(&twice_probabilities) {
            assert!((one - other).abs() < 1.5e-4, "at {until}: {one}, not {other}");
        }
    }
}

#[test]
fn rules_alone_know_the_karpenter_and_node_alerts() {
    assert_knows_the_platform("--no-catalog");
}

#[test]
fn the_catalogue_alone_knows_the_karpenter_and_node_alerts() {
    assert_knows_the_platform("--no-rules");
}

#[test]
fn noise_1_to_5_hides_the_removal_from_nobody() {
    assert_noise_hides_nothing(1..=5);
}

#[test]
fn noise_6_to_10_hides_the_removal_from_nobody() {
    assert_noise_hides_nothing(6..=10);
}

#[test]
fn noise_11_to_15_hides_the_removal_from_nobody() {
    assert_noise_hides_nothing(11..=15);
}

#[test]
fn noise_16_to_20_hides_the_removal_from_nobody() {
    assert_noise_hides_nothing(16..=20);
}

/// Every alert is put down to the removal, and the deploy of six minutes ago is cleared.
#[track_caller]
fn assert_noise_hides_nothing(seeds: RangeInclusive<u64>) {
    let mut wrong = Vec::new();
    for seed in seeds {
        let case = noisy(seed);
        for (until, alerts) in TIMES.into_iter().zip(ALERTS) {
            let told = replay(&case, until, &[]);
            let mistakes = mistakes(&told, alerts).filter(|_| !HIDDEN.contains(&(seed, until)));
            let blamed = (until == "19:27").then(|| blames_the_deploy(&told)).flatten();
            wrong.extend(
                mistakes.chain(blamed).map(|what| format!("noise {seed} at {until}: {what}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with how the deploy is cleared of the alert for which it was blamed.
fn blames_the_deploy(told: &Told) -> Option<String> {
    let deployed = parse_time(&day("19:20")).unwrap();
    let incident = told.holder("a5");
    let began = incident.started_at;
    let earlier = format!("{} before it", say_duration(deployed - began));
    let words = [earlier, began.format("%H:%M").to_string()];
    let reason = cleared(incident, "c-api").unwrap_or("not cleared");
    let is_cleared = words.iter().all(|words| reason.contains(words));
    (!is_cleared).then(|| format!("want {words:?}: {reason}"))
}

#[test]
fn noise_in_any_order_and_spelling_is_the_same_noise() {
    for seed in 1..=3 {
        let (mut renamed, back) = respelled(&noisy(seed), &mut Chance(seed));
        shuffle(&mut renamed, &mut Chance(seed));
        let what = format!("noise {seed}");
        assert_tells_in_other_ids(&what, &renamed, &back, &noisy(seed), "19:27");
    }
}

fn events(case: &mut Value) -> &mut Vec<Value> {
    case["events"].as_array_mut().unwrap()
}

/// The members of the change set that an incident is put down to, by name; none, where it is put
/// down to none.
fn named(incident: &Incident) -> Vec<&str> {
    let blamed = matches!(incident.answer, Answer::Likely | Answer::Suspects);
    let first = incident.suspects.first().filter(|_| blamed);
    let mut members = first.map(|one| names(&one.changes)).unwrap_or_default();
    members.sort_unstable();
    members
}

/// Alerts that are told by start, those of one start in the file's order.
#[track_caller]
fn in_file_order(told: Vec<&str>) -> Vec<&str> {
    let mut case = founding();
    let events = events(&mut case);
    let place = |alert: &str| events.iter().position(|event| event["id"] == alert).unwrap();
    let start = |alert: &str| events[place(alert)]["starts_at"].to_string();
    assert!(told.is_sorted_by_key(|alert| start(alert)), "not by start: {told:?}");
    let mut told = told;
    told.sort_by_key(|alert| (start(alert), place(alert)));
    told
}

/// Why a change is cleared, where it is.
fn cleared<'a>(incident: &'a Incident, change: &str) -> Option<&'a str> {
    let cleared = incident.cleared.iter().find(|one| names(&one.changes).contains(&change));
    cleared.map(|one| one.reason.as_str())
}

/// The incidents of the alerts that are not put down to the removal.
fn mistakes<'a>(told: &'a Told, alerts: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    alerts.iter().filter_map(|alert| {
        let incident = told.holder(alert);
        let wrong = named(incident) != REMOVAL;
        wrong.then(|| format!("{alert} is put down to {:?}", named(incident)))
    })
}

/// A case that differs in what is not to matter gives the same bytes.
#[track_caller]
fn assert_tells_the_same(what: &str, alter: impl Fn(&mut Value)) {
    let mut altered = founding();
    alter(&mut altered);
    assert_ne!(altered, founding(), "{what}: nothing was altered");
    for until in TIMES {
        let (one, other) = (replay(&altered, until, &[]), replay(&founding(), until, &[]));
        assert_same(&format!("{what} at {until}"), &one.text, &other.text);
    }
}

/// A case whose ids are others gives the same bytes, but for these ids.
#[track_caller]
fn assert_tells_in_other_ids(
    what: &str,
    renamed: &Value,
    back: &BTreeMap<String, String>,
    case: &Value,
    until: &str,
) {
    let mut answer = serde_json::from_str(&replay(renamed, until, &[]).text).unwrap();
    rename(&mut answer, back);
    let expected: Value = serde_json::from_str(&replay(case, until, &[]).text).unwrap();
    assert_same(&format!("{what} at {until}"), &format!("{answer:#}"), &format!("{expected:#}"));
}

/// Events and services in any order.
fn shuffle(case: &mut Value, chance: &mut Chance) {
    chance.shuffle(events(case));
    chance.shuffle(case["catalog"].as_array_mut().unwrap());
}

/// The alerts of Karpenter and of the nodes are put down to the removal, and never to the deploy.
#[track_caller]
fn assert_knows_the_platform(flag: &str) {
    let mut wrong = Vec::new();
    for (until, alerts) in TIMES.into_iter().zip(ALERTS) {
        let alerts = &alerts[..alerts.len().min(4)];
        let told = replay(&founding(), until, &[flag]);
        wrong.extend(mistakes(&told, alerts).map(|what| format!("at {until}: {what}")));
        if until >= "19:27" {
            let blamed =
                alerts.iter().filter(|alert| cleared(told.holder(alert), "c-api").is_none());
            wrong
                .extend(blamed.map(|alert| format!("at {until}: c-api is not cleared of {alert}")));
        }
    }
    assert!(wrong.is_empty(), "{flag}:\n{}", wrong.join("\n"));
}

/// The case with ids of any spelling, and the way back.
fn respelled(case: &Value, chance: &mut Chance) -> (Value, BTreeMap<String, String>) {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_./:";
    let mut case = case.clone();
    let mut back = BTreeMap::new();
    for event in events(&mut case) {
        let Some(id) = event["id"].as_str() else { continue };
        let length = 12 + chance.index(20);
        let spelling: String =
            (0..length).map(|_| char::from(LETTERS[chance.index(LETTERS.len())])).collect();
        back.insert(spelling.clone(), id.to_owned());
        event["id"] = json!(spelling);
    }
    (case, back)
}

/// Puts other names in the place of strings.
fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = names.get(text) {
                text.clone_from(name);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is said in an incident, with other names for changes, less the words of the evidence; and
/// the probabilities.
fn essence(told: &Told, names: &BTreeMap<String, String>) -> (Value, Vec<f64>) {
    let incident = told.incident();
    let called = |ids: &[antecede::event::ChangeId]| -> BTreeSet<String> {
        ids.iter().map(|id| names.get(&id.0).unwrap_or(&id.0).clone()).collect()
    };
    let suspects: Vec<_> = incident.suspects.iter().map(|one| called(&one.changes)).collect();
    let cleared: Vec<_> =
        incident.cleared.iter().map(|one| (called(&one.changes), &one.reason)).collect();
    let said = json!({
        "id": incident.id, "state": incident.state, "answer": incident.answer,
        "headline": incident.headline, "alerts": told.alerts(),
        "suspects": suspects, "cleared": cleared, "responses": incident.responses,
        "impact": incident.impact,
    });
    let probabilities = std::iter::once(incident.none_probability)
        .chain(incident.suspects.iter().map(|one| one.probability))
        .chain(incident.cleared.iter().map(|one| one.probability));
    (said, probabilities.collect())
}
