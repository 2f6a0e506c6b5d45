//! Correlation: which change caused these alerts. Pure: no clock, no I/O, no randomness.
//!
//! Events merge into a [`Window`]; its episodes make families, families make stories, and each
//! story is judged: every change set competes with "no recorded change" to have caused it.

mod answer;
mod candidate;
mod family;
mod grouping;
mod hazard;
mod impact;
mod kernel;
mod model;
mod scope;
mod time;
mod verdict;
mod window;
mod words;

#[cfg(test)]
mod tests;

pub use self::{
    answer::{
        Answer, Assessment, Cleared, Evidence, FamilySummary, Impact, Incident, IncidentId, Outage,
        State, Suspect, Term,
    },
    model::{Model, OnsetHint, Settings},
    window::Window,
};

use std::{borrow::Borrow, collections::BTreeMap};

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
    let from = newest.map(|newest| model.settings.window_from(newest));
    let mut window = Window::default();
    for event in &events {
        let event = event.borrow();
        if from.is_some_and(|from| event.time() >= from) {
            window.absorb(event.id(), event, &model.mapping);
        }
    }
    assess_window(model, &window, at)
}

/// Everything that is so at `at`, which is not before the window's newest event.
pub fn assess_window(model: &Model, window: &Window, at: Time) -> Assessment {
    let changes = window.changes(&model.mapping);
    let episodes = window.episodes(&model.mapping);
    let families = family::families(&episodes, &model.settings);
    let ground = hazard::Ground::new(model, &changes, &families, window.oldest());
    let ties: Vec<_> = (0..families.len()).map(|family| ground.ties(family)).collect();
    let incidents: Vec<_> = grouping::stories(&ground, &ties)
        .iter()
        .filter_map(|story| verdict::Case::new(&ground, story, &episodes, at)?.incident(&ties))
        .collect();
    let mut holder = BTreeMap::new();
    for incident in &incidents {
        holder.extend(incident.alerts.iter().map(|alert| (alert.clone(), incident.id.clone())));
    }
    let episodes = episodes
        .into_iter()
        .map(|episode| {
            let incident = holder.get(&episode.id).cloned();
            (episode, incident)
        })
        .collect();
    let notes = window.notes().map(|(_, note)| note.clone()).collect();
    Assessment { incidents, changes, episodes, notes }
}

/// A count as a number to reckon with.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts below 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}
