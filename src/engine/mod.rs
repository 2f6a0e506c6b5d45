//! The engine: tails the log, assesses, and writes the state with the log position.
//!
//! In: the log, in commit order, in batches. Out: the state store, one transaction a batch. The
//! window that it holds is a join over events, so a late event needs no second road: it is taken
//! in, and the window is assessed again. The engine is the only writer of the state.

mod written;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    correlate::{Assessment, Model, Window, assess_window},
    event::Time,
    metrics::Metrics,
    store::{Log, Logged, Seq, State, StoreError},
};
use written::Written;

/// So many events are folded before the state is written: a batch's cost is shared by all in it.
const BATCH_MAX: usize = 20_000;

/// How long a store that could not be read or written is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the rest of the program may ask of the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    models: watch::Receiver<Arc<Model>>,
    log: Arc<dyn Log>,
    state: Arc<dyn State>,
    assessed: watch::Receiver<Seq>,
}

impl Handle {
    /// A handle on stores whose log is assessed as far as `assessed` says.
    pub fn new(
        models: watch::Receiver<Arc<Model>>,
        log: Arc<dyn Log>,
        state: Arc<dyn State>,
        assessed: watch::Receiver<Seq>,
    ) -> Self {
        Self { models, log, state, assessed }
    }

    /// The log, to append to.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The state as of now; its calls block.
    pub fn state(&self) -> &Arc<dyn State> {
        &self.state
    }

