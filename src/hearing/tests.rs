use tempfile::TempDir;

use super::*;
use crate::{event::time_of_micros, store::SqliteRecords};

/// So many minutes after some day's noon.
fn at(minutes: i64) -> Time {
    time_of_micros(1_677_153_600_000_000) + TimeDelta::minutes(minutes)
}

fn name(name: &str) -> FeedName {
    FeedName(name.to_owned())
}

/// What hears, and what it records into.
struct Daemon {
    dir: TempDir,
    hearing: Hearing,
    expected: Vec<Expected>,
}

impl Daemon {
    /// One that starts at noon and expects terraform every five minutes.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let every = TimeDelta::minutes(5);
        let expected = Expected { name: name("terraform"), carries: Carries::Changes, every };
        let expected = vec![expected];
        let records = Arc::new(SqliteRecords::open(dir.path()).unwrap());
        let hearing = Hearing::new(records, &expected, at(0)).unwrap();
        Self { dir, hearing, expected }
    }

    fn restart(self, minutes: i64) -> Self {
        let Self { dir, hearing, expected } = self;
        drop(hearing);
        let records = Arc::new(SqliteRecords::open(dir.path()).unwrap());
        let hearing = Hearing::new(records, &expected, at(minutes)).unwrap();
        Self { dir, hearing, expected }
    }

    /// Records each minute, as it would while it lives.
    fn live(&self, minutes: std::ops::Range<i64>) {
        // Half a minute between two: more often than what counts as being down.
        for half in minutes.start * 2..minutes.end * 2 {
            self.hearing.record(at(0) + TimeDelta::seconds(30 * half)).unwrap();
        }
    }

    fn silent(&self, minutes: i64) -> Vec<String> {
        let feeds = self.hearing.feeds(at(minutes)).into_iter();
        feeds.filter(|feed| feed.silent).map(|feed| feed.name.0).collect()
    }

    fn gaps(&self, minutes: i64) -> Vec<String> {
        let gaps = self.hearing.gaps(at(-1000), at(minutes), at(minutes)).unwrap();
        gaps.iter().map(|gap| gap.words(at(0))).collect()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_configured_feed_is_silent_until_it_is_heard_and_leaves_a_gap() {
    let daemon = Daemon::start();
    daemon.live(0..16);
    assert_eq!((daemon.silent(15), daemon.gaps(15)), (vec![], vec![]));
    assert_eq!(daemon.silent(16), ["terraform"]);
    assert_eq!(daemon.gaps(16), ["not heard from terraform since 12:00 UTC"]);
    let found = |from, to| daemon.hearing.gaps(at(from), at(to), at(16)).unwrap().len();
    assert_eq!((found(16, 16), found(-9, 0), found(-9, -1)), (1, 1, 0));
    assert!(daemon.hearing.beat(&name("terraform"), at(17)));
    assert_eq!(daemon.silent(17), NOTHING);
    let gaps = ["not heard from terraform 12:00 to 12:17 UTC"];
    assert_eq!(daemon.gaps(17), gaps);
    daemon.live(16..18);
    assert_eq!(daemon.gaps(18), gaps);
    // One feed and one gap, however often they were recorded.
    assert_eq!(daemon.hearing.records.size().unwrap().rows, 2);
    assert_eq!(daemon.restart(18).gaps(18), gaps);
}

#[test]
fn a_feed_that_nobody_expects_is_not_beaten_into_being() {
    let daemon = Daemon::start();
    assert!(!daemon.hearing.beat(&name("anything"), at(1)));
    assert_eq!(daemon.hearing.feeds(at(1)).len(), 1);
    daemon.hearing.heard([name("alertmanager")], at(1));
    assert!(daemon.hearing.beat(&name("alertmanager"), at(2)));
}

#[test]
fn what_was_heard_and_what_is_usual_outlive_the_process() {
    let daemon = Daemon::start();
    for n in 0..21 {
        daemon.live(n * 10..n * 10 + 10);
        daemon.hearing.heard([name("changes:deploy"), name("terraform")], at(n * 10 + 10));
    }
    daemon.live(210..211);
    let before = daemon.hearing.feeds(at(212));
    let daemon = daemon.restart(211);
    assert_eq!(daemon.hearing.feeds(at(212)), before);
    let deploys = &before[0];
    assert_eq!(deploys.every, Some(TimeDelta::minutes(10)));
    assert_eq!(deploys.heard, Some((at(10), at(210))));
    assert!(!deploys.configured && before[1].configured);
    assert_eq!(daemon.silent(240), ["terraform"]);
    assert_eq!(daemon.silent(241), ["changes:deploy", "terraform"]);
}

#[test]
fn the_time_in_which_the_daemon_was_down_is_a_gap_of_all_and_nobodys_fault() {
    let daemon = Daemon::start();
    daemon.live(0..10);
    daemon.hearing.heard([name("terraform")], at(9));
    daemon.live(9..10);
    let daemon = daemon.restart(60);
    let down = "not heard from anybody, this daemon was down, 12:09 to 13:00 UTC";
    assert_eq!(daemon.gaps(60), [down]);
    assert_eq!(daemon.silent(75), NOTHING);
    assert_eq!(daemon.silent(76), ["terraform"]);
    daemon.live(60..61);
    // A restart that senders bridge by trying again is none.
    assert_eq!(daemon.restart(61).gaps(61), [down]);
}

#[test]
fn a_silence_before_the_daemon_went_down_is_not_forgotten() {
    let daemon = Daemon::start();
    daemon.hearing.heard([name("terraform")], at(0));
    daemon.live(0..30);
    let gaps = daemon.restart(60).gaps(60);
    let words = ["terraform 12:00 to 12:29 UTC", "was down, 12:29 to 13:00 UTC"];
    for (gap, words) in gaps.iter().zip(words) {
        assert!(gap.ends_with(words), "{gaps:#?}");
    }
    assert_eq!(gaps.len(), 2);
}
