//! What can be asked of the stores together: the state says what belongs to what, the log what each
//! alert said, and the records what was said of incidents whose events are dropped.

use super::{FiringRow, Log, Page, Paged, Records, State, StoreError, View, paging::fill};
use crate::{
    correlate::{Family, Incident, IncidentId},
    event::{Change, ChangeId, Episode, EpisodeId, Event, Feedback, Mapping, Note, Stretch, Time},
};

/// The stores, and how labels become scope.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// What was made of the log.
    pub state: &'a dyn State,
    /// What was said.
    pub log: &'a dyn Log,
    /// What was kept of what is no longer there.
    pub records: &'a dyn Records,
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

    /// The incident of this id. One that is frozen stays as it was, whatever is made of its events
    /// once more.
    fn told(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        // In this order: what leaves the state is in the records by then, and what began before their
        // line is among them.
        let held = self.state.incident(id)?;
        let before = self.records.frozen_before()?;
        if let Some(frozen) = self.records.frozen(id)? {
            return Ok(Some(frozen.incident));
        }
        Ok(held.filter(|held| before.is_none_or(|before| held.started_at >= before)))
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
        // In this order: what leaves the state is in the records by then.
        let Paged { mut items, next } = self.state.incidents(page, keep)?;
        let Some(before) = self.records.frozen_before()? else { return Ok(Paged { items, next }) };
        items.retain(|incident| incident.started_at >= before);
        if next.as_ref().is_some_and(|(start, _)| *start >= before) {
            return Ok(Paged { items, next });
        }
        let limit = page.limit.saturating_sub(items.len());
        if limit == 0 {
            // What is frozen comes after all of them.
            let next = items.last().map(|last| (last.started_at, last.id.0.clone()));
            return Ok(Paged { items, next });
        }
        let rest = Page { limit, ..page.clone() };
        let frozen = self.records.frozen_incidents(&rest, keep)?;
        items.extend(frozen.items);
        Ok(Paged { items, next: frozen.next })
    }

    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        if let Some(row) = self.state.firing(&EpisodeId(id.to_owned()))? {
            return match self.holder(&row)? {
                Some(holder) => self.told(&holder.0),
                // It may have left the state just now.
                None => self.told(id),
            };
        }
        self.told(id)
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
        match self.records.frozen(&incident.0)? {
            Some(frozen) => Ok(frozen.alerts.into_iter().take(limit).collect()),
            None => self.state.members(incident, limit),
        }
    }

    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError> {
        self.state.notes(start, end, limit)
    }

    fn feedback(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Feedback>, StoreError> {
        self.state.feedback(start, end, limit)
    }
}
