use std::{sync::Arc, thread};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{all, append, at, directory, events, fact, open, shell, wait};
use crate::{
    event::{ChangeId, ChangeReport, Event, Status},
    store::{Appended, Limits, Log, Logged, Seq, Size, SqliteLog, StoreError},
};

#[test]
fn an_acknowledged_event_is_in_the_files_as_they_are_at_that_moment() {
    let (dir, copy) = (directory(), directory());
    let log = open(dir.path());
    append(&log, &[fact(0, "earlier")]).unwrap();
    append(&log, &[fact(1, "one"), fact(2, "two")]).unwrap();
    for file in ["log.db", "log.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let found = open(copy.path());
    assert_eq!(events(all(&found)), [fact(0, "earlier"), fact(1, "one"), fact(2, "two")]);
    let ahead = std::fs::metadata(copy.path().join("log.db-wal")).unwrap();
    assert_eq!(ahead.len(), 0, "what a killed process left is synced before a word of it is said");
}

#[test]
fn what_was_queued_is_written_when_the_log_is_dropped_and_nobody_waits() {
    let dir = directory();
    let log = open(dir.path());
    let count = 200;
    for n in 0..count {
        drop(log.append(vec![fact(n, "queued")]));
    }
    drop(log);
    assert_eq!(all(&open(dir.path())).len(), usize::try_from(count).unwrap());
    assert!(!dir.path().join("log.db-wal").exists(), "the last to close leaves one whole file");
}

#[test]
fn concurrent_appends_store_each_event_once_in_the_order_of_their_commits() {
    let dir = directory();
    let log: Arc<dyn Log> = Arc::new(open(dir.path()));
    let callers = 8;
    let requests = |caller: i64| {
        // Every other event is one that all callers send.
        move |n: i64| [fact(n, "shared"), fact(n, &format!("of {caller}"))]
    };
    let answers: Vec<Vec<Appended>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|caller| {
                let log = Arc::clone(&log);
                let request = requests(caller);
                scope.spawn(move || {
                    (0..25).map(|n| append(log.as_ref(), &request(n)).unwrap()).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let logged = all(log.as_ref());
    let seqs: Vec<_> = logged.iter().map(|one| one.seq).collect();
    assert_eq!(
        seqs,
        (1..=25 * 9).map(Seq).collect::<Vec<_>>(),
        "each distinct event is once there"
    );
    for (caller, answers) in (0..callers).zip(&answers) {
        assert!(answers.is_sorted_by(|one, next| one.seq < next.seq), "{answers:?}");
        for (n, answer) in (0..).zip(answers) {
            for event in requests(caller)(n) {
                let place = logged.iter().find(|one| one.event == event).unwrap().seq;
                assert!(place <= answer.seq, "{event:?} is at {place:?}, after {answer:?}");
            }
        }
    }
    let new = answers.iter().flatten().flat_map(|answer| &answer.new).filter(|new| **new).count();
    assert_eq!(new, logged.len(), "each event was new to one caller");
}

#[test]
fn an_event_that_is_there_is_not_stored_again() {
    let dir = directory();
    let log = open(dir.path());
    let first = append(&log, &[fact(1, "a"), fact(1, "b"), fact(1, "a")]).unwrap();
    assert_eq!(first, Appended { seq: Seq(2), new: vec![true, true, false], late: 0 });
    let again = append(&log, &[fact(1, "b"), fact(2, "c"), fact(1, "a")]).unwrap();
    assert_eq!(again, Appended { seq: Seq(3), new: vec![false, true, false], late: 0 });
    let known = append(&log, &[fact(2, "c")]).unwrap();
    assert_eq!(known, Appended { seq: Seq(3), new: vec![false], late: 0 });
    assert_eq!(append(&log, &[]).unwrap(), Appended { seq: Seq(3), new: vec![], late: 0 });
    assert_eq!(events(all(&log)), [fact(1, "a"), fact(1, "b"), fact(2, "c")]);
}

#[test]
fn an_event_more_than_the_horizon_behind_the_newest_is_late() {
    let dir = directory();
    let log = SqliteLog::open(dir.path(), TimeDelta::seconds(100)).unwrap();
    append(&log, &[fact(0, "first"), fact(200, "newest"), fact(100, "just in time")]).unwrap();
    let late = append(&log, &[fact(99, "too late"), fact(150, "in time")]).unwrap().late;
    assert_eq!(late, 1);
    assert_eq!(append(&log, &[fact(99, "too late")]).unwrap().late, 0, "it is not new");
    let late: Vec<_> = all(&log).into_iter().map(|one| one.late).collect();
    assert_eq!(late, [false, false, false, true, false]);
    let mut seen = Vec::new();
    log.window(at(0), at(500), Seq(5), &mut |one| seen.push(one.event)).unwrap();
    assert_eq!(
        seen,
        [fact(0, "first"), fact(100, "just in time"), fact(150, "in time"), fact(200, "newest")]
    );
    assert_eq!(log.newest(at(99), Seq(5)).unwrap(), Some(at(0)), "the late one does not count");
    assert_eq!(log.oldest(at(1), Seq(5)).unwrap(), Some(at(100)), "nor does it here");
    let late = fact(99, "too late");
    assert_eq!(log.event(at(99), &late.id()).unwrap(), Some(late), "but it is kept");
}

#[test]
fn reopening_goes_on_after_the_last_event() {
    let dir = directory();
    append(&open(dir.path()), &[fact(1, "one"), fact(5_000_000, "two")]).unwrap();
    let log = open(dir.path());
    assert_eq!(log.end().unwrap(), Seq(2));
    let appended = append(&log, &[fact(1, "one"), fact(3, "three")]).unwrap();
    assert_eq!(appended, Appended { seq: Seq(3), new: vec![false, true], late: 1 });
    assert!(all(&log)[2].late, "the newest event time is known again");
    let Size { rows, bytes } = log.size().unwrap();
    assert_eq!(rows, 3);
    assert!(bytes > 4096, "{bytes} bytes");
}

#[test]
fn the_tail_tells_of_each_append_once_it_can_be_read() {
    let dir = directory();
    let log = open(dir.path());
    let mut tail = log.tail();
    assert_eq!(*tail.borrow_and_update(), Seq(0));
    let read = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            wait(tail.changed()).unwrap();
            events(log.after(Seq(0), 10).unwrap())
        });
        append(&log, &[fact(1, "one")]).unwrap();
        reader.join().unwrap()
    });
    assert_eq!(read, [fact(1, "one")]);
    drop(log);
    assert!(wait(tail.changed()).is_err(), "its end is told too");
}

