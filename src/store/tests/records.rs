//! What the records promise.

use std::{collections::BTreeSet, fs, path::Path};

use chrono::TimeDelta;

use super::{at, directory, shell, view::incident};
use crate::{
    correlate::{FamilyKey, IncidentId, Told},
    event::{ChangeId, EpisodeId},
    feed::{Carries, FeedName, Gap, Heard},
    store::{
        Attempt, Awake, Claim, Daily, Mailbox, Notice, NoticeId, Outgoing, Page, Published,
        Records, SqliteRecords, SqliteState,
    },
};

fn open(dir: &Path) -> SqliteRecords {
    SqliteRecords::open(dir).unwrap()
}

fn set(changes: &[&str]) -> BTreeSet<ChangeId> {
    changes.iter().map(|id| ChangeId((*id).to_owned())).collect()
}

fn published(seconds: i64, claim: Claim) -> Published {
    Published {
        incident: IncidentId("inc_1".to_owned()),
        alert: EpisodeId("alt_1".to_owned()),
        claim,
        number: 3,
        at: at(seconds),
    }
}

fn notice(seconds: i64) -> Notice {
    let body = format!("{{\"n\": {seconds}}}");
    Notice { id: NoticeId(format!("msg_{seconds}")), made_at: at(seconds), body }
}

/// Publishes something that is told at so many seconds.
fn publish(records: &dyn Records, seconds: i64) -> usize {
    records.publish(&published(seconds, Claim::Nothing), &notice(seconds)).unwrap()
}

/// The names of all that wait, in the order of their turns; it takes them out.
fn drain(records: &dyn Records) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(Outgoing { notice, .. }) = records.next_outgoing(Mailbox::Notices).unwrap() {
        records.attempted(&notice.id, &Attempt::Delivered { at: at(9_000) }).unwrap();
        ids.push(notice.id.0);
    }
    ids
}

#[test]
fn what_was_told_is_held_with_its_notice_though_state_and_log_are_deleted() {
    let dir = directory();
    let claims = [Claim::Suspected(set(&["a"])), Claim::Likely(set(&["a", "b/c"])), Claim::Nothing];
    let told: Vec<_> = claims.into_iter().zip(1..).map(|(one, n)| published(n, one)).collect();
    let records = open(dir.path());
    for one in &told {
        records.publish(one, &notice(one.at.timestamp() - at(0).timestamp())).unwrap();
    }
    drop((records, SqliteState::open(dir.path()).unwrap()));
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        if !file.to_string_lossy().contains("records") {
            fs::remove_file(file).unwrap();
        }
    }
    let records = open(dir.path());
    assert_eq!(records.published(at(0)).unwrap(), told);
    assert_eq!(records.published(at(2)).unwrap(), told[1..]);
    let next = records.next_outgoing(Mailbox::Notices).unwrap().unwrap();
    assert_eq!(next, Outgoing { notice: notice(1), attempts: 0, next_attempt: at(1) });
    assert_eq!(records.size().unwrap().rows, 6);
}

#[test]
fn neither_is_recorded_where_one_cannot_be() {
    let dir = directory();
    let records = open(dir.path());
    publish(&records, 1);
    records.publish(&published(2, Claim::Nothing), &notice(1)).unwrap_err();
    assert_eq!(records.published(at(0)).unwrap().len(), 1);
    assert_eq!(drain(&records), ["msg_1"]);
}

#[test]
fn a_notice_waits_for_its_turn_and_is_settled_once() {
    let dir = directory();
    let records = open(dir.path());
    for seconds in 1..=3 {
        publish(&records, seconds);
    }
    let id = |n: i64| notice(n).id;
    records.attempted(&id(1), &Attempt::Failed { next_attempt: at(60) }).unwrap();
    let why = "for a test".to_owned();
    records.attempted(&id(3), &Attempt::GivenUp { at: at(4), why }).unwrap();
    // As when an answer comes after the notice was given up.
    records.attempted(&id(3), &Attempt::Failed { next_attempt: at(5) }).unwrap();
    assert_eq!(records.waiting(Mailbox::Notices).unwrap(), 2);
    drop(records);

    let records = open(dir.path());
    assert_eq!(records.next_outgoing(Mailbox::Notices).unwrap().unwrap().notice, notice(2));
    records.attempted(&id(2), &Attempt::Delivered { at: at(6) }).unwrap();
    let last = Outgoing { notice: notice(1), attempts: 1, next_attempt: at(60) };
    assert_eq!(records.next_outgoing(Mailbox::Notices).unwrap(), Some(last));
    assert_eq!(records.give_up_all(Mailbox::Notices, at(7), "for a test").unwrap(), 1);
    assert_eq!(
        (
            records.next_outgoing(Mailbox::Notices).unwrap(),
            records.waiting(Mailbox::Notices).unwrap()
        ),
        (None, 0)
    );
}

#[test]
fn a_full_outbox_gives_up_the_oldest_for_the_newest() {
    let dir = directory();
    let records = open(dir.path());
    let crowded_out: Vec<_> = (0..1_003).map(|seconds| publish(&records, seconds)).collect();
    assert_eq!(crowded_out.iter().sum::<usize>(), 3);
    assert_eq!(crowded_out[1_000..], [1, 1, 1]);
    let waiting = drain(&records);
    assert_eq!((waiting.len(), &*waiting[0], &*waiting[999]), (1_000, "msg_3", "msg_1002"));
}

#[test]
fn what_is_settled_is_forgotten_after_a_quarter_and_what_waits_is_not() {
    let dir = directory();
    let records = open(dir.path());
    publish(&records, 1);
    publish(&records, 2);
    records.attempted(&notice(1).id, &Attempt::Delivered { at: at(3) }).unwrap();
    let quarter = TimeDelta::days(90).num_seconds();
    publish(&records, quarter + 4);
    assert_eq!(records.published(at(0)).unwrap().len(), 1);
    assert_eq!(records.size().unwrap().rows, 3);
    assert_eq!(drain(&records), [notice(2).id.0, notice(quarter + 4).id.0]);
}

