//! What is told again: an alert's report that holds longer, and a post that was tried again.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{all, append, at, directory, events, fact, note, open, shell};
use crate::{
    event::{AlertReport, ChangeId, ChangeReport, Event, Firings, Note, Status},
    store::{Appended, Log as _, Logged, Seq, SqliteLog},
};

/// A report that an alert fires, which holds until then.
fn fires(started: i64, holds_until: Option<i64>, words: &str) -> Event {
    Event::Alert(AlertReport {
        labels: [("alertname", "Down")].into_iter().collect(),
        starts_at: at(started),
        ends_at: None,
        expires_at: holds_until.map(at),
        pending_at: None,
        summary: (!words.is_empty()).then(|| words.to_owned()),
        url: None,
    })
}

fn rows(log: &SqliteLog) -> u64 {
    log.size().unwrap().rows
}

#[test]
fn a_refresh_takes_the_place_of_what_held_shorter_and_adds_no_row() {
    let dir = directory();
    let log = open(dir.path());
    let [first, longer] = [60, 120].map(|seconds| fires(0, Some(seconds), ""));
    append(&log, &[first.clone(), fires(1, None, "")]).unwrap();
    let refreshed = append(&log, std::slice::from_ref(&longer)).unwrap();
    assert_eq!(refreshed, Appended { seq: Seq(3), new: vec![true], late: 0 });
    let again = events(log.after(Seq(2), 9).unwrap());
    assert_eq!(again, std::slice::from_ref(&longer), "the tail meets it again");
    assert_eq!(events(all(&log)), [fires(1, None, ""), longer.clone()]);
    assert_eq!(rows(&log), 2);
    for no_better in [first, longer] {
        let known = append(&log, &[no_better]).unwrap();
        assert_eq!(known, Appended { seq: Seq(3), new: vec![false], late: 0 });
    }
    drop(log);
    assert_eq!(rows(&open(dir.path())), 2);
}

#[test]
fn who_promises_to_tell_the_end_holds_longest() {
    let dir = directory();
    let log = open(dir.path());
    append(&log, &[fires(0, Some(1_000_000), ""), fires(0, None, "")]).unwrap();
    assert_eq!(events(all(&log)), [fires(0, None, "")]);
    assert_eq!(append(&log, &[fires(0, Some(2_000_000), "")]).unwrap().new, [false]);
}

#[test]
fn what_was_there_at_a_position_is_there_after_it_moved() {
    let dir = directory();
    let log = open(dir.path());
    append(&log, &[fires(0, Some(60), "")]).unwrap();
    append(&log, &[fires(0, Some(120), ""), fires(5, None, "")]).unwrap();
    append(&log, &[fires(0, Some(180), "")]).unwrap();
    let mut seen = Vec::new();
    log.window(at(0), at(9), Seq(1), &mut |one| seen.push((one.seq, one.event))).unwrap();
    assert_eq!(seen, [(Seq(4), fires(0, Some(180), ""))]);
    assert_eq!(log.newest(at(9), Seq(2)).unwrap(), Some(at(0)));
}

/// A file of the version before, as that wrote it.
#[test]
fn a_log_of_the_first_schema_is_read_on_and_what_it_holds_needs_no_refresh() {
    let dir = directory();
    let log = open(dir.path());
    append(&log, &[fires(0, None, ""), fires(1, None, "")]).unwrap();
    drop(log);
    shell(dir.path(), "log.db")
        .execute_batch(
            "DROP INDEX event_change; DROP INDEX event_assumed; DROP INDEX event_order; \
             CREATE UNIQUE INDEX event_order ON event (at, id); \
             ALTER TABLE event DROP COLUMN at_assumed; \
             ALTER TABLE event DROP COLUMN first_seq; ALTER TABLE event DROP COLUMN valid_until; \
             ALTER TABLE head DROP COLUMN held_from; \
             PRAGMA user_version = 1",
        )
        .unwrap();
    let log = open(dir.path());
    assert_eq!(events(all(&log)), [fires(0, None, ""), fires(1, None, "")]);
    let told = append(&log, &[fires(0, Some(60), ""), fires(2, Some(60), "")]).unwrap();
    assert_eq!(told, Appended { seq: Seq(3), new: vec![false, true], late: 0 });
}

/// A note or a change whose time is that of its receipt.
fn assumed(seconds: i64) -> [Event; 2] {
    let note = Note { at_assumed: true, ..note(seconds, "deploys frozen") };
    let run = ChangeReport::new(ChangeId("run-7".to_owned()), Status::Succeeded, at(seconds));
    [Event::Note(note), Event::Change(ChangeReport { at_assumed: true, ..run })]
}