#[test]
fn a_failure_in_the_midst_of_a_batch_writes_nothing_and_is_not_the_end() {
    let dir = directory();
    let log = open(dir.path());
    append(&log, &[fact(1, "one")]).unwrap();
    let shell = shell(dir.path(), "log.db");
    // FAIL keeps what the statement had done: only the rollback can undo it.
    shell
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON event WHEN (SELECT count(*) FROM event) = 3 \
             BEGIN SELECT RAISE(FAIL, 'no room left'); END",
        )
        .unwrap();
    let refused: Vec<_> = (2..6).map(|n| fact(n, "more")).collect();
    let error = append(&log, &refused).unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("no room left")),
        "{error}"
    );
    assert_eq!(events(all(&log)), [fact(1, "one")]);
    assert_eq!(log.end().unwrap(), Seq(1));
    assert_eq!(append(&log, &[fact(2, "more")]).unwrap().seq, Seq(2), "a small one has room");
    shell.execute_batch("DROP TRIGGER full").unwrap();
    let appended = append(&log, &refused).unwrap();
    assert_eq!(appended, Appended { seq: Seq(5), new: vec![false, true, true, true], late: 0 });
}

#[test]
fn a_full_queue_refuses_at_once_and_what_waits_is_written_later() {
    let dir = directory();
    let limits = Limits { queue_bytes: 100, ..Limits::default() };
    let log = SqliteLog::open_with(dir.path(), TimeDelta::days(7), limits).unwrap();
    let shell = shell(dir.path(), "log.db");
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let large = fact(1, &"larger than the queue ".repeat(10));
    let waiting = log.append(vec![large.clone()]);
    assert_eq!(append(&log, &[fact(2, "one more")]), Err(StoreError::Full));
    shell.execute_batch("COMMIT").unwrap();
    assert_eq!(wait(waiting).unwrap().seq, Seq(1));
    assert_eq!(append(&log, &[fact(3, "room again")]).unwrap().seq, Seq(2));
    assert_eq!(events(all(&log)), [large, fact(3, "room again")]);
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let dir = directory();
    let log = open(dir.path());
    append(&log, &[fact(1, "one"), fact(2, "two"), fact(3, "three")]).unwrap();
    drop(log);
    let log = open(dir.path());
    let shell = shell(dir.path(), "log.db");
    let damages = [
        ("UPDATE event SET body = substr(body, 1, 20) WHERE seq = 2", "EOF"),
        ("UPDATE event SET body = '{\"type\":\"other\"}' WHERE seq = 2", "other"),
        ("UPDATE event SET body = (SELECT body FROM event WHERE seq = 3) WHERE seq = 2", "time"),
    ];
    for (damage, says) in damages {
        shell.execute_batch(damage).unwrap();
        let read = log.after(Seq(0), 10);
        let seen = log.window(at(0), at(9), Seq(9), &mut drop);
        let found = log.event(at(2), &fact(2, "two").id());
        for error in [read.unwrap_err(), seen.unwrap_err(), found.unwrap_err()] {
            let StoreError::Damaged { place, what } = &error else { panic!("{error}") };
            assert!(place.ends_with("log.db, event 2"), "{place}");
            assert!(what.contains(says), "{what}");
        }
        assert_eq!(events(log.after(Seq(2), 10).unwrap()), [fact(3, "three")]);
    }
}

