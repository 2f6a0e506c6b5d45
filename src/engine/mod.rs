//! The engine: tails the log, assesses, and writes the state with the log position.
//!
//! In: the log, in commit order, in batches. Out: the state store, one transaction a batch. It
//! holds the families, stories and changes of the window, and of the alerts only the latest; what a
//! batch touches is decided again and written, and nothing else. The engine is the only writer of
//! the state, so it drops from it what is old as well.

mod alerts;
mod handle;
mod pace;
mod retention;
mod seen;
mod taken;

pub use self::{handle::Handle, retention::Retention};

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use tokio::sync::watch;

use crate::{
    correlate::{FamilyRef, Fold, Incident, Model, News, Past},
    event::{Event, Time},
    metrics::Metrics,
    store::{Log, Logged, Position, Records, Seq, State, StateBatch, StoreError, giving_way},
};
use alerts::{Alerts, Kept};
use pace::rest_after;
use retention::{Desk, Lines, Pass};
use taken::Taken;

/// So many events are read at once, ...
const SLICE: usize = 2_048;
/// ... and at most so many slices are folded before the state is written: what a storm touches again
/// and again, its families and incidents, is written once for all of them.
const SLICES_MAX: usize = 12;
/// When so many events wait it does not rest any longer.
const BATCH_MAX: usize = SLICE * SLICES_MAX;

/// All that people said in the window.
const FEEDBACK_MAX: usize = usize::MAX >> 1;

/// How long a store that could not be read or written is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long what is old is left where it is when it could not be dropped.
const DROP_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Between two steps of dropping what is old everybody else has at least so long with the stores.
const DROP_PAUSE: Duration = Duration::from_millis(10);

/// What was reported before the window of changes, when the newest event is of this time.
fn past(log: &dyn Log, model: &Model, newest: Time, until: Seq) -> Result<Past, StoreError> {
    let (from, to) = (model.settings.past_from(newest), model.settings.window_from(newest));
    let mut past = Past::default();
    log.changes(from, to - TimeDelta::microseconds(1), until, &mut |id, report| {
        past.absorb(&report, id);
    })?;
    Ok(past)
}

/// Rests, but no longer once a whole batch waits after `position`. Then waits for an event, where nothing
/// else is left to do.
async fn until_more(tail: &mut watch::Receiver<Seq>, position: Seq, left: Left, rest: Duration) {
    let rest = if left == Left::Old { rest.max(DROP_PAUSE) } else { rest };
    let is_batch = |end: &Seq| {
        usize::try_from(end.0.saturating_sub(position.0)).is_ok_and(|waiting| waiting >= BATCH_MAX)
    };
    // Errors say that the log is gone: nothing more will come.
    drop(tokio::time::timeout(rest, tail.wait_for(is_batch)).await);
    if left != Left::Old {
        drop(tail.wait_for(|end| *end > position).await);
    }
}

/// The one that assesses.
#[derive(Debug)]
pub struct Engine {
    /// The configuration in force, ...
    models: watch::Receiver<Arc<Model>>,
    /// ... and the one that is assessed under.
    model: Arc<Model>,
    /// Whether what is in memory is as the state has it, under that one.
    current: bool,
    log: Arc<dyn Log>,
    state: Arc<dyn State>,
    records: Arc<dyn Records>,
    metrics: Arc<Metrics>,
    assessed: watch::Sender<Seq>,
    ready: watch::Sender<bool>,
    position: Seq,
    /// The newest event time.
    newest: Option<Time>,
    fold: Fold,
    /// The fold was read from the state and has told nothing yet.
    reread: bool,
    alerts: Alerts,
    /// For how long things are kept; `None`: for ever.
    retention: Option<Retention>,
    /// What is being dropped, ...
    pass: Option<Pass>,
    /// ... what was dropped last, ...
    dropped: Option<Lines>,
    /// ... and since when that could not be done.
    drop_failed: Option<Instant>,
}

