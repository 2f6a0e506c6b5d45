use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::{
    correlate::{Answer, Cleared, FamilyKey, FamilySummary, Head, IncidentId, State, Suspect},
    event::{Action, EpisodeId, Kind, Mapping, Scope, Status, parse_time},
    feed::{Carries, FeedName},
};

fn time(text: &str) -> Time {
    parse_time(&format!("2023-02-23T{text}:00Z")).unwrap()
}

/// After everything that these tests tell of.
fn now() -> Time {
    time("23:59")
}

fn scope(service: &str, environment: &str) -> Scope {
    let labels = [("service", service), ("environment", environment)].into_iter().collect();
    Mapping::default().scope(&labels)
}

fn change(id: &str, service: &str, started: &str, finished: Option<&str>) -> Change {
    Change {
        id: ChangeId(id.to_owned()),
        kind: Kind::Deploy,
        action: Action::Update,
        title: format!("{service} at {started}"),
        status: finished.map_or(Status::Started, |_| Status::Succeeded),
        scope: scope(service, "production"),
        started_at: time(started),
        finished_at: finished.map(time),
        actor: None,
        revision: None,
        change_set: None,
        url: None,
        resources: Vec::new(),
    }
}

/// A symptom whose first alert has this id.
fn symptom(id: &str, service: &str, starts: &str, ends: Option<&str>) -> Family {
    let mut labels = scope(service, "production").labels().clone();
    labels.insert("alertname", "Down");
    labels.insert("severity", "critical");
    Family {
        key: Arc::new(FamilyKey::of(&labels, &Mapping::default())),
        head: Head {
            id: EpisodeId(id.to_owned()),
            labels,
            summary: Some("it is down".to_owned()),
            url: None,
            pending_at: None,
        },
        onset_from: time(starts) - TimeDelta::minutes(15),
        onset_to: time(starts),
        starts_at: time(starts),
        ends_at: ends.map(time),
        expected: false,
        episodes: 1,
    }
}

fn note(at: &str, text: &str) -> Note {
    Note {
        at: time(at),
        at_assumed: false,
        text: text.to_owned(),
        author: None,
        incident: None,
        labels: Labels::default(),
    }
}

fn suspect(of: &Change) -> Suspect {
    Suspect {
        change: of.id.clone(),
        changes: vec![of.id.clone()],
        rank: 1,
        probability: 0.9,
        log_odds: 3.0,
        title: of.title.clone(),
        kind: of.kind,
        action: of.action,
        started_at: of.started_at,
        finished_at: of.finished_at,
        summary: String::new(),
        evidence: Vec::new(),
        contributing: Vec::new(),
    }
}

fn cleared(of: &Change) -> Cleared {
    Cleared {
        change: of.id.clone(),
        changes: vec![of.id.clone()],
        title: of.title.clone(),
        probability: 0.01,
        reason: "these symptoms began before it".to_owned(),
    }
}

fn summary(of: &Family) -> FamilySummary {
    FamilySummary {
        alertname: of.key.alertname.clone(),
        services: Vec::new(),
        environments: Vec::new(),
        severity: None,
        onset_from: of.onset_from,
        onset_to: of.onset_to,
        starts_at: of.starts_at,
        ends_at: of.ends_at,
        end_expected: of.expected,
        episodes: of.episodes,
        summary: None,
    }
}

fn incident(symptoms: &[Family]) -> Incident {
    let ends: Option<Vec<Time>> = symptoms.iter().map(|family| family.ends_at).collect();
    Incident {
        id: IncidentId("inc_1".to_owned()),
        state: State::Open,
        answer: Answer::Likely,
        headline: String::new(),
        started_at: symptoms.iter().map(|family| family.starts_at).min().unwrap(),
        ended_at: ends.and_then(|ends| ends.into_iter().max()),
        expected_end: None,
        closes_at: None,
        first_alert: EpisodeId::default(),
        latest_at: Time::default(),
        alert_count: symptoms.iter().map(|family| family.episodes).sum(),
        labels: Labels::default(),
        families: symptoms.iter().map(summary).collect(),
        more_families: 0,
        none_probability: 0.1,
        suspects: Vec::new(),
        cleared: Vec::new(),
        responses: Vec::new(),
        impact: Vec::new(),
        frozen: false,
    }
}

