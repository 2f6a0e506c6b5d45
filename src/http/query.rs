//! What is asked: read from the state as of now, or from a fold of the log as of then. The two are
//! the same [`View`], so an answer does not know which it comes from.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use serde::Serialize;
use warp::reply::Response;

use super::{
    Api, Request,
    documents::TimelineForm,
    params::{LIST, MOMENT, Params, Selection, When, cursor},
    reply::{ApiError, json},
    route::{Id, Target},
    view::{Alert, Answered, Cause, Impacts, List, One, Timeline},
};
use crate::{
    clock,
    correlate::{Incident, State, Told},
    event::{Change, ChangeId, Feedback, Note, Time},
    feed::Gap,
    hearing::Hearing,
    picture::Range,
    rules::change_labels,
    store::{Page, Paged, StoreError, View},
    timeline,
};

/// A query waits so long for its turn to read.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeline's range, where the query gives no start.
const TIMELINE_RANGE: TimeDelta = TimeDelta::hours(24);
/// A timeline is made from at most so many pages of symptoms, ...
const TIMELINE_PAGES_MAX: usize = 4;
/// ... and of changes, of this size, ...
const TIMELINE_PAGE: usize = 250;
/// ... and of so many notes; an incident's of so many symptoms.
const TIMELINE_MAX: usize = 1_000;
/// So many of an incident's alerts are named, ...
const MEMBERS_MAX: usize = 1_000;
/// ... and of one that has more, so many: nobody reads them, and of a storm they are far apart.
const MEMBERS_OF_MORE: usize = 20;

/// What one answer is read from, and the time that it is as of.
pub(super) struct Moment<'a> {
    pub(super) view: &'a dyn View,
    pub(super) at: Time,
    /// How far before an incident its cause is looked for.
    look_back: TimeDelta,
    /// Who is silent, where the answer is as of now; one as of then does not depend on it.
    pub(super) hearing: Option<&'a Hearing>,
}

impl Api {
    /// Answers a query. What is wrong with it is said before anything is waited for or read.
    pub(super) async fn ask(&self, target: Target, request: Request) -> Result<Response, ApiError> {
        let Request { query, headers, .. } = request;
        let params = Params::new(query, parameters(&target))?;
        let (when, select) = (params.when()?, params.selection()?);
        match target {
            Target::Incidents => self.read(when, move |moment| incidents(moment, &select)).await,
            Target::Incident(id) => self.read(when, move |moment| incident(moment, &id)).await,
            Target::Suspects(id) => {
                self.read(when, move |moment| Ok(Cause::from(moment.incident(&id)?))).await
            }
            Target::Impact(id) => {
                self.read(when, move |moment| Ok(Impacts::from(moment.incident(&id)?))).await
            }
            Target::IncidentTimeline(id) => {
                let form = TimelineForm::of(&params)?;
                let range = Range { from: select.page.start, to: select.page.end };
                let read =
                    move |moment: &Moment<'_>| Ok(timeline_of(moment, &moment.incident(&id)?)?.0);
                Ok(form.reply(&self.answered(when, read).await?, range))
            }
            Target::Postmortem(id) => self.postmortem(id, &params, &headers).await,
            Target::Stream => self.stream(),
            Target::Changes => self.read(when, move |moment| changes(moment, &select)).await,
            Target::Change(id) => self.read(when, move |moment| change(moment, &id)).await,
            Target::Alerts => self.read(when, move |moment| alerts(moment, &select)).await,
            Target::Timeline => {
                let form = TimelineForm::of(&params)?;
                let range = Range { from: select.page.start, to: select.page.end };
                let read = move |moment: &Moment<'_>| timeline(moment, &select);
                Ok(form.reply(&self.answered(when, read).await?, range))
            }
            Target::AlertmanagerStatus => Ok(self.alertmanager_status()),
            Target::Feeds => Ok(self.feeds()),
            Target::Catalog => self.catalog().await,
            Target::Metrics => self.metrics_page().await,
            Target::Healthy => Ok(Self::healthy()),
            Target::Ready => self.ready(),
            Target::Reload => self.reload().await,
            Target::Source(_)
            | Target::Own(_)
            | Target::Heartbeat(_)
            | Target::Feedback(_)
            | Target::Actions(_)
            | Target::Page(_)
            | Target::Unknown => Err(ApiError::not_found("nothing is asked for here")),
        }
    }