/// What is left to do after a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    /// There may be more events in the log.
    Events,
    /// Old rows are to be dropped.
    Old,
    /// Nothing, for now.
    Nothing,
}

impl Engine {
    /// An engine that goes on where the last one left off, the handle on it, and whether it has
    /// caught up since.
    pub fn new(
        models: watch::Receiver<Arc<Model>>,
        log: Arc<dyn Log>,
        state: Arc<dyn State>,
        records: Arc<dyn Records>,
        metrics: Arc<Metrics>,
    ) -> (Self, Handle, watch::Receiver<bool>) {
        let (assessed, assessed_so_far) = watch::channel(Seq::default());
        let (ready, is_ready) = watch::channel(false);
        let handle = Handle::new(
            models.clone(),
            Arc::clone(&log),
            Arc::clone(&state),
            Arc::clone(&records),
            assessed_so_far,
            Arc::clone(&metrics),
        );
        let model = Arc::clone(&models.borrow());
        let engine = Self {
            models,
            model,
            current: false,
            log,
            state,
            records,
            metrics,
            assessed,
            ready,
            position: Seq::default(),
            newest: None,
            fold: Fold::default(),
            reread: false,
            alerts: Alerts::default(),
            retention: None,
            pass: None,
            dropped: None,
            drop_failed: None,
        };
        (engine, handle, is_ready)
    }

    /// The same, and it drops what is older than that.
    #[must_use]
    pub fn keeping(self, retention: Option<Retention>) -> Self {
        Self { retention, ..self }
    }

