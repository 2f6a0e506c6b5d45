//! Files that are cut off, overwritten, gone or something else. A state is put aside and made again:
//! it holds nothing that the log does not. A log is the only copy: it is left alone, and the daemon
//! says which file and row, and what to do. Never is an event missing without a word.

use std::fs;

use antecede::wire::case::Post;
use rusqlite::Connection;

use crate::{
    chance::Chance,
    faults::Disk,
    harness::{Daemon, End},
    load::{answers, assert_same, load, logged},
};

/// Files of a daemon that was killed with all posts taken, and what it said of them.
struct Scene {
    posts: Vec<Post>,
    disk: Disk,
    answers: Vec<(String, String)>,
}

/// So many posts are the newest.
const NEWEST: usize = 4;

impl Scene {
    /// With the newest events, and none else, in the log's write-ahead log.
    fn killed() -> Self {
        let (posts, disk) = (load(60), Disk::new());
        let before = Daemon::launch(disk.path(), |_| ()).unwrap();
        answers(&before, &posts[NEWEST..]);
        before.kill();
        // It begins with a write-ahead log that is empty, and these are no piece that is copied yet.
        let daemon = Daemon::launch(disk.path(), |_| ()).unwrap();
        let answers = answers(&daemon, &posts);
        daemon.kill();
        Self { posts, disk, answers }
    }

    /// With all in the databases.
    fn stopped() -> Self {
        let scene = Self::killed();
        let daemon = scene.start().unwrap();
        scene.wait(&daemon);
        assert!(daemon.stop().success());
        assert!(!scene.disk.file("log.db-wal").exists());
        scene
    }

    fn start(&self) -> Result<Daemon, End> {
        Daemon::launch(self.disk.path(), |_| ())
    }

    /// Waits until the daemon has assessed all.
    fn wait(&self, daemon: &Daemon) {
        let end = logged(&self.disk.data()).len();
        daemon.get(&format!("/api/v1/incidents?wait_seq={end}&timeout=60s"));
    }

    /// Files are gone.
    fn remove(&self, names: &[&str]) {
        for name in names {
            let file = self.disk.file(name);
            if file.exists() {
                fs::remove_file(file).unwrap();
            }
        }
    }

    /// A copy of one of its files.
    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.disk.file(name)).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.disk.file(name), bytes).unwrap();
    }

    /// A daemon on it says what the one before said.
    #[track_caller]
    fn assert_whole(&self) {
        let daemon = self.start().unwrap_or_else(|end| panic!("{}", end.told));
        assert_same(&answers(&daemon, &self.posts), &self.answers);
        let ended = daemon.stop();
        assert!(ended.success(), "{}", daemon.end().told);
    }

    /// A start ends, or what it starts does, with these words and a way out; the log is left as it is.
    #[track_caller]
    fn assert_stops(&self, words: &[&str]) {
        let before = fs::read(self.disk.file("log.db")).ok();
        let end = match self.start() {
            Ok(daemon) => daemon.end(),
            Err(end) => end,
        };
        assert_eq!(end.status.code(), Some(2), "{}", end.told);
        for word in words.iter().chain(&["log.db", "hint: keep a copy of "]) {
            assert!(end.told.contains(word), "no {word:?} in:\n{}", end.told);
        }
        assert!(fs::read(self.disk.file("log.db")).ok() == before, "the log was written");
    }
}

#[test]
fn a_log_that_is_no_database_is_named_and_left_alone() {
    let scene = Scene::stopped();
    let whole = scene.bytes("log.db");
    scene.put("log.db", "no database at all ".repeat(500).as_bytes());
    scene.assert_stops(&["cannot open the log", "file is not a database"]);
    for length in [whole.len() / 2, 5_000, 100] {
        scene.put("log.db", &whole[..length]);
        scene.assert_stops(&["is damaged: "]);
    }
    scene.remove(&["log.db"]);
    fs::create_dir(scene.disk.file("log.db")).unwrap();
    scene.assert_stops(&["cannot open the log", "it is a directory"]);
    fs::remove_dir(scene.disk.file("log.db")).unwrap();
    scene.put("log.db", &whole);
    scene.assert_whole();
}