    /// Answers with what `work` reads, once as much of the log is assessed as was asked for.
    async fn read<T: Serialize + Send + 'static>(
        &self,
        when: When,
        work: impl Fn(&Moment<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        Ok(json(&self.answered(when, work).await?))
    }

    /// The same, to be written otherwise.
    pub(super) async fn answered<T: Send + 'static>(
        &self,
        when: When,
        work: impl Fn(&Moment<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Answered<T>, ApiError> {
        if let Some((seq, timeout)) = when.wait
            && !self.parts.engine.wait(seq, timeout).await
        {
            let assessed = self.parts.engine.assessed().0;
            let detail = format!("assessed up to {assessed}, not yet up to {}", seq.0);
            return Err(ApiError::not_yet(detail));
        }
        let (engine, hearing) = (self.parts.engine.clone(), Arc::clone(&self.parts.hearing));
        let read = move || {
            let model = engine.model();
            let look_back = model.settings.look_back;
            if let Some(at) = when.at {
                let view = &engine.as_of(&model, at)?;
                let body = work(&Moment { view, at, look_back, hearing: None })?;
                return Ok(Answered { at, config: model.hash(), body });
            }
            let (at, hearing) = (clock::now(), Some(&*hearing));
            let (config, body) =
                engine.read(|view| work(&Moment { view, at, look_back, hearing }))?;
            Ok(Answered { at, config, body })
        };
        self.in_turn(read).await
    }

    /// Runs what blocks, a bounded number at once.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.reads).acquire_owned());
        let Ok(Ok(turn)) = turn.await else { return Err(ApiError::busy()) };
        let work = move || {
            let result = work();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a query failed");
            Err(ApiError::internal())
        })
    }
}

/// The parameters that a query may have; `None`: any, they are not looked at.
const fn parameters(target: &Target) -> Option<&'static [&'static [&'static str]]> {
    match target {
        Target::Incidents => Some(&[&LIST, &["state"], &MOMENT]),
        Target::Changes => Some(&[&LIST, &MOMENT]),
        Target::Alerts => Some(&[&LIST, &["firing"], &MOMENT]),
        Target::Timeline => Some(&[&["start", "end", "match[]", "format"], &MOMENT]),
        Target::IncidentTimeline(_) => Some(&[&["start", "end", "format"], &MOMENT]),
        Target::Postmortem(_) => Some(&[&["format", "actors"], &MOMENT]),
        Target::Change(_) | Target::Incident(_) | Target::Suspects(_) | Target::Impact(_) => {
            Some(&[&MOMENT])
        }
        Target::Feeds | Target::Catalog | Target::Stream => Some(&[]),
        Target::Source(_)
        | Target::Own(_)
        | Target::AlertmanagerStatus
        | Target::Heartbeat(_)
        | Target::Feedback(_)
        | Target::Actions(_)
        | Target::Page(_)
        | Target::Metrics
        | Target::Healthy
        | Target::Ready
        | Target::Reload
        | Target::Unknown => None,
    }
}

impl Moment<'_> {
    pub(super) fn incident(&self, Id(id): &Id) -> Result<Incident, ApiError> {
        let found = self.view.incident(id)?.map(|incident| self.told(incident)).transpose()?;
        let nothing = || format!("no incident, and no alert in one, has the id {id:?}");
        found.ok_or_else(|| ApiError::not_found(nothing()))
    }

    /// The incident as it is told: as of this moment, and with the doubt that silence casts.
    fn told(&self, incident: Incident) -> Result<Incident, StoreError> {
        let incident = incident.at(self.at);
        match self.hearing {
            Some(hearing) => hearing.doubted(incident, self.look_back, self.at),
            None => Ok(incident),
        }
    }

    /// The same with its alerts.
    fn with_alerts(&self, incident: Incident) -> Result<Told, StoreError> {
        let limit = if incident.alert_count > MEMBERS_MAX { MEMBERS_OF_MORE } else { MEMBERS_MAX };
        let alerts = self.view.members(&incident.id, limit)?;
        Ok(Told { incident, alerts })
    }

    /// The gaps that reach into a time.
    fn gaps(&self, from: Time, to: Time) -> Result<Vec<Gap>, StoreError> {
        let Some(hearing) = self.hearing else { return Ok(Vec::new()) };
        hearing.gaps(from, to, self.at)
    }
}

