//! A request's events, ready to be written: made by whoever asks, so that the one writer does no more
//! than it must.

use std::ops::Range;

use super::StoreError;
use crate::event::{Event, EventId, micros};

/// Events as rows of the log.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Vec<Row>,
    /// The events as JSON, one after the other: they are given back on the writer's thread, and one
    /// piece of memory costs less there than a hundred.
    bodies: String,
}

/// An event but for its body.
#[derive(Debug)]
pub(super) struct Row {
    /// When it happened, in microseconds since 1970.
    pub(super) at: i64,
    /// That is the time of its receipt, for want of another.
    pub(super) at_assumed: bool,
    pub(super) id: EventId,
    /// Until when it holds unless it is told again; `None`: for ever, or until its end is told.
    pub(super) valid_until: Option<i64>,
    /// Where its body is.
    body: Range<usize>,
}

/// So long are most events in JSON; only room is made by it.
const USUAL_BYTES: usize = 1024;

impl Rows {
    /// The rows of these events.
    pub(super) fn of(events: &[Event]) -> Result<Self, StoreError> {
        let no_json = |error: &dyn std::fmt::Display| {
            StoreError::Unavailable(format!("an event is no JSON: {error}"))
        };
        let mut bodies = Vec::with_capacity(events.len() * USUAL_BYTES);
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let from = bodies.len();
            let id = event.write(&mut bodies).map_err(|error| no_json(&error))?;
            rows.push(Row {
                at: micros(event.time()),
                at_assumed: event.is_time_assumed(),
                id,
                valid_until: event.holds_until().map(micros),
                body: from..bodies.len(),
            });
        }
        let bodies = String::from_utf8(bodies).map_err(|error| no_json(&error))?;
        Ok(Self { rows, bodies })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Each with its body.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Row, &str)> {
        let body = |row: &Row| self.bodies.get(row.body.clone()).unwrap_or_default();
        self.rows.iter().map(move |row| (row, body(row)))
    }

    /// What they weigh in the queue, beside the events that they were made of, which are as large.
    pub(super) fn bytes(&self) -> usize {
        2 * self.bodies.len() + self.rows.len() * size_of::<Row>()
    }
}