fn titles(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.title.as_str()).collect()
}

#[test]
fn the_whole_story_is_told_in_order_with_roles() {
    let cause = change("c1", "nodes", "13:21", Some("13:58"));
    let innocent = change("c2", "api", "15:20", Some("15:24"));
    let revert = change("c3", "nodes", "16:00", None);
    let symptoms = [symptom("a1", "api", "15:06", Some("17:00"))];
    let mut incident = incident(&symptoms);
    incident.suspects = vec![suspect(&cause)];
    incident.cleared = vec![cleared(&innocent)];
    incident.responses = vec![revert.id.clone()];

    let told =
        entries(&incident, &symptoms, &[revert, innocent, cause], &[note("15:30", "hm")], now());

    let seen: Vec<_> =
        told.iter().map(|entry| (entry.at, entry.kind, entry.role.clone())).collect();
    let suspected = Role::Suspect { rank: 1, probability: 0.9 };
    let excused = Role::Cleared { reason: "these symptoms began before it".to_owned() };
    assert_eq!(
        seen,
        [
            (time("13:21"), EntryKind::ChangeStarted, suspected.clone()),
            (time("13:58"), EntryKind::ChangeFinished, suspected),
            (time("15:06"), EntryKind::AlertFiring, Role::Symptom),
            (time("15:20"), EntryKind::ChangeStarted, excused.clone()),
            (time("15:24"), EntryKind::ChangeFinished, excused),
            (time("15:30"), EntryKind::Note, Role::Context),
            (time("16:00"), EntryKind::ChangeStarted, Role::Response),
            (time("17:00"), EntryKind::AlertResolved, Role::Symptom),
        ]
    );
    let lasted: Vec<_> = told.iter().filter_map(|entry| entry.lasted_seconds).collect();
    assert_eq!(lasted, [37 * 60, 4 * 60, 114 * 60]);
}

#[test]
fn a_change_without_a_part_in_it_and_one_cleared_before_it_are_left_out() {
    let cause = change("c1", "nodes", "13:21", Some("13:58"));
    let before = change("c2", "docs", "12:10", Some("12:14"));
    let elsewhere = change("c3", "mail", "15:00", Some("15:01"));
    let symptoms = [symptom("a1", "api", "15:06", None)];
    let mut incident = incident(&symptoms);
    incident.suspects = vec![suspect(&cause)];
    incident.cleared = vec![cleared(&before)];

    let told = entries(&incident, &symptoms, &[before, cause, elsewhere], &[], now());

    assert_eq!(titles(&told), ["nodes at 13:21", "nodes at 13:21", "Down"]);
}

#[test]
fn a_cleared_change_that_runs_into_the_story_is_told() {
    let long = change("c1", "docs", "12:10", Some("15:00"));
    let symptoms = [symptom("a1", "api", "15:06", None)];
    let mut incident = incident(&symptoms);
    incident.cleared = vec![cleared(&long)];

    let told = entries(&incident, &symptoms, &[long], &[], now());

    assert_eq!(titles(&told), ["docs at 12:10", "docs at 12:10", "Down"]);
}

#[test]
fn one_moment_reads_changes_alerts_notes() {
    let cause = change("c1", "api", "15:06", Some("15:06"));
    let symptoms = [symptom("a1", "api", "15:06", Some("15:10"))];
    let mut incident = incident(&symptoms);
    incident.suspects = vec![suspect(&cause)];

    let told = entries(&incident, &symptoms, &[cause], &[note("15:06", "so it begins")], now());

    let kinds: Vec<_> = told.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::ChangeFinished,
            EntryKind::AlertFiring,
            EntryKind::Note,
            EntryKind::AlertResolved
        ]
    );
    assert_eq!(told.first().and_then(|entry| entry.lasted_seconds), Some(0));
}

