//! `rebuild`: what came late counts from then on, as if it had come in time, and nothing else is
//! different: nothing lost, nothing told again, whenever it is killed.

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path, process::Output};

use serde_json::Value;

use crate::{
    days::{asked, happened, questions, tell},
    faults::{Disk, When},
    harness::{Daemon, Program, antecede},
    load::{assert_same, logged},
};

/// So many days happened: the first are far beyond the horizon of the last.
const DAYS: i64 = 40;

fn rebuild(data: &Path, args: &[&str]) -> Output {
    antecede().arg("rebuild").arg("--data-dir").arg(data).args(args).output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, says: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains(says), "{told}");
    assert!(output.stdout.is_empty());
}

/// What a daemon says that was told all in time, one thing after the other.
fn expected() -> Vec<(String, String)> {
    let daemon = Daemon::start();
    let posts = happened(0..DAYS);
    for post in &posts {
        let seq = tell(&daemon, std::slice::from_ref(post));
        daemon.get(&format!("/api/v1/incidents?limit=1&wait_seq={seq}"));
    }
    let seq = tell(&daemon, &posts);
    asked(&daemon, seq, &all_questions())
}

fn all_questions() -> Vec<String> {
    let thirds = [DAYS / 3, 2 * DAYS / 3, DAYS].map(|to| questions(0, to));
    thirds.into_iter().flatten().collect()
}

/// A daemon that was told the last days first.
fn told_backwards(daemon: &Daemon) -> u64 {
    let mut posts = happened(0..DAYS);
    posts.reverse();
    tell(daemon, &posts)
}

fn incidents(daemon: &Daemon, seq: u64) -> usize {
    let list = daemon.get(&format!("/api/v1/incidents?limit=1000&wait_seq={seq}&timeout=60s"));
    list["incidents"].as_array().unwrap().len()
}

fn log_end(data: &Path) -> u64 {
    logged(data).into_values().max().unwrap()
}

#[test]
fn after_a_rebuild_what_came_late_counts_as_if_it_had_come_in_time() {
    let expected = expected();
    let mut daemon = Daemon::start();
    let seq = told_backwards(&daemon);
    let before = incidents(&daemon, seq);
    assert!(before < 20, "{before} incidents, though most came late");
    assert!(daemon.stop().success());
    let data = daemon.dir().join("data");
    let held = logged(&data);

    let output = rebuild(&data, &["--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["events"], held.len());
    assert!(told["late"].as_u64().unwrap() > 100, "{told}");
    assert!(logged(&data).keys().eq(held.keys()), "the log holds other events than before");

    daemon.restart();
    assert_same(&asked(&daemon, log_end(&data), &all_questions()), &expected);
    assert!(told["incidents"].as_u64().unwrap() >= 2 * u64::try_from(DAYS).unwrap() - 2, "{told}");
    assert!(daemon.stop().success());

    // The log alone says the same, and has nothing more to put in order.
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        drop(fs::remove_file(data.join(file)));
    }
    daemon.restart();
    assert_same(&asked(&daemon, log_end(&data), &all_questions()), &expected);
    assert!(daemon.stop().success());
    let again = String::from_utf8(rebuild(&data, &[]).stdout).unwrap();
    assert!(again.contains("none of which had come late"), "{again}");
}

#[test]
fn a_rebuild_that_is_killed_loses_nothing_and_can_be_done_again() {
    let expected = expected();
    let disk = Disk::new();
    let watched = disk.faults();
    let daemon = Daemon::launch(disk.path(), |command| watched.apply(command)).unwrap();
    told_backwards(&daemon);
    assert!(daemon.stop().success());
    let held: Vec<_> = logged(&disk.data()).into_keys().collect();
    let mut killed = 0;
    for call in (1..400).step_by(13) {
        for when in [When::Before, When::Torn, When::PowerLoss] {
            let faults = disk.faults().kill(call, when).seed(call.try_into().unwrap());
            let mut command = antecede();
            faults.apply(command.arg("rebuild").arg("--data-dir").arg(disk.data()));
            let end = Program::start(&mut command).end();
            killed += usize::from(end.status.signal() == Some(9));
            let left: Vec<_> = logged(&disk.data()).into_keys().collect();
            assert!(left == held, "call {call}, {when:?}: the log holds other events than before");
        }
    }
    assert!(killed > 12, "{killed} were killed");
    let output = rebuild(&disk.data(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let daemon = Daemon::launch(disk.path(), |_| ()).unwrap();
    assert_same(&asked(&daemon, log_end(&disk.data()), &all_questions()), &expected);
}

#[test]
fn a_rebuild_is_refused_while_a_daemon_has_the_directory() {
    let daemon = Daemon::start();
    tell(&daemon, &happened([0]));
    assert_refused(&rebuild(&daemon.dir().join("data"), &[]), "process ");
    assert_eq!(incidents(&daemon, 1), 2, "the daemon goes on");
}

#[test]
fn a_rebuild_needs_a_log() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused(&rebuild(dir.path(), &[]), "there is no log at ");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}
