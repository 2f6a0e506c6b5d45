//! What is asked, and what is answered.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Daemon, at};
use crate::{
    correlate::{Answer, FamilySummary, Impact, Incident, IncidentId, Outage, State},
    event::{
        AlertReport, Change, ChangeHistory, ChangeId, ChangeReport, Episode, EventId, Firings,
        Labels, Mapping, Note, Status, time_of_micros,
    },
    http::query::collect,
    store::{Page, Paged, State as _, StateBatch},
};

fn changes(count: i64) -> Vec<Change> {
    let change = |n: i64| {
        // Pairs of equal starts, so that the id decides.
        let started_at = time_of_micros(1_677_150_000_000_000 + n / 2 * 1_000_000);
        let mut report =
            ChangeReport::new(ChangeId(format!("run/{n}")), Status::Started, started_at);
        report.labels.insert("service", if n % 2 == 0 { "api" } else { "web" });
        let mut history = ChangeHistory::default();
        history.absorb(&report, EventId::of(&report));
        history.change(&report.id, &Mapping::default()).unwrap()
    };
    (0..count).map(change).collect()
}

#[tokio::test]
async fn pages_hold_each_thing_once_newest_first() {
    let daemon = Daemon::start();
    daemon.state.commit(&StateBatch { changes: changes(7), ..StateBatch::default() }).unwrap();
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/api/v1/changes?limit=3{next}")).await.ok();
        let items = page["changes"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|change| {
            let text = |field: &str| change[field].as_str().unwrap().to_owned();
            (text("started_at"), text("id"))
        }));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 7, "{seen:#?}");
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|one, next| one.0 >= next.0), "{seen:#?}");
}

#[tokio::test]
async fn any_of_the_matchers_selects() {
    let daemon = Daemon::start();
    daemon.state.commit(&StateBatch { changes: changes(6), ..StateBatch::default() }).unwrap();
    let count = async |query: &str| {
        let page = daemon.get(&format!("/api/v1/changes?{query}")).await.ok();
        page["changes"].as_array().unwrap().len()
    };
    assert_eq!(count("match[]=service%3D%22api%22").await, 3);
    assert_eq!(count("match[]=service%3Dapi&match[]=service%3Dweb").await, 6);
    assert_eq!(count("match[]=%7Bservice%3Dapi,service%3Dweb%7D").await, 0);
}

#[tokio::test]
async fn a_change_is_found_by_an_id_with_a_slash() {
    let daemon = Daemon::start();
    daemon.state.commit(&StateBatch { changes: changes(1), ..StateBatch::default() }).unwrap();
    let reply = daemon.get("/api/v1/changes/run%2F0").await.ok();
    assert_eq!(reply["change"]["id"], "run/0");
    assert_eq!(reply["config"], "c0ffee");
    daemon.get("/api/v1/changes/run%2f1").await.problem(404);
    daemon.get("/api/v1/changes/run%2").await.problem(404);
}

/// An incident of one alert, which still fires.
pub(super) fn told() -> (Incident, Episode) {
    let labels: Labels =
        [("alertname", "ProbeFailed"), ("service", "sdk"), ("environment", "production")]
            .into_iter()
            .collect();
    let starts_at = at("2023-02-23T20:17:00Z");
    let report = AlertReport { labels, starts_at, ends_at: None, summary: None, url: None };
    let mut firings = Firings::default();
    firings.absorb(&report, EventId::of(&report));
    let scope = Mapping::default().scope(&report.labels);
    let episode = Episode::new(&report.labels, scope, firings.stretches().remove(0));
    let family = FamilySummary {
        alertname: "ProbeFailed".to_owned(),
        services: vec!["sdk".to_owned()],
        environments: vec!["production".to_owned()],
        severity: Some("critical".to_owned()),
        onset_from: at("2023-02-23T20:02:00Z"),
        onset_to: starts_at,
        starts_at,
        ends_at: None,
        episodes: 1,
        summary: None,
    };
    let impact = Impact {
        service: "sdk".to_owned(),
        environment: "production".to_owned(),
        outage_seconds: 1020,
        degraded_seconds: 0,
        outages: vec![Outage { from: starts_at, to: at("2023-02-23T20:34:00Z"), ongoing: false }],
        degradations: Vec::new(),
    };
    let incident = Incident {
        id: IncidentId("inc_1".to_owned()),
        state: State::Open,
        answer: Answer::None,
        headline: "no recorded change explains it".to_owned(),
        started_at: starts_at,
        ended_at: None,
        closes_at: None,
        alerts: vec![episode.id.clone()],
        families: vec![family],
        none_probability: 1.0,
        suspects: Vec::new(),
        cleared: Vec::new(),
        responses: Vec::new(),
        impact: vec![impact],
    };
    (incident, episode)
}