    /// The configuration in force. The state may not be assessed under it yet.
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(&self.models.borrow())
    }

    /// What `read` makes of the state, and the hash of the configuration that this was assessed
    /// under, which is the one in force where nothing is assessed yet; blocks.
    ///
    /// # Errors
    /// The state could not be read, or what `read` says.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl Fn(&dyn State) -> Result<T, E>,
    ) -> Result<(String, T), E> {
        let state = self.state.as_ref();
        let assessed_under = || state.position().map(|(_, config)| config);
        let mut config = assessed_under()?;
        loop {
            let answer = read(state)?;
            let now = assessed_under()?;
            if now == config {
                let config = if config.is_empty() { self.model().hash() } else { config };
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
                if position.is_ok_and(|at| at.is_ok_and(|(_, config)| config == hash)) {
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

    /// Waits until the log is assessed up to `seq`; whether it was within the time.
    pub async fn wait(&self, seq: Seq, timeout: Duration) -> bool {
        let mut assessed = self.assessed.clone();
        let reached = assessed.wait_for(|assessed| *assessed >= seq);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    /// Everything that was so at `at`, under this configuration; blocks.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn as_of(&self, model: &Model, at: Time) -> Result<Assessment, StoreError> {
        let until = self.log.end()?;
        let Some(newest) = self.log.newest(at, until)? else { return Ok(Assessment::default()) };
        let window = read_window(self.log.as_ref(), model, (newest, at), until)?;
        Ok(assess_window(model, &window, at))
    }
}

/// The window that ends at `newest`, of events up to `to`, from the log.
fn read_window(
    log: &dyn Log,
    model: &Model,
    (newest, to): (Time, Time),
    until: Seq,
) -> Result<Window, StoreError> {
    let mut window = Window::default();
    let from = model.settings.window_from(newest);
    log.window(from, to, until, &mut |logged| {
        window.absorb(logged.id, &logged.event, &model.mapping);
    })?;
    Ok(window)
}

/// The one that assesses.
#[derive(Debug)]
pub struct Engine {
    /// The configuration in force, ...
    models: watch::Receiver<Arc<Model>>,
    /// ... and the one that is assessed under.
    model: Arc<Model>,
    /// Whether the state is as that one has it.
    current: bool,
    log: Arc<dyn Log>,
    state: Arc<dyn State>,
    metrics: Arc<Metrics>,
    assessed: watch::Sender<Seq>,
    ready: watch::Sender<bool>,
    position: Seq,
    window: Window,
    /// Events that came too late to change an answer; merged so that they can be shown.
    late: Window,
    /// What the state holds of the window.
    written: Written,
}

impl Engine {
    /// An engine that goes on where the last one left off, the handle on it, and whether it has
    /// caught up since.
    pub fn new(
        models: watch::Receiver<Arc<Model>>,
        log: Arc<dyn Log>,
        state: Arc<dyn State>,
        metrics: Arc<Metrics>,
    ) -> (Self, Handle, watch::Receiver<bool>) {
        let (assessed, assessed_so_far) = watch::channel(Seq::default());
        let (ready, is_ready) = watch::channel(false);
        let handle =
            Handle::new(models.clone(), Arc::clone(&log), Arc::clone(&state), assessed_so_far);
        let model = Arc::clone(&models.borrow());
        let engine = Self {
            models,
            model,
            current: false,
            log,
            state,
            metrics,
            assessed,
            ready,
            position: Seq::default(),
            window: Window::default(),
            late: Window::default(),
            written: Written::default(),
        };
        (engine, handle, is_ready)
    }

    /// Assesses what comes, until told to stop.
    ///
    /// # Errors
    /// A store holds something that cannot be read.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), StoreError> {
        let (mut tail, mut models) = (self.log.tail(), self.models.clone());
        while !*stop.borrow() {
            let (engine, outcome) = self.step_aside().await?;
            self = engine;
            match outcome {
                Ok(true) => {}
                Ok(false) => tokio::select! {
                    // An error says that the log is gone: nothing more will come.
                    _ = tail.wait_for(|end| *end > self.position) => {}
                    Ok(()) = models.changed() => {}
                    _ = stop.changed() => {}
                },
                Err(damaged @ StoreError::Damaged { .. }) => return Err(damaged),
                Err(error) => {
                    tracing::error!(%error, "the engine could not go on; it tries again");
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                        _ = stop.changed() => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// One step, on a thread that may block.
    async fn step_aside(mut self) -> Result<(Self, Result<bool, StoreError>), StoreError> {
        let stepped = tokio::task::spawn_blocking(move || {
            let outcome = self.step();
            (self, outcome)
        });
        let panicked = |_| StoreError::Unavailable("the engine's thread panicked".to_owned());
        stepped.await.map_err(panicked)
    }

    /// Reads the window that the log's end asks for, and writes what it makes of it.
    fn recover(&mut self) -> Result<(), StoreError> {
        let (position, config) = self.state.position()?;
        // What has not been taken in yet comes by the batch, late events too.
        let until = if *self.ready.borrow() { self.position } else { self.log.end()? };
        if position > until {
            tracing::warn!(position = position.0, "the state is ahead of the log: it is rebuilt");
            self.state.clear()?;
        } else if !config.is_empty() && config != self.model.hash() {
            tracing::info!(
                "the configuration is another: what is within the horizon is judged anew"
            );
        }
        self.reload(until)?;
        let newest = self.window.newest();
        let since = newest.map(|newest| self.model.settings.frozen_before(newest));
        self.written = Written::read(self.state.as_ref(), since)?;
        self.write(until)?;
        self.current = true;
        self.ready.send_replace(true);
        Ok(())
    }

    /// Takes in one batch; whether there may be more.
    fn step(&mut self) -> Result<bool, StoreError> {
        if self.models.has_changed().unwrap_or(false) {
            self.model = Arc::clone(&self.models.borrow_and_update());
            self.current = false;
        }
        if !self.current {
            self.recover()?;
        }
        let batch = self.log.after(self.position, BATCH_MAX)?;
        let Some(last) = batch.last() else { return Ok(false) };
        let (until, more) = (last.seq, batch.len() == BATCH_MAX);
        let before = self.window.newest();
        self.metrics.engine_takes(&batch);
        for logged in &batch {
            self.absorb(logged);
        }
        if self.moved_on(before) {
            self.reload(until)?;
        }
        self.write(until)?;
        Ok(more)
    }

    fn absorb(&mut self, logged: &Logged) {
        let window = if logged.late { &mut self.late } else { &mut self.window };
        window.absorb(logged.id, &logged.event, &self.model.mapping);
    }

    /// Whether the window begins later than it did, so that what is before its start must go.
    fn moved_on(&self, before: Option<Time>) -> bool {
        let from = |newest: Option<Time>| newest.map(|time| self.model.settings.window_from(time));
        from(before) != from(self.window.newest())
    }

    fn reload(&mut self, until: Seq) -> Result<(), StoreError> {
        self.window = match self.log.newest(Time::MAX_UTC, until)? {
            Some(newest) => {
                read_window(self.log.as_ref(), &self.model, (newest, Time::MAX_UTC), until)?
            }
            None => Window::default(),
        };
        Ok(())
    }

    /// Keeps what was said of the incidents that began before the horizon: the window may not hold
    /// all of their causes any more. One that goes on still grows.
    fn freeze(&self, assessment: &mut Assessment, before: Time) -> Result<(), StoreError> {
        let (old, mut incidents): (Vec<_>, Vec<_>) = std::mem::take(&mut assessment.incidents)
            .into_iter()
            .partition(|incident| incident.started_at < before);
        for incident in old {
            match self.state.incident(&incident.id.0)? {
                Some(held) if held.id == incident.id => {
                    incidents.push(incident.keeping_verdict_of(held));
                }
                // A state that is built anew from what the log still holds.
                _ => incidents.push(incident),
            }
        }
        assessment.incidents = incidents;
        Ok(())
    }

    /// Assesses the window and writes what is new of it, with the position that it is as of.
    fn write(&mut self, until: Seq) -> Result<(), StoreError> {
        let started = std::time::Instant::now();
        let at = self.window.newest().unwrap_or_default();
        let frozen_before = self.model.settings.frozen_before(at);
        let mut assessment = assess_window(&self.model, &self.window, at);
        self.metrics.assessed(started.elapsed(), &assessment);
        self.freeze(&mut assessment, frozen_before)?;
        let (mut batch, written) = self.written.batch(&assessment, &self.window, frozen_before);
        batch.changes.extend(self.late.changes(&self.model.mapping));
        let late = self.late.episodes(&self.model.mapping);
        batch.episodes.extend(late.into_iter().map(|episode| (episode, None)));
        batch.notes.extend(self.late.notes().map(|(id, note)| (id, note.clone())));
        batch.position = until;
        batch.config = self.model.hash();
        self.state.commit(&batch)?;
        self.metrics.engine_wrote(started.elapsed());
        self.late = Window::default();
        self.written = written;
        self.position = until;
        self.assessed.send_replace(until);
        Ok(())
    }
}