/// Events of few times and texts, so that some are twice there, in requests.
#[test]
fn what_is_old_is_dropped_so_many_at_a_time_and_the_end_stays_where_it_is() {
    let dir = directory();
    let log = open(dir.path());
    append(&log, &(0..5).map(|n| fact(n, "something")).collect::<Vec<_>>()).unwrap();
    let forget = |before| log.forget(at(before), Seq(5), 2).unwrap();
    assert_eq!((forget(0), log.held_from().unwrap()), (0, None), "nothing was dropped");
    assert_eq!([forget(3), forget(3), forget(3), forget(1)], [2, 1, 0, 0]);
    assert_eq!(log.held_from().unwrap(), Some(at(3)));
    assert_eq!((log.size().unwrap().rows, log.end().unwrap()), (2, Seq(5)));
    append(&log, &[fact(1, "after position 5")]).unwrap();
    assert_eq!(forget(3), 0, "it is not assessed");
    drop(log);
    let log = open(dir.path());
    assert_eq!(
        events(all(&log)),
        [fact(3, "something"), fact(4, "something"), fact(1, "after position 5")]
    );
    assert_eq!(append(&log, &[fact(9, "next")]).unwrap().seq, Seq(7));
}

#[test]
fn late_events_and_what_follows_them_move_to_the_end_in_event_order_and_none_is_late() {
    let dir = directory();
    let log = open(dir.path());
    let day = 86_400;
    for days in [0, 20, 2, 21, 1] {
        append(&log, &[fact(days * day, "something")]).unwrap();
    }
    let tail = log.tail();
    assert_eq!(log.put_in_order().unwrap(), 2);
    let places: Vec<_> =
        all(&log).iter().map(|one| (one.seq.0, one.event.time(), one.late)).collect();
    let expected = [(1, 0), (6, 1), (7, 2), (8, 20), (9, 21)];
    assert_eq!(places, expected.map(|(seq, days)| (seq, at(days * day), false)));
    assert_eq!((log.end().unwrap(), *tail.borrow()), (Seq(9), Seq(9)));
    assert_eq!(log.put_in_order().unwrap(), 0);
    assert_eq!((log.end().unwrap(), log.size().unwrap().rows), (Seq(9), 5));
    assert_eq!(append(&log, &[fact(22 * day, "next")]).unwrap().seq, Seq(10));
}

