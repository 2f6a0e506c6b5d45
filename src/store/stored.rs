//! What can be asked of the two stores together: the state says what belongs to what, the log what
//! each alert said.

use super::{FiringRow, Log, Page, Paged, State, StoreError, View};
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
        let stretch = Stretch { starts_at: row.starts_at, outlook, told_at, told };
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
        let Paged { items, next } = self.state.firings(page)?;
        let mut episodes = Vec::new();
        for (place, row) in items.iter().enumerate() {
            let Some(episode) = self.episode(row)?.filter(|episode| keep(episode)) else { continue };
            episodes.push((episode, self.holder(row)?));
            let rest = place + 1 < items.len() || next.is_some();
            if episodes.len() == page.limit && rest {
                let next = Some((row.starts_at, row.id().0));
                return Ok(Paged { items: episodes, next });
            }
        }
        Ok(Paged { items: episodes, next })
    }

    fn members(&self, incident: &IncidentId, limit: usize) -> Result<Vec<EpisodeId>, StoreError> {
        let mut members: Vec<EpisodeId> = Vec::new();
        for family in self.state.symptoms(incident, limit)? {
            let key = crate::correlate::FamilyRef::of(&family.key);
            let range = (family.starts_at, family.ends_at.unwrap_or(Time::MAX_UTC));
            let rows = self.state.firings_of(key, None, range, limit)?;
            let first = rows.iter().filter(|row| row.episode.is_some());
            members.extend(first.map(FiringRow::id));
            if members.len() >= limit {
                break;
            }
        }
        members.sort();
        members.truncate(limit);
        Ok(members)
    }

    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.state.notes(start, end, limit)
    }
}