#[test]
fn notes_of_another_time_place_or_incident_are_left_out() {
    let symptoms = [symptom("a1", "api", "15:06", Some("16:00"))];
    let incident = incident(&symptoms);
    let about = |mut note: Note, service: &str| {
        note.labels.insert("service", service);
        note
    };
    let of = |mut note: Note, incident: &str| {
        note.incident = Some(incident.to_owned());
        note
    };
    let notes = [
        note("12:00", "before"),
        note("14:52", "within the onset"),
        about(note("15:30", "of the service"), "api"),
        about(note("15:30", "of another service"), "mail"),
        of(note("15:30", "of another incident"), "inc_2"),
        note("16:01", "after"),
        of(note("19:00", "of the incident, later"), "inc_1"),
    ];

    let told = entries(&incident, &symptoms, &[], &notes, now());

    assert_eq!(
        titles(&told),
        ["within the onset", "Down", "of the service", "Down", "of the incident, later"]
    );
}

#[test]
fn a_range_tells_everything_in_it() {
    let planned = Change { status: Status::Planned, ..change("c1", "api", "14:00", None) };
    let failed = Change { status: Status::Failed, ..change("c2", "api", "14:10", Some("14:11")) };
    let canceled =
        Change { status: Status::Canceled, ..change("c3", "api", "14:20", Some("14:20")) };

    let told = between(
        &[symptom("a1", "api", "14:30", None)],
        &[canceled, failed, planned],
        &[note("14:40", "done")],
        now(),
    );

    let kinds: Vec<_> = told.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::ChangePlanned,
            EntryKind::ChangeStarted,
            EntryKind::ChangeFailed,
            EntryKind::ChangeCanceled,
            EntryKind::AlertFiring,
            EntryKind::Note
        ]
    );
}

#[test]
fn a_symptom_of_several_alerts_says_how_many_and_names_the_first() {
    let thirty = Family { episodes: 30, ..symptom("a1", "api", "15:06", Some("17:00")) };
    let symptoms = [thirty, symptom("a2", "api", "15:07", None)];

    let told = entries(&incident(&symptoms), &symptoms, &[], &[], now());

    let named: Vec<_> = told
        .iter()
        .map(|entry| (entry.kind, entry.alert.as_ref().unwrap().0.as_str(), entry.alerts))
        .collect();
    assert_eq!(
        named,
        [
            (EntryKind::AlertFiring, "a1", Some(30)),
            (EntryKind::AlertFiring, "a2", None),
            (EntryKind::AlertResolved, "a1", Some(30)),
        ]
    );
}

#[test]
fn a_symptom_is_told_with_its_place_severity_and_words() {
    let told = between(&[symptom("a1", "api", "15:06", None)], &[], &[], now());

    let [entry] = &told[..] else { panic!("{told:#?}") };
    assert_eq!((entry.title.as_str(), entry.detail.as_deref()), ("Down", Some("it is down")));
    let place = (&entry.services[..], &entry.environments[..]);
    assert_eq!(place, (&["api".to_owned()][..], &["production".to_owned()][..]));
    assert_eq!(entry.severity.as_deref(), Some("critical"));
}