fn requests() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let event = (0_i64..8, 0_u8..4, any::<bool>()).prop_map(|(seconds, n, is_change)| {
        let id = ChangeId(n.to_string());
        let change = || Event::Change(ChangeReport::new(id, Status::Succeeded, at(seconds)));
        if is_change { change() } else { fact(seconds, &n.to_string()) }
    });
    prop::collection::vec(prop::collection::vec(event, 0..6), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn windows_and_pages_are_what_their_definitions_say(
        requests in requests(),
        horizons in prop::collection::vec(0_i64..8, 6),
        (from, to) in (0_i64..8, 0_i64..8),
        until in 0_u64..20,
        limit in 1_usize..5,
    ) {
        let dir = directory();
        // What is late under one may come again under another.
        let opened = |horizon| SqliteLog::open(dir.path(), TimeDelta::seconds(horizon)).unwrap();
        let mut log = opened(0);
        let mut model: Vec<Logged> = Vec::new();
        for (request, horizon) in requests.iter().zip(horizons) {
            drop(log);
            log = opened(horizon);
            let known = model.len();
            let new: Vec<_> = request.iter().map(|event| model_append(&mut model, event, horizon)).collect();
            let late = model[known..].iter().filter(|logged| logged.late).count();
            let seq = model.last().map_or(Seq(0), |last| last.seq);
            prop_assert_eq!(append(&log, request).unwrap(), Appended { seq, new, late });
        }
        prop_assert_eq!(&all(&log), &model);
        prop_assert_eq!(log.size().unwrap().rows, u64::try_from(model.len()).unwrap());

        let mut paged = Vec::new();
        while let Some(last) = Some(log.after(Seq(u64::try_from(paged.len()).unwrap()), limit).unwrap())
            .filter(|page| !page.is_empty())
        {
            prop_assert!(last.len() <= limit);
            paged.extend(last);
        }
        prop_assert_eq!(&paged, &model);

        let until = Seq(until);
        let mut wanted: Vec<_> = model.iter().filter(|one| !one.late && one.seq <= until).cloned().collect();
        let newest = wanted.iter().map(|one| one.event.time()).filter(|time| *time <= at(to)).max();
        prop_assert_eq!(log.newest(at(to), until).unwrap(), newest);
        let oldest = wanted.iter().map(|one| one.event.time()).filter(|time| *time >= at(from)).min();
        prop_assert_eq!(log.oldest(at(from), until).unwrap(), oldest);
        wanted.retain(|one| at(from) <= one.event.time() && one.event.time() <= at(to));
        wanted.sort_by_key(|one| (one.event.time(), one.id));
        let mut window = Vec::new();
        log.window(at(from), at(to), until, &mut |one| window.push(one)).unwrap();
        prop_assert_eq!(&window, &wanted);
        let wanted = wanted.into_iter().filter_map(|one| match one.event {
            Event::Change(report) => Some((one.id, report)),
            Event::Alert(_) | Event::Note(_) | Event::Feedback(_) => None,
        });
        let mut changes = Vec::new();
        log.changes(at(from), at(to), until, &mut |id, report| changes.push((id, report))).unwrap();
        prop_assert_eq!(changes, wanted.collect::<Vec<_>>());

        for one in &model {
            let found = |time| log.event(time, &one.id).unwrap();
            prop_assert_eq!(found(one.event.time()), Some(one.event.clone()));
            prop_assert_eq!(found(at(100)), None, "no event has this time and this id");
        }
        prop_assert_eq!(log.event(at(from), &fact(99, "never told").id()).unwrap(), None);
    }
}

/// The contract of `append`, word by word, on a list.
fn model_append(model: &mut Vec<Logged>, event: &Event, horizon: i64) -> bool {
    if model.iter().any(|one| one.event == *event) {
        return false;
    }
    let newest = model.iter().map(|one| one.event.time()).max();
    let late = newest.is_some_and(|newest| event.time() < newest - TimeDelta::seconds(horizon));
    let seq = Seq(u64::try_from(model.len()).unwrap() + 1);
    model.push(Logged { seq, id: event.id(), late, event: event.clone() });
    true
}