    /// Assesses what comes, until told to stop.
    ///
    /// # Errors
    /// A store holds something that cannot be read.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), StoreError> {
        let (mut tail, mut models) = (self.log.tail(), self.models.clone());
        let mut last = Instant::now();
        while !*stop.borrow() {
            let started = Instant::now();
            let (engine, outcome) = self.step_aside().await?;
            self = engine;
            let (took, gathered) = (started.elapsed(), started - last);
            last = started;
            match outcome {
                Ok(Left::Events) => {}
                Ok(left) => {
                    let rest = rest_after(took, gathered);
                    tokio::select! {
                        () = until_more(&mut tail, self.position, left, rest) => {}
                        Ok(()) = models.changed() => {}
                        _ = stop.changed() => {}
                    }
                }
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
    async fn step_aside(mut self) -> Result<(Self, Result<Left, StoreError>), StoreError> {
        let stepped = tokio::task::spawn_blocking(move || {
            let outcome = self.step();
            (self, outcome)
        });
        let panicked = |_| StoreError::Unavailable("the engine's thread panicked".to_owned());
        stepped.await.map_err(panicked)
    }

    /// Goes on where the state says, or makes it anew.
    fn recover(&mut self) -> Result<(), StoreError> {
        let position = self.state.position()?;
        let until = self.log.end()?;
        let mapping = self.model.mapping_hash();
        if position.seq > until {
            tracing::warn!(
                position = position.seq.0,
                "the state is ahead of the log: it is rebuilt"
            );
            self.state.clear()?;
        } else if !position.mapping.is_empty() && position.mapping != mapping {
            tracing::info!("labels become scope in another way: the state is rebuilt");
            self.state.clear()?;
        } else {
            self.position = position.seq;
            if !position.config.is_empty() && position.config != self.model.hash() {
                tracing::info!(
                    "the configuration is another: what is within the horizon is judged anew"
                );
            }
        }
        self.alerts = Alerts::read(self.state.as_ref(), position.recent)?;
        // What was forgotten in memory may have been read again.
        (self.pass, self.dropped) = (None, None);
        self.newest = self.log.newest(Time::MAX_UTC, self.position)?;
        self.read_window()?;
        let told = self.advance()?;
        self.commit(Taken::default(), told, self.position)
    }

    /// Decides on all that is new in the fold; what is to be written then.
    fn advance(&mut self) -> Result<StateBatch, StoreError> {
        let started = Instant::now();
        let now = self.newest.unwrap_or(Time::MIN_UTC);
        let frozen = self.newest.map_or(now, |now| self.model.settings.frozen_before(now));
        let mut news = self.fold.advance(&self.model, frozen);
        if std::mem::take(&mut self.reread) {
            // What was told before is not known to this fold.
            let told: BTreeSet<_> = news.incidents.iter().map(|told| &told.id).collect();
            let held = self.state.incidents_since(frozen)?.into_iter();
            news.incidents_gone = held.filter(|id| !told.contains(id)).collect();
        }
        self.metrics.assessed(started.elapsed(), &self.fold.states(&self.model, now));
        self.batch(news, frozen)
    }

    /// From when on things are in the fold.
    fn window_from(&self) -> Time {
        self.newest.map_or(Time::MIN_UTC, |newest| self.model.settings.window_from(newest))
    }

    /// Takes from the state and the log what is in the window.
    fn read_window(&mut self) -> Result<(), StoreError> {
        let from = self.window_from();
        self.reread = true;
        let past =
            self.newest.map(|newest| past(self.log.as_ref(), &self.model, newest, self.position));
        self.fold = Fold::after(past.transpose()?.unwrap_or_default(), &self.model);
        for kept in self.state.kept_since(from)? {
            self.fold.restore_family(&self.model, kept);
        }
        self.log.changes(from, Time::MAX_UTC, self.position, &mut |id, report| {
            self.fold.restore_change(&report, id);
        })?;
        self.read_feedback(from)?;
        if let Some(oldest) = self.log.oldest(from, self.position)? {
            self.fold.observe(oldest);
        }
        Ok(())
    }

    /// Takes in what people said in the window. The state tells when; the log, which of it came in time.
    fn read_feedback(&mut self, from: Time) -> Result<(), StoreError> {
        let said = self.state.feedback(from, Time::MAX_UTC, FEEDBACK_MAX)?;
        let times: BTreeSet<_> = said.into_iter().map(|one| one.at).collect();
        for at in times {
            self.log.window(at, at, self.position, &mut |logged| {
                if let Event::Feedback(said) = &logged.event {
                    self.fold.feedback(&self.model, said, logged.id);
                }
            })?;
        }
        Ok(())
    }

    /// Takes in one batch, and drops a little of what is old; what is left to do.
    fn step(&mut self) -> Result<Left, StoreError> {
        if self.models.has_changed().unwrap_or(false) {
            self.model = Arc::clone(&self.models.borrow_and_update());
            self.current = false;
        }
        if !self.current {
            self.recover()?;
            self.current = true;
        }
        let more = self.take_in()?;
        if !more {
            self.ready.send_replace(true);
        }
        let old = self.drop_or_leave()?;
        Ok(match (more, old) {
            (true, _) => Left::Events,
            (false, true) => Left::Old,
            (false, false) => Left::Nothing,
        })
    }

    /// Drops a little of what is old; whether there is more. What cannot be dropped now is left for
    /// later, and keeps nobody from being assessed.
    fn drop_or_leave(&mut self) -> Result<bool, StoreError> {
        if self.drop_failed.is_some_and(|since| since.elapsed() < DROP_AGAIN_AFTER) {
            return Ok(false);
        }
        self.drop_failed = None;
        match self.drop_old() {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Unsynced { .. })) => Err(error),
            Err(error) => {
                tracing::error!(%error, "what is old could not be dropped; it is tried again");
                self.drop_failed = Some(Instant::now());
                Ok(false)
            }
            more => more,
        }
    }

