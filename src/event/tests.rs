//! The laws of events: merges are joins, ids are of content, labels and times survive their form.

use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};

use super::*;

fn at(minute: i64) -> Time {
    parse_time("2023-02-23T12:00:00Z").unwrap() + TimeDelta::minutes(minute)
}

fn times() -> impl Strategy<Value = Time> {
    (0..30_i64).prop_map(at)
}

fn words() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), Just(Some("one".to_owned())), Just(Some("two".to_owned()))]
}

fn label_sets() -> impl Strategy<Value = Labels> {
    vec((prop_oneof![Just("service"), Just("env"), Just("pod")], "[ab]{0,2}"), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
}

prop_compose! {
    fn alert_reports()(
        starts_at in times(),
        lasts in proptest::option::of(0..20_i64),
        summary in words(),
        url in words(),
    ) -> AlertReport {
        let ends_at = lasts.map(|minutes| starts_at + TimeDelta::minutes(minutes));
        AlertReport { labels: Labels::default(), starts_at, ends_at, summary, url }
    }
}

prop_compose! {
    fn change_reports()(
        at in times(),
        status in proptest::sample::select(Status::ALL),
        started_at in proptest::option::of(times()),
        kind in proptest::option::of(proptest::sample::select(Kind::ALL)),
        action in proptest::option::of(proptest::sample::select(Action::ALL)),
        title in words(),
        revision in words(),
        labels in label_sets(),
    ) -> ChangeReport {
        let id = ChangeId("c1".to_owned());
        let report = ChangeReport::new(id, status, at);
        ChangeReport { started_at, kind, action, title, labels, revision, ..report }
    }
}

fn firings(reports: &[AlertReport]) -> Firings {
    let mut firings = Firings::default();
    for report in reports {
        firings.absorb(report, Event::Alert(report.clone()).id());
    }
    firings
}

fn history(reports: &[ChangeReport]) -> ChangeHistory {
    let mut history = ChangeHistory::default();
    for report in reports {
        history.absorb(report, Event::Change(report.clone()).id());
    }
    history
}

proptest! {
    #[test]
    fn firings_merge_in_any_order_any_number_of_times(
        one in vec(alert_reports(), 0..6),
        other in vec(alert_reports(), 0..6),
        third in vec(alert_reports(), 0..6),
    ) {
        let (a, b, c) = (firings(&one), firings(&other), firings(&third));
        let merged = |x: &Firings, y: &Firings| { let mut z = x.clone(); z.merge(y); z };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        let mut shuffled = [other, one.clone(), one].concat();
        shuffled.reverse();
        prop_assert_eq!(firings(&shuffled), merged(&a, &b));
    }

    #[test]
    fn change_reports_merge_in_any_order_any_number_of_times(
        one in vec(change_reports(), 0..5),
        other in vec(change_reports(), 0..5),
        third in vec(change_reports(), 0..5),
    ) {
        let (a, b, c) = (history(&one), history(&other), history(&third));
        let merged = |x: &ChangeHistory, y: &ChangeHistory| { let mut z = x.clone(); z.merge(y); z };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        let mut shuffled = [other, one.clone(), one].concat();
        shuffled.reverse();
        prop_assert_eq!(history(&shuffled), merged(&a, &b));
    }

    #[test]
    fn stretches_are_apart_and_cover_every_report(reports in vec(alert_reports(), 1..8)) {
        let stretches = firings(&reports).stretches();
        for pair in stretches.windows(2) {
            let end = pair[0].ends_at.expect("only the last stretch may be open");
            prop_assert!(end + REJOIN_GAP < pair[1].starts_at);
        }
        for report in &reports {
            let covering = stretches.iter().filter(|stretch| {
                stretch.starts_at <= report.starts_at
                    && stretch.ends_at.is_none_or(|end| report.starts_at <= end)
            });
            prop_assert_eq!(covering.count(), 1, "{:?} in {:?}", report, stretches);
        }
    }

    #[test]
    fn events_survive_their_written_form(
        alert in alert_reports(),
        change in change_reports(),
        labels in label_sets(),
    ) {
        let alert = Event::Alert(AlertReport { labels, ..alert });
        for event in [alert, Event::Change(change)] {
            let written = serde_json::to_string(&event).unwrap();
            let read: Event = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(event.id_as(&written), event.id());
            prop_assert_eq!(read.id(), event.id());
            prop_assert_eq!(read, event);
        }
    }

    #[test]
    fn times_survive_their_written_form(micros_since in 0..4_102_444_800_000_000_i64) {
        let time = time_of_micros(micros_since);
        prop_assert_eq!(parse_time(&show_time(time)), Ok(time));
        prop_assert_eq!(micros(time), micros_since);
    }
}

#[test]
fn a_resolved_report_tells_that_it_fired_too() {
    let report = AlertReport {
        labels: Labels::from_iter([("alertname", "Down")]),
        starts_at: at(0),
        ends_at: Some(at(9)),
        summary: Some("it is down".to_owned()),
        url: None,
    };
    let facts = report.clone().facts();
    assert_eq!(facts.iter().map(AlertReport::time).collect::<Vec<_>>(), [at(0), at(9)]);
    let firing = AlertReport { ends_at: None, ..report };
    assert_eq!(Event::Alert(facts[0].clone()).id(), Event::Alert(firing).id());
}

#[test]
fn a_lost_resolve_ends_where_the_alert_fires_anew() {
    let report = |starts_at, ends_at| AlertReport {
        labels: Labels::default(),
        starts_at,
        ends_at,
        summary: None,
        url: None,
    };
    let stretches = firings(&[report(at(0), None), report(at(40), Some(at(50)))]).stretches();
    assert_eq!(stretches.len(), 1);
    assert_eq!((stretches[0].starts_at, stretches[0].ends_at), (at(0), Some(at(50))));
}

#[test]
fn an_ended_change_with_a_start_is_two_facts() {
    let mut report = ChangeReport::new(ChangeId("c1".to_owned()), Status::Failed, at(9));
    report.started_at = Some(at(2));
    report.title = Some("api 3".to_owned());
    let facts = report.facts();
    let told: Vec<_> = facts.iter().map(|fact| (fact.status, fact.at)).collect();
    assert_eq!(told, [(Status::Started, at(2)), (Status::Failed, at(9))]);
    let change = history(&facts[..1]).change(&facts[0].id, &Mapping::default()).unwrap();
    assert_eq!((change.started_at, change.finished_at), (at(2), None));
    let change = history(&facts).change(&facts[0].id, &Mapping::default()).unwrap();
    assert_eq!((change.started_at, change.finished_at), (at(2), Some(at(9))));
    assert_eq!((change.title.as_str(), change.status), ("api 3", Status::Failed));
}

#[test]
fn the_latest_report_says_how_far_a_change_has_come() {
    let id = ChangeId("c1".to_owned());
    let report = |status, minute| ChangeReport::new(id.clone(), status, at(minute));
    let change = history(&[report(Status::Succeeded, 5), report(Status::Started, 0)])
        .change(&id, &Mapping::default())
        .unwrap();
    assert_eq!((change.status, change.finished_at), (Status::Succeeded, Some(at(5))));
}

#[test]
fn the_time_of_receipt_is_no_part_of_what_an_event_says() {
    let id = ChangeId("c1".to_owned());
    let assumed = |minute| {
        let report = ChangeReport::new(id.clone(), Status::Started, at(minute));
        Event::Change(ChangeReport { at_assumed: true, ..report })
    };
    assert_eq!(assumed(1).id(), assumed(2).id());
    let said = |minute| Event::Change(ChangeReport::new(id.clone(), Status::Started, at(minute)));
    assert_ne!(said(1).id(), said(2).id());
}

#[test]
fn scope_is_read_from_the_labels_of_the_wild() {
    let mapping = Mapping::default();
    let service = |pairs: &[(&str, &str)]| {
        let scope = mapping.scope(&pairs.iter().copied().collect());
        scope.services().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(service(&[("app", "api"), ("job", "x")]), ["api"]);
    assert_eq!(service(&[("app_kubernetes_io_name", "api")]), ["api"]);
    assert_eq!(service(&[("deployment", "api"), ("job", "kube-state-metrics")]), ["api"]);
    assert_eq!(service(&[("job", "kube-state-metrics")]), [""; 0]);
    assert_eq!(service(&[("job", "billing")]), ["billing"]);
    assert_eq!(service(&[("service", "node-exporter"), ("job", "x")]), ["node-exporter"]);
    let scope = mapping.scope(&[("env", "prod")].into_iter().collect());
    assert_eq!(scope.environments().collect::<Vec<_>>(), ["prod"]);
}

proptest! {
    #[test]
    fn labels_are_read_in_any_order_and_the_last_of_a_name_counts(
        written in vec(("[abc]", vec("[xy]{0,1}", 0..3)), 0..6),
    ) {
        let pairs: Vec<_> =
            written.iter().map(|(name, values)| format!("{name:?}:{values:?}")).collect();
        let read: Labels = serde_json::from_str(&format!("{{{}}}", pairs.join(","))).unwrap();
        let last: std::collections::BTreeMap<_, _> = written.into_iter().collect();
        let said = last.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| (name.as_str(), value.as_str()))
        });
        prop_assert_eq!(read, said.collect::<Labels>());
    }
}

