//! What is asked, and what is answered.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::TimeDelta;
use serde_json::json;

use super::{Daemon, at};
use crate::{
    correlate::{
        Answer, FamilyKey, FamilyRef, FamilySummary, Impact, Incident, IncidentId, Kept, Model,
        Outage, State, Told, Window,
    },
    event::{
        AlertReport, Change, ChangeHistory, ChangeId, ChangeReport, EpisodeId, Event, EventId,
        Firing, Labels, Mapping, Note, Outlook, Status, Time, time_of_micros,
    },
    http::query::collect,
    store::{FiringRow, Page, Paged, Position, State as _, StateBatch, StoreError},
};

fn changes(count: i64) -> Vec<(Change, ChangeHistory)> {
    let change = |n: i64| {
        // Pairs of equal starts, so that the id decides.
        let started_at = time_of_micros(1_677_150_000_000_000 + n / 2 * 1_000_000);
        let mut report =
            ChangeReport::new(ChangeId(format!("run/{n}")), Status::Started, started_at);
        report.labels.insert("service", if n % 2 == 0 { "api" } else { "web" });
        let mut history = ChangeHistory::default();
        history.absorb(&report, EventId::of(&report));
        (history.change(&report.id, &Mapping::default()).unwrap(), history)
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
    let position = under("c0ffee");
    let batch = StateBatch { changes: changes(1), position, ..StateBatch::default() };
    daemon.state.commit(&batch).unwrap();
    let reply = daemon.get("/api/v1/changes/run%2F0").await.ok();
    assert_eq!(reply["change"]["id"], "run/0");
    assert_eq!(reply["config"], "c0ffee");
    daemon.get("/api/v1/changes/run%2f1").await.problem(404);
    daemon.get("/api/v1/changes/run%2").await.problem(404);
}

/// Assessed under the configuration of this hash.
fn under(config: &str) -> Position {
    Position { config: config.to_owned(), ..Position::default() }
}

/// An alert that still fires.
fn report() -> AlertReport {
    let labels = [
        ("alertname", "ProbeFailed"),
        ("service", "sdk"),
        ("environment", "production"),
        ("severity", "critical"),
    ];
    AlertReport {
        labels: labels.into_iter().collect(),
        starts_at: at("2023-02-23T20:17:00Z"),
        ends_at: None,
        expires_at: None,
        pending_at: None,
        summary: None,
        url: None,
    }
}

/// An incident of it alone.
pub(super) fn incident() -> Incident {
    let starts_at = report().starts_at;
    let family = FamilySummary {
        alertname: "ProbeFailed".to_owned(),
        services: vec!["sdk".to_owned()],
        environments: vec!["production".to_owned()],
        severity: Some("critical".to_owned()),
        onset_from: at("2023-02-23T20:02:00Z"),
        onset_to: starts_at,
        starts_at,
        ends_at: None,
        end_expected: false,
        episodes: 1,
        summary: None,
    };
    let impact = Impact {
        service: "sdk".to_owned(),
        environment: "production".to_owned(),
        outage_seconds: 1020,
        degraded_seconds: 0,
        outages: vec![Outage {
            from: starts_at,
            to: at("2023-02-23T20:34:00Z"),
            ongoing: false,
            expected_end: None,
        }],
        degradations: Vec::new(),
    };
    Incident {
        id: IncidentId("inc_1".to_owned()),
        state: State::Open,
        answer: Answer::None,
        headline: "no recorded change explains it".to_owned(),
        started_at: starts_at,
        ended_at: None,
        expected_end: None,
        closes_at: None,
        first_alert: EpisodeId::default(),
        latest_at: Time::default(),
        alert_count: 1,
        labels: report().labels,
        families: vec![family],
        more_families: 0,
        none_probability: 1.0,
        suspects: Vec::new(),
        cleared: Vec::new(),
        responses: Vec::new(),
        impact: vec![impact],
        frozen: false,
    }
}

fn note(of: &str, time: &str) -> (EventId, Note) {
    let note = Note {
        at: at(time),
        at_assumed: false,
        text: format!("Looking at {of}"),
        author: None,
        incident: Some(of.to_owned()),
        labels: Labels::default(),
    };
    (EventId::of(&note), note)
}

/// The row of the alert, and its family in the incident.
fn rows() -> (FiringRow, Kept) {
    let (report, mapping) = (report(), Mapping::default());
    let event = Event::Alert(report.clone());
    let row = FiringRow {
        identity: mapping.identity_id(&report.labels),
        family: FamilyRef::of(&FamilyKey::of(&report.labels, &mapping)),
        starts_at: report.starts_at,
        firing: Firing::of(&report, event.id()),
        episode: Some(Outlook::Fires),
    };
    let mut window = Window::new(report.starts_at);
    window.absorb(&Model::default(), event.id(), event);
    let kept = window.advance(&Model::default()).families.remove(0);
    (row, Kept { incident: Some(incident().id), ..kept })
}

async fn with_incident() -> (Daemon, Told) {
    let daemon = Daemon::start();
    let (row, kept) = rows();
    daemon.log.append(vec![Event::Alert(report())]).await.unwrap();
    let told = Told { incident: incident(), alerts: vec![row.id()] };
    let batch = StateBatch {
        incidents: vec![told.incident.clone()],
        families: vec![kept],
        firings: vec![row],
        notes: vec![note("inc_1", "2023-02-23T20:20:00Z")],
        position: under("c0ffee"),
        ..StateBatch::default()
    };
    daemon.state.commit(&batch).unwrap();
    (daemon, told)
}

#[tokio::test]
async fn an_incident_is_found_by_the_key_of_its_alert() {
    let (daemon, told) = with_incident().await;
    for id in [&told.incident.id.0, &told.alerts[0].0] {
        let path = format!("/api/v1/incidents/{id}");
        let one = daemon.get(&path).await.ok();
        assert_eq!(one["incident"], serde_json::to_value(&told).unwrap());
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
    let list = daemon.get("/api/v1/incidents").await.ok();
    assert_eq!(list["incidents"], json!([told]), "a list names their alerts too");
    let missing = daemon.get("/api/v1/incidents/inc_2/impact").await.problem(404);
    assert!(missing["detail"].as_str().unwrap().contains("inc_2"), "{missing}");
}

#[tokio::test]
async fn of_an_incident_with_very_many_alerts_the_first_are_named() {
    for (count, named) in [(1_000, 1_000), (1_001, 20)] {
        let daemon = Daemon::start();
        let (row, kept) = rows();
        let nth = |n: usize| FiringRow {
            identity: EventId::of(&n),
            starts_at: row.starts_at + TimeDelta::seconds(n.try_into().unwrap()),
            ..row.clone()
        };
        let firings: Vec<_> = (0..count).map(nth).collect();
        let told: Vec<_> = firings.iter().take(named).map(FiringRow::id).collect();
        let incidents = vec![Incident { alert_count: count, ..incident() }];
        let families = vec![kept];
        let batch = StateBatch { incidents, families, firings, ..StateBatch::default() };
        daemon.state.commit(&batch).unwrap();
        let one = daemon.get("/api/v1/incidents/inc_1").await.ok();
        assert_eq!(one["incident"]["alert_count"], count);
        assert_eq!(one["incident"]["alerts"], json!(told));
    }
}

#[tokio::test]
async fn a_note_that_names_an_alert_is_told_in_the_alerts_incident() {
    let (daemon, told) = with_incident().await;
    let mut later = incident();
    (later.id, later.started_at) = (IncidentId("inc_2".to_owned()), at("2023-02-24T20:17:00Z"));
    let alert = &told.alerts[0].0;
    let notes = [(alert.as_str(), "20:30"), ("inc_2", "20:31"), ("nothing known", "20:32")]
        .map(|(of, clock)| note(of, &format!("2023-02-23T{clock}:00Z")));
    let (incidents, notes) = (vec![later], notes.to_vec());
    daemon.state.commit(&StateBatch { incidents, notes, ..StateBatch::default() }).unwrap();
    let timeline = daemon.get("/api/v1/incidents/inc_1/timeline").await.ok();
    let titles: Vec<_> = timeline["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["title"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        titles,
        ["ProbeFailed".to_owned(), "Looking at inc_1".to_owned(), format!("Looking at {alert}")]
    );
}

#[tokio::test]
async fn incidents_are_listed_by_state_and_by_what_they_show() {
    let (daemon, _) = with_incident().await;
    for (query, count) in [
        ("", 1),
        ("?state=open", 1),
        ("?state=closed", 0),
        ("?match[]=service=sdk", 1),
        ("?match[]=severity=critical", 1),
        ("?match[]=alertname!=ProbeFailed", 0),
        ("?end=2023-02-23T20:16:00Z", 0),
    ] {
        let list = daemon.get(&format!("/api/v1/incidents{query}")).await.ok();
        assert_eq!(list["incidents"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn alerts_are_listed_with_their_incident() {
    let (daemon, _) = with_incident().await;
    let list = daemon.get("/api/v1/alerts?firing=true").await.ok();
    assert_eq!(list["alerts"][0]["alertname"], "ProbeFailed");
    assert_eq!(list["alerts"][0]["incident"], "inc_1");
    let list = daemon.get("/api/v1/alerts?firing=false").await.ok();
    assert_eq!(list["alerts"], json!([]));
}

#[tokio::test]
async fn a_range_is_told_without_what_lies_outside() {
    let (daemon, _) = with_incident().await;
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

#[tokio::test]
async fn an_answer_names_the_configuration_that_it_is_given_under() {
    let (daemon, ..) = with_incident().await;
    let mut model = Model::default();
    model.settings.quiet += TimeDelta::hours(1);
    let hash = model.hash();
    daemon.models.send_replace(Arc::new(model));
    let config = async |path: &str| daemon.get(path).await.ok()["config"].take();
    assert_eq!(config("/api/v1/incidents").await, "c0ffee", "the state is as it was");
    assert_eq!(config("/api/v1/incidents?at=2023-02-23T20:18:00Z").await, hash);
    let empty = Daemon::start();
    assert_eq!(empty.get("/api/v1/alerts").await.ok()["config"], Model::default().hash());
}

#[tokio::test]
async fn what_is_assessed_anew_while_it_is_read_is_read_again() {
    let (daemon, ..) = with_incident().await;
    let (state, reads) = (Arc::clone(&daemon.state), AtomicUsize::new(0));
    let (config, read) = daemon
        .api
        .parts
        .engine
        .read(|_| {
            let read = reads.fetch_add(1, Ordering::SeqCst);
            if read < 2 {
                let position = under(&format!("new-{read}"));
                state.commit(&StateBatch { position, ..StateBatch::default() })?;
            }
            Ok::<_, StoreError>(read)
        })
        .unwrap();
    assert_eq!((config.as_str(), read), ("new-1", 2));
}

#[test]
fn a_list_without_an_end_is_cut_off_and_says_so() {
    let page = Page { start: None, end: None, edges: false, after: None, limit: 1 };
    let endless = |page: &Page| {
        let n = page.after.as_ref().map_or(0, |(_, id)| id.len());
        let next = Some((at("2023-02-23T20:17:00Z"), "x".repeat(n + 1)));
        Ok(Paged { items: vec![n], next })
    };
    let (items, more) = collect(page, endless).unwrap();
    assert!(more);
    assert_eq!(items, (0..items.len()).collect::<Vec<_>>());
}