    fn drop_old(&mut self) -> Result<bool, StoreError> {
        let (Some(lines), Some(newest)) = (self.lines(), self.newest) else { return Ok(false) };
        if self.pass.is_none() && self.dropped == Some(lines) {
            return Ok(false);
        }
        // One that was begun is ended before the next, wherever the lines are by then.
        let mut pass = self.pass.take().unwrap_or_else(|| Pass::new(lines));
        let mut desk = Desk {
            log: self.log.as_ref(),
            state: self.state.as_ref(),
            records: self.records.as_ref(),
            metrics: &self.metrics,
            alerts: &mut self.alerts,
            position: self.position,
            newest,
        };
        let stepped = pass.step(&mut desk);
        if matches!(stepped, Ok(false)) {
            self.dropped = Some(pass.lines);
            return Ok(pass.lines != lines);
        }
        self.pass = Some(pass);
        stepped
    }

    /// What is old now.
    fn lines(&self) -> Option<Lines> {
        let (retention, newest) = (self.retention?, self.newest?);
        Some(Lines::new(&self.model.settings, newest, retention))
    }

    /// Takes in what is there, up to a bound, and writes it; whether there may be more.
    fn take_in(&mut self) -> Result<bool, StoreError> {
        let taken = self.take_slices();
        if taken.is_err() {
            // What is in memory may be ahead of the state: it is read again.
            self.current = false;
        }
        taken
    }

    fn take_slices(&mut self) -> Result<bool, StoreError> {
        let (mut until, mut more) = (self.position, true);
        let end = self.log.end()?;
        let mut taken = Taken::default();
        for n in 0..SLICES_MAX {
            let mut slice = self.log.after(until, SLICE)?;
            let read = slice.len();
            slice.truncate(self.steady(&slice));
            let Some(last) = slice.last() else {
                // What was there before the end may have been dropped by age.
                until = until.max(end);
                more = false;
                break;
            };
            if self.moves_on(&slice) {
                if n > 0 {
                    // What was taken so far is written before the window is read again.
                    break;
                }
                self.move_on(&slice)?;
            }
            until = last.seq;
            self.metrics.engine_takes(&slice);
            self.fold_in(&slice, &mut taken)?;
            more = read == SLICE || slice.len() < read;
            if !more {
                break;
            }
        }
        if until > self.position {
            let told = self.advance()?;
            self.commit(taken, told, until)?;
        }
        Ok(more)
    }

    /// The newest event time once this is taken in.
    fn newest_with(&self, slice: &[Logged]) -> Option<Time> {
        let timely = slice.iter().filter(|logged| !logged.late);
        timely.map(|logged| logged.event.time()).max().max(self.newest)
    }

    /// Whether the window begins later once this is taken in, or more is frozen.
    fn moves_on(&self, slice: &[Logged]) -> bool {
        self.stand(self.newest_with(slice)) != self.stand(self.newest)
    }

    /// From when on things are in the window, and from when on they are judged.
    fn stand(&self, newest: Option<Time>) -> Option<(Time, Time)> {
        let settings = &self.model.settings;
        newest.map(|newest| (settings.window_from(newest), settings.frozen_before(newest)))
    }

    /// How many events from the first on may be taken in at once: the window stands still after the
    /// first. What is read at once may be of many days, and each is to be judged in its own window.
    fn steady(&self, slice: &[Logged]) -> usize {
        let after = |n| self.stand(self.newest_with(slice.get(..n).unwrap_or(slice)));
        let (first, all) = (after(1), slice.len());
        // It only moves on, so mostly this is all that must be asked.
        if after(all) == first { all } else { (1..all).take_while(|n| after(*n) == first).count() }
    }

    fn move_on(&mut self, slice: &[Logged]) -> Result<(), StoreError> {
        let is_first = self.newest.is_none();
        self.newest = self.newest_with(slice);
        if is_first { Ok(()) } else { self.read_window() }
    }

