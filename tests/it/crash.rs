//! `kill -9` and power cuts at hundreds of points of the daemon's own way to the disk, under load and
//! while it recovers from the last one: nothing that was acknowledged is lost or doubled, and what
//! the daemon says in the end is what one says that nobody ever killed.
//!
//! `ANTECEDE_TEST_KILLS` is how often each test kills, `ANTECEDE_TEST_SEED` what it draws from. Which
//! call is the last one is drawn; which thread makes it is up to the machine.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    os::unix::process::ExitStatusExt as _,
    sync::Mutex,
    thread,
};

use antecede::{event::EventId, wire::case::Post};

use crate::{
    chance::{Chance, given},
    faults::{Disk, When},
    harness::Daemon,
    load::{answers, assert_same, events_of, heavy_load, load, logged},
};

/// How often each test kills, when nobody says.
const KILLS: usize = 200;

/// How many requests are under way at once.
const CLIENTS: usize = 4;

/// A start on what a crash left makes about so many calls.
const CALLS_OF_A_START: usize = 40;

const SIGKILL: i32 = 9;

#[test]
fn kills_at_any_call_lose_nothing_double_nothing_and_change_no_answer() {
    let plan = Plan::new(load(200), 150);
    besiege(&plan, &[When::Before, When::After, When::Torn], KILLS);
}

#[test]
fn power_cuts_among_kills_lose_nothing_that_was_acknowledged() {
    let plan = Plan::new(load(200), 150);
    besiege(&plan, &[When::Before, When::Torn, When::PowerLoss, When::PowerLoss], KILLS);
}

#[test]
fn kills_and_power_cuts_while_the_log_is_put_in_order_lose_nothing() {
    let plan = Plan::new(heavy_load(60), 6_000);
    besiege(&plan, &[When::Before, When::After, When::Torn, When::PowerLoss], KILLS / 5);
}

/// A commit that was written and not synced can be read after a kill. A repeat of what is in it is
/// called known, and must then be as safe as what is new.
#[test]
fn a_repeat_of_what_a_kill_left_unsynced_is_acknowledged_only_when_it_is_safe() {
    // Each tells something new, and must be written.
    let mut posts = load(0);
    let mut told = BTreeSet::new();
    posts.retain(|post| events_of(post).iter().any(|event| told.insert(*event)));
    let mut chance = Chance::given();
    let mut known = 0;
    for sync in 1..=24 {
        let disk = Disk::new();
        let killed = disk.faults().only("log.db").kill_before_sync(sync);
        let taken = match Daemon::launch(disk.path(), |command| killed.apply(command)) {
            Err(_) => 0,
            Ok(daemon) => {
                let post = |post: &Post| daemon.try_post(post.path, &post.body).is_ok();
                posts.iter().take_while(|one| post(one)).count()
            }
        };
        let cut = disk.faults().only("log.db").cut_by_switch().seed(chance.below(u64::MAX));
        let daemon = Daemon::launch(disk.path(), |command| cut.apply(command)).unwrap();
        let [again, next] = [&posts[taken], &posts[taken + 1]];
        let accepted = &daemon.post(again.path, &again.body)["accepted"];
        known += usize::from(*accepted == 0);
        disk.switch("cut").on();
        assert!(daemon.try_post(next.path, &next.body).is_err());
        daemon.end();
        let log = logged(&disk.data());
        for event in posts[..=taken].iter().flat_map(events_of) {
            assert!(log.contains_key(&event), "lost after a kill before sync {sync}");
        }
    }
    assert!(known > 9, "{known} were known");
}

#[test]
fn a_daemon_that_is_asked_to_stop_ends_well_and_goes_on_later() {
    let mut daemon = Daemon::start();
    let post = &load(0)[0];
    let seq = daemon.post(post.path, &post.body)["seq"].clone();
    let ended = daemon.stop();
    assert!(ended.success(), "{ended}");
    daemon.restart();
    assert_eq!(daemon.post(post.path, &post.body)["accepted"], 0);
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
}

/// Kills so often in any of these ways, in one directory after the other.
fn besiege(plan: &Plan, ways: &[When], kills: usize) {
    let kills = given("ANTECEDE_TEST_KILLS").map_or(kills, |kills| kills.try_into().unwrap());
    let mut chance = Chance::given();
    let mut killed = 0;
    while killed < kills {
        println!("another directory, after {killed} kills");
        let mut siege = Siege::new(plan, chance.below(u64::MAX));
        while killed < kills && siege.kill(ways) {
            killed += 1;
        }
        siege.end();
    }
}