#[test]
fn a_claim_that_cannot_be_read_is_damage_with_its_place() {
    let dir = directory();
    let records = open(dir.path());
    publish(&records, 1);
    shell(dir.path(), "records.db").execute("UPDATE published SET claim = 'maybe'", []).unwrap();
    let error = records.published(at(0)).unwrap_err().to_string();
    assert!(error.contains("records.db, what was published at"), "{error}");
}

#[test]
fn who_was_heard_and_the_gaps_are_held_together_and_gaps_are_found_by_their_time() {
    let dir = directory();
    let records = open(dir.path());
    assert_eq!(records.feeds().unwrap(), (vec![], None));
    let feed = |n: i64| {
        let heard = Heard { first: at(n), last: at(n + 9), pauses: vec![300, 7200] };
        (FeedName(format!("feed:{n}")), heard)
    };
    let gap = |from, to| Gap {
        feed: Some(FeedName("feed:1".to_owned())),
        carries: Some(Carries::Changes),
        from: at(from),
        to: Some(at(to)),
    };
    let down = Gap { feed: None, carries: None, from: at(50), to: Some(at(60)) };
    let awake = |until| Awake { since: at(0), until: at(until) };
    records.hear(&[feed(1), feed(2)], &[gap(10, 20)], awake(70)).unwrap();
    let later = Heard { last: at(80), ..feed(2).1 };
    records.hear(&[(feed(2).0, later.clone())], std::slice::from_ref(&down), awake(80)).unwrap();
    drop(records);

    let records = open(dir.path());
    let feeds = vec![feed(1), (feed(2).0, later)];
    assert_eq!(records.feeds().unwrap(), (feeds, Some(awake(80))));
    assert_eq!(records.gaps(at(0), at(100)).unwrap(), [gap(10, 20), down.clone()]);
    assert_eq!(records.gaps(at(20), at(49)).unwrap(), [gap(10, 20)]);
    assert_eq!(records.gaps(at(21), at(50)).unwrap(), [down]);
    assert_eq!(records.gaps(at(21), at(49)).unwrap(), []);
    let quarter = TimeDelta::days(90).num_seconds();
    records.hear(&[], &[], awake(quarter + 61)).unwrap();
    assert_eq!(records.gaps(at(0), at(100)).unwrap(), []);
}

#[test]
fn what_was_frozen_first_stays_and_is_found_by_itself_and_by_its_alerts() {
    let dir = directory();
    let records = open(dir.path());
    assert_eq!(records.frozen_before().unwrap(), None);
    let told = |n: usize, none_probability| Told {
        incident: incident(n, (n.try_into().unwrap(), Some(2)), none_probability)
            .frozen_at(at(9_000)),
        alerts: vec![EpisodeId(format!("alt_{n}a")), EpisodeId(format!("alt_{n}b"))],
    };
    records.freeze(&[told(1, 0.1), told(2, 0.2)], None).unwrap();
    assert_eq!(records.frozen_before().unwrap(), None, "there may be more");
    records.freeze(&[told(2, 0.9), told(3, 0.3)], Some(at(500))).unwrap();
    drop(records);

    let records = open(dir.path());
    assert_eq!(records.frozen_before().unwrap(), Some(at(500)));
    for id in ["inc_2", "alt_2a", "alt_2b"] {
        assert_eq!(records.frozen(id).unwrap(), Some(told(2, 0.2)), "{id}");
    }
    assert_eq!(records.frozen("inc_4").unwrap(), None);
    let page = Page { end: Some(at(300)), start: None, edges: false, after: None, limit: 1 };
    let first = records.frozen_incidents(&page, &|_| true).unwrap();
    assert_eq!(first.items, [told(2, 0.2).incident]);
    let next = records.frozen_incidents(&Page { after: first.next, ..page }, &|_| true).unwrap();
    assert_eq!((next.items, next.next), (vec![told(1, 0.1).incident], None));
}

#[test]
fn what_was_counted_of_a_family_and_a_day_stays() {
    let dir = directory();
    let records = open(dir.path());
    let counted = |name: &str, day, symptoms| Daily {
        day: at(day),
        family: FamilyKey { alertname: name.to_owned(), ..FamilyKey::default() },
        symptoms,
        alerts: 7,
    };
    records.count(&[counted("A", 1, 2), counted("B", 1, 3)]).unwrap();
    records.count(&[counted("B", 1, 1), counted("A", 2, 5)]).unwrap();
    let held = records.counts(at(0), at(9)).unwrap();
    assert_eq!(held, [counted("A", 1, 2), counted("B", 1, 3), counted("A", 2, 5)]);
}

#[test]
fn each_receiver_has_an_outbox_of_its_own_and_nothing_is_posted_twice() {
    let dir = directory();
    let records = open(dir.path());
    publish(&records, 1);
    let drawn = [notice(2), notice(3)];
    assert_eq!(records.post(Mailbox::Grafana, &drawn).unwrap(), 2);
    assert_eq!(records.post(Mailbox::Grafana, &drawn).unwrap(), 0, "they are there");
    assert_eq!(records.waiting(Mailbox::Grafana).unwrap(), 2);
    assert_eq!(records.give_up_all(Mailbox::Grafana, at(4), "for a test").unwrap(), 2);
    assert_eq!(records.post(Mailbox::Grafana, &drawn).unwrap(), 0, "they were there");
    assert_eq!(drain(&records), ["msg_1"], "what is another's is left alone");
}
