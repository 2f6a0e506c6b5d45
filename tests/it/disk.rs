//! A disk that is full, fails, hangs or may not be written: what could not be committed is never
//! acknowledged, senders are told to come back, and the daemon goes on, or ends and says why.

use std::{collections::BTreeSet, fs, sync::mpsc, thread};

use antecede::wire::case::Post;
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    faults::{Disk, Faults, When},
    harness::{DEADLINE, Daemon, End, Reply},
    load::{answers, assert_same, events_of, heavy_load, load, logged},
};

fn start(disk: &Disk, faults: &Faults<'_>) -> Result<Daemon, End> {
    Daemon::launch(disk.path(), |command| faults.apply(command))
}

/// The end of a start that must not succeed.
#[track_caller]
fn refused(disk: &Disk, faults: &Faults<'_>) -> String {
    let end = start(disk, faults).unwrap_err();
    assert_eq!(end.status.code(), Some(2), "{}", end.told);
    end.told
}

#[track_caller]
fn assert_told_to_come_back(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert!(reply.head.to_lowercase().contains("retry-after: "), "{}", reply.head);
}

fn note(text: &str) -> String {
    json!({"at": "2023-02-23T12:00:00Z", "text": text}).to_string()
}

fn post_note(daemon: &Daemon, text: &str) -> Reply {
    daemon.try_post("/api/v1/notes", &note(text)).unwrap()
}

#[test]
fn a_full_disk_takes_nothing_says_so_and_loses_nothing_once_there_is_room() {
    let disk = Disk::new();
    let full = disk.switch("full");
    let daemon = start(&disk, &disk.faults().full_by_switch()).unwrap();
    let posts = load(20);
    let (before, after) = posts.split_at(posts.len() / 2);
    for post in before {
        daemon.post(post.path, &post.body);
    }
    full.on();
    // A repeat of what is known needs no room.
    let known: BTreeSet<_> = before.iter().flat_map(events_of).collect();
    let is_new = |post: &&Post| events_of(post).iter().all(|event| !known.contains(event));
    for post in after.iter().filter(is_new) {
        assert_told_to_come_back(&daemon.try_post(post.path, &post.body).unwrap());
    }
    // What was there before is still answered.
    assert_eq!(daemon.try_get("/api/v1/incidents").unwrap().status, 200);
    full.off();
    let mut held = known.clone();
    for post in after.iter().filter(is_new) {
        let again = events_of(post).iter().all(|event| !held.insert(*event));
        let accepted = &daemon.post(post.path, &post.body)["accepted"];
        assert_eq!(*accepted == 0, again, "kept though not taken: {}", post.body);
    }
    let undisturbed = Daemon::start();
    assert_same(&answers(&daemon, &posts), &answers(&undisturbed, &posts));
}

#[test]
fn a_disk_that_is_full_at_the_start_is_named_and_a_later_start_goes_well() {
    let disk = Disk::new();
    let full = disk.switch("full");
    full.on();
    let told = refused(&disk, &disk.faults().full_by_switch());
    assert!(told.contains("cannot open the log"), "{told}");
    assert!(told.contains("data/log.db: database or disk is full"), "{told}");
    assert!(told.contains("hint: it needs room on the disk"), "{told}");
    full.off();
    assert_eq!(post_note(&start(&disk, &disk.faults()).unwrap(), "a note").status, 200);
}

#[test]
fn a_disk_that_fills_up_between_the_stores_loses_none_of_the_log() {
    let disk = Disk::new();
    let daemon = start(&disk, &disk.faults()).unwrap();
    assert_eq!(post_note(&daemon, "a note").status, 200);
    daemon.kill();
    let full = disk.switch("full");
    full.on();
    // There is room for all but the state, which cannot even be made.
    fs::remove_file(disk.file("state.db")).unwrap();
    let told = refused(&disk, &disk.faults().only("state").full_by_switch());
    assert!(told.contains("cannot open the state"), "{told}");
    full.off();
    let daemon = start(&disk, &disk.faults()).unwrap();
    assert_eq!(post_note(&daemon, "a note").taken()["accepted"], 0);
}

/// Posts one after the other until one is not taken, or all are; how many were, and what was said to
/// that one, if anything was.
fn post_until_refused(daemon: &Daemon, posts: &[Post]) -> (usize, Option<Reply>) {
    for (index, post) in posts.iter().enumerate() {
        match daemon.try_post(post.path, &post.body) {
            Ok(reply) if reply.status == 200 => {}
            refusal => return (index, refusal.ok()),
        }
    }
    (posts.len(), None)
}

