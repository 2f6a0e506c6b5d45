//! Hears: keeps when each feed was heard last, and when nobody could be.
//!
//! In: that a feed was heard, from whoever took its post. Out: which feeds are silent, and the gaps,
//! for answers and metrics. What was heard is kept in memory and recorded every few seconds; the same
//! record says until when the daemon lived, so that the time in which it was down is a gap as well.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{sync::watch, time::sleep};

use crate::{
    correlate::{Answer, Incident},
    event::Time,
    feed::{Carries, Expected, FeedName, Gap, Heard, doubt, is_silent},
    store::{Awake, Records, StoreError},
};

/// How often what was heard is recorded; a kill loses as much.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// A daemon that was not alive for so long has missed something: senders try again for less.
const DOWN_MIN: TimeDelta = TimeDelta::minutes(1);

/// Who was heard, and when; shared by all who hear.
#[derive(Debug)]
pub struct Hearing {
    records: Arc<dyn Records>,
    now: Mutex<Now>,
}

/// What is known now.
#[derive(Debug)]
struct Now {
    /// Bounded: names are made of sources and kinds of changes, or stand in the configuration.
    feeds: BTreeMap<FeedName, Known>,
    awake: Awake,
    /// Gaps that are over and not recorded yet.
    over: Vec<Gap>,
}

/// A feed.
#[derive(Clone, Debug)]
struct Known {
    carries: Carries,
    /// As it is configured.
    every: Option<TimeDelta>,
    heard: Option<Heard>,
    /// Heard since it was last recorded.
    changed: bool,
}

/// A feed, as people are told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedState {
    /// Its name.
    pub name: FeedName,
    /// What it carries.
    pub carries: Carries,
    /// How often it is heard, as it is configured or as it was learned.
    pub every: Option<TimeDelta>,
    /// Whether that is configured.
    pub configured: bool,
    /// When it was heard first and last.
    pub heard: Option<(Time, Time)>,
    /// Whether it is silent.
    pub silent: bool,
}

impl Known {
    const fn new(carries: Carries) -> Self {
        Self { carries, every: None, heard: None, changed: false }
    }

    fn interval(&self) -> Option<TimeDelta> {
        self.every.or_else(|| self.heard.as_ref()?.usual())
    }

    fn last(&self) -> Option<Time> {
        self.heard.as_ref().map(|heard| heard.last)
    }

    fn is_silent(&self, since: Time, now: Time) -> bool {
        self.interval().is_some_and(|every| is_silent(self.last(), since, every, now))
    }

    /// The gap that it is in, if it is silent.
    fn gap(&self, name: &FeedName, since: Time, now: Time) -> Option<Gap> {
        self.is_silent(since, now).then(|| Gap {
            feed: Some(name.clone()),
            carries: Some(self.carries),
            from: self.last().unwrap_or(since),
            to: None,
        })
    }
}

impl Now {
    /// It is awake now. Where it was not for a while, nobody could be heard meanwhile.
    fn wake(&mut self, now: Time) {
        let Awake { since, until } = self.awake;
        if now - until < DOWN_MIN {
            self.awake.until = until.max(now);
            return;
        }
        let silent = self.feeds.iter().filter_map(|(name, known)| known.gap(name, since, until));
        self.over.extend(silent.map(|gap| Gap { to: Some(until), ..gap }));
        self.over.push(Gap { feed: None, carries: None, from: until, to: Some(now) });
        self.awake = Awake { since: now, until: now };
    }

    fn hear(&mut self, name: &FeedName, now: Time) {
        let since = self.awake.since;
        let carries = name.carries();
        let known = self.feeds.entry(name.clone()).or_insert_with(|| Known::new(carries));
        if let Some(gap) = known.gap(name, since, now) {
            self.over.push(Gap { to: Some(now), ..gap });
        }
        match &mut known.heard {
            Some(heard) => heard.again(now, since),
            None => known.heard = Some(Heard::new(now)),
        }
        known.changed = true;
    }
}

