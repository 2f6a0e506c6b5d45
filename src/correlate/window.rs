//! The window: all events of the time under consideration, merged into things and folded.
//!
//! It holds everything in memory, for one answer as of one time. Merging is a join, so the window
//! is the same whatever order its events came in, however often.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Assessment, Model,
    course::Span,
    dormant::Past,
    family::{FamilyKey, Head},
    fold::Fold,
};
use crate::event::{AlertReport, Episode, Event, EventId, Feedback, Firings, Note, Time};

/// Events, merged.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// What began before is listed, and in no incident.
    from: Time,
    fold: Fold,
    alerts: BTreeMap<EventId, Alert>,
    notes: BTreeMap<(Time, EventId), Note>,
    feedback: BTreeMap<(Time, EventId), Feedback>,
}

/// All that was reported of one alert.
#[derive(Clone, Debug)]
struct Alert {
    key: FamilyKey,
    firings: Firings,
    reports: BTreeMap<EventId, AlertReport>,
}

impl Window {
    /// An empty window that begins at this time.
    pub fn new(from: Time) -> Self {
        Self { from, ..Self::default() }
    }

    /// The same, after this past.
    pub fn after(past: Past, from: Time, model: &Model) -> Self {
        Self { fold: Fold::after(past, model), ..Self::new(from) }
    }

    /// Takes in one event, whose content id is `id`.
    pub fn absorb(&mut self, model: &Model, id: EventId, event: Event) {
        self.fold.observe(event.time());
        match event {
            Event::Change(report) => self.fold.change(&report, id),
            Event::Alert(report) => self.alert(model, id, report),
            Event::Note(note) => {
                self.notes.insert((note.at, id), note);
            }
            Event::Feedback(feedback) => {
                self.fold.feedback(model, &feedback, id);
                self.feedback.insert((feedback.at, id), feedback);
            }
        }
    }

    fn alert(&mut self, model: &Model, id: EventId, report: AlertReport) {
        let identity = model.mapping.identity_id(&report.labels);
        let alert = self.alerts.entry(identity).or_insert_with(|| Alert {
            key: FamilyKey::of(&report.labels, &model.mapping),
            firings: Firings::default(),
            reports: BTreeMap::new(),
        });
        let old = Span::all(&alert.firings, &identity, self.from);
        alert.firings.absorb(&report, id);
        if alert.reports.get(&id).is_none_or(|held| report.outdoes(held)) {
            alert.reports.insert(id, report);
        }
        let new = Span::all(&alert.firings, &identity, self.from);
        let head = |span: &Span| alert.head(model, span);
        let place = self.fold.place(&alert.key.view());
        self.fold.alert(model, place, (&old, &new), &head);
    }

    /// What is different since it was asked last. The incidents are as of no time yet.
    pub fn advance(&mut self, model: &Model) -> super::fold::News {
        for key in self.fold.forgotten() {
            let of_key = || self.alerts.iter().filter(|(_, alert)| alert.key == *key);
            let all: Vec<_> = of_key()
                .flat_map(|(identity, alert)| Span::all(&alert.firings, identity, self.from))
                .collect();
            let head = |span: &Span| {
                let alert = self.alerts.get(&span.identity);
                alert.map(|alert| alert.head(model, span)).unwrap_or_default()
            };
            self.fold.retell(model, &key, &all, &head);
        }
        self.fold.advance(model, Time::MIN_UTC)
    }

    /// Everything that is so at `at`, which is not before its newest event.
    pub fn assess(mut self, model: &Model, at: Time) -> Assessment {
        let news = self.advance(model);
        let mut all = Vec::new();
        for alert in self.alerts.values() {
            for stretch in alert.firings.stretches() {
                let Some(report) = alert.reports.get(&stretch.told) else { continue };
                let episode = Episode::new(report, &model.mapping, &stretch);
                let incident = self.fold.holder(&alert.key, stretch.starts_at).cloned();
                all.push((episode, incident));
            }
        }
        all.sort_by(|(one, _), (other, _)| {
            (one.starts_at, &one.id).cmp(&(other.starts_at, &other.id))
        });
        Assessment {
            incidents: news.incidents.into_iter().map(|incident| incident.at(at)).collect(),
            changes: self.fold.changes().cloned().collect(),
            families: news
                .families
                .into_iter()
                .map(|kept| (Arc::unwrap_or_clone(kept.family), kept.incident))
                .collect(),
            episodes: all,
            notes: self.notes.into_values().collect(),
            feedback: self.feedback.into_values().collect(),
        }
    }
}

impl Alert {
    /// The report that tells of the span's first firing.
    fn told(&self, span: &Span) -> Option<&AlertReport> {
        let mut firings = self.firings.iter().filter(|(start, _)| *start == span.starts_at);
        self.reports.get(&firings.next()?.1.told)
    }

    fn head(&self, model: &Model, span: &Span) -> Head {
        self.told(span).map(|report| Head::new(report, span, &model.mapping)).unwrap_or_default()
    }
}
