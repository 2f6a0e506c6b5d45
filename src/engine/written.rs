//! What the state holds of the window, so that only what differs is written.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    correlate::{Assessment, IncidentId, Window},
    event::{ChangeId, EpisodeId, EventId, Time},
    store::{Page, Paged, State, StateBatch, StoreError},
};

/// Start and hash of each thing that is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    incidents: Rows<IncidentId>,
    episodes: Rows<EpisodeId>,
    changes: Rows<ChangeId>,
    notes: usize,
}

const PAGE: usize = 1000;

impl Written {
    /// What an earlier engine left in the state: the incidents and episodes that had not ended
    /// before `since`.
    pub(super) fn read(state: &dyn State, since: Option<Time>) -> Result<Self, StoreError> {
        let mut written = Self::default();
        let Some(since) = since else { return Ok(written) };
        let incidents = |page: &Page| state.incidents(page, &|_| true);
        walk(incidents, since, |incident| {
            written.incidents.add(&incident.id, incident.started_at, &incident);
        })?;
        let episodes = |page: &Page| state.episodes(page, &|_| true);
        walk(episodes, since, |episode| {
            written.episodes.add(&episode.0.id, episode.0.starts_at, &episode);
        })?;
        Ok(written)
    }

    /// What must be written so that the state says what the assessment does, and what is written
    /// once that is done. What began before `frozen_before` stays when it is no more: it left the
    /// window.
    pub(super) fn batch(
        &self,
        now: &Assessment,
        window: &Window,
        frozen_before: Time,
    ) -> (StateBatch, Self) {
        let mut written = Self { notes: now.notes.len(), ..Self::default() };
        let mut batch = StateBatch::default();
        for incident in &now.incidents {
            if written
                .incidents
                .add(&incident.id, incident.started_at, incident)
                .differs(&self.incidents)
            {
                batch.incidents.push(incident.clone());
            }
        }
        for episode in &now.episodes {
            if written
                .episodes
                .add(&episode.0.id, episode.0.starts_at, episode)
                .differs(&self.episodes)
            {
                batch.episodes.push(episode.clone());
            }
        }
        for change in &now.changes {
            if written.changes.add(&change.id, change.started_at, change).differs(&self.changes) {
                batch.changes.push(change.clone());
            }
        }
        if written.notes != self.notes {
            batch.notes = window.notes().map(|(id, note)| (id, note.clone())).collect();
        }
        batch.incidents_gone = self.incidents.gone(&written.incidents, frozen_before);
        batch.episodes_gone = self.episodes.gone(&written.episodes, frozen_before);
        (batch, written)
    }
}

/// Start and hash of rows, by id.
#[derive(Clone, Debug)]
struct Rows<Id>(BTreeMap<Id, (Time, EventId)>);

impl<Id> Default for Rows<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// A row that was just added.
struct Row<'a, Id> {
    id: &'a Id,
    hash: EventId,
}

impl<Id: Clone + Ord> Rows<Id> {
    fn add<'a, T: Serialize>(&mut self, id: &'a Id, start: Time, row: &T) -> Row<'a, Id> {
        let hash = EventId::of(row);
        self.0.insert(id.clone(), (start, hash));
        Row { id, hash }
    }

    /// The rows that began at `since` or later, and are not among those that are there now.
    fn gone(&self, now: &Self, since: Time) -> Vec<Id> {
        let gone =
            self.0.iter().filter(|(id, (start, _))| *start >= since && !now.0.contains_key(id));
        gone.map(|(id, _)| id.clone()).collect()
    }
}

impl<Id: Ord> Row<'_, Id> {
    fn differs(&self, written: &Rows<Id>) -> bool {
        written.0.get(self.id).is_none_or(|(_, hash)| *hash != self.hash)
    }
}

/// Walks all pages of a list of what had not ended before `since`.
fn walk<T>(
    list: impl Fn(&Page) -> Result<Paged<T>, StoreError>,
    since: Time,
    mut each: impl FnMut(T),
) -> Result<(), StoreError> {
    let mut page = Page { start: Some(since), end: None, after: None, limit: PAGE };
    loop {
        let paged = list(&page)?;
        paged.items.into_iter().for_each(&mut each);
        match paged.next {
            Some(next) => page.after = Some(next),
            None => return Ok(()),
        }
    }
}
