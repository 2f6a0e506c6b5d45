//! The teller over real stores, with the time that a test says.

use std::{path::Path, sync::Arc};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::{
    super::{Parts, Settings, Teller},
    *,
};
use crate::{
    correlate::{Altered, Family, FamilyKey, FamilyRef, Head, Kept, Model, Part},
    engine::Handle,
    event::{EventId, Firing, Outlook},
    feed::{Carries, Expected, FeedName},
    hearing::Hearing,
    metrics::Metrics,
    store::{
        Attempt, FiringRow, Log, Mailbox, Records, Seq, SqliteLog, SqliteRecords, SqliteState,
        State as _, StateBatch,
    },
};

/// A state that says what a test says, and who tells of it.
struct Scene {
    state: Arc<SqliteState>,
    records: Arc<SqliteRecords>,
    teller: Teller,
    _dir: TempDir,
}

pub(super) fn parts(dir: &Path, state: &Arc<SqliteState>, records: &Arc<SqliteRecords>) -> Parts {
    let model = Arc::new(Model::default());
    let log: Arc<dyn Log> = Arc::new(SqliteLog::open(dir, model.settings.horizon).unwrap());
    let (_, assessed) = watch::channel(Seq(0));
    let contract: Arc<dyn crate::store::State> = Arc::<SqliteState>::clone(state);
    let silent = Expected {
        name: FeedName("terraform".to_owned()),
        carries: Carries::Changes,
        every: TimeDelta::minutes(5),
    };
    let kept: Arc<dyn Records> = Arc::<SqliteRecords>::clone(records);
    let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
    let told = Arc::clone(&metrics);
    Parts {
        hearing: Arc::new(Hearing::new(Arc::clone(&kept), &[silent], at(-3_600)).unwrap()),
        engine: Handle::new(watch::channel(model).1, log, contract, kept, assessed, told),
        records: Arc::<SqliteRecords>::clone(records),
        metrics,
        posted: Arc::new(Notify::new()),
        settings: Settings::default(),
        link: "http://127.0.0.1:8377".to_owned(),
        clock: || panic!("the test tells the time"),
    }
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(SqliteState::open(dir.path()).unwrap());
        let records = Arc::new(SqliteRecords::open(dir.path()).unwrap());
        let teller = Teller::new(parts(dir.path(), &state, &records), at(0)).unwrap();
        Self { state, records, teller, _dir: dir }
    }

    /// The same stores and another process.
    fn restart(self, now: Time) -> Self {
        let Self { state, records, teller: old, _dir: dir } = self;
        drop(old);
        let teller = Teller::new(parts(dir.path(), &state, &records), now).unwrap();
        Self { state, records, teller, _dir: dir }
    }

    /// What is assessed from now on.
    fn assess(&self, incidents: &[Incident]) {
        self.state.clear().unwrap();
        let key = FamilyKey { alertname: "ProbeFailed".to_owned(), ..FamilyKey::default() };
        let starts = incidents.iter().map(|incident| incident.started_at).chain([at(0)]);
        let firing = |starts_at| FiringRow {
            identity: EventId([0; 16]),
            family: FamilyRef::of(&key),
            starts_at,
            firing: Firing {
                outlook: Outlook::Fires,
                pending_at: None,
                told_at: starts_at,
                told: EventId([0; 16]),
            },
            episode: Some(Outlook::Fires),
        };
        let family = |incident: &Incident| Kept {
            family: Arc::new(Family {
                key: Arc::new(key.clone()),
                head: Head::default(),
                onset_from: incident.started_at,
                onset_to: incident.started_at,
                starts_at: incident.started_at,
                ends_at: None,
                expected: false,
                episodes: 1,
            }),
            key: FamilyRef::of(&key),
            part: Part::default(),
            incident: Some(incident.id.clone()),
            altered: Altered::All,
        };
        let batch = StateBatch {
            incidents: incidents.to_vec(),
            families: incidents.iter().map(family).collect(),
            firings: starts.map(firing).collect(),
            ..StateBatch::default()
        };
        self.state.commit(&batch).unwrap();
    }

    /// The types of the notices that come of looking at this second.
    fn look(&mut self, seconds: i64) -> Vec<String> {
        let notices = self.notices(seconds).into_iter();
        notices.map(|notice| notice["type"].as_str().unwrap().to_owned()).collect()
    }

    /// These notices.
    fn notices(&mut self, seconds: i64) -> Vec<Value> {
        self.teller.look(at(seconds)).unwrap();
        let mut notices = Vec::new();
        while let Some(outgoing) = self.records.next_outgoing(Mailbox::Notices).unwrap() {
            notices.push(serde_json::from_str(&outgoing.notice.body).unwrap());
            let delivered = Attempt::Delivered { at: at(seconds) };
            self.records.attempted(&outgoing.notice.id, &delivered).unwrap();
        }
        notices
    }
}