    /// Takes in a slice of the log; what the fold does not tell of goes to `taken`.
    fn fold_in(&mut self, slice: &[Logged], taken: &mut Taken) -> Result<(), StoreError> {
        self.newest = self.newest_with(slice);
        let (state, log) = (Arc::clone(&self.state), Arc::clone(&self.log));
        let kept = Kept { log: log.as_ref(), state: state.as_ref(), from: self.window_from() };
        for Logged { id, event, late, .. } in giving_way(slice) {
            match event {
                Event::Note(note) => taken.notes.push((*id, note.clone())),
                Event::Feedback(said) => {
                    taken.feedback.push((*id, said.clone()));
                    if !late && said.at >= kept.from {
                        self.fold.feedback(&self.model, said, *id);
                    }
                }
                Event::Change(report) if *late => taken.late_change(report, *id),
                Event::Alert(report) if *late => {
                    taken.late_firing(report, *id, &self.model.mapping);
                }
                Event::Change(report) => self.fold.change(report, *id),
                Event::Alert(report) => {
                    self.alerts.absorb((*id, report), &self.model, kept, &mut self.fold)?;
                }
            }
            if !late && event.time() >= kept.from {
                self.fold.observe(event.time());
            }
        }
        self.alerts.retell(&self.model, kept, &mut self.fold)
    }

    /// What is to be written of what is different.
    fn batch(&mut self, news: News, frozen: Time) -> Result<StateBatch, StoreError> {
        let News { incidents, incidents_gone, families, families_gone, changes } = news;
        let (firings, seen) = self.alerts.take_unwritten();
        Ok(StateBatch {
            incidents: self.freeze(incidents, frozen)?,
            incidents_gone,
            changes,
            families,
            families_gone: families_gone
                .into_iter()
                .map(|(key, start)| (FamilyRef::of(&key), start))
                .collect(),
            firings,
            seen,
            ..StateBatch::default()
        })
    }

    /// Keeps what was said of the incidents that began before the horizon: the window may not hold
    /// all of their causes any more. One that goes on still grows.
    fn freeze(&self, incidents: Vec<Incident>, before: Time) -> Result<Vec<Incident>, StoreError> {
        incidents
            .into_iter()
            .map(|incident| {
                if incident.started_at >= before {
                    return Ok(incident);
                }
                Ok(match self.state.incident(&incident.id.0)? {
                    Some(held) => incident.keeping_verdict_of(held),
                    // A state that is built anew from what the log still holds.
                    None => incident,
                })
            })
            .collect()
    }

    /// Writes what was taken in and what the fold tells of it, with the position that it is as of.
    fn commit(&mut self, taken: Taken, told: StateBatch, until: Seq) -> Result<(), StoreError> {
        let started = Instant::now();
        let mut batch = taken.with(told, self.state.as_ref(), &self.model.mapping)?;
        batch.position = Position {
            seq: until,
            config: self.model.hash(),
            mapping: self.model.mapping_hash(),
            recent: self.alerts.recent_from(),
        };
        self.state.commit(&batch)?;
        self.metrics.engine_wrote(started.elapsed());
        self.position = until;
        self.assessed.send_replace(until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Longer than any test may take.
    const LONG: Duration = Duration::from_hours(1);
    const BATCH: u64 = 1 << 20;

    #[tokio::test]
    async fn a_whole_batch_ends_the_rest_also_while_old_rows_are_dropped() {
        for left in [Left::Nothing, Left::Old] {
            let (log, mut tail) = watch::channel(Seq(7));
            let more = until_more(&mut tail, Seq(7), left, LONG);
            let (mut more, few) = (Box::pin(more), Seq(9));
            log.send_replace(few);
            assert_eq!(more.as_mut().now_or_never(), None, "{left:?}: these can wait");
            log.send_replace(Seq(7 + BATCH));
            more.await;
        }
    }

    #[tokio::test]
    async fn after_the_rest_it_waits_for_an_event_unless_old_rows_are_to_be_dropped() {
        let (log, mut tail) = watch::channel(Seq(7));
        let mut other = log.subscribe();
        let mut more = Box::pin(until_more(&mut tail, Seq(7), Left::Nothing, Duration::ZERO));
        tokio::select! {
            () = &mut more => panic!("there is none"),
            () = until_more(&mut other, Seq(7), Left::Old, Duration::ZERO) => {}
        }
        log.send_replace(Seq(8));
        more.await;
    }
}