#[test]
fn a_log_that_is_empty_or_gone_is_missed_and_not_begun_anew() {
    let scene = Scene::stopped();
    let whole = scene.bytes("log.db");
    scene.put("log.db", b"");
    let end = logged_end(&whole);
    let lost = format!("it ends at event 0, and the state was made from events up to {end}");
    // It is a database with nothing in it then, as a first start makes one.
    let told = scene.start().unwrap_err().told;
    assert!(told.contains(&lost) && told.contains("hint: keep a copy of "), "{told}");
    scene.remove(&["log.db"]);
    let told = scene.start().unwrap_err().told;
    assert!(told.contains(&lost), "{told}");
    scene.remove(&["log.db-wal", "log.db-shm"]);
    scene.put("log.db", &whole);
    scene.assert_whole();
}

fn logged_end(log: &[u8]) -> usize {
    let copy = tempfile::tempdir().unwrap();
    fs::write(copy.path().join("log.db"), log).unwrap();
    logged(copy.path()).len()
}

#[test]
fn a_write_ahead_log_without_its_log_is_kept() {
    let scene = Scene::killed();
    let (log, ahead) = (scene.bytes("log.db"), scene.bytes("log.db-wal"));
    assert!(!ahead.is_empty());
    scene.remove(&["log.db"]);
    scene.assert_stops(&["it is empty or gone, and its write-ahead log of"]);
    assert!(scene.bytes("log.db-wal") == ahead, "thrown away");
    scene.put("log.db", &log);
    scene.assert_whole();
}

#[test]
fn a_write_ahead_log_that_is_cut_off_overwritten_or_gone_is_missed() {
    let scene = Scene::killed();
    let (log, ahead) = (scene.bytes("log.db"), scene.bytes("log.db-wal"));
    let mut flipped = ahead.clone();
    flipped[ahead.len() / 2] ^= 0x40;
    for broken in [&ahead[..ahead.len() / 2], &ahead[..ahead.len() - 1], &flipped, b""] {
        scene.put("log.db", &log);
        scene.put("log.db-wal", broken);
        scene.remove(&["log.db-shm"]);
        let told = scene.start().map(|_| ()).unwrap_err().told;
        assert!(told.contains("cannot open the log"), "{told}");
        assert!(told.contains("what came between is lost"), "{told}");
        assert!(told.contains("hint: keep a copy of "), "{told}");
    }
    // As the hint says: what is left of the log is gone on with when the state is deleted.
    let left = logged(&scene.disk.data()).len();
    scene.remove(&["state.db", "state.db-wal", "state.db-shm"]);
    let daemon = scene.start().unwrap();
    assert_same(&answers(&daemon, &scene.posts), &scene.answers);
    daemon.kill();
    assert!(logged(&scene.disk.data()).len() > left);
}

#[test]
fn a_row_of_the_log_that_cannot_be_read_is_named() {
    let scene = Scene::stopped();
    let log = Connection::open(scene.disk.file("log.db")).unwrap();
    log.execute("UPDATE event SET body = substr(body, 1, 20) WHERE seq = 17", []).unwrap();
    log.close().unwrap();
    // Without the state all of the log is read.
    scene.remove(&["state.db", "state.db-wal", "state.db-shm"]);
    scene.assert_stops(&["the engine failed", "log.db, event 17 is damaged: "]);
}

