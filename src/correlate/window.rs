//! The window: all events of the time under consideration, merged into things.
//!
//! Merging is a join, so the window is the same whatever order its events came in, however often.

use std::collections::BTreeMap;

use crate::event::{
    Change, ChangeHistory, ChangeId, Episode, Event, EventId, Firings, Identity, Mapping, Note,
    Time,
};

/// Events, merged.
#[derive(Clone, Debug, Default)]
pub struct Window {
    changes: BTreeMap<ChangeId, ChangeHistory>,
    alerts: BTreeMap<Identity, Firings>,
    notes: BTreeMap<(Time, EventId), Note>,
    oldest: Option<Time>,
    newest: Option<Time>,
}

impl Window {
    /// Takes in one event, whose content id is `id`.
    pub fn absorb(&mut self, id: EventId, event: &Event, mapping: &Mapping) {
        match event {
            Event::Change(report) => {
                self.changes.entry(report.id.clone()).or_default().absorb(report, id);
            }
            Event::Alert(report) => {
                let identity = mapping.identity(&report.labels);
                self.alerts.entry(identity).or_default().absorb(report);
            }
            Event::Note(note) => {
                self.notes.insert((note.at, id), note.clone());
            }
        }
        let time = event.time();
        self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
    }

    /// The time of its first event.
    pub fn oldest(&self) -> Option<Time> {
        self.oldest
    }

    /// The time of its last event.
    pub fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// Its changes, by start and then by what they are.
    pub fn changes(&self, mapping: &Mapping) -> Vec<Change> {
        let mut changes: Vec<_> =
            self.changes.iter().filter_map(|(id, history)| history.change(id, mapping)).collect();
        changes
            .sort_by_cached_key(|change| (change.started_at, change.content(), change.id.clone()));
        changes
    }

    /// Its alert episodes, by start and then by id.
    pub fn episodes(&self, mapping: &Mapping) -> Vec<Episode> {
        let mut episodes = Vec::new();
        for (identity, firings) in &self.alerts {
            let scope = mapping.scope(identity);
            for stretch in firings.stretches() {
                episodes.push(Episode::new(identity, scope.clone(), stretch));
            }
        }
        episodes.sort_by(|one, other| (one.starts_at, &one.id).cmp(&(other.starts_at, &other.id)));
        episodes
    }

    /// Its notes with their ids, by time.
    pub fn notes(&self) -> impl Iterator<Item = (EventId, &Note)> {
        self.notes.iter().map(|((_, id), note)| (*id, note))
    }
}