/// At a sync that failed the kernel gives up the pages, and the next sync succeeds without them: an
/// acknowledgement on its strength would be lost with the power.
#[test]
fn a_sync_of_the_log_that_fails_is_the_end_and_nothing_rests_on_a_later_one() {
    let posts = load(6);
    let mut chance = Chance::given();
    let (mut at_start, mut in_service) = (0, 0);
    for sync in 1..=24 {
        let disk = Disk::new();
        let failing = disk.faults().only("log.db").fail_sync(sync);
        let mut taken = 0;
        match start(&disk, &failing) {
            Err(end) => {
                at_start += 1;
                assert_says_what_to_do(&end);
            }
            Ok(daemon) => {
                let reply;
                (taken, reply) = post_until_refused(&daemon, &posts);
                if let Some(reply) = reply {
                    in_service += 1;
                    assert_told_to_come_back(&reply);
                    assert_says_what_to_do(&daemon.end());
                }
                daemon.kill();
            }
        }
        // The next one reads what the kernel still shows, is asked once more for what was refused, and
        // loses its power.
        let cut =
            disk.faults().kill(1 + chance.index(30), When::PowerLoss).seed(chance.below(u64::MAX));
        if let Ok(daemon) = start(&disk, &cut) {
            while taken < posts.len()
                && let Ok(reply) = daemon.try_post(posts[taken].path, &posts[taken].body)
            {
                reply.taken();
                taken += 1;
            }
            daemon.kill();
            daemon.end();
        }
        let log = logged(&disk.data());
        for event in posts[..taken].iter().flat_map(events_of) {
            assert!(log.contains_key(&event), "lost after sync {sync} failed");
        }
    }
    assert!(at_start > 1 && in_service > 15, "{at_start} at the start, {in_service} in service");
}

#[track_caller]
fn assert_says_what_to_do(end: &End) {
    assert_eq!(end.status.code(), Some(2), "{}", end.told);
    assert!(end.told.contains("data/log.db was not synced: "), "{}", end.told);
    assert!(end.told.contains("hint: look for what the disk says (dmesg)"), "{}", end.told);
}

#[test]
fn a_sync_that_fails_while_the_log_is_put_in_order_is_the_end_too() {
    let posts = heavy_load(60);
    let disk = Disk::new();
    // Each post syncs once; the first sync of the database itself is that of the first piece.
    let daemon = start(&disk, &disk.faults()).unwrap();
    daemon.stop();
    let failing = disk.faults().exactly("log.db").fail_sync(1);
    let daemon = start(&disk, &failing).unwrap();
    // What is in the write-ahead log is synced, so the post that filled the piece is acknowledged. The
    // next ones may come before the end, or after it.
    let (taken, _) = post_until_refused(&daemon, &posts);
    assert!(taken > 1 && taken < posts.len(), "{taken}");
    assert_says_what_to_do(&daemon.end());
    let daemon = start(&disk, &disk.faults()).unwrap();
    for post in &posts[..taken] {
        assert_eq!(daemon.post(post.path, &post.body)["accepted"], 0, "lost");
    }
}

/// Together they are more than the sixty-four MiB that the queue holds, where each weighs twice what it
/// says: the largest five megabytes, so that twelve of them have room at least.
const POSTS: usize = 30;
const NOTES: usize = 250;

#[test]
fn a_slow_disk_acknowledges_nothing_early_and_a_full_queue_sends_senders_away() {
    let disk = Disk::new();
    let held = disk.switch("held");
    let daemon = start(&disk, &disk.faults().only("log.db").held_by_switch()).unwrap();
    held.on();
    let body = |number: usize| {
        let note = |part| {
            json!({
                "at": "2023-02-23T12:00:00Z", "text": format!("note {number}.{part} ").repeat(900),
            })
        };
        (0..NOTES).map(note).collect::<Value>().to_string()
    };
    let (reply, replies) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..POSTS {
            let (daemon, reply, body) = (&daemon, reply.clone(), &body);
            scope.spawn(move || {
                reply.send(daemon.try_post("/api/v1/notes", &body(number)).unwrap()).unwrap();
            });
        }
        let mut away = vec![replies.recv_timeout(DEADLINE).unwrap()];
        assert_eq!(daemon.try_get("/-/healthy").unwrap().status, 200);
        away.extend(replies.try_iter());
        held.off();
        for reply in &away {
            assert_told_to_come_back(reply);
            assert!(reply.body.contains("the log's queue is full"), "{}", reply.body);
        }
        let late = replies.iter().take(POSTS - away.len());
        let taken = late.filter(|reply| reply.status == 200).count();
        assert!(taken >= 12, "{taken} were taken");
        daemon.kill();
        assert_eq!(logged(&disk.data()).len(), NOTES * taken);
    });
}

#[test]
fn a_log_that_may_not_be_written_is_refused_at_the_start() {
    let disk = Disk::new();
    let daemon = start(&disk, &disk.faults()).unwrap();
    assert_eq!(post_note(&daemon, "a note").status, 200);
    daemon.kill();
    let told = refused(&disk, &disk.faults().only("log.db").sealed());
    assert!(told.contains("data/log.db may be read, not written"), "{told}");
}

#[test]
fn a_directory_that_may_not_be_written_is_named() {
    let disk = Disk::new();
    fs::create_dir(disk.data()).unwrap();
    let told = refused(&disk, &disk.faults().sealed());
    assert!(told.contains("data/log.lock: Permission denied"), "{told}");
    assert!(
        told.contains("hint: it needs room on the disk and the right to write below"),
        "{told}"
    );
}

#[test]
fn a_second_daemon_on_a_directory_is_told_who_has_it_and_the_first_goes_on() {
    let disk = Disk::new();
    let first = start(&disk, &disk.faults()).unwrap();
    let told = refused(&disk, &disk.faults());
    assert!(told.contains("data/log.lock is held by process "), "{told}");
    assert!(told.contains("one directory is for one daemon"), "{told}");
    assert_eq!(post_note(&first, "a note").status, 200);
    // Nobody has to tidy up after a daemon that was killed.
    first.kill();
    assert_eq!(post_note(&start(&disk, &disk.faults()).unwrap(), "a note").status, 200);
}
