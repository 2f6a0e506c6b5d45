//! What the rest of the program may ask of the engine.
//!
//! In: events for the log, and questions. Out: whether the events are durable, how far the log is
//! assessed, and answers, out of the stores or folded as of a time. It never alters the state.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{pace::Pace, past};
use crate::{
    correlate::{Assessment, Model, Window},
    event::{Event, Time},
    metrics::Metrics,
    store::{Appended, Log, Records, Seq, State, StoreError, Stored, View},
};

/// Asks the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    models: watch::Receiver<Arc<Model>>,
    log: Arc<dyn Log>,
    state: Arc<dyn State>,
    records: Arc<dyn Records>,
    assessed: watch::Receiver<Seq>,
    metrics: Arc<Metrics>,
    pace: Arc<Pace>,
}

impl Handle {
    /// A handle on stores whose log is assessed as far as `assessed` says.
    pub fn new(
        models: watch::Receiver<Arc<Model>>,
        log: Arc<dyn Log>,
        state: Arc<dyn State>,
        records: Arc<dyn Records>,
        assessed: watch::Receiver<Seq>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { models, log, state, records, assessed, metrics, pace: Arc::default() }
    }

    /// Hands events to the log, and waits until they are durable: somewhat later where the engine does
    /// not keep pace.
    ///
    /// # Errors
    /// They could not be written, and are not in the log.
    pub async fn append(&self, events: Vec<Event>) -> Result<Appended, StoreError> {
        self.keep_pace().await?;
        let appended = self.log.append(events).await?;
        self.pace.log_reaches(appended.seq);
        Ok(appended)
    }

    /// Waits while the engine is too far behind, though not for long.
    async fn keep_pace(&self) -> Result<(), StoreError> {
        let is_behind = |end, assessed| self.pace.holds_back(end, assessed);
        if is_behind(self.log.end()?, self.assessed()) {
            self.metrics.post_is_held_back();
            let mut assessed = self.assessed.clone();
            let caught_up = assessed
                .wait_for(|so_far| self.log.end().is_ok_and(|end| !is_behind(end, *so_far)));
            // Whether it has or not, or is no more: what is posted goes to the log.
            drop(tokio::time::timeout(self.pace.held_most, caught_up).await);
        }
        Ok(())
    }

    /// How many events of the log, which ends there, wait for the engine, and the oldest for how long.
    pub fn lag(&self, end: Seq) -> (u64, Duration) {
        let assessed = self.assessed();
        let oldest = self.pace.lag(assessed);
        (end.0.saturating_sub(assessed.0), if assessed < end { oldest } else { Duration::ZERO })
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The state; its calls block.
    pub fn state(&self) -> &Arc<dyn State> {
        &self.state
    }

    /// The configuration in force. The state may not be assessed under it yet.
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(&self.models.borrow())
    }