#[test]
fn values_that_are_no_text_are_told_as_such() {
    for bad in ["7", "-7", "7.5", "true", "{}", "[[\"x\"]]", "[7]", "[null]"] {
        let read = serde_json::from_str::<Labels>(&format!("{{\"a\":{bad}}}"));
        let why = read.unwrap_err().to_string();
        assert!(why.starts_with("want a string or a list of strings"), "{bad}: {why}");
    }
}

#[test]
fn labels_take_a_string_or_a_list() {
    let labels: Labels =
        serde_json::from_str(r#"{"a": "x", "b": ["y", "z", "y"], "c": null}"#).unwrap();
    assert_eq!(serde_json::to_string(&labels).unwrap(), r#"{"a":"x","b":["y","z"]}"#);
}

#[test]
fn times_are_rfc3339_or_unix_seconds() {
    let same = ["2023-02-23T12:00:00.5Z", "2023-02-23T14:00:00.5+02:00", "1677153600.5"];
    for text in same {
        assert_eq!(parse_time(text).map(show_time).as_deref(), Ok("2023-02-23T12:00:00.500Z"));
    }
    for text in ["", "yesterday", "1.5.2", "12:00", "1e9", "-"] {
        assert!(parse_time(text).is_err(), "{text:?}");
    }
}