impl Hearing {
    /// Goes on from what the records say was heard, with what the configuration expects.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn new(
        records: Arc<dyn Records>,
        expected: &[Expected],
        now: Time,
    ) -> Result<Self, StoreError> {
        let (recorded, awake) = records.feeds()?;
        let mut feeds = BTreeMap::new();
        for (name, heard) in recorded {
            let known = Known { heard: Some(heard), ..Known::new(name.carries()) };
            feeds.insert(name, known);
        }
        for Expected { name, carries, every } in expected {
            let known = feeds.entry(name.clone()).or_insert_with(|| Known::new(*carries));
            known.carries = *carries;
            known.every = Some(*every);
        }
        let awake = awake.unwrap_or(Awake { since: now, until: now });
        let mut state = Now { feeds, awake, over: Vec::new() };
        state.wake(now);
        Ok(Self { records, now: Mutex::new(state) })
    }

    /// These were heard: what they posted was taken, be it new or not.
    pub fn heard(&self, names: impl IntoIterator<Item = FeedName>, now: Time) {
        let mut state = self.now();
        for name in names {
            state.hear(&name, now);
        }
    }

    /// A feed says that it is there; whether there is such a feed.
    pub fn beat(&self, name: &FeedName, now: Time) -> bool {
        let mut state = self.now();
        let known = state.feeds.contains_key(name);
        if known {
            state.hear(name, now);
        }
        known
    }

    /// All feeds, by name.
    pub fn feeds(&self, now: Time) -> Vec<FeedState> {
        let state = self.now();
        let since = state.awake.since;
        let told = state.feeds.iter().map(|(name, known)| FeedState {
            name: name.clone(),
            carries: known.carries,
            every: known.interval(),
            configured: known.every.is_some(),
            heard: known.heard.as_ref().map(|heard| (heard.first, heard.last)),
            silent: known.is_silent(since, now),
        });
        told.collect()
    }

    /// The gaps that reach into a time, by start; blocks.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn gaps(&self, from: Time, to: Time, now: Time) -> Result<Vec<Gap>, StoreError> {
        let mut gaps = self.unrecorded(now);
        gaps.retain(|gap| gap.from <= to && gap.to.is_none_or(|end| from <= end));
        gaps.extend(self.records.gaps(from, to)?);
        gaps.sort_by(|one, other| (one.from, &one.feed).cmp(&(other.from, &other.feed)));
        // One that was being recorded is in both.
        gaps.dedup();
        Ok(gaps)
    }

    /// The incident as of now, with the doubt that silence casts on it: that of the time in which its
    /// cause is looked for; blocks.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn doubted(
        &self,
        incident: Incident,
        look_back: TimeDelta,
        now: Time,
    ) -> Result<Incident, StoreError> {
        if incident.answer != Answer::None {
            return Ok(incident);
        }
        let began = incident.started_at;
        let from = began.checked_sub_signed(look_back).unwrap_or(began);
        let gaps = self.gaps(from, incident.ended_at.unwrap_or(now), now)?;
        Ok(doubt(incident, &gaps))
    }

    /// The gaps that go on, and those that ended a moment ago.
    fn unrecorded(&self, now: Time) -> Vec<Gap> {
        let state = self.now();
        let since = state.awake.since;
        let open = state.feeds.iter().filter_map(|(name, known)| known.gap(name, since, now));
        open.chain(state.over.iter().cloned()).collect()
    }

    /// Records what was heard, now and then, until it is time to stop.
    ///
    /// # Errors
    /// The records are damaged.
    pub async fn run(
        self: Arc<Self>,
        clock: fn() -> Time,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        loop {
            let stopping = tokio::select! {
                () = sleep(RECORD_EVERY) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            let hearing = Arc::clone(&self);
            let recorded = tokio::task::spawn_blocking(move || hearing.record(clock())).await;
            match recorded {
                Ok(Ok(())) => {}
                Ok(Err(damaged @ StoreError::Damaged { .. })) => return Err(damaged),
                Ok(Err(error)) => {
                    tracing::error!(%error, "what was heard is not recorded; it is tried again");
                }
                Err(_panicked) => {
                    let what = "the thread that records what was heard panicked".to_owned();
                    return Err(StoreError::Unavailable(what));
                }
            }
            if stopping {
                return Ok(());
            }
        }
    }

    /// Records what is new since the last time, and that the daemon lives; blocks.
    pub(crate) fn record(&self, now: Time) -> Result<(), StoreError> {
        let (heard, gaps, awake) = {
            let mut state = self.now();
            state.wake(now);
            let changed = state.feeds.iter().filter(|(_, known)| known.changed);
            let heard =
                changed.filter_map(|(name, known)| Some((name.clone(), known.heard.clone()?)));
            (heard.collect::<Vec<_>>(), state.over.clone(), state.awake)
        };
        self.records.hear(&heard, &gaps, awake)?;
        let mut state = self.now();
        // Others may have been added meanwhile, at the end.
        state.over.drain(..gaps.len());
        for (name, heard) in heard {
            if let Some(known) = state.feeds.get_mut(&name) {
                known.changed = known.heard != Some(heard);
            }
        }
        Ok(())
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