    /// What `read` makes of the stores, and the hash of the configuration that this was assessed
    /// under, which is the one in force where nothing is assessed yet; blocks.
    ///
    /// # Errors
    /// The stores could not be read, or what `read` says.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl Fn(&dyn View) -> Result<T, E>,
    ) -> Result<(String, T), E> {
        let model = self.model();
        let (state, log) = (self.state.as_ref(), self.log.as_ref());
        let records = self.records.as_ref();
        let stored = Stored { state, log, records, mapping: &model.mapping };
        let assessed_under = || state.position().map(|position| position.config);
        let mut config = assessed_under()?;
        loop {
            let answer = read(&stored)?;
            let now = assessed_under()?;
            if now == config {
                let config = if config.is_empty() { model.hash() } else { config };
                return Ok((config, answer));
            }
            // It was assessed anew on the way: half of the answer may be of the one, half of the
            // other.
            config = now;
        }
    }

    /// Waits until the state is assessed under the configuration of this hash; whether it was
    /// within the time.
    pub async fn wait_for_config(&self, hash: &str, timeout: Duration) -> bool {
        let mut assessed = self.assessed.clone();
        let reached = async {
            loop {
                let state = Arc::clone(&self.state);
                let position = tokio::task::spawn_blocking(move || state.position()).await;
                if position.is_ok_and(|at| at.is_ok_and(|position| position.config == hash)) {
                    return true;
                }
                // The engine tells of each write, also of one that moves nothing on.
                if assessed.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(timeout, reached).await.unwrap_or(false)
    }

    /// How far the log is assessed.
    pub fn assessed(&self) -> Seq {
        *self.assessed.borrow()
    }

    /// How far the log is assessed, to be followed.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.assessed.clone()
    }

    /// Waits until the log is assessed up to `seq`; whether it was within the time.
    pub async fn wait(&self, seq: Seq, timeout: Duration) -> bool {
        let mut assessed = self.assessed.clone();
        let reached = assessed.wait_for(|assessed| *assessed >= seq);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    /// Everything that was so at `at`, under this configuration; blocks.
    ///
    /// # Errors
    /// The log could not be read, or the answer takes events that were dropped by age.
    pub fn as_of(&self, model: &Model, at: Time) -> Result<Assessment, StoreError> {
        let until = self.log.end()?;
        let newest = self.log.newest(at, until)?;
        let from = newest.map(|newest| model.settings.window_from(newest));
        let held_from = self.log.held_from()?;
        if let Some(held_from) = held_from.filter(|held| from.is_none_or(|from| from < *held)) {
            return Err(StoreError::Dropped { held_from });
        }
        let (Some(newest), Some(from)) = (newest, from) else { return Ok(Assessment::default()) };
        let past = past(self.log.as_ref(), model, newest, until)?;
        let mut window = Window::after(past, from, model);
        self.log.window(from, at, until, &mut |logged| {
            window.absorb(model, logged.id, logged.event);
        })?;
        Ok(window.assess(model, at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        event::{Labels, Note, time_of_micros},
        store::{SqliteLog, SqliteRecords, SqliteState},
    };

    fn note(n: i64) -> Vec<Event> {
        vec![Event::Note(Note {
            at: time_of_micros(n),
            at_assumed: false,
            text: "deploys are frozen".to_owned(),
            author: None,
            incident: None,
            labels: Labels::default(),
        })]
    }

    #[tokio::test]
    async fn a_post_waits_while_the_engine_is_behind_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let model = Arc::new(Model::default());
        let log = Arc::new(SqliteLog::open(dir.path(), model.settings.horizon).unwrap());
        let state = Arc::new(SqliteState::open(dir.path()).unwrap());
        let records = Arc::new(SqliteRecords::open(dir.path()).unwrap());
        let (assess, assessed) = watch::channel(Seq(0));
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(Metrics::new(registry.clone()).unwrap());
        let models = watch::channel(model).1;
        let mut handle = Handle::new(models, log, state, records, assessed, metrics);
        let counts = |posts: u8| {
            let told = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            told.contains(&format!("antecede_held_back_posts_total {posts}\n"))
        };

        handle.pace = Arc::new(Pace::holding(2, Duration::from_millis(50)));

        for n in 1..=3 {
            handle.append(note(n)).await.unwrap();
        }
        assert!(counts(0), "it keeps pace");
        // It waits, and is told when it need not any more.
        let (appended, ()) = tokio::join!(handle.append(note(4)), async {
            assert_eq!(handle.log.end(), Ok(Seq(3)), "it waits");
            assess.send_replace(Seq(2));
        });
        assert_eq!(appended.unwrap().seq, Seq(4));
        assert!(counts(1));
        handle.append(note(5)).await.unwrap();
        assert!(counts(1), "it caught up");
        // Nobody tells it, and it goes on.
        let posted = Instant::now();
        handle.append(note(6)).await.unwrap();
        assert!(posted.elapsed() >= Duration::from_millis(50));
        assert!(counts(2));
        let then = Instant::now().checked_sub(Duration::from_secs(11)).unwrap();
        handle.pace.waits_since(Seq(6), then);
        handle.append(note(7)).await.unwrap();
        assert!(counts(2), "it would not help");
    }
}