const NOBODY: [&str; 0] = [];

#[test]
fn an_incident_is_told_once_for_each_answer() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::Suspects, &["a", "b"])]);
    assert_eq!(scene.teller.look(at(1)).unwrap(), Some(at(31)));
    assert_eq!(scene.look(30), NOBODY);
    assert_eq!(scene.look(31), ["incident.suspected"]);
    assert_eq!(scene.look(300), NOBODY);
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    assert_eq!(scene.look(301), NOBODY);
    assert_eq!(scene.look(361), ["incident.suspect_likely"]);
    scene.assess(&[incident(0, Answer::None, &[])]);
    assert_eq!(scene.look(400), NOBODY);
    assert_eq!(scene.look(520), ["incident.suspect_cleared"]);
    assert_eq!(scene.look(3_000), NOBODY);
}

#[test]
fn what_is_gone_before_it_settles_is_not_told() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    assert_eq!(scene.look(1), NOBODY);
    scene.assess(&[incident(0, Answer::None, &[])]);
    assert_eq!(scene.look(20), NOBODY);
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    assert_eq!(scene.look(40), NOBODY);
    assert_eq!(scene.look(70), ["incident.suspect_likely"]);
}

#[test]
fn an_incident_without_a_suspect_wakes_nobody_again() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::None, &[]), incident(1, Answer::Unknown, &[])]);
    assert_eq!(scene.look(1), NOBODY);
    assert_eq!(scene.look(3_000), NOBODY);
}

#[test]
fn what_is_old_when_it_is_first_seen_is_no_news() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    assert_eq!(scene.look(3_700), NOBODY);
    assert_eq!(scene.look(3_800), NOBODY);
}

#[test]
fn a_restart_and_a_state_that_is_built_anew_tell_nothing_twice() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    scene.look(1);
    assert_eq!(scene.look(31), ["incident.suspect_likely"]);
    let mut scene = scene.restart(at(60));
    scene.assess(&[]);
    assert_eq!(scene.look(61), NOBODY);
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    assert_eq!(scene.look(62), NOBODY);
    assert_eq!(scene.look(1_000), NOBODY);
}

/// The id is the hash of the earliest alert: one that comes late changes it.
#[test]
fn an_incident_that_gets_another_id_is_the_same_incident() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    scene.look(1);
    assert_eq!(scene.look(31), ["incident.suspect_likely"]);
    scene.assess(&[incident(-60, Answer::Likely, &["a"])]);
    assert_eq!(scene.look(100), NOBODY);
    assert_eq!(scene.look(1_000), NOBODY);
    let mut scene = scene.restart(at(1_000));
    assert_eq!(scene.look(1_001), NOBODY);
    assert_eq!(scene.look(2_000), NOBODY);
}

#[test]
fn many_incidents_are_each_told_and_old_ones_are_not_read() {
    let mut scene = Scene::new();
    let told: Vec<_> = (0..450).map(|n| incident(n, Answer::Likely, &["a"])).collect();
    let old: Vec<_> = (0..50).map(|n| incident(n - 1_000_000, Answer::Likely, &["a"])).collect();
    scene.assess(&[told, old].concat());
    scene.look(500);
    assert_eq!(scene.look(530).len(), 450);
    assert_eq!(scene.look(560), NOBODY);
}

#[test]
fn who_is_cleared_while_somebody_is_silent_is_told_so() {
    let mut scene = Scene::new();
    scene.assess(&[incident(0, Answer::Likely, &["a"])]);
    scene.look(1);
    assert_eq!(scene.look(31), ["incident.suspect_likely"]);
    scene.assess(&[incident(0, Answer::None, &[])]);
    scene.look(100);
    let notices = scene.notices(160);
    assert_eq!(notices[0]["data"]["answer"], "unknown");
    let headline = notices[0]["data"]["headline"].as_str().unwrap();
    assert!(headline.contains("not heard from terraform since 11:00 UTC"), "{headline}");
}
