//! What can be asked of an assessment in memory: the same questions as of the state store, with the
//! same answers, for "as of then".

use std::cmp::Reverse;

use super::{Page, Paged, StoreError, View, paging::fill};
use crate::{
    correlate::{Assessment, Family, Incident, IncidentId},
    event::{Change, ChangeId, Episode, EpisodeId, Feedback, Note, Time},
};

impl View for Assessment {
    fn incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError> {
        let span = |one: &Incident| (one.started_at, one.end());
        list(&self.incidents, page, span, |one| &one.id.0, keep)
    }

    fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        let member = self.episodes.iter().find(|(episode, _)| episode.id.0 == id);
        let holder = member.and_then(|(_, incident)| incident.as_ref());
        let named = |one: &&Incident| one.id.0 == id || Some(&one.id) == holder;
        Ok(self.incidents.iter().find(named).cloned())
    }

    fn changes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Change) -> bool,
    ) -> Result<Paged<Change>, StoreError> {
        let span = |one: &Change| (one.started_at, one.finished_at);
        list(&self.changes, page, span, |one| &one.id.0, keep)
    }

    fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        Ok(self.changes.iter().find(|change| change.id == *id).cloned())
    }

    fn families(
        &self,
        page: &Page,
        keep: &dyn Fn(&Family) -> bool,
    ) -> Result<Paged<Family>, StoreError> {
        let all: Vec<_> = self.families.iter().map(|(family, _)| (family.id(), family)).collect();
        let span = |(_, one): &(String, &Family)| (one.starts_at, one.ends_at);
        let Paged { items, next } = list(&all, page, span, |one| &one.0, |one| keep(one.1))?;
        Ok(Paged { items: items.into_iter().map(|(_, one)| one.clone()).collect(), next })
    }

    fn symptoms(&self, incident: &IncidentId, limit: usize) -> Result<Vec<Family>, StoreError> {
        let held = self.families.iter().filter(|(_, holder)| holder.as_ref() == Some(incident));
        let mut symptoms: Vec<_> = held.map(|(family, _)| family.clone()).collect();
        symptoms.sort_by_cached_key(|family| (family.starts_at, family.id()));
        symptoms.truncate(limit);
        Ok(symptoms)
    }

    fn episodes(
        &self,
        page: &Page,
        keep: &dyn Fn(&Episode) -> bool,
    ) -> Result<Paged<(Episode, Option<IncidentId>)>, StoreError> {
        let span = |(one, _): &(Episode, _)| (one.starts_at, one.ends_at);
        list(&self.episodes, page, span, |(one, _)| &one.id.0, |(one, _)| keep(one))
    }

    fn members(&self, incident: &IncidentId, limit: usize) -> Result<Vec<EpisodeId>, StoreError> {
        let held = self.episodes.iter().filter(|(_, holder)| holder.as_ref() == Some(incident));
        let mut members: Vec<_> = held.map(|(one, _)| (one.starts_at, one.id.clone())).collect();
        members.sort();
        Ok(members.into_iter().map(|(_, id)| id).take(limit).collect())
    }

    fn notes(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Note>, StoreError> {
        let within = self.notes.iter().filter(|note| start <= note.at && note.at <= end);
        Ok(within.take(limit).cloned().collect())
    }

    fn feedback(&self, start: Time, end: Time, limit: usize) -> Result<Vec<Feedback>, StoreError> {
        let within = self.feedback.iter().filter(|said| start <= said.at && said.at <= end);
        Ok(within.take(limit).cloned().collect())
    }
}

fn list<T: Clone>(
    all: &[T],
    page: &Page,
    span: impl Fn(&T) -> (Time, Option<Time>),
    id: impl Fn(&T) -> &String,
    keep: impl Fn(&T) -> bool,
) -> Result<Paged<T>, StoreError> {
    let holds = |one: &&T| {
        let (start, end) = span(one);
        page.holds(start, end, id(one))
    };
    let mut within: Vec<_> = all.iter().filter(holds).collect();
    within.sort_by_key(|one| Reverse((span(one).0, id(one))));
    let candidates = within.into_iter().map(|one| Ok(((span(one).0, id(one).clone()), one)));
    let Paged { items, next } = fill(page.limit, candidates, |one: &&T| keep(one))?;
    Ok(Paged { items: items.into_iter().cloned().collect(), next })
}