fn list<T>(name: &'static str, page: Paged<T>) -> List<T> {
    List { name, items: page.items, next: page.next.as_ref().map(cursor) }
}

fn incidents(moment: &Moment<'_>, select: &Selection) -> Result<List<Told>, ApiError> {
    let Paged { items, next } = incidents_of(moment, select)?;
    let told = items.into_iter().map(|incident| Ok(moment.with_alerts(incident)?));
    let items = told.collect::<Result<_, ApiError>>()?;
    Ok(list("incidents", Paged { items, next }))
}

/// The incidents that are asked for, as they are told.
pub(super) fn incidents_of(
    moment: &Moment<'_>,
    select: &Selection,
) -> Result<Paged<Incident>, ApiError> {
    let Paged { items, next } = moment.view.incidents(&select.page, &|incident| {
        select.state.is_none_or(|state| incident.clone().at(moment.at).state == state)
            && select.matching.holds(|| incident.labels.clone())
    })?;
    let told = items.into_iter().map(|incident| Ok(moment.told(incident)?));
    Ok(Paged { items: told.collect::<Result<_, ApiError>>()?, next })
}

fn incident(moment: &Moment<'_>, id: &Id) -> Result<One<Told>, ApiError> {
    Ok(One { name: "incident", thing: moment.with_alerts(moment.incident(id)?)? })
}

fn changes(moment: &Moment<'_>, select: &Selection) -> Result<List<Change>, ApiError> {
    let keep = |change: &Change| select.matching.holds(|| change_labels(change));
    Ok(list("changes", moment.view.changes(&select.page, &keep)?))
}

fn change(moment: &Moment<'_>, Id(id): &Id) -> Result<One<Change>, ApiError> {
    let id = ChangeId(id.clone());
    let nothing = || ApiError::not_found(format!("no change has the id {:?}", id.0));
    Ok(One { name: "change", thing: moment.view.change(&id)?.ok_or_else(nothing)? })
}

fn alerts(moment: &Moment<'_>, select: &Selection) -> Result<List<Alert>, ApiError> {
    let Paged { items, next } = moment.view.episodes(&select.page, &|episode| {
        select.firing.is_none_or(|firing| episode.fires_at(moment.at) == firing)
            && select.matching.holds(|| episode.scope.labels().clone())
    })?;
    let items =
        items.into_iter().map(|(episode, incident)| Alert::new(episode, incident)).collect();
    Ok(list("alerts", Paged { items, next }))
}

/// So many open incidents are shown above the others.
const OPEN_MAX: usize = 100;

/// The incidents of which an alert fires, however long ago they began.
pub(super) fn open_incidents(moment: &Moment<'_>) -> Result<Vec<Incident>, ApiError> {
    let page = Page { start: None, end: None, edges: false, after: None, limit: OPEN_MAX };
    let is_open = |incident: &Incident| incident.clone().at(moment.at).state == State::Open;
    let open = moment.view.incidents(&page, &is_open)?.items.into_iter();
    open.map(|incident| Ok(moment.told(incident)?)).collect()
}

