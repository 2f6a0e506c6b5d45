use proptest::prelude::*;

use super::*;
use crate::{
    correlate::{Answer, Incident, IncidentId, State},
    event::{ChangeId, ChangeReport, EpisodeId, Labels, Note, Status, parse_time},
};

fn time(text: &str) -> Time {
    parse_time(&format!("2023-02-23T{text}Z")).unwrap()
}

fn noon() -> Time {
    time("12:00:00")
}

/// What is heard with these pauses, in minutes.
fn heard(pauses: impl IntoIterator<Item = i64>) -> Heard {
    let mut heard = Heard::new(noon());
    for pause in pauses {
        heard.again(heard.last + TimeDelta::minutes(pause), noon());
    }
    heard
}

#[test]
fn a_feed_is_the_source_of_alerts_or_a_kind_of_changes() {
    let mut report = ChangeReport::new(ChangeId("1".to_owned()), Status::Started, noon());
    let name = |event: &Event| FeedName::of(event, "alertmanager").map(|name| name.0);
    assert_eq!(name(&Event::Change(report.clone())), None);
    report.kind = Some(Kind::FeatureFlag);
    let change = Event::Change(report);
    assert_eq!(name(&change).as_deref(), Some("changes:feature_flag"));
    assert_eq!(FeedName::of(&change, "changes").unwrap().carries(), Carries::Changes);
    assert_eq!(FeedName("alertmanager".to_owned()).carries(), Carries::Alerts);
    let note = Note {
        at: noon(),
        at_assumed: false,
        text: "hello".to_owned(),
        author: None,
        incident: None,
        labels: Labels::default(),
    };
    assert_eq!(name(&Event::Note(note)), None);
}

#[test]
fn what_is_usual_is_learned_from_twenty_pauses_and_a_burst_is_none() {
    assert_eq!(heard([10; 19]).usual(), None);
    assert_eq!(heard([10; 20]).usual(), Some(TimeDelta::minutes(10)));
    let bursts = (0..400).map(|n| if n % 10 == 0 { 30 } else { 1 });
    assert_eq!(heard(bursts).usual(), Some(TimeDelta::minutes(30)));
}

#[test]
fn nights_are_usual_and_one_pause_in_a_hundred_is_not() {
    let nights = (0..100).map(|n| if n % 20 == 0 { 14 * 60 } else { 25 });
    assert_eq!(heard(nights).usual(), Some(TimeDelta::hours(14)));
    let once = (0..100).map(|n| if n == 50 { 14 * 60 } else { 25 });
    assert_eq!(heard(once).usual(), Some(TimeDelta::minutes(25)));
    // Of the latest two hundred, all are of another time.
    let faster = [600; 100].into_iter().chain([6; 200]);
    assert_eq!(heard(faster).usual(), Some(TimeDelta::minutes(6)));
}

#[test]
fn a_pause_in_which_nobody_could_be_heard_teaches_nothing() {
    let mut heard = heard([10; 20]);
    let since = heard.last + TimeDelta::days(3);
    heard.again(since + TimeDelta::minutes(5), since);
    assert_eq!(heard.pauses.len(), 20);
    heard.again(heard.last + TimeDelta::hours(1), since);
    assert_eq!(heard.pauses.last(), Some(&3600));
}

#[test]
fn a_feed_is_silent_after_three_times_its_interval() {
    let every = TimeDelta::minutes(5);
    let silent = |last: Option<&str>, now| is_silent(last.map(time), noon(), every, time(now));
    assert!(!silent(Some("12:10:00"), "12:25:00"));
    assert!(silent(Some("12:10:00"), "12:25:01"));
    assert!(!silent(None, "12:15:00"), "it was never heard, and there was no time for it");
    assert!(silent(None, "12:15:01"));
    assert!(!silent(Some("06:00:00"), "12:15:00"), "nobody could be heard before noon");
    assert!(silent(Some("06:00:00"), "12:15:01"));
}

proptest! {
    #[test]
    fn what_keeps_to_its_ways_is_never_silent(pauses in prop::collection::vec(5_i64..600, 20..300)) {
        let heard = heard(pauses.clone());
        let every = heard.usual().unwrap();
        let longest = pauses.iter().rev().take(PAUSES_MAX).max().unwrap();
        prop_assert!(every <= TimeDelta::minutes(*longest));
        prop_assert!(heard.pauses.len() <= PAUSES_MAX);
        let now = heard.last + every * SILENT_AFTER;
        prop_assert!(!is_silent(Some(heard.last), noon(), every, now));
    }
}

fn incident(answer: Answer) -> Incident {
    Incident {
        id: IncidentId("inc_1".to_owned()),
        state: State::Open,
        answer,
        headline: "as it was".to_owned(),
        started_at: time("15:06:00"),
        ended_at: None,
        closes_at: None,
        first_alert: EpisodeId::default(),
        latest_at: Time::default(),
        alert_count: 0,
        labels: Labels::default(),
        more_families: 0,
        expected_end: None,
        families: Vec::new(),
        none_probability: 1.0,
        suspects: Vec::new(),
        cleared: Vec::new(),
        responses: Vec::new(),
        impact: Vec::new(),
        frozen: false,
    }
}

fn gap(feed: &str, carries: Carries, to: Option<&str>) -> Gap {
    let feed = Some(FeedName(feed.to_owned()));
    Gap { feed, carries: Some(carries), from: time("14:02:00"), to: to.map(time) }
}

#[test]
fn none_is_unknown_while_changes_may_have_been_missed() {
    let told = |gaps: &[Gap]| {
        let told = doubt(incident(Answer::None), gaps);
        (told.answer, told.headline)
    };
    let unknown = |words: &str| {
        let headline = format!("unknown: no recorded change is a likely cause, but {words}");
        (Answer::Unknown, headline)
    };
    let deploys = gap("changes:deploy", Carries::Changes, Some("14:09:00"));
    let words = "not heard from changes:deploy 14:02 to 14:09 UTC";
    assert_eq!(told(std::slice::from_ref(&deploys)), unknown(words));
    let open = gap("terraform", Carries::Changes, None);
    let words = "not heard from terraform since 14:02 UTC, and 1 more gap";
    assert_eq!(told(&[deploys, open]), unknown(words));
    let yesterday = time("14:02:00") - TimeDelta::days(1);
    let down = Gap { feed: None, carries: None, from: yesterday, to: Some(time("14:09:00")) };
    let words = "not heard from anybody, this daemon was down, 2023-02-22 14:02 to 14:09 UTC";
    assert_eq!(told(&[down]), unknown(words));
}

#[test]
fn what_is_suspected_stays_suspected_and_alerts_hide_no_change() {
    let silent = [gap("changes:deploy", Carries::Changes, None)];
    for answer in [Answer::Likely, Answer::Suspects, Answer::Unknown] {
        assert_eq!(doubt(incident(answer), &silent), incident(answer));
    }
    let alerts = [gap("alertmanager", Carries::Alerts, None)];
    assert_eq!(doubt(incident(Answer::None), &alerts), incident(Answer::None));
    assert_eq!(doubt(incident(Answer::None), &[]), incident(Answer::None));
}
