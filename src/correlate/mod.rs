//! Correlation: which change caused these alerts. Pure: no clock, no I/O, no randomness.
//!
//! Events merge into a [`Window`]; its episodes make families, families make stories, and each
//! story is judged: every change set competes with "no recorded change" to have caused it.

mod answer;
mod bond;
mod candidate;
mod course;
mod dormant;
mod family;
mod feedback;
mod fold;
mod grouping;
mod hazard;
mod impact;
mod kernel;
mod learning;
mod model;
mod odds;
mod scope;
mod spread;
mod time;
mod verdict;
mod vocabulary;
mod window;
mod words;

#[cfg(test)]
mod tests;

pub use self::{
    answer::{
        Answer, Assessment, Cleared, Contributing, Evidence, FamilySummary, Impact, Incident,
        IncidentId, Outage, State, Suspect, Term, Told,
    },
    course::{Span, Spans},
    dormant::Past,
    family::{Family, FamilyKey, FamilyRef, Head, KeyPlace, KeyView, family_id},
    fold::{Altered, Fold, Kept, News, Part},
    model::{Model, Settings},
    window::Window,
};

use std::borrow::Borrow;

use crate::event::{Event, Time};

/// Everything that is so at `at`, by the events up to it, in whatever order they are given.
pub fn assess<E: Borrow<Event>>(
    model: &Model,
    events: impl IntoIterator<Item = E>,
    at: Time,
) -> Assessment {
    let mut events: Vec<_> = events.into_iter().collect();
    events.retain(|event| event.borrow().time() <= at);
    let newest = events.iter().map(|event| event.borrow().time()).max();
    let Some(newest) = newest else { return Assessment::default() };
    let (past_from, from) = (model.settings.past_from(newest), model.settings.window_from(newest));
    let mut past = Past::default();
    let is_past = |event: &&Event| event.time() >= past_from && event.time() < from;
    for event in events.iter().map(Borrow::borrow).filter(is_past) {
        if let Event::Change(report) = event {
            past.absorb(report, event.id());
        }
    }
    let mut window = Window::after(past, from, model);
    for event in events.iter().map(Borrow::borrow).filter(|event| event.time() >= from) {
        window.absorb(model, event.id(), event.clone());
    }
    window.assess(model, at)
}

/// A count as a number to reckon with.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts below 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}