/// An incident's timeline, and what people said of its changes.
pub(super) fn timeline_of(
    moment: &Moment<'_>,
    incident: &Incident,
) -> Result<(Timeline, Vec<Feedback>), ApiError> {
    let symptoms = moment.view.symptoms(&incident.id, TIMELINE_MAX)?;
    let suspects = incident.suspects.iter().flat_map(|suspect| &suspect.changes);
    let cleared = incident.cleared.iter().flat_map(|cleared| &cleared.changes);
    let mut changes = Vec::new();
    for id in suspects.chain(cleared).chain(&incident.responses) {
        changes.extend(moment.view.change(id)?);
    }
    let begun = incident.suspects.iter().map(|suspect| suspect.started_at);
    let onsets = incident.families.iter().map(|family| family.onset_from);
    let from = begun.chain(onsets).fold(incident.started_at, Time::min);
    let (mut notes, truncated) = notes(moment, from, moment.at)?;
    for note in &mut notes {
        // A note may name one of the incident's alerts.
        if let Some(id) = note.incident.take() {
            let named = moment.view.incident(&id)?;
            note.incident = Some(named.map_or(id, |named| named.id.0));
        }
    }
    let feedback = feedback_on(moment, incident)?;
    let truncated = truncated || symptoms.len() == TIMELINE_MAX;
    let gaps = moment.gaps(from, incident.ended_at.unwrap_or(moment.at))?;
    let entries = timeline::entries(incident, &symptoms, &changes, &notes, moment.at);
    let titled = changes.iter().map(|change| (&change.id, change)).collect();
    let entries = timeline::with_feedback(entries, &feedback, &titled);
    let entries = timeline::with_gaps(entries, &gaps, from);
    let id = Some(incident.id.clone());
    let timeline = Timeline { incident: id, entries, truncated, frozen: incident.frozen };
    Ok((timeline, feedback))
}

/// What people said of this incident's changes: they name it, or one of its alerts.
fn feedback_on(moment: &Moment<'_>, incident: &Incident) -> Result<Vec<Feedback>, ApiError> {
    let mut said = moment.view.feedback(incident.started_at, moment.at, TIMELINE_MAX)?;
    let mut about: BTreeMap<String, bool> = BTreeMap::new();
    for one in &said {
        if !about.contains_key(&one.incident) {
            let named = moment.view.incident(&one.incident)?;
            about.insert(one.incident.clone(), named.is_some_and(|named| named.id == incident.id));
        }
    }
    said.retain(|one| about.get(&one.incident) == Some(&true));
    Ok(said)
}

/// The range that is asked for; a day up to now where the query does not say.
pub(super) fn range_of(moment: &Moment<'_>, select: &Selection) -> (Time, Time) {
    let end = select.page.end.unwrap_or(moment.at);
    let day_before = || end.checked_sub_signed(TIMELINE_RANGE).unwrap_or(end);
    (select.page.start.unwrap_or_else(day_before), end)
}

pub(super) fn timeline(moment: &Moment<'_>, select: &Selection) -> Result<Timeline, ApiError> {
    let (start, end) = range_of(moment, select);
    // What goes on all through the range has no entry in it.
    let page =
        Page { start: Some(start), end: Some(end), edges: true, after: None, limit: TIMELINE_PAGE };
    let (symptoms, more_symptoms) = collect(page.clone(), |page| {
        moment.view.families(page, &|one| select.matching.holds(|| one.labels().clone()))
    })?;
    let (changes, more_changes) = collect(page, |page| {
        moment.view.changes(page, &|one| select.matching.holds(|| change_labels(one)))
    })?;
    let (mut notes, more_notes) = notes(moment, start, end)?;
    notes.retain(|note| select.matching.holds(|| note.labels.clone()));
    let mut entries = timeline::between(&symptoms, &changes, &notes, moment.at);
    // What lasts has two entries, of which one may be out of the range.
    entries.retain(|entry| start <= entry.at && entry.at <= end);
    let entries = timeline::with_gaps(entries, &moment.gaps(start, end)?, start);
    let truncated = more_symptoms || more_changes || more_notes;
    Ok(Timeline { incident: None, entries, truncated, frozen: false })
}

/// The notes of a range, and whether there may be more than are taken.
fn notes(moment: &Moment<'_>, from: Time, to: Time) -> Result<(Vec<Note>, bool), StoreError> {
    let notes = moment.view.notes(from, to, TIMELINE_MAX)?;
    let more = notes.len() == TIMELINE_MAX;
    Ok((notes, more))
}

/// The first pages of a list, and whether there are more.
pub(super) fn collect<T>(
    mut page: Page,
    read: impl Fn(&Page) -> Result<Paged<T>, StoreError>,
) -> Result<(Vec<T>, bool), StoreError> {
    let mut all = Vec::new();
    for _ in 0..TIMELINE_PAGES_MAX {
        let Paged { items, next } = read(&page)?;
        all.extend(items);
        if next.is_none() {
            return Ok((all, false));
        }
        page.after = next;
    }
    Ok((all, true))
}