#[test]
fn an_entry_survives_its_json() {
    let cause = change("c1", "nodes", "13:21", Some("13:58"));
    let symptoms = [symptom("a1", "api", "15:06", Some("17:00"))];
    let mut incident = incident(&symptoms);
    incident.suspects = vec![suspect(&cause)];
    let told = entries(&incident, &symptoms, &[cause], &[note("15:30", "hm")], now());

    let json = serde_json::to_string(&told).unwrap();

    assert_eq!(serde_json::from_str::<Vec<Entry>>(&json).unwrap(), told);
    assert!(json.contains(r#""role":"suspect","rank":1,"probability":0.9"#), "{json}");
}

/// A little world: few services and few minutes, so that lines collide in everything.
fn worlds() -> impl Strategy<Value = (Vec<Family>, Vec<Change>, Vec<Note>)> {
    let service = || prop_oneof![Just("api"), Just("mail")];
    let minute = |minute: u32| format!("15:{minute:02}");
    let symptom = (0..99u32, service(), 0..9u32, proptest::option::of(0..9u32)).prop_map(
        move |(id, service, starts, lasts)| {
            let ends = lasts.map(|lasts| minute(starts + lasts));
            symptom(&format!("a{id}"), service, &minute(starts), ends.as_deref())
        },
    );
    let change = (0..99u32, service(), 0..9u32, proptest::option::of(0..9u32)).prop_map(
        move |(id, service, starts, lasts)| {
            let ends = lasts.map(|lasts| minute(starts + lasts));
            change(&format!("c{id}"), service, &minute(starts), ends.as_deref())
        },
    );
    let note = (0..20u32, "[ab]").prop_map(move |(at, text)| note(&minute(at), &text));
    (
        proptest::collection::vec(symptom, 1..6),
        proptest::collection::vec(change, 0..6),
        proptest::collection::vec(note, 0..4),
    )
}

/// The same things in another order.
fn shuffled() -> impl Strategy<Value = [(Vec<Family>, Vec<Change>, Vec<Note>); 2]> {
    worlds().prop_flat_map(|world| {
        let (symptoms, changes, notes) = world.clone();
        let other = (
            Just(symptoms).prop_shuffle(),
            Just(changes).prop_shuffle(),
            Just(notes).prop_shuffle(),
        );
        (Just(world), other).prop_map(|(one, other)| [one, other])
    })
}

/// An incident in which each change has a part, by the last digit of its id.
fn story(symptoms: &[Family], changes: &[Change]) -> Incident {
    let mut incident = incident(symptoms);
    for change in changes {
        match change.id.0.bytes().last() {
            Some(b'0'..=b'2') => incident.cleared.push(cleared(change)),
            Some(b'3'..=b'6') => incident.suspects.push(suspect(change)),
            _ => incident.responses.push(change.id.clone()),
        }
    }
    incident
}

proptest! {
    #[test]
    fn the_order_of_what_comes_in_decides_nothing([one, other] in shuffled()) {
        let incident = story(&one.0, &one.1);
        prop_assert_eq!(
            entries(&incident, &one.0, &one.1, &one.2, now()),
            entries(&incident, &other.0, &other.1, &other.2, now())
        );
        prop_assert_eq!(
            between(&one.0, &one.1, &one.2, now()),
            between(&other.0, &other.1, &other.2, now())
        );
    }

    #[test]
    fn every_symptom_and_every_part_is_told_and_time_never_goes_back(
        (symptoms, changes, notes) in worlds()
    ) {
        let incident = story(&symptoms, &changes);
        let told = entries(&incident, &symptoms, &changes, &notes, now());

        prop_assert!(told.is_sorted_by_key(|entry| entry.at));
        let ends = |kind| told.iter().filter(|entry| entry.kind == kind).count();
        prop_assert_eq!(ends(EntryKind::AlertFiring), symptoms.len());
        let over = symptoms.iter().filter(|family| family.ends_at.is_some()).count();
        prop_assert_eq!(ends(EntryKind::AlertResolved), over);
        for id in incident.responses.iter().chain(incident.suspects.iter().map(|one| &one.change)) {
            prop_assert!(told.iter().any(|entry| entry.change.as_ref() == Some(id)), "{} is missing", id);
        }
    }
}

#[test]
fn an_end_that_is_only_expected_is_told_when_it_has_come() {
    let symptom = Family { expected: true, ..symptom("a", "api", "15:00", Some("15:04")) };
    let kinds = |at: &str| -> Vec<EntryKind> {
        between(std::slice::from_ref(&symptom), &[], &[], time(at))
            .iter()
            .map(|entry| entry.kind)
            .collect()
    };
    assert_eq!(kinds("15:03"), [EntryKind::AlertFiring]);
    assert_eq!(kinds("15:04"), [EntryKind::AlertFiring, EntryKind::AlertExpired]);
}

#[test]
fn a_gap_stands_among_the_entries_where_it_began_or_where_they_begin() {
    let told =
        between(&[symptom("a1", "api", "14:30", None)], &[], &[note("14:40", "done")], now());
    let gap = |from: &str, to: Option<&str>| Gap {
        feed: Some(FeedName("terraform".to_owned())),
        carries: Some(Carries::Changes),
        from: time(from),
        to: to.map(time),
    };
    let gaps = [gap("14:30", None), gap("13:00", Some("14:09"))];
    let told = with_gaps(told, &gaps, time("14:00"));
    let lines: Vec<_> =
        told.iter().map(|entry| format!("{} {}", entry.at.format("%H:%M"), entry.title)).collect();
    let expected = [
        "14:00 not heard from terraform 13:00 to 14:09 UTC",
        "14:30 Down",
        "14:30 not heard from terraform since 14:30 UTC",
        "14:40 done",
    ];
    assert_eq!(lines, expected);
}