fn with_incident() -> (Daemon, Incident, Episode) {
    let daemon = Daemon::start();
    let (incident, episode) = told();
    let note = Note {
        at: at("2023-02-23T20:20:00Z"),
        at_assumed: false,
        text: "Looking at it".to_owned(),
        author: None,
        incident: Some("inc_1".to_owned()),
        labels: Labels::default(),
    };
    let batch = StateBatch {
        incidents: vec![incident.clone()],
        episodes: vec![(episode.clone(), Some(incident.id.clone()))],
        notes: vec![(EventId::of(&note), note)],
        ..StateBatch::default()
    };
    daemon.state.commit(&batch).unwrap();
    (daemon, incident, episode)
}

#[tokio::test]
async fn an_incident_is_found_by_the_key_of_its_alert() {
    let (daemon, incident, episode) = with_incident();
    for id in [&incident.id.0, &episode.id.0] {
        let path = format!("/api/v1/incidents/{id}");
        let one = daemon.get(&path).await.ok();
        assert_eq!(one["incident"], serde_json::to_value(&incident).unwrap());
        let suspects = daemon.get(&format!("{path}/suspects")).await.ok();
        assert_eq!((&suspects["incident"], &suspects["answer"]), (&json!("inc_1"), &json!("none")));
        let impact = daemon.get(&format!("{path}/impact")).await.ok();
        assert_eq!(impact["impact"][0]["outage_seconds"], 1020);
        let timeline = daemon.get(&format!("{path}/timeline")).await.ok();
        let kinds: Vec<_> = timeline["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["alert_firing", "note"]);
        for answer in [one, suspects, impact, timeline] {
            assert_eq!(answer["config"], "c0ffee");
            at(answer["at"].as_str().unwrap());
        }
    }
    let missing = daemon.get("/api/v1/incidents/inc_2/impact").await.problem(404);
    assert!(missing["detail"].as_str().unwrap().contains("inc_2"), "{missing}");
}

#[tokio::test]
async fn incidents_are_listed_by_state_and_by_what_they_show() {
    let (daemon, ..) = with_incident();
    for (query, count) in [
        ("", 1),
        ("?state=open", 1),
        ("?state=closed", 0),
        ("?match[]=service=sdk", 1),
        ("?match[]=alertname!=ProbeFailed", 0),
        ("?end=2023-02-23T20:16:00Z", 0),
    ] {
        let list = daemon.get(&format!("/api/v1/incidents{query}")).await.ok();
        assert_eq!(list["incidents"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn alerts_are_listed_with_their_incident() {
    let (daemon, ..) = with_incident();
    let list = daemon.get("/api/v1/alerts?firing=true").await.ok();
    assert_eq!(list["alerts"][0]["alertname"], "ProbeFailed");
    assert_eq!(list["alerts"][0]["incident"], "inc_1");
    let list = daemon.get("/api/v1/alerts?firing=false").await.ok();
    assert_eq!(list["alerts"], json!([]));
}

#[tokio::test]
async fn a_range_is_told_without_what_lies_outside() {
    let (daemon, ..) = with_incident();
    let entries = async |query: &str| {
        let timeline = daemon.get(&format!("/api/v1/timeline?{query}")).await.ok();
        assert_eq!(timeline["truncated"], false);
        timeline["entries"].as_array().unwrap().len()
    };
    assert_eq!(entries("start=2023-02-23T20:00:00Z&end=2023-02-23T21:00:00Z").await, 2);
    // The alert still fires then, but it began before.
    assert_eq!(entries("start=2023-02-23T20:19:00Z&end=2023-02-23T21:00:00Z").await, 1);
    assert_eq!(entries("end=2023-02-23T20:18:00Z").await, 1);
    assert_eq!(entries("end=2023-02-23T21:00:00Z&match[]=service=api").await, 0);
}

#[test]
fn a_list_without_an_end_is_cut_off_and_says_so() {
    let page = Page { start: None, end: None, after: None, limit: 1 };
    let endless = |page: &Page| {
        let n = page.after.as_ref().map_or(0, |(_, id)| id.len());
        let next = Some((at("2023-02-23T20:17:00Z"), "x".repeat(n + 1)));
        Ok(Paged { items: vec![n], next })
    };
    let (items, more) = collect(page, endless).unwrap();
    assert!(more);
    assert_eq!(items, (0..items.len()).collect::<Vec<_>>());
}
