//! What can be asked of the two stores together: the state says what belongs to what, the log what
//! each alert said.

use super::{FiringRow, Log, Page, Paged, State, StoreError, View, paging::fill};
use crate::{
    correlate::{Family, Incident, IncidentId},
    event::{Change, ChangeId, Episode, EpisodeId, Event, Mapping, Note, Stretch, Time},
};

/// Both stores, and how labels become scope.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// What was made of the log.
    pub state: &'a dyn State,
    /// What was said.
    pub log: &'a dyn Log,
    /// How labels become scope.
    pub mapping: &'a Mapping,
}

impl Stored<'_> {
    /// The episode that begins with a firing, in the log's words; `None` if the log no longer has
    /// them.
    fn episode(&self, row: &FiringRow) -> Result<Option<Episode>, StoreError> {
        let told = self.log.event(row.firing.told_at, &row.firing.told)?;
        let (Some(Event::Alert(report)), Some(outlook)) = (told, row.episode) else {
            return Ok(None);
        };
        let (told_at, told) = (row.firing.told_at, row.firing.told);
        let pending_at = row.firing.pending_at;
        let stretch = Stretch { starts_at: row.starts_at, outlook, pending_at, told_at, told };
        Ok(Some(Episode::new(&report, self.mapping, &stretch)))
    }

    fn holder(&self, row: &FiringRow) -> Result<Option<IncidentId>, StoreError> {
        self.state.holder(row.family, row.starts_at)
    }
}

impl View for Stored<'_> {
    fn incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError> {
        self.state.incidents(page, keep)
    }

    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        if let Some(row) = self.state.firing(&EpisodeId(id.to_owned()))? {
            return match self.holder(&row)? {
                Some(holder) => self.state.incident(&holder.0),
                None => Ok(None),
            };
        }
        self.state.incident(id)
    }

    fn changes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Change) -> bool,
    ) -> Result<Paged<Change>, StoreError> {
        self.state.changes(page, keep)
    }

    fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        self.state.change(id)
    }

    fn families(
        &self,
        page: &Page,
        keep: &dyn Fn(&Family) -> bool,
    ) -> Result<Paged<Family>, StoreError> {
        self.state.families(page, keep)
    }

    fn symptoms(&self, incident: &IncidentId, limit: usize) -> Result<Vec<Family>, StoreError> {
        self.state.symptoms(incident, limit)
    }

    fn episodes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Episode) -> bool,
    ) -> Result<Paged<(Episode, Option<IncidentId>)>, StoreError> {
        let Paged { items: rows, next: rest } = self.state.firings(page)?;
        let told = rows.iter().filter_map(|row| {
            let told = |episode| ((row.starts_at, row.id().0), (episode, row));
            self.episode(row).map(|episode| episode.map(told)).transpose()
        });
        let Paged { items, next } = fill(page.limit, told, |(episode, _)| keep(episode))?;
        let held = items.into_iter().map(|(episode, row)| Ok((episode, self.holder(row)?)));
        Ok(Paged { items: held.collect::<Result<_, StoreError>>()?, next: next.or(rest) })
    }

    fn members(&self, incident: &IncidentId, limit: usize) -> Result<Vec<EpisodeId>, StoreError> {
        self.state.members(incident, limit)
    }

    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.state.notes(start, end, limit)
    }
}