/// What is posted, and what a daemon holds and says in the end that nobody killed.
struct Plan {
    posts: Vec<Post>,
    /// A life makes at most so many calls.
    calls: usize,
    events: Vec<Vec<EventId>>,
    held: Vec<EventId>,
    answers: Vec<(String, String)>,
}

impl Plan {
    fn new(posts: Vec<Post>, calls: usize) -> Self {
        let events: Vec<_> = posts.iter().map(events_of).collect();
        let daemon = Daemon::start();
        let answers = answers(&daemon, &posts);
        assert!(daemon.stop().success());
        let held: Vec<_> = logged(&daemon.dir().join("data")).into_keys().collect();
        let mut all: Vec<_> = events.iter().flatten().copied().collect();
        all.sort();
        all.dedup();
        assert_eq!(held, all);
        Self { posts, calls, events, held, answers }
    }
}

/// One directory, and what its daemons have promised.
struct Siege<'a> {
    plan: &'a Plan,
    disk: Disk,
    chance: Chance,
    /// What was not acknowledged yet.
    waiting: Mutex<VecDeque<usize>>,
    /// What was, with the log's end as it was told.
    acknowledged: Mutex<BTreeMap<usize, u64>>,
    /// Where acknowledged events were found.
    places: BTreeMap<EventId, u64>,
}

impl<'a> Siege<'a> {
    fn new(plan: &'a Plan, seed: u64) -> Self {
        Self {
            plan,
            disk: Disk::new(),
            chance: Chance(seed),
            waiting: Mutex::new((0..plan.posts.len()).collect()),
            acknowledged: Mutex::default(),
            places: BTreeMap::new(),
        }
    }

    /// One life of a daemon, from a start on what the last one left to the call that is its last;
    /// whether it came so far before all was posted.
    fn kill(&mut self, ways: &[When]) -> bool {
        let calls = if self.chance.below(3) == 0 { CALLS_OF_A_START } else { self.plan.calls };
        let (call, when) = (1 + self.chance.index(calls), ways[self.chance.index(ways.len())]);
        println!("  {when:?} call {call}");
        let faults = self.disk.faults().kill(call, when).seed(self.chance.below(u64::MAX));
        let killed = match Daemon::launch(self.disk.path(), |command| faults.apply(command)) {
            Ok(daemon) => {
                self.post_until_killed(&daemon);
                daemon.kill();
                daemon.end()
            }
            Err(end) => end,
        };
        assert_eq!(killed.status.signal(), Some(SIGKILL), "{}", killed.told);
        self.check();
        killed.told.contains("faults: killed")
    }

    /// Posts from several clients until no reply comes, or all is posted. What no whole reply came
    /// back for is not acknowledged, and is what is posted first to the next daemon.
    fn post_until_killed(&self, daemon: &Daemon) {
        let client = || {
            while let Some(index) = take(&self.waiting) {
                let post = &self.plan.posts[index];
                let Ok(reply) = daemon.try_post(post.path, &post.body) else {
                    self.waiting.lock().unwrap().push_front(index);
                    return;
                };
                let seq = reply.taken()["seq"].as_u64().unwrap();
                self.acknowledged.lock().unwrap().insert(index, seq);
            }
        };
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(client);
            }
        });
    }

    /// All that was acknowledged is in the log, once, and where it was before.
    fn check(&mut self) {
        let log = logged(&self.disk.data());
        for (index, end) in &*self.acknowledged.lock().unwrap() {
            for event in &self.plan.events[*index] {
                let body = &self.plan.posts[*index].body;
                let place = *log.get(event).unwrap_or_else(|| panic!("lost: {body}"));
                assert!(place <= *end, "acknowledged up to {end}, but at {place}: {body}");
                let before = *self.places.entry(*event).or_insert(place);
                assert_eq!(place, before, "moved: {body}");
            }
        }
    }

    /// Lets a daemon be, and compares what it says with what one says that was always let be; then
    /// once more without the state.
    fn end(mut self) {
        for state_is_deleted in [false, true] {
            if state_is_deleted {
                for file in ["state.db", "state.db-wal", "state.db-shm"] {
                    drop(fs::remove_file(self.disk.file(file)));
                }
            }
            let daemon = Daemon::launch(self.disk.path(), |_| ()).unwrap();
            assert_same(&answers(&daemon, &self.plan.posts), &self.plan.answers);
            let end = daemon.stop();
            assert!(end.success(), "{end}");
            self.check();
            let held: Vec<_> = logged(&self.disk.data()).into_keys().collect();
            assert_eq!(held, self.plan.held);
        }
    }
}

fn take(waiting: &Mutex<VecDeque<usize>>) -> Option<usize> {
    waiting.lock().unwrap().pop_front()
}