#[test]
fn a_post_without_times_that_is_tried_again_is_stored_once() {
    let dir = directory();
    let log = open(dir.path());
    assert_eq!(append(&log, &assumed(0)).unwrap().new, [true, true]);
    drop(log);
    let log = open(dir.path());
    let again = append(&log, &assumed(119)).unwrap();
    assert_eq!(
        again,
        Appended { seq: Seq(2), new: vec![false, false], late: 0 },
        "after a restart, too"
    );
    assert_eq!(append(&log, &assumed(121)).unwrap().new, [true, true], "that is said again");
    let said = Event::Note(note(122, "deploys frozen"));
    assert_eq!(append(&log, &[said]).unwrap().new, [true], "its time was said");
}

fn reports() -> impl Strategy<Value = Vec<Event>> {
    let words = prop_oneof![Just(""), Just("a"), Just("\"b"), Just("at 93 %"), Just("é\n")];
    let url = prop_oneof![Just(None), Just(Some("http://one".to_owned()))];
    let report = (0_i64..3, prop::option::of(3_i64..6), words, url).prop_map(
        |(started, until, words, url)| match fires(started, until, words) {
            Event::Alert(report) => Event::Alert(AlertReport { url, ..report }),
            other @ (Event::Change(_) | Event::Note(_) | Event::Feedback(_)) => other,
        },
    );
    prop::collection::vec(report, 1..12)
}

/// The same, and notes of which some come too late.
fn mixed() -> impl Strategy<Value = Vec<Event>> {
    let notes =
        prop::collection::vec((0_i64..9).prop_map(|second| fact(second, "so it was")), 0..9);
    (reports(), notes).prop_map(|(reports, notes)| [reports, notes].concat()).prop_shuffle()
}

fn joined(reports: &[Event]) -> Firings {
    let mut firings = Firings::default();
    for event in reports {
        if let Event::Alert(report) = event {
            firings.absorb(report, event.id());
        }
    }
    firings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever follows the log reads what the file holds, at once or later, and misses nothing.
    #[test]
    fn who_follows_closely_reads_what_is_in_the_file(
        (events, size, limit) in (mixed(), 1_usize..4, 1_usize..6),
        looks in prop::collection::vec(any::<bool>(), 24),
    ) {
        let dir = directory();
        let log = SqliteLog::open(dir.path(), TimeDelta::seconds(3)).unwrap();
        let mut read: Vec<Logged> = Vec::new();
        let look = |read: &mut Vec<Logged>| {
            let position = read.last().map_or(Seq(0), |last| last.seq);
            read.extend(log.after(position, limit).unwrap());
        };
        for (request, looks) in events.chunks(size).zip(looks) {
            append(&log, request).unwrap();
            if looks {
                look(&mut read);
            }
        }
        let end = log.end().unwrap();
        while read.last().is_none_or(|last| last.seq < end) {
            look(&mut read);
        }
        drop(log);
        let file = all(&SqliteLog::open(dir.path(), TimeDelta::seconds(3)).unwrap());
        // What was told again has another place in the file.
        read.retain(|one| file.iter().any(|held| held.seq == one.seq));
        prop_assert_eq!(read, file);
    }

    /// In whatever order reports come and are committed, the log is left with the same ones, one for
    /// each firing, and these tell what all did.
    #[test]
    fn the_log_keeps_what_the_reports_join_to(
        (reports, shuffled) in reports().prop_flat_map(|reports| {
            (Just(reports.clone()), Just(reports).prop_shuffle())
        }),
        size in 1_usize..4,
    ) {
        let (dir, other_dir) = (directory(), directory());
        let (log, other) = (open(dir.path()), open(other_dir.path()));
        append(&log, &reports).unwrap();
        for request in shuffled.chunks(size) {
            append(&other, request).unwrap();
        }
        let held = |log: &SqliteLog| {
            let mut held = Vec::new();
            log.window(at(0), at(9), Seq(u64::MAX), &mut |one| held.push(one.event)).unwrap();
            held
        };
        let (held, of_other) = (held(&log), held(&other));
        prop_assert_eq!(&held, &of_other);
        prop_assert_eq!(joined(&held), joined(&reports));
        let starts: std::collections::BTreeSet<_> = reports.iter().map(Event::time).collect();
        prop_assert_eq!(held.len(), starts.len());
        prop_assert_eq!(rows(&log), u64::try_from(held.len()).unwrap());
    }
}
