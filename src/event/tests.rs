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
    // Some of them JSON says in another way.
    let name = prop_oneof![Just("service"), Just("env"), Just("pod"), Just("say \"so\"")];
    let value = prop_oneof![4 => "[ab]{0,2}", 1 => "[a\"\\\\\n\u{1f}\u{7f}\u{e9}]{0,3}"];
    vec((name, value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

prop_compose! {
    fn alert_reports()(
        starts_at in times(),
        lasts in proptest::option::of((0..20_i64, any::<bool>())),
        pending in proptest::option::of(0..9_i64),
        summary in words(),
        url in words(),
    ) -> AlertReport {
        let end = |expected| {
            lasts
                .filter(|(_, is_expected)| *is_expected == expected)
                .map(|(minutes, _)| starts_at + TimeDelta::minutes(minutes))
        };
        let (ends_at, expires_at) = (end(false), end(true));
        let pending_at = pending.map(|minutes| starts_at - TimeDelta::minutes(minutes));
        let labels = Labels::default();
        AlertReport { labels, starts_at, ends_at, expires_at, pending_at, summary, url }
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
    fn an_event_is_read_as_it_was_written(report in alert_reports(), text in "[a-z\"]{0,9}") {
        let change = ChangeReport::new(ChangeId(text.clone()), Status::Started, report.starts_at);
        for event in [Event::Alert(report), Event::Change(change)] {
            let json = serde_json::to_vec(&event).unwrap();
            prop_assert_eq!(&Event::from_json(std::str::from_utf8(&json).unwrap()).unwrap(), &event);
            prop_assert_eq!(&serde_json::from_slice::<Event>(&json).unwrap(), &event);
        }
    }

    #[test]
    fn a_label_is_found_among_few_and_among_many(
        names in vec("[a-c]{1,2}", 0..12), more in 0..60_usize, sought in "[a-c]{1,2}",
    ) {
        let pairs = names.iter().zip(0..).map(|(name, n)| (name.clone(), format!("v{n}")));
        let others = (0..more).map(|n| (format!("other-{n}"), "x".to_owned()));
        let labels: Labels = pairs.clone().chain(others).collect();
        let mut expected: Vec<_> =
            pairs.filter(|(name, _)| *name == sought).map(|(_, value)| value).collect();
        expected.sort();
        prop_assert_eq!(labels.values(&sought).collect::<Vec<_>>(), expected);
        prop_assert_eq!(labels.has(&sought), names.contains(&sought));
    }
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
        let stretches: Vec<_> = firings(&reports).stretches().collect();
        for pair in stretches.windows(2) {
            let end = pair[0].outlook.end().expect("only the last stretch may be open");
            prop_assert!(end + REJOIN_GAP < pair[1].starts_at);
        }
        for report in &reports {
            let covering = stretches.iter().filter(|stretch| {
                stretch.starts_at <= report.starts_at
                    && stretch.outlook.end().is_none_or(|end| report.starts_at <= end)
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
            let mut written = b"behind what is there".to_vec();
            let there = written.len();
            let id = event.write(&mut written).unwrap();
            let written = std::str::from_utf8(&written[there..]).unwrap();
            let read: Event = serde_json::from_str(written).unwrap();
            prop_assert_eq!(Event::from_json(written).unwrap(), event.clone());
            prop_assert_eq!(id, event.id());
            prop_assert_eq!(read.id(), event.id());
            prop_assert_eq!(read, event);
        }
    }

    #[test]
    fn the_fact_in_an_alert_is_written_as_serde_has_it(alert in alert_reports(), labels in label_sets()) {
        let alert = AlertReport { labels, ..alert };
        let fact = AlertReport { expires_at: None, summary: None, url: None, ..alert.clone() };
        let (alert, fact) = (Event::Alert(alert), Event::Alert(fact));
        let mut written = Vec::new();
        prop_assert_eq!(fact.write(&mut written).unwrap(), alert.id());
        prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&fact).unwrap());
    }

    #[test]
    fn the_id_of_labels_is_of_their_written_form(labels in label_sets()) {
        prop_assert_eq!(labels.id(), EventId::of(&labels));
    }

    #[test]
    fn labels_that_are_altered_have_another_id(labels in label_sets(), alert in alert_reports()) {
        let mut alert = AlertReport { labels, ..alert };
        alert.write(&mut b"before it".to_vec()).unwrap();
        prop_assert_eq!(alert.labels.id(), EventId::of(&alert.labels));
        let known = alert.labels.clone();
        alert.labels.insert("another", "one");
        prop_assert_ne!(&alert.labels, &known);
        prop_assert_eq!(alert.labels.id(), EventId::of(&alert.labels));
        alert.labels.remove("another");
        prop_assert_eq!(&alert.labels, &known);
        prop_assert_eq!(alert.labels.id(), known.id());
    }

    #[test]
    fn times_survive_their_written_form(micros_since in 0..4_102_444_800_000_000_i64) {
        let time = time_of_micros(micros_since);
        prop_assert_eq!(parse_time(&show_time(time)), Ok(time));
        prop_assert_eq!(micros(time), micros_since);
    }

    #[test]
    fn a_time_is_shown_as_serde_has_it(
        micros_since in -99_000_000_000_000_000_i64..990_000_000_000_000_000,
        cut in proptest::sample::select(vec![1, 1_000, 1_000_000]),
    ) {
        let time = time_of_micros(micros_since / cut * cut);
        prop_assert_eq!(serde_json::to_value(time).unwrap(), show_time(time));
    }
}

#[test]
fn a_resolved_report_tells_that_it_fired_too() {
    let report = AlertReport {
        labels: Labels::from_iter([("alertname", "Down")]),
        starts_at: at(0),
        ends_at: Some(at(9)),
        expires_at: None,
        pending_at: Some(at(-3)),
        summary: Some("it is down".to_owned()),
        url: None,
    };
    let facts = report.clone().facts();
    assert_eq!(facts.iter().map(AlertReport::time).collect::<Vec<_>>(), [at(0), at(9)]);
    let firing = AlertReport { ends_at: None, ..report };
    assert_eq!(Event::Alert(facts[0].clone()).id(), Event::Alert(firing).id());
}

/// One `startsAt`, with an end that was told, or that is expected.
fn report(starts: i64, ends: Option<i64>, expires: Option<i64>) -> AlertReport {
    AlertReport {
        labels: Labels::default(),
        starts_at: at(starts),
        ends_at: ends.map(at),
        expires_at: expires.map(at),
        pending_at: None,
        summary: None,
        url: None,
    }
}

fn fires(starts: i64) -> AlertReport {
    report(starts, None, None)
}

fn ended(starts: i64, ends: i64) -> AlertReport {
    report(starts, Some(ends), None)
}

fn expires(starts: i64, expires: i64) -> AlertReport {
    report(starts, None, Some(expires))
}

/// Start and outlook of each stretch, in any order of arrival.
fn stretches(reports: &[AlertReport]) -> Vec<(Time, Outlook)> {
    let told = |reports: &[AlertReport]| {
        let firings = firings(reports);
        let stretches = firings.stretches();
        stretches.map(|stretch| (stretch.starts_at, stretch.outlook)).collect::<Vec<_>>()
    };
    let reversed: Vec<_> = reports.iter().rev().cloned().collect();
    assert_eq!(told(reports), told(&reversed));
    told(reports)
}

#[test]
fn a_lost_resolve_ends_where_the_alert_fires_anew() {
    let told = stretches(&[fires(0), ended(40, 50)]);
    assert_eq!(told, [(at(0), Outlook::Ended(at(50)))]);
}

#[test]
fn a_firing_that_comes_after_its_resolve_does_not_reopen_it() {
    for again in [fires(0), expires(0, 60)] {
        let told = stretches(&[again.clone(), ended(0, 9), again]);
        assert_eq!(told, [(at(0), Outlook::Ended(at(9)))]);
    }
}

#[test]
fn a_firing_ends_when_it_expires_and_a_refresh_puts_that_off() {
    assert_eq!(stretches(&[expires(0, 4)]), [(at(0), Outlook::Expires(at(4)))]);
    let told = stretches(&[expires(0, 4), expires(0, 5), expires(0, 3)]);
    assert_eq!(told, [(at(0), Outlook::Expires(at(5)))]);
    let told = stretches(&[expires(0, 4), expires(10, 14)]);
    assert_eq!(told, [(at(0), Outlook::Expires(at(4))), (at(10), Outlook::Expires(at(14)))]);
}

#[test]
fn who_promises_to_tell_the_end_is_waited_for() {
    assert_eq!(stretches(&[expires(0, 4), fires(0)]), [(at(0), Outlook::Fires)]);
    assert_eq!(stretches(&[fires(0), expires(1, 5)]), [(at(0), Outlook::Fires)]);
    let told = stretches(&[expires(0, 40), fires(0), ended(0, 9)]);
    assert_eq!(told, [(at(0), Outlook::Ended(at(9)))]);
}

#[test]
fn replicas_that_see_an_alert_some_seconds_apart_tell_one_episode_as_long_as_one_says_so() {
    let told = stretches(&[ended(0, 10), expires(1, 12)]);
    assert_eq!(told, [(at(0), Outlook::Expires(at(12)))]);
    let told = stretches(&[expires(0, 12), ended(1, 10)]);
    assert_eq!(told, [(at(0), Outlook::Expires(at(12)))], "the other one contradicts it");
    let told = stretches(&[ended(0, 11), ended(1, 10)]);
    assert_eq!(told, [(at(0), Outlook::Ended(at(11)))]);
}

#[test]
fn an_end_whose_sender_did_not_know_the_start_ends_what_fires() {
    let told = stretches(&[expires(0, 12), ended(10, 10)]);
    assert_eq!(told, [(at(0), Outlook::Ended(at(10)))]);
    let told = stretches(&[ended(0, 12), ended(10, 10)]);
    assert_eq!(told, [(at(0), Outlook::Ended(at(12)))], "an end that was told stays");
}

#[test]
fn the_words_are_those_of_the_report_that_holds_longest() {
    let said =
        |minute, words: &str| AlertReport { summary: Some(words.to_owned()), ..expires(0, minute) };
    let reports = [said(6, "at 93 %"), said(4, "at 97 %"), said(5, "at 99 %"), said(5, "at 9 %")];
    for one in &reports {
        for other in &reports {
            assert!(!(one.outdoes(other) && other.outdoes(one)), "{one:?} {other:?}");
        }
        assert!(*one == reports[0] || reports[0].outdoes(one));
    }
    assert!(reports[2].outdoes(&reports[3]) || reports[3].outdoes(&reports[2]));
}

#[test]
fn an_episode_whose_end_is_expected_fires_until_then() {
    let stretch = firings(&[expires(0, 4)]).stretches().next().unwrap();
    let episode = Episode::new(&expires(0, 4), &Mapping::default(), &stretch);
    assert_eq!((episode.ends_at, episode.end_expected), (Some(at(4)), true));
    assert_eq!([0, 3, 4].map(|minute| episode.fires_at(at(minute))), [true, true, false]);
}

#[test]
fn until_when_an_alert_holds_and_in_what_words_is_no_part_of_what_it_says() {
    let id = |report: AlertReport| Event::Alert(report).id();
    let worded = AlertReport { summary: Some("at 93 %".to_owned()), ..expires(0, 4) };
    assert_eq!(id(worded), id(fires(0)));
    assert_ne!(id(fires(0)), id(fires(1)));
    assert_ne!(id(fires(0)), id(ended(0, 0)));
}

/// Of an empty set, of Prometheus' watchdog, and of an alert in a webhook of a real Alertmanager.
#[test]
fn fingerprints_are_alertmanagers() {
    let vectors: [(&[(&str, &str)], &str); 3] = [
        (&[], "cbf29ce484222325"),
        (&[("severity", "none"), ("alertname", "Watchdog")], "448881ef475b9b26"),
        (
            &[("alertname", "DemoAlert"), ("server", "ni3"), ("severity", "critical")],
            "8a07086b74f3ba78",
        ),
    ];
    for (labels, wanted) in vectors {
        let labels: Labels = labels.iter().copied().collect();
        assert_eq!(Fingerprint::of(&labels).to_string(), wanted, "{labels:?}");
    }
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

proptest! {
    #[test]
    fn an_episodes_id_tells_its_start_and_half_of_its_alerts_hash(
        start in prop_oneof![-8_000_000_000_000_000_i64..8_000_000_000_000_000, -2_i64..3],
        hash in any::<[u8; 16]>(),
    ) {
        let id = EpisodeId::new(time_of_micros(start), &EventId(hash));
        let (starts_at, half) = id.parts().unwrap();
        prop_assert_eq!(starts_at, time_of_micros(start));
        prop_assert_eq!(&half[..], &hash[..IDENTITY_BYTES]);
    }

    #[test]
    fn episodes_ids_sort_by_start_then_by_hash(
        // Until the year 2112.
        starts in proptest::array::uniform2(0_i64..1 << 52),
        hashes in proptest::array::uniform2(any::<[u8; 16]>()),
        same_start in any::<bool>(),
    ) {
        let starts = if same_start { [starts[0]; 2] } else { starts };
        let id = |n: usize| EpisodeId::new(time_of_micros(starts[n]), &EventId(hashes[n]));
        let key = |n: usize| (starts[n], &hashes[n][..IDENTITY_BYTES]);
        prop_assert_eq!(id(0).cmp(&id(1)), key(0).cmp(&key(1)));
    }

    #[test]
    fn what_is_no_episodes_id_has_no_parts(text in "(alt_)?[0-9a-fé]{0,15}|inc_[0-9a-f]{29}|alt_[g-z]{29}|.{0,40}") {
        let parts = EpisodeId(text.clone()).parts();
        prop_assert!(parts.is_none() || text.starts_with("alt_") && text.len() > 20, "{text}");
    }
}