/// Whatever is flipped: the daemon goes on and says what it said before, or stops and names the file.
#[test]
fn bytes_that_are_flipped_in_a_log_are_named_or_do_not_matter() {
    let scene = Scene::stopped();
    let whole = scene.bytes("log.db");
    let sectors = whole.chunks_exact(512).enumerate();
    let written: Vec<_> = sectors.filter(|(_, one)| one.iter().any(|byte| *byte != 0)).collect();
    let mut chance = Chance(7);
    let mut stopped = 0;
    for _ in 0..12 {
        // A whole sector: one letter of a note more or less is no damage that a file shows.
        let mut broken = whole.clone();
        let at = written[chance.index(written.len())].0 * 512;
        broken[at..at + 512].iter_mut().for_each(|byte| *byte ^= 0xa5);
        scene.put("log.db", &broken);
        scene.remove(&["log.db-wal", "log.db-shm"]);
        // Without the state all of the log is read.
        scene.remove(&["state.db", "state.db-wal", "state.db-shm"]);
        let end = match scene.start() {
            Err(end) => end,
            Ok(daemon) => {
                let seq = logged_end(&whole);
                let path = format!("/api/v1/incidents?wait_seq={seq}&timeout=60s");
                if daemon.try_get(&path).is_ok_and(|reply| reply.status == 200) {
                    daemon.kill();
                    continue;
                }
                daemon.end()
            }
        };
        stopped += 1;
        assert_eq!(end.status.code(), Some(2), "{}", end.told);
        assert!(end.told.contains("log.db"), "{}", end.told);
        assert!(end.told.contains("hint: "), "{}", end.told);
    }
    assert!(stopped > 6, "{stopped} of 12 were found");
}

#[test]
fn a_state_that_is_damaged_is_put_aside_and_made_again_to_the_same_bytes() {
    let scene = Scene::stopped();
    let whole = scene.bytes("state.db");
    let mut overwritten = whole.clone();
    overwritten[..4096].fill(0xa5);
    let garbage = "no database at all ".repeat(500).into_bytes();
    for broken in [&garbage, &overwritten, &whole[..whole.len() / 2].to_vec()] {
        scene.put("state.db", broken);
        let daemon = scene.start().unwrap_or_else(|end| panic!("{}", end.told));
        assert_same(&answers(&daemon, &scene.posts), &scene.answers);
        assert!(daemon.stop().success());
        let told = daemon.end().told;
        assert!(told.contains("the state is damaged: it was put aside"), "{told}");
        assert!(scene.bytes("state.damaged.db") == **broken, "not what was put aside");
    }
    // One that is empty or gone is a state that knows nothing yet.
    scene.put("state.db", b"");
    scene.assert_whole();
    scene.remove(&["state.db"]);
    scene.assert_whole();
    scene.remove(&["state.db"]);
    fs::create_dir(scene.disk.file("state.db")).unwrap();
    scene.assert_whole();
}

#[test]
fn a_state_whose_write_ahead_log_is_cut_off_or_gone_catches_up() {
    let scene = Scene::killed();
    let (state, ahead) = (scene.bytes("state.db"), scene.bytes("state.db-wal"));
    for broken in [&ahead[..ahead.len() / 2], b""] {
        scene.put("state.db", &state);
        scene.put("state.db-wal", broken);
        scene.remove(&["state.db-shm"]);
        scene.assert_whole();
    }
}

/// A start reads little of a state. What it comes upon later ends it, and the next one makes a new
/// state.
#[test]
fn damage_that_is_found_in_a_state_while_it_is_used_is_gone_after_another_start() {
    let scene = Scene::stopped();
    let whole = scene.bytes("state.db");
    let mut chance = Chance(11);
    let mut stopped = 0;
    for _ in 0..8 {
        let mut broken = whole.clone();
        let page = 1 + chance.index(whole.len() / 4096 - 1);
        broken[page * 4096..(page + 1) * 4096].fill(0xa5);
        scene.put("state.db", &broken);
        scene.remove(&["state.db-wal", "state.db-shm"]);
        if let Ok(daemon) = scene.start() {
            let asked = ["alerts", "changes", "incidents", "timeline"].map(|question| {
                daemon.try_get(&format!("/api/v1/{question}?wait_seq=1&timeout=60s"))
            });
            if asked.into_iter().all(|reply| reply.is_ok_and(|reply| reply.status == 200)) {
                continue;
            }
            let end = daemon.end();
            stopped += 1;
            assert_eq!(end.status.code(), Some(2), "{}", end.told);
            assert!(end.told.contains("state.db"), "{}", end.told);
            assert!(end.told.contains("hint: it was put aside as "), "{}", end.told);
        }
        scene.assert_whole();
    }
    assert!(stopped > 0, "no damage was found");
}
