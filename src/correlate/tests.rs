//! The laws of correlation, over small made-up worlds.

mod dormant;
mod feedback;
mod metamorphic;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    catalog::{Catalog, Service},
    event::{
        Action, AlertReport, Change, ChangeId, ChangeReport, Kind, Labels, Status, parse_time,
    },
    rules::Onset,
};

/// Minutes into the world.
fn at(minute: i64) -> Time {
    parse_time("2024-05-14T00:00:00Z").unwrap() + TimeDelta::minutes(minute)
}

/// `shop` stands on `api`, and that on `cluster`; `blog` stands alone.
fn model() -> Model {
    let service = |tier: &str, depends_on: &[&str]| Service {
        tier: Some(tier.to_owned()),
        depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
    };
    let services = BTreeMap::from([
        ("shop".to_owned(), service("service", &["api"])),
        ("api".to_owned(), service("service", &["cluster"])),
        ("cluster".to_owned(), service("infrastructure", &[])),
        ("blog".to_owned(), service("service", &[])),
    ]);
    Model {
        catalog: Catalog::new(services),
        rules: metamorphic::shipped(),
        settings: Settings::default(),
        ..Model::default()
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

/// A change of a service in an environment from a minute on, for some minutes.
#[derive(Clone, Debug)]
struct Changed {
    id: String,
    kind: Kind,
    action: Action,
    title: String,
    place: Labels,
    start: i64,
    lasts: i64,
}

impl Changed {
    fn deploy(id: &str, service: &str, start: i64) -> Self {
        Self {
            id: id.to_owned(),
            kind: Kind::Deploy,
            action: Action::Update,
            title: format!("{service} 2.0"),
            place: labels(&[("service", service), ("environment", "production")]),
            start,
            lasts: 4,
        }
    }

    /// One half of the removal of node pools under everything.
    fn removal(id: &str, environment: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: Kind::Infrastructure,
            action: Action::Delete,
            title: "Remove old node pools".to_owned(),
            place: labels(&[("service", "cluster"), ("environment", environment)]),
            start: 600,
            lasts: 30,
        }
    }

    fn events(&self) -> Vec<Event> {
        let id = ChangeId(self.id.clone());
        let report = ChangeReport::new(id, Status::Succeeded, at(self.start + self.lasts));
        let report = ChangeReport {
            started_at: Some(at(self.start)),
            kind: Some(self.kind),
            action: Some(self.action),
            title: Some(self.title.clone()),
            labels: self.place.clone(),
            ..report
        };
        report.facts().into_iter().map(Event::Change).collect()
    }
}

/// An alert on a service in production, or with more labels.
fn fired(alertname: &str, service: &str, start: i64, lasts: Option<i64>) -> Vec<Event> {
    fired_with(
        labels(&[("alertname", alertname), ("service", service), ("environment", "production")]),
        start,
        lasts,
    )
}

fn fired_with(labels: Labels, start: i64, lasts: Option<i64>) -> Vec<Event> {
    let ends_at = lasts.map(|lasts| at(start + lasts));
    let report = AlertReport {
        labels,
        starts_at: at(start),
        ends_at,
        expires_at: None,
        pending_at: None,
        summary: None,
        url: None,
    };
    report.facts().into_iter().map(Event::Alert).collect()
}

/// The incident that holds the first alert.
fn first_incident(model: &Model, events: &[Event], minute: i64) -> Incident {
    assess(model, events, at(minute)).incidents.into_iter().next().expect("an incident")
}

fn suspect(incident: &Incident, id: &str) -> Option<(u32, f64)> {
    let held = |suspect: &&Suspect| suspect.changes.iter().any(|change| change.0 == id);
    incident.suspects.iter().find(held).map(|suspect| (suspect.rank, suspect.probability))
}

prop_compose! {
    fn changes()(
        kind in proptest::sample::select(Kind::ALL),
        action in proptest::sample::select(Action::ALL),
        service in proptest::sample::select(&["shop", "api", "cluster", "blog"][..]),
        environment in proptest::sample::select(&["production", "staging"][..]),
        start in 0..2_000_i64,
        lasts in 0..90_i64,
        n in 0..40_u32,
    ) -> Changed {
        let place = labels(&[("service", service), ("environment", environment)]);
        Changed { id: format!("c{n}"), kind, action, title: format!("{service} {n}"), place, start, lasts }
    }
}

prop_compose! {
    fn alerts()(
        alertname in proptest::sample::select(&["Down", "Errors5xx", "KubeNodeNotReady"][..]),
        service in proptest::sample::select(&["shop", "api", "cluster", "blog"][..]),
        environment in proptest::sample::select(&["production", "staging"][..]),
        pod in 0..6_u32,
        start in 0..2_000_i64,
        lasts in proptest::option::of(0..120_i64),
    ) -> Vec<Event> {
        let pod = pod.to_string();
        let place = [("alertname", alertname), ("service", service), ("environment", environment), ("pod", &pod)];
        fired_with(labels(&place), start, lasts)
    }
}

prop_compose! {
    /// A world, and the same events in another order with some of them twice.
    fn worlds()(
        changes in vec(changes(), 0..12),
        alerts in vec(alerts(), 1..40),
        again in vec(any::<prop::sample::Index>(), 0..8),
    )(
        shuffled in {
            let events: Vec<Event> =
                changes.iter().flat_map(Changed::events).chain(alerts.concat()).collect();
            let twice = again.iter().map(|index| events[index.index(events.len())].clone());
            Just([events.clone(), twice.collect()].concat()).prop_shuffle()
        },
        events in Just(changes.iter().flat_map(Changed::events).chain(alerts.concat()).collect::<Vec<Event>>()),
    ) -> (Vec<Event>, Vec<Event>) {
        (events, shuffled)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn arrival_order_and_repetition_change_nothing((events, shuffled) in worlds(), minute in 0..2_200_i64) {
        let model = model();
        prop_assert_eq!(assess(&model, &events, at(minute)), assess(&model, &shuffled, at(minute)));
    }

    #[test]
    fn batches_of_any_size_and_order_tell_the_same(
        (events, shuffled) in worlds(),
        cuts in proptest::collection::btree_set(0..60_usize, 0..12),
    ) {
        let model = model();
        let none = BTreeSet::new();
        prop_assert_eq!(
            told_in_batches(&model, &shuffled, &cuts),
            told_in_batches(&model, &events, &none)
        );
    }

    #[test]
    fn what_happens_later_changes_nothing_before((events, _) in worlds(), minute in 0..2_200_i64) {
        let model = model();
        let before: Vec<_> = events.iter().filter(|event| event.time() <= at(minute)).collect();
        prop_assert_eq!(
            assess(&model, &events, at(minute)),
            assess(&model, before.into_iter().cloned(), at(minute))
        );
    }

    #[test]
    fn numbers_have_reasons_that_add_up((events, _) in worlds()) {
        for incident in assess(&model(), &events, at(2_200)).incidents {
            for suspect in &incident.suspects {
                let sum: f64 = suspect.evidence.iter().map(|term| term.nats).sum();
                prop_assert!((sum - suspect.log_odds).abs() < 1e-9, "{:?}", suspect);
                // The softmax has "none" at zero, so each is as far from it as its log-odds say.
                let odds = suspect.probability / incident.none_probability;
                if suspect.probability > 0.01 && incident.none_probability > 0.01 {
                    prop_assert!((odds.ln() - suspect.log_odds).abs() < 0.02, "{:?}", suspect);
                }
            }
            let all = incident.suspects.iter().map(|suspect| suspect.probability).sum::<f64>()
                + incident.cleared.iter().map(|cleared| cleared.probability).sum::<f64>()
                + incident.none_probability;
            prop_assert!(all < 1.0 + 1e-2);
        }
    }

    #[test]
    fn a_change_has_one_part_in_an_incident((events, _) in worlds()) {
        for incident in assess(&model(), &events, at(2_200)).incidents {
            let suspects = incident.suspects.iter().flat_map(|suspect| &suspect.changes);
            let cleared = incident.cleared.iter().flat_map(|cleared| &cleared.changes);
            let parts: Vec<_> = suspects.chain(cleared).chain(&incident.responses).collect();
            let distinct: BTreeSet<_> = parts.iter().collect();
            prop_assert_eq!(parts.len(), distinct.len());
        }
    }

    #[test]
    fn every_alert_is_in_one_incident_no_longer_than_a_day((events, _) in worlds()) {
        let assessment = assess(&model(), &events, at(2_200));
        for (_, incident) in &assessment.episodes {
            let holders = assessment.incidents.iter().filter(|one| Some(&one.id) == incident.as_ref());
            prop_assert_eq!(holders.count(), 1);
        }
        for incident in &assessment.incidents {
            let members = assessment.episodes.iter().filter(|(_, one)| one.as_ref() == Some(&incident.id));
            prop_assert_eq!(members.count(), incident.alert_count);
        }
        for incident in &assessment.incidents {
            let onsets = incident.families.iter().map(|family| family.onset_to);
            let (first, last) = (onsets.clone().min().unwrap(), onsets.max().unwrap());
            prop_assert!(last - first <= TimeDelta::hours(24));
        }
    }
}

/// What is told of a world that comes in batches, each cut off before one of these events.
fn told_in_batches(model: &Model, events: &[Event], cuts: &BTreeSet<usize>) -> Told {
    let mut window = Window::new(Time::MIN_UTC);
    let mut told = Told::default();
    for (n, event) in events.iter().enumerate() {
        if cuts.contains(&n) {
            told.hear(window.advance(model));
        }
        window.absorb(model, event.id(), event.clone());
    }
    told.hear(window.advance(model));
    told
}

/// All that was told, the last word on each.
#[derive(Debug, Default, PartialEq)]
struct Told {
    incidents: BTreeMap<IncidentId, Incident>,
    families: BTreeMap<String, (Family, Option<IncidentId>)>,
    changes: BTreeMap<ChangeId, Change>,
}

impl Told {
    fn hear(&mut self, news: News) {
        for id in news.incidents_gone {
            self.incidents.remove(&id);
        }
        for (key, start) in news.families_gone {
            self.families.remove(&family_id(FamilyRef::of(&key), start));
        }
        self.incidents.extend(news.incidents.into_iter().map(|one| (one.id.clone(), one)));
        news.families.into_iter().for_each(|kept| self.hear_of(kept));
        let changes = news.changes.into_iter();
        self.changes.extend(changes.map(|(change, _)| (change.id.clone(), change)));
    }

    /// As a store does, takes no more of a family than is said to be different.
    fn hear_of(&mut self, kept: Kept) {
        let Kept { family, incident, altered, .. } = kept;
        let id = family.id();
        let told = (Arc::unwrap_or_clone(family), incident);
        if altered == Altered::All {
            self.families.insert(id, told);
            return;
        }
        let (family, incident) = self.families.get_mut(&id).unwrap();
        family.episodes = told.0.episodes;
        if altered == Altered::Standing {
            (family.ends_at, family.expected, *incident) =
                (told.0.ends_at, told.0.expected, told.1);
        }
    }
}

fn suspects(incident: &Incident) -> Vec<(ChangeId, f64)> {
    incident.suspects.iter().map(|suspect| (suspect.change.clone(), suspect.probability)).collect()
}

#[test]
fn the_deploy_of_the_sick_service_is_named() {
    let events = [
        Changed::deploy("api", "api", 600).events(),
        Changed::deploy("blog", "blog", 605).events(),
        fired("Errors5xx", "api", 610, None),
    ]
    .concat();
    let incident = first_incident(&model(), &events, 611);
    assert_eq!(incident.answer, Answer::Likely, "{incident:#?}");
    assert_eq!(suspect(&incident, "api").map(|(rank, _)| rank), Some(1));
}

#[test]
fn the_cause_moved_after_the_onset_is_cleared() {
    let alerts = [
        fired("Errors5xx", "api", 610, None),
        fired("Errors5xx", "shop", 615, None),
        fired("Down", "api", 650, None),
    ]
    .concat();
    let events = |start| [Changed::deploy("api", "api", start).events(), alerts.clone()].concat();
    assert_eq!(first_incident(&model(), &events(604), 660).answer, Answer::Likely);
    let moved = first_incident(&model(), &events(640), 660);
    assert_ne!(moved.answer, Answer::Likely, "{moved:#?}");
    let exonerated =
        |evidence: &Evidence| evidence.kind == Term::Exoneration && evidence.nats < -2.0;
    let named = moved.suspects.iter().find(|suspect| suspect.change.0 == "api");
    assert!(named.is_none_or(|suspect| suspect.evidence.iter().any(exonerated)), "{moved:#?}");
}

#[test]
fn a_change_elsewhere_leaves_the_ranks_alone() {
    let events = [
        Changed::deploy("api", "api", 600).events(),
        Changed::deploy("shop", "shop", 580).events(),
        fired("Errors5xx", "shop", 610, None),
    ]
    .concat();
    let mut staging = Changed::deploy("staging", "blog", 608);
    staging.place = labels(&[("service", "blog"), ("environment", "staging")]);
    let ranks = |events: &[Event]| {
        let incident = first_incident(&model(), events, 620);
        ["api", "shop"].map(|id| suspect(&incident, id).map(|(rank, _)| rank))
    };
    assert_eq!(ranks(&events), ranks(&[events.clone(), staging.events()].concat()));
}

#[test]
fn one_change_in_two_environments_is_as_two() {
    let both = |environments: &[&str], id: &str| {
        let mut change = Changed::deploy(id, "api", 600);
        change.place = environments.iter().map(|name| ("environment", *name)).collect();
        change.place.insert("service", "api");
        change.events()
    };
    let alerts = [fired("Errors5xx", "api", 610, None), fired("Down", "shop", 640, None)].concat();
    let one = [both(&["staging", "production"], "c"), alerts.clone()].concat();
    let two = [both(&["staging"], "c1"), both(&["production"], "c2"), alerts].concat();
    let (one, two) = (first_incident(&model(), &one, 650), first_incident(&model(), &two, 650));
    assert_eq!(two.suspects[0].changes.len(), 2);
    assert_eq!(suspects(&one)[0].1.to_bits(), suspects(&two)[0].1.to_bits());
    assert_eq!(one.answer, two.answer);
}

#[test]
fn thirty_pods_are_one_symptom() {
    let pods = |n: i64| -> Vec<Event> {
        let pod = |pod: i64| {
            let place =
                [("alertname", "Errors5xx"), ("service", "api"), ("environment", "production")];
            let mut labels = labels(&place);
            labels.insert("pod", pod.to_string());
            fired_with(labels, 610 + pod % 3, None)
        };
        (0..n).flat_map(pod).collect()
    };
    let story = |n| {
        let events = [Changed::deploy("api", "api", 604).events(), pods(n)].concat();
        first_incident(&model(), &events, 620)
    };
    let (one, thirty) = (story(1), story(30));
    assert_eq!((thirty.families.len(), thirty.alert_count), (1, 30));
    assert_eq!(suspects(&one)[0].1.to_bits(), suspects(&thirty)[0].1.to_bits());
}

#[test]
fn firings_that_come_apart_leave_nothing_behind() {
    let of_one_alert = |start, lasts| fired("Down", "api", start, lasts);
    let [early, late] = [of_one_alert(100, Some(60)), of_one_alert(1_000, Some(40))];
    // Until the end of the early firing is heard of, it seems to go on into the late ones.
    let [second] = &of_one_alert(1_030, None)[..] else { panic!("it fires") };
    let events = [&late[0], &late[1], &early[0], second, &early[1]];
    let mut in_order = events;
    in_order.sort_by_key(|event| event.time());
    let of = |events: [&Event; 5]| assess(&model(), events, at(1_100));
    assert_eq!(of(events), of(in_order));
    assert_eq!(of(events).incidents.len(), 2);
}

#[test]
fn two_halves_of_one_cause_are_one_story() {
    let in_staging =
        [("alertname", "KubeNodeNotReady"), ("service", "cluster"), ("environment", "staging")];
    let events = [
        Changed::removal("s", "staging").events(),
        Changed::removal("p", "production").events(),
        fired_with(labels(&in_staging), 690, None),
        fired("KubeNodeNotReady", "cluster", 780, None),
    ]
    .concat();
    let assessment = assess(&model(), &events, at(800));
    assert_eq!(assessment.incidents.len(), 1, "{:#?}", assessment.incidents);
    assert_eq!(assessment.incidents[0].suspects[0].changes.len(), 2);
}

#[test]
fn an_earlier_symptom_of_the_story_speaks_against_a_later_change_wherever_it_was() {
    let place =
        [("alertname", "KubeNodeNotReady"), ("service", "cluster"), ("environment", "staging")];
    let events = [
        Changed::removal("s", "staging").events(),
        Changed::removal("p", "production").events(),
        fired_with(labels(&place), 690, None),
        Changed::deploy("late", "cluster", 760).events(),
        fired("KubeNodeNotReady", "cluster", 780, None),
    ]
    .concat();
    let incident = first_incident(&model(), &events, 800);
    assert_eq!(incident.alert_count, 2, "{incident:#?}");
    let late = incident.suspects.iter().find(|suspect| suspect.change.0 == "late");
    let cleared = incident.cleared.iter().find(|cleared| cleared.change.0 == "late");
    let exonerated =
        |evidence: &Evidence| evidence.kind == Term::Exoneration && evidence.nats < -1.0;
    assert!(
        late.is_some_and(|late| late.evidence.iter().any(exonerated))
            || cleared.is_some_and(|cleared| cleared.reason.contains("began 1 h 10 min before it")),
        "{incident:#?}"
    );
}

#[test]
fn a_change_after_the_onset_and_before_the_alert_is_told_so() {
    let mut model = model();
    let quarter = TimeDelta::minutes(15);
    let alert = crate::rules::Matchers::parse(r#"alertname="Slow""#).unwrap();
    model.settings.onsets = vec![Onset { alert, least: quarter, most: quarter * 2 }];
    // The slow alert fires later than the other, and its symptom is older.
    let events = [
        fired("Errors5xx", "api", 610, None),
        fired("Slow", "api", 612, None),
        Changed::deploy("api", "api", 605).events(),
    ]
    .concat();
    let incident = first_incident(&model, &events, 620);
    let told = incident.suspects.iter().flat_map(|suspect| &suspect.evidence);
    let told = told.filter(|evidence| evidence.kind == Term::Exoneration);
    let told: Vec<_> = told
        .map(|evidence| evidence.text.as_str())
        .chain(incident.cleared.iter().map(|cleared| cleared.reason.as_str()))
        .collect();
    let words = "the symptoms of this incident began 8 min before it: Slow on api (production) at 09:57 UTC";
    assert_eq!(told, [words], "{incident:#?}");
}

#[test]
fn a_change_after_the_alert_was_seen_pending_did_not_cause_it() {
    // The alert fired at 10:10, the deploy was at 10:06.
    let incident = |pending_at: Option<Time>| {
        let mut slow = fired("Slow", "api", 610, None);
        for event in &mut slow {
            if let Event::Alert(report) = event {
                report.pending_at = pending_at;
            }
        }
        let events = [slow, Changed::deploy("api", "api", 606).events()].concat();
        first_incident(&model(), &events, 620)
    };
    assert!(suspect(&incident(None), "api").is_some());
    assert!(suspect(&incident(Some(at(608))), "api").is_some());
    let innocent = incident(Some(at(603)));
    assert_eq!(suspect(&innocent, "api"), None, "{innocent:#?}");
    let family = &innocent.families[0];
    assert_eq!((family.onset_from, family.onset_to), (at(602), at(603)));
}

#[test]
fn a_deploy_seconds_before_the_alert_may_be_its_cause() {
    let mut deploy = Changed::deploy("api", "api", 610);
    deploy.lasts = 0;
    let events = [deploy.events(), fired("Errors5xx", "api", 610, None)].concat();
    let incident = first_incident(&model(), &events, 611);
    assert_eq!(suspect(&incident, "api").map(|(rank, _)| rank), Some(1), "{incident:#?}");
}

#[test]
fn unrelated_troubles_are_two_stories() {
    let events = [fired("Down", "shop", 600, Some(400)), fired("Errors5xx", "blog", 780, Some(60))];
    assert_eq!(assess(&model(), events.concat(), at(1_000)).incidents.len(), 2);
}

#[test]
fn of_many_changes_that_may_have_been_it_the_first_are_named() {
    let changes = (0..200).map(|n| Changed::deploy(&format!("c{n}"), &format!("service-{n}"), 55));
    let mut events: Vec<_> = changes.flat_map(|change| change.events()).collect();
    events.extend(fired("ErrorsHigh", "shop", 60, None));
    let incident = first_incident(&model(), &events, 65);
    assert!(incident.none_probability < 0.5, "{}", incident.none_probability);
    assert_eq!(incident.answer, Answer::Suspects);
    assert!(incident.suspects.len() > 1);
}

#[test]
fn without_any_change_feed_none_cannot_be_said() {
    let alert = fired("Down", "shop", 600, None);
    let silent = first_incident(&model(), &alert, 610);
    assert_eq!(silent.answer, Answer::Unknown);
    let old = Changed::deploy("old", "blog", 10).events();
    let heard = first_incident(&model(), &[alert, old].concat(), 610);
    assert_eq!(heard.answer, Answer::None, "{heard:#?}");
}

#[test]
fn a_noisy_alert_convicts_less() {
    let story = |earlier: i64| {
        let noise = (0..earlier).flat_map(|n| fired("Errors5xx", "api", n * 100, Some(10)));
        let deploy = Changed::deploy("api", "api", 4_000).events();
        let events: Vec<_> =
            noise.chain(deploy).chain(fired("Errors5xx", "api", 4_010, None)).collect();
        let assessment = assess(&model(), &events, at(4_020));
        let last = assessment.incidents.last().expect("an incident").clone();
        suspect(&last, "api").map_or(0.0, |(_, probability)| probability)
    };
    assert!(story(0) > story(20), "{} against {}", story(0), story(20));
}

#[test]
fn responses_follow_the_symptoms() {
    let mut rollback = Changed::deploy("back", "api", 640);
    rollback.kind = Kind::Rollback;
    rollback.action = Action::Rollback;
    rollback.title = "Revert: api 2.0".to_owned();
    let events = [
        Changed::deploy("api", "api", 600).events(),
        fired("Errors5xx", "api", 610, Some(40)),
        rollback.events(),
    ]
    .concat();
    let incident = first_incident(&model(), &events, 700);
    assert_eq!(incident.responses, [ChangeId("back".to_owned())]);
    assert_eq!(suspect(&incident, "api").map(|(rank, _)| rank), Some(1));
}

#[test]
fn outage_counts_once_however_many_alerts_tell_it() {
    let events = [
        fired("ProbeFailed", "shop", 600, Some(10)),
        fired("ShopDown", "shop", 605, Some(15)),
        fired("Errors5xx", "shop", 600, Some(30)),
    ]
    .concat();
    let incident = first_incident(&model(), &events, 700);
    let told: Vec<_> = incident
        .impact
        .iter()
        .map(|impact| (impact.service.as_str(), impact.outage_seconds, impact.degraded_seconds))
        .collect();
    assert_eq!(told, [("shop", 20 * 60, 30 * 60)]);
}

#[test]
fn an_incident_is_open_then_quiet_then_closed() {
    let events = fired("Down", "shop", 600, Some(10));
    let state = |minute| first_incident(&model(), &events, minute).state;
    assert_eq!([605, 630, 700].map(state), [State::Open, State::Quiet, State::Closed]);
}
