//! Retention: drops what is older than is to be kept, and freezes first.
//!
//! In: the stores, and from when on things are held. Out: incidents and daily counts in the records,
//! and then fewer rows in the log and the state. It goes a bounded step at a time, between the
//! engine's batches, so that neither those who post nor those who ask wait for it. Each step can be
//! done again: after a kill a pass begins from its start, and what was frozen first stays.

use chrono::TimeDelta;

use super::alerts::Alerts;
use crate::{
    correlate::{Settings, Told},
    event::{Time, show_time},
    metrics::Metrics,
    store::{Log, Old, Page, Paged, Records, Seq, State, StoreError},
};

/// So many incidents are frozen at once.
const INCIDENTS: usize = 50;
/// So many alerts of each are named.
const MEMBERS_MAX: usize = 1_000;
/// So many rows are dropped at once: a few milliseconds of a writer.
const ROWS: usize = 1_000;

/// For how long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Before the newest event.
    pub period: TimeDelta,
    /// The time: an event from a clock that is ahead makes nothing old.
    pub clock: fn() -> Time,
}

/// What is old.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lines {
    /// What happened before is dropped.
    held_from: Time,
    /// Incidents that began before are frozen.
    judged_from: Time,
}

impl Lines {
    pub(super) fn new(settings: &Settings, newest: Time, retention: Retention) -> Self {
        let now = newest.min((retention.clock)());
        let held_from = settings.held_from(newest, now - retention.period);
        Self { held_from, judged_from: settings.judged_from(newest, held_from) }
    }
}

/// One way through all that is old.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) lines: Lines,
    stage: Stage,
}

/// How far a pass has come. The order is what makes it safe: an event goes only when what it said is
/// in the records, and a row of the state only when nothing brings it back.
#[derive(Debug)]
enum Stage {
    /// Incidents are frozen, from this place in their list on.
    Freeze(Option<(Time, String)>),
    /// Days from this one on are counted.
    Count(Time),
    /// Events are dropped.
    Log,
    /// What was made of them is dropped, and these filters.
    State(Vec<u32>),
    /// Nothing is left to do.
    Done,
}

/// What a pass works on.
pub(super) struct Desk<'a> {
    pub(super) log: &'a dyn Log,
    pub(super) state: &'a dyn State,
    pub(super) records: &'a dyn Records,
    pub(super) metrics: &'a Metrics,
    pub(super) alerts: &'a mut Alerts,
    /// What comes after is not assessed yet.
    pub(super) position: Seq,
    /// The newest event time.
    pub(super) newest: Time,
}

impl Pass {
    pub(super) const fn new(lines: Lines) -> Self {
        Self { lines, stage: Stage::Freeze(None) }
    }

    /// Goes one step; whether there is more to do.
    pub(super) fn step(&mut self, desk: &mut Desk<'_>) -> Result<bool, StoreError> {
        let next = match &self.stage {
            Stage::Freeze(after) => self.freeze(desk, after.clone())?,
            Stage::Count(from) => self.count(desk, *from)?,
            Stage::Log => self.drop_events(desk)?,
            Stage::State(seen) => self.drop_rows(desk, seen)?,
            Stage::Done => Stage::Done,
        };
        self.stage = next;
        Ok(!matches!(self.stage, Stage::Done))
    }

    fn freeze(&self, desk: &Desk<'_>, after: Option<(Time, String)>) -> Result<Stage, StoreError> {
        let Lines { judged_from, .. } = self.lines;
        let frozen = desk.records.frozen_before()?;
        if frozen.is_some_and(|before| before >= judged_from) {
            return Ok(Stage::Count(Time::MIN_UTC));
        }
        let end = judged_from - TimeDelta::microseconds(1);
        let page = Page { end: Some(end), start: None, edges: false, after, limit: INCIDENTS };
        let Paged { items, next } = desk.state.incidents(&page, &|incident| {
            frozen.is_none_or(|before| incident.started_at >= before)
        })?;
        let told = items.into_iter().map(|incident| {
            let alerts = desk.state.members(&incident.id, MEMBERS_MAX)?;
            Ok(Told { incident: incident.frozen_at(desk.newest), alerts })
        });
        let told = told.collect::<Result<Vec<_>, StoreError>>()?;
        desk.records.freeze(&told, next.is_none().then_some(judged_from))?;
        desk.metrics.incidents_frozen(told.len());
        Ok(if next.is_some() { Stage::Freeze(next) } else { Stage::Count(Time::MIN_UTC) })
    }

    fn count(&self, desk: &Desk<'_>, from: Time) -> Result<Stage, StoreError> {
        let first = desk.state.first_symptom(from)?;
        let Some(first) = first.filter(|first| *first < self.lines.held_from) else {
            return Ok(Stage::Log);
        };
        let (day, counts) = desk.state.daily(first)?;
        desk.records.count(&counts)?;
        Ok(Stage::Count(day + TimeDelta::days(1)))
    }

    fn drop_events(&self, desk: &mut Desk<'_>) -> Result<Stage, StoreError> {
        let dropped = desk.log.forget(self.lines.held_from, desk.position, ROWS)?;
        desk.metrics.dropped("log", dropped);
        Ok(match dropped {
            ROWS => Stage::Log,
            // From here on nothing old is read into memory, and so nothing old is written again.
            _ => Stage::State(desk.alerts.forget_before(self.lines.held_from)),
        })
    }

    fn drop_rows(&self, desk: &Desk<'_>, seen: &[u32]) -> Result<Stage, StoreError> {
        let Lines { held_from, judged_from } = self.lines;
        let old = Old { held_from, judged_from, seen: seen.to_vec(), limit: ROWS };
        let dropped = desk.state.forget(&old)?;
        desk.metrics.dropped("state", dropped);
        if dropped == ROWS {
            return Ok(Stage::State(Vec::new()));
        }
        tracing::info!("what happened before {} is dropped", show_time(held_from));
        Ok(Stage::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::parse_time;

    fn at(text: &str) -> Time {
        parse_time(text).unwrap()
    }

    fn lines(days: i64, newest: &str) -> Lines {
        let clock = || at("2024-03-20T12:00:00Z");
        let retention = Retention { period: TimeDelta::days(days), clock };
        Lines::new(&Settings::default(), at(newest), retention)
    }

    #[test]
    fn whole_days_before_the_newest_event_are_held_and_judged_by_what_is_held() {
        let Lines { held_from, judged_from } = lines(90, "2023-06-10T15:00:00Z");
        assert_eq!(held_from, at("2023-03-12T00:00:00Z"));
        assert_eq!(judged_from, at("2023-04-26T00:00:00Z"), "45 d of changes before it are held");
    }

    #[test]
    fn nothing_of_the_window_is_old_and_no_incident_that_is_assessed_is_frozen() {
        for days in [0, 5, 10] {
            let Lines { held_from, judged_from } = lines(days, "2023-06-10T15:00:00Z");
            assert_eq!(held_from, at("2023-05-31T00:00:00Z"));
            assert_eq!(judged_from, at("2023-06-03T00:00:00Z"));
        }
    }

    #[test]
    fn an_event_from_a_clock_that_is_ahead_makes_nothing_old() {
        assert_eq!(lines(90, "2031-01-01T00:00:00Z"), lines(90, "2024-03-20T12:00:00Z"));
    }
}
