//! The stores after a commit and the assessment in memory, asked the same.

mod versions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use super::{append, at, directory, note, open, shell};
use crate::{
    correlate::{
        Altered, Answer, Assessment, Family, FamilyKey, FamilyRef, Head, Incident, IncidentId,
        Kept, Model, Part, State as Progress, Window, assess,
    },
    event::{
        AlertReport, Change, ChangeHistory, ChangeId, ChangeReport, Episode, EpisodeId, Event,
        EventId, Firing, Firings, Kind, Mapping, Note, Outlook, Status, Time,
    },
    store::{
        EXAMINED_MAX, FiringRow, Page, Paged, Position, Seen, Seq, SqliteLog, SqliteRecords,
        SqliteState, State, StateBatch, StoreError, Stored, View,
    },
};

/// A start and perhaps a length, in steps: few values, so that many are the same.
pub(super) type Span = (i64, Option<i64>);

/// So many steps of two minutes after noon: firings two steps apart are one episode, three are not.
fn step(n: i64) -> Time {
    at(120 * n)
}

fn end_of((start, length): Span) -> Option<Time> {
    length.map(|length| step(start + length))
}

pub(super) fn incident(n: usize, span: Span, none_probability: f64) -> Incident {
    Incident {
        id: IncidentId(format!("inc_{n}")),
        state: Progress::Open,
        answer: Answer::None,
        headline: format!("the {n}th"),
        started_at: step(span.0),
        ended_at: end_of(span),
        expected_end: None,
        closes_at: None,
        first_alert: EpisodeId::default(),
        latest_at: Time::default(),
        alert_count: n,
        labels: [("service", format!("s{n}"))].into_iter().collect(),
        families: Vec::new(),
        more_families: 0,
        none_probability,
        suspects: Vec::new(),
        cleared: Vec::new(),
        responses: Vec::new(),
        impact: Vec::new(),
        frozen: false,
    }
}

/// A change and all that was reported of it.
fn change(n: usize, (start, length): Span) -> (Change, ChangeHistory) {
    let id = ChangeId(format!("chg_{n}"));
    let mut began = ChangeReport::new(id.clone(), Status::Started, step(start));
    began.kind = Some(Kind::ALL[n % Kind::ALL.len()]);
    began.title = Some(format!("the {n}th"));
    let ended = end_of((start, length));
    let ended = ended.map(|end| ChangeReport::new(id.clone(), Status::Succeeded, end));
    let mut history = ChangeHistory::default();
    for report in [Some(began), ended].into_iter().flatten() {
        history.absorb(&report, EventId::of(&report));
    }
    (history.change(&id, &Mapping::default()).unwrap(), history)
}

/// What is reported of the nth alert: of every third one the name is the same.
fn alert(n: usize, span: Span) -> AlertReport {
    let labels = [("alertname", format!("Alert{}", n % 3)), ("instance", n.to_string())];
    AlertReport {
        labels: labels.into_iter().collect(),
        starts_at: step(span.0),
        ends_at: end_of(span),
        expires_at: None,
        pending_at: None,
        summary: Some(format!("since step {}", span.0)),
        url: None,
    }
}

fn numbered_notes(times: Vec<i64>) -> Vec<(EventId, Note)> {
    let mut notes: Vec<_> = (0..)
        .zip(times)
        .map(|(n, steps): (u32, _)| note(120 * steps, &n.to_string()))
        .map(|note| (Event::Note(note.clone()).id(), note))
        .collect();
    // In event order, as a fold meets them.
    notes.sort_by_key(|(id, note)| (note.at, *id));
    notes
}

fn position() -> Position {
    let (config, mapping) = ("of this configuration".to_owned(), "of this mapping".to_owned());
    Position { seq: Seq(7), config, mapping, recent: step(3) }
}

/// What the engine would make of some alerts: the events, the rows, and the episodes with their
/// families' keys.
#[derive(Clone, Debug, Default)]
struct Alerts {
    events: Vec<Event>,
    rows: Vec<FiringRow>,
    episodes: Vec<(Episode, FamilyKey)>,
}

impl Alerts {
    /// By alert and start, how long each fired.
    fn new(fired: &BTreeMap<(usize, i64), Option<i64>>) -> Self {
        let mut alerts = Self::default();
        for n in fired.keys().map(|(n, _)| *n).collect::<BTreeSet<_>>() {
            let of_it = fired.range((n, i64::MIN)..=(n, i64::MAX));
            alerts.add(of_it.map(|((_, start), length)| alert(n, (*start, *length))).collect());
        }
        alerts.rows.sort_by_key(|row| (row.starts_at, row.identity));
        alerts.episodes.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        alerts
    }

    /// Takes in all that is reported of one alert.
    fn add(&mut self, reports: Vec<AlertReport>) {
        let mapping = Mapping::default();
        let identity = mapping.identity_id(&reports[0].labels);
        let key = FamilyKey::of(&reports[0].labels, &mapping);
        let facts: BTreeMap<EventId, AlertReport> = reports
            .into_iter()
            .flat_map(AlertReport::facts)
            .map(|fact| (Event::Alert(fact.clone()).id(), fact))
            .collect();
        let mut firings = Firings::default();
        for (id, fact) in &facts {
            firings.absorb(fact, *id);
        }
        let stretches: Vec<_> = firings.stretches().collect();
        for stretch in &stretches {
            let episode = Episode::new(&facts[&stretch.told], &mapping, stretch);
            self.episodes.push((episode, key.clone()));
        }
        for (starts_at, firing) in firings.iter().copied() {
            let first = stretches.iter().find(|stretch| stretch.starts_at == starts_at);
            let episode = first.map(|stretch| stretch.outlook);
            let family = FamilyRef::of(&key);
            self.rows.push(FiringRow { identity, family, starts_at, firing, episode });
        }
        self.events.extend(facts.into_values().map(Event::Alert));
    }

    /// Of one key all that fires at one time is one family.
    fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = Vec::new();
        for (episode, key) in &self.episodes {
            let held = families.iter_mut().rev().find(|family| *family.key == *key);
            match held.filter(|held| held.ends_at.is_none_or(|end| episode.starts_at <= end)) {
                Some(held) => {
                    held.ends_at =
                        held.ends_at.zip(episode.ends_at).map(|(one, other)| one.max(other));
                    held.episodes += 1;
                }
                None => families.push(family(episode, key)),
            }
        }
        families
    }
}

/// The families as a fold keeps them.
fn folded(events: &[Event]) -> Vec<Kept> {
    let model = Model::default();
    let mut window = Window::new(step(0));
    for event in events {
        window.absorb(&model, event.id(), event.clone());
    }
    window.advance(&model).families
}

/// Families as they come back.
fn as_written(kept: Vec<Kept>) -> Vec<Kept> {
    kept.into_iter().map(|kept| Kept { altered: Altered::default(), ..kept }).collect()
}

/// The families with the incident of each.
fn told(kept: &[Kept]) -> Vec<(Family, Option<IncidentId>)> {
    kept.iter().map(|kept| (Family::clone(&kept.family), kept.incident.clone())).collect()
}

/// The family with another end.
fn ends(at: Time, family: &Family) -> Family {
    Family { ends_at: Some(at), ..family.clone() }
}

/// The family that begins with an episode.
fn family(first: &Episode, key: &FamilyKey) -> Family {
    Family {
        key: Arc::new(key.clone()),
        head: Head {
            id: first.id.clone(),
            labels: first.scope.labels().clone(),
            summary: first.summary.clone(),
            ..Head::default()
        },
        onset_from: first.starts_at - chrono::TimeDelta::minutes(15),
        onset_to: first.starts_at,
        starts_at: first.starts_at,
        ends_at: first.ends_at,
        expected: false,
        episodes: 1,
    }
}

/// What is written, and the same in memory.
#[derive(Clone, Debug, Default)]
struct World {
    events: Vec<Event>,
    batch: StateBatch,
    memory: Assessment,
}

impl World {
    /// Each family is in the incident that `holder` says, by its number.
    fn new(
        incidents: Vec<Incident>,
        changes: Vec<(Change, ChangeHistory)>,
        alerts: Alerts,
        holder: impl Fn(usize) -> Option<IncidentId>,
        notes: Vec<(EventId, Note)>,
    ) -> Self {
        let kept = |(n, family): (usize, Family)| {
            let incident = holder(n);
            let key = FamilyRef::of(&family.key);
            let (family, part) = (Arc::new(family), Part::default());
            Kept { family, key, part, incident, altered: Altered::All }
        };
        let families: Vec<_> = alerts.families().into_iter().enumerate().map(kept).collect();
        let held = |(episode, key): &(Episode, FamilyKey)| {
            let holds =
                |one: &&Kept| *one.family.key == *key && one.family.starts_at <= episode.starts_at;
            let family = families.iter().filter(holds).max_by_key(|one| one.family.starts_at);
            (episode.clone(), family.unwrap().incident.clone())
        };
        let memory = Assessment {
            incidents: incidents.clone(),
            changes: changes.iter().map(|(change, _)| change.clone()).collect(),
            families: told(&families),
            episodes: alerts.episodes.iter().map(held).collect(),
            notes: notes.iter().map(|(_, note)| note.clone()).collect(),
            feedback: Vec::new(),
        };
        let position = position();
        let firings = alerts.rows;
        let batch = StateBatch {
            position,
            incidents,
            changes,
            families,
            firings,
            notes,
            ..StateBatch::default()
        };
        Self { events: alerts.events, batch, memory }
    }

    /// A few changes and nothing else.
    fn of_changes(changes: Vec<(Change, ChangeHistory)>) -> Self {
        Self::new(Vec::new(), changes, Alerts::default(), |_| None, Vec::new())
    }

    /// Stores that were told all of it.
    fn store(&self) -> Stores {
        let stores = Stores::new();
        append(&stores.log, &self.events).unwrap();
        tell(&stores.state, &self.batch);
        stores
    }
}

/// Both stores, in a directory of their own.
struct Stores {
    state: SqliteState,
    log: SqliteLog,
    records: SqliteRecords,
    mapping: Mapping,
    dir: TempDir,
}

impl Stores {
    fn new() -> Self {
        let dir = directory();
        let state = SqliteState::open(dir.path()).unwrap();
        let records = SqliteRecords::open(dir.path()).unwrap();
        Self { state, log: open(dir.path()), records, mapping: Mapping::default(), dir }
    }

    fn view(&self) -> Stored<'_> {
        let Self { state, log, records, mapping, dir: _ } = self;
        Stored { state, log, records, mapping }
    }
}

/// A state that was told all of it, with what it is kept in.
fn stored(batch: &StateBatch) -> (TempDir, SqliteState) {
    let dir = directory();
    let state = SqliteState::open(dir.path()).unwrap();
    tell(&state, batch);
    (dir, state)
}

/// Tells the state all of a batch; first of its firings every other two, so that there are several
/// segments, and then the others, which belong to all of them.
fn tell(state: &SqliteState, batch: &StateBatch) {
    for firings in batch.firings.chunks(2).step_by(2) {
        let firings = firings.to_vec();
        state.commit(&StateBatch { firings, ..StateBatch::default() }).unwrap();
    }
    state.commit(batch).unwrap();
}

fn span() -> impl Strategy<Value = Span> {
    (0_i64..6, prop::option::of(0_i64..4))
}

/// When six alerts fired, two of each name.
fn alerts() -> impl Strategy<Value = Alerts> {
    let fired = ((0_usize..6, 0_i64..12), prop::option::of(0_i64..4));
    prop::collection::vec(fired, 0..16).prop_map(|fired| Alerts::new(&fired.into_iter().collect()))
}

fn worlds() -> impl Strategy<Value = World> {
    let incidents = prop::collection::vec((span(), 0.0..1.0), 0..6);
    let holders = prop::collection::vec(prop::option::of(any::<Index>()), 16);
    let notes = prop::collection::vec(0_i64..6, 0..6);
    let changes = prop::collection::vec(span(), 0..12);
    (incidents, changes, alerts(), holders, notes).prop_map(
        |(incidents, changes, alerts, holders, notes)| {
            let number = |(n, (span, none)): (usize, _)| incident(n, span, none);
            let incidents: Vec<_> = incidents.into_iter().enumerate().map(number).collect();
            let ids: Vec<_> = incidents.iter().map(|one| one.id.clone()).collect();
            let holder = |n: usize| {
                let index = holders[n].filter(|_| !ids.is_empty());
                index.map(|index| index.get(&ids).clone())
            };
            let changes =
                changes.into_iter().enumerate().map(|(n, span)| change(n, span)).collect();
            World::new(incidents, changes, alerts, holder, numbered_notes(notes))
        },
    )
}

fn range() -> impl Strategy<Value = (Option<i64>, Option<i64>)> {
    (prop::option::of(-1_i64..16), prop::option::of(-1_i64..16))
}

fn first_page((start, end): (Option<i64>, Option<i64>), limit: usize) -> Page {
    Page { start: start.map(step), end: end.map(step), edges: false, after: None, limit }
}

/// The first page of all that there is.
fn page_of(limit: usize) -> Page {
    first_page((None, None), limit)
}

/// All pages from this one on.
fn walk<T>(first: &Page, list: impl Fn(&Page) -> Result<Paged<T>, StoreError>) -> Vec<Paged<T>> {
    let mut pages = vec![list(first).unwrap()];
    while let Some(next) = pages.last().unwrap().next.clone() {
        pages.push(list(&Page { after: Some(next), ..first.clone() }).unwrap());
    }
    pages
}

/// Both answer with the same pages, which together are the one large page, which is `wanted`.
#[track_caller]
fn assert_same_list<T: Clone + std::fmt::Debug + PartialEq>(
    first: &Page,
    (memory, stored): (&dyn View, &dyn View),
    list: impl Fn(&dyn View, &Page) -> Result<Paged<T>, StoreError>,
    wanted: &[T],
) {
    let pages = walk(first, |page| list(stored, page));
    assert_eq!(pages, walk(first, |page| list(memory, page)));
    assert!(pages.iter().all(|page| page.items.len() <= first.limit), "{pages:?}");
    let items: Vec<_> = pages.into_iter().flat_map(|page| page.items).collect();
    let whole = list(stored, &Page { limit: 100, ..first.clone() }).unwrap();
    assert_eq!(whole, Paged { items, next: None });
    assert_eq!(whole.items, wanted);
}

/// The contract of a list, word by word.
fn listed<T: Clone>(
    all: &[T],
    page: &Page,
    about: impl Fn(&T) -> (Time, Option<Time>, String),
    keep: impl Fn(&T) -> bool,
) -> Vec<T> {
    let mut listed: Vec<T> = all.iter().filter(|one| keep(one)).cloned().collect();
    listed.retain(|one| {
        let (start, end, _) = about(one);
        let starts_in_time = page.start.is_none_or(|limit| start >= limit);
        let ends_in_time = end.is_some_and(|end| page.end.is_none_or(|limit| end <= limit));
        page.end.is_none_or(|limit| start <= limit)
            && page.start.is_none_or(|limit| end.is_none_or(|end| end >= limit))
            && (!page.edges || starts_in_time || ends_in_time)
    });
    listed.sort_by_key(|one| (about(one).0, about(one).2));
    listed.reverse();
    listed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lists_are_the_same_from_the_stores_and_from_memory(
        world in worlds(),
        range in range(),
        edges in any::<bool>(),
        limit in 0_usize..4,
        kept in prop::collection::btree_set(0_i64..12, 1..12),
    ) {
        let stores = world.store();
        let (memory, stored) = (&world.memory, &stores.view());
        let both: (&dyn View, &dyn View) = (memory, stored);
        let first = Page { edges, ..first_page(range, limit.max(1)) };
        let kept = |start: Time| kept.contains(&((start - step(0)).num_minutes() / 2));

        let keep = |one: &Incident| kept(one.started_at);
        let about = |one: &Incident| (one.started_at, one.ended_at, one.id.0.clone());
        let wanted = listed(&memory.incidents, &first, about, keep);
        assert_same_list(&first, both, |view, page| view.incidents(page, &keep), &wanted);

        let keep = |one: &Change| kept(one.started_at);
        let about = |one: &Change| (one.started_at, one.finished_at, one.id.0.clone());
        let wanted = listed(&memory.changes, &first, about, keep);
        assert_same_list(&first, both, |view, page| view.changes(page, &keep), &wanted);

        let keep = |one: &Family| kept(one.starts_at);
        let about = |one: &Family| (one.starts_at, one.ends_at, one.id());
        let families: Vec<_> = memory.families.iter().map(|(family, _)| family.clone()).collect();
        let wanted = listed(&families, &first, about, keep);
        assert_same_list(&first, both, |view, page| view.families(page, &keep), &wanted);

        let keep = |one: &Episode| kept(one.starts_at);
        let about = |(one, _): &(Episode, _)| (one.starts_at, one.ends_at, one.id.0.clone());
        let wanted = listed(&memory.episodes, &first, about, |(one, _)| keep(one));
        assert_same_list(&first, both, |view, page| view.episodes(page, &keep), &wanted);

        let nothing = first_page(range, 0);
        prop_assert!(stored.episodes(&nothing, &keep).unwrap().items.is_empty());
    }

    #[test]
    fn single_things_are_the_same_from_the_stores_and_from_memory(
        world in worlds(),
        (from, to) in (-1_i64..7, -1_i64..7),
        limit in 0_usize..4,
    ) {
        let stores = world.store();
        let (memory, stored) = (&world.memory, stores.view());
        for n in 0..13 {
            for id in [format!("inc_{n}"), format!("alt_{n}"), format!("chg_{n}")] {
                prop_assert_eq!(stored.incident(&id).unwrap(), memory.incident(&id).unwrap());
                let change = ChangeId(id.clone());
                prop_assert_eq!(stored.change(&change).unwrap(), memory.change(&change).unwrap());
                let incident = IncidentId(id);
                for limit in [limit, 100] {
                    let members = stored.members(&incident, limit).unwrap();
                    prop_assert_eq!(&members, &memory.members(&incident, limit).unwrap());
                    let of_it = |holder: &Option<_>| *holder == Some(incident.clone());
                    let all = memory.episodes.iter().filter(|(_, holder)| of_it(holder));
                    let first: Vec<_> = all.map(|(one, _)| one.id.clone()).take(limit).collect();
                    prop_assert_eq!(members, first);

                    let symptoms = stored.symptoms(&incident, limit).unwrap();
                    prop_assert_eq!(&symptoms, &memory.symptoms(&incident, limit).unwrap());
                    let all = memory.families.iter().filter(|(_, holder)| of_it(holder));
                    let mut all: Vec<_> = all.map(|(family, _)| family.clone()).collect();
                    all.sort_by_key(|one| (one.starts_at, one.id()));
                    prop_assert_eq!(symptoms, all.into_iter().take(limit).collect::<Vec<_>>());
                }
            }
        }
        for (episode, holder) in &memory.episodes {
            let id = &episode.id.0;
            prop_assert_eq!(stored.incident(id).unwrap(), memory.incident(id).unwrap());
            let found = stored.incident(id).unwrap().map(|incident| incident.id);
            prop_assert_eq!(&found, holder);
        }
        for row in world.batch.firings.iter().filter(|row| row.episode.is_none()) {
            let id = row.id().0;
            prop_assert_eq!(stored.incident(&id).unwrap(), None, "no episode begins with it");
            prop_assert_eq!(memory.incident(&id).unwrap(), None);
        }
        let (from, to) = (step(from), step(to));
        let notes = stored.notes(from, to, limit).unwrap();
        prop_assert_eq!(&notes, &memory.notes(from, to, limit).unwrap());
        let within = memory.notes.iter().filter(|note| from <= note.at && note.at <= to);
        prop_assert_eq!(notes, within.take(limit).cloned().collect::<Vec<_>>());
    }

    #[test]
    fn what_the_engine_goes_on_from_is_what_it_wrote(
        world in worlds(),
        (from, to) in (-1_i64..14, -1_i64..14),
        limit in 0_usize..8,
    ) {
        let World { batch, .. } = &world;
        let (_dir, state) = stored(batch);
        let (from, to) = (step(from), step(to));
        prop_assert_eq!(&state.position().unwrap(), &batch.position);

        let ids: BTreeSet<_> = state.incidents_since(from).unwrap().into_iter().collect();
        let begun = batch.incidents.iter().filter(|one| one.started_at >= from);
        prop_assert_eq!(ids, begun.map(|one| one.id.clone()).collect());

        for (one, history) in &batch.changes {
            prop_assert_eq!(state.history(&one.id).unwrap(), Some(history.clone()));
        }
        prop_assert_eq!(state.history(&ChangeId("chg_99".to_owned())).unwrap(), None);

        let mut kept = batch.families.clone();
        kept.retain(|kept| kept.family.starts_at >= from);
        kept.sort_by_key(|kept| (kept.family.starts_at, kept.family.id()));
        prop_assert_eq!(state.kept_since(from).unwrap(), as_written(kept));

        let mut since = Vec::new();
        state.firings_since(from, &mut |row| since.push(row)).unwrap();
        let rows = batch.firings.iter().filter(|row| row.starts_at >= from).cloned();
        prop_assert_eq!(since, rows.collect::<Vec<_>>());

        for n in 0..7 {
            let labels = alert(n, (0, None)).labels;
            let identity = Mapping::default().identity_id(&labels);
            let key = FamilyKey::of(&labels, &Mapping::default());
            let family = FamilyRef::of(&key);
            for alert in [None, Some(&identity)] {
                let wanted = batch.firings.iter().filter(|row| {
                    row.family == family
                        && (from..=to).contains(&row.starts_at)
                        && alert.is_none_or(|alert| row.identity == *alert)
                });
                let wanted: Vec<_> = wanted.take(limit).cloned().collect();
                prop_assert_eq!(state.firings_of(family, alert, (from, to), limit).unwrap(), wanted);
            }
            let begun = |kept: &&Kept| *kept.family.key == key && kept.family.starts_at <= to;
            let last = batch.families.iter().filter(begun).max_by_key(|kept| kept.family.starts_at);
            let holder = last.and_then(|kept| kept.incident.clone());
            prop_assert_eq!(state.holder(family, to).unwrap(), holder);
        }
        for row in &batch.firings {
            let found = row.episode.map(|_| row.clone());
            prop_assert_eq!(state.firing(&row.id()).unwrap(), found);
        }
    }
}

#[test]
fn a_family_comes_back_with_its_part_of_the_course() {
    let ended =
        Alerts::new(&BTreeMap::from([((0, 0), Some(1)), ((0, 8), Some(1)), ((3, 1), None)]));
    let families = folded(&ended.events);
    assert!(families.iter().any(|kept| kept.part != Part::default()), "{families:?}");
    let batch = StateBatch { families: families.clone(), ..StateBatch::default() };
    let (_dir, state) = stored(&batch);
    assert_eq!(state.kept_since(step(0)).unwrap(), as_written(families));
}

/// What the test's own families leave to the fold: that both make the same rows and families.
#[test]
fn the_rows_of_a_batch_tell_the_episodes_of_a_fold() {
    let fired =
        [((0, 0), Some(1)), ((0, 2), Some(1)), ((0, 7), None), ((3, 3), Some(2)), ((1, 4), None)];
    let alerts = Alerts::new(&BTreeMap::from(fired));
    let folded = assess(&Model::default(), &alerts.events, step(20));
    let (families, firings) = (self::folded(&alerts.events), alerts.rows);
    let incidents = folded.incidents.clone();
    let stores = Stores::new();
    append(&stores.log, &alerts.events).unwrap();
    stores
        .state
        .commit(&StateBatch { incidents, families, firings, ..StateBatch::default() })
        .unwrap();
    let episodes = |view: &dyn View| view.episodes(&page_of(100), &|_| true).unwrap();
    assert_eq!(episodes(&stores.view()), episodes(&folded));
    assert_eq!(folded.episodes.len(), 4);
    for incident in &folded.incidents {
        let members = |view: &dyn View| view.members(&incident.id, 100).unwrap();
        assert_eq!(members(&stores.view()), members(&folded));
    }
}

#[test]
fn any_alert_of_a_symptom_leads_to_its_incident_however_late_it_joined() {
    let alerts = Alerts::new(&BTreeMap::from([((0, 0), None), ((3, 5), None), ((6, 9), Some(1))]));
    let one = incident(1, (0, None), 0.5);
    let holder = |_| Some(IncidentId("inc_1".to_owned()));
    let world = World::new(vec![one.clone()], Vec::new(), alerts, holder, Vec::new());
    assert_eq!(world.batch.families.len(), 1, "they are one symptom");
    let stores = world.store();
    let members = stores.view().members(&one.id, 10).unwrap();
    assert_eq!(members.len(), 3);
    for EpisodeId(id) in &members {
        let holder = stores.view().incident(id).unwrap();
        assert_eq!(holder.as_ref(), Some(&one), "{id}");
        let respelled = id.replacen("alt_", "alt_0", 1);
        assert_eq!(stores.view().incident(&respelled).unwrap(), None, "{respelled} is no id");
        let respelled = format!("alt_{}", id.replacen("alt_", "", 1).to_uppercase());
        assert_eq!(stores.view().incident(&respelled).unwrap(), None, "{respelled} is no id");
    }
}

#[test]
fn of_a_large_incident_the_first_alerts_are_named_whatever_symptom_they_are_of() {
    let fired = [
        ((0, 0), None),
        ((0, 2), None),
        ((1, 1), None),
        ((3, 9), None),
        ((2, 1), None),
        ((4, 3), None),
    ];
    let holder = |_| Some(IncidentId("inc_1".to_owned()));
    let alerts = Alerts::new(&BTreeMap::from(fired));
    let world = World::new(Vec::new(), Vec::new(), alerts, holder, Vec::new());
    let all: Vec<_> = world.memory.episodes.iter().map(|(one, _)| one.id.clone()).collect();
    assert_eq!((all.len(), world.batch.firings.len()), (5, 6), "one firing continues an episode");
    let stores = world.store();
    for limit in 0..7 {
        let first = &all[..limit.min(all.len())];
        assert_eq!(stores.view().members(&IncidentId("inc_1".to_owned()), limit).unwrap(), first);
    }
}

#[test]
fn an_end_that_is_expected_has_not_come_before_its_time() {
    let report = alert(0, (0, None));
    let event = Event::Alert(report.clone());
    let mut firing = Firing::of(&report, event.id());
    firing.outlook = Outlook::Expires(step(4));
    let row = FiringRow {
        identity: Mapping::default().identity_id(&report.labels),
        family: FamilyRef::of(&FamilyKey::of(&report.labels, &Mapping::default())),
        starts_at: step(0),
        firing,
        episode: Some(Outlook::Expires(step(4))),
    };
    let stores = Stores::new();
    append(&stores.log, &[event]).unwrap();
    stores.state.commit(&StateBatch { firings: vec![row], ..StateBatch::default() }).unwrap();
    let list = stores.view().episodes(&page_of(9), &|_| true).unwrap();
    let (episode, _) = &list.items[0];
    assert_eq!((episode.ends_at, episode.end_expected), (Some(step(4)), true));
    assert_eq!([3, 4, 5].map(|n| episode.fires_at(step(n))), [true, false, false]);
}

#[test]
fn an_alert_that_came_too_late_is_listed_in_no_incident() {
    let mut alerts = Alerts::new(&BTreeMap::from([((0, 0), None), ((3, 1), None)]));
    alerts.rows[1].family = FamilyRef::NONE;
    let late = alerts.rows[1].id();
    let holder = |_| Some(IncidentId("inc_1".to_owned()));
    let world =
        World::new(vec![incident(1, (0, None), 0.5)], Vec::new(), alerts, holder, Vec::new());
    let stores = world.store();
    let list = stores.view().episodes(&page_of(9), &|_| true).unwrap().items;
    let held: Vec<_> =
        list.iter().map(|(one, holder)| (one.id == late, holder.is_some())).collect();
    assert_eq!(held, [(true, false), (false, true)]);
    assert_eq!(stores.view().incident(&late.0).unwrap(), None);
    let members = stores.view().members(&IncidentId("inc_1".to_owned()), 9).unwrap();
    assert!(!members.contains(&late), "{members:?}");
}

#[test]
fn an_alert_that_the_log_no_longer_tells_of_is_left_out_of_the_list() {
    let alerts = Alerts::new(&BTreeMap::from([((0, 0), None), ((1, 1), None), ((2, 2), None)]));
    let mut world = World::new(Vec::new(), Vec::new(), alerts, |_| None, Vec::new());
    world.events.remove(1);
    let stores = world.store();
    let told: Vec<_> = walk(&page_of(1), |page| stores.view().episodes(page, &|_| true))
        .into_iter()
        .flat_map(|page| page.items)
        .map(|(episode, _)| episode.starts_at)
        .collect();
    assert_eq!(told, [step(2), step(0)]);
}

#[test]
fn a_call_that_keeps_nothing_ends_and_says_where_to_go_on() {
    let count = EXAMINED_MAX + 10;
    let changes: Vec<_> = (0..count).map(|n| change(n, (0, None))).collect();
    let alerts = Alerts::new(&(0..count).map(|n| ((n, 0), None)).collect());
    let world = World::new(Vec::new(), changes, alerts, |_| None, Vec::new());
    let stores = world.store();
    let last = world.memory.changes.iter().map(|change| change.id.0.clone()).min().unwrap();
    let last_alert = world.memory.episodes.iter().map(|(one, _)| one.id.clone()).min().unwrap();
    let first = page_of(1);
    let views: [&dyn View; 2] = [&stores.view(), &world.memory];
    for view in views {
        let found = |pages: Vec<usize>| assert_eq!(pages, [0, 1]);
        let changes = walk(&first, |page| view.changes(page, &|one| one.id.0 == last));
        found(changes.into_iter().map(|page| page.items.len()).collect());
        let alerts = walk(&first, |page| view.episodes(page, &|one| one.id == last_alert));
        found(alerts.into_iter().map(|page| page.items.len()).collect());
    }
}

fn seen(newest: Time, bits: &Arc<Vec<u8>>) -> Seen {
    Seen { id: 0, oldest: step(0), newest, count: 1, bits: Arc::clone(bits) }
}

#[test]
fn a_batch_alters_removes_and_adds_and_says_how_far_it_came() {
    let stores = Stores::new();
    assert_eq!(stores.state.position().unwrap(), Position::default());
    let (one, two) = (incident(1, (0, None), 0.5), incident(2, (1, None), 0.5));
    let (first_id, second_id) = (one.id.clone(), two.id.clone());
    let alerts = Alerts::new(&(0..3).map(|n: u8| ((n.into(), n.into()), None)).collect());
    let rows = alerts.rows.clone();
    let holders = [Some(first_id), Some(second_id), None];
    let holder = |n| holders.get(n).cloned().flatten();
    let (incidents, notes) = (vec![one.clone(), two.clone()], numbered_notes(vec![1]));
    let first = World::new(incidents, vec![change(1, (0, None))], alerts, holder, notes);
    let bits = Arc::new(vec![1, 2, 255]);
    let seen = |newest| seen(step(newest), &bits);
    let first = World {
        batch: StateBatch { seen: vec![seen(1), Seen { id: 1, ..seen(2) }], ..first.batch },
        ..first
    };
    append(&stores.log, &first.events).unwrap();
    stores.state.commit(&first.batch).unwrap();

    let altered = change(1, (3, Some(6)));
    let ended = |row: &FiringRow, end: Time| FiringRow {
        firing: Firing { outlook: Outlook::Ended(end), ..row.firing },
        episode: Some(Outlook::Ended(end)),
        ..row.clone()
    };
    let families: Vec<_> = first.batch.families.iter().collect();
    let second = StateBatch {
        position: Position { seq: Seq(9), config: "another".to_owned(), ..position() },
        incidents_gone: vec![two.id.clone()],
        families_gone: vec![(FamilyRef::of(&families[2].family.key), families[2].family.starts_at)],
        changes: vec![altered.clone()],
        // The first belongs to none now, and the second to the first incident.
        families: vec![
            Kept {
                family: Arc::new(ends(step(1), &families[0].family)),
                incident: None,
                ..families[0].clone()
            },
            Kept { incident: Some(one.id.clone()), ..families[1].clone() },
        ],
        firings: vec![ended(&rows[0], step(1))],
        seen: vec![seen(3)],
        notes: numbered_notes(vec![1, 2]),
        ..StateBatch::default()
    };
    stores.state.commit(&second).unwrap();
    let Stores { state, log, records, mapping, dir } = stores;
    drop((state, log));
    let (state, log) = (SqliteState::open(dir.path()).unwrap(), open(dir.path()));
    let stores = Stores { state, log, records, mapping, dir };
    let (state, view) = (&stores.state, stores.view());
    assert_eq!(state.position().unwrap(), second.position);
    assert_eq!(view.incident("inc_2").unwrap(), None);
    let ids: Vec<_> = rows.iter().map(FiringRow::id).collect();
    let holder = |id: &EpisodeId| view.incident(&id.0).unwrap().map(|held| held.id);
    assert_eq!(ids.iter().map(holder).collect::<Vec<_>>(), [None, Some(one.id.clone()), None]);
    assert_eq!(view.members(&one.id, 9).unwrap(), ids[1..2]);
    assert_eq!(state.kept_since(step(0)).unwrap(), as_written(second.families));
    let list = view.episodes(&page_of(9), &|_| true).unwrap().items;
    let ends: Vec<_> = list.iter().map(|(episode, _)| episode.ends_at).collect();
    assert_eq!(ends, [None, None, Some(step(1))]);
    assert_eq!(state.firing(&ids[0]).unwrap().as_ref(), second.firings.first());
    assert_eq!(state.change(&altered.0.id).unwrap().as_ref(), Some(&altered.0));
    assert_eq!(state.history(&altered.0.id).unwrap(), Some(altered.1));
    assert_eq!(state.seen().unwrap(), [seen(3), Seen { id: 1, ..seen(2) }]);
    assert_eq!(state.notes(step(0), step(9), 9).unwrap().len(), 2);
    assert_eq!(state.size().unwrap().rows, 6);

    state.clear().unwrap();
    assert_eq!(state.position().unwrap(), Position::default());
    assert_eq!(state.size().unwrap().rows, 0);
    assert_eq!(state.seen().unwrap(), []);
    state.firings_since(step(-9), &mut |row| panic!("{row:?} is still there")).unwrap();
}

fn fires(n: usize, from: i64) -> Event {
    Event::Alert(alert(n, (from, None)))
}

#[test]
fn of_a_family_that_is_told_again_what_differs_is_written() {
    let kept = folded(&[fires(0, 0)]).remove(0);
    let (_dir, state) =
        stored(&StateBatch { families: vec![kept.clone()], ..StateBatch::default() });
    let grown = folded(&[fires(0, 0), fires(3, 1)]);
    let course = Kept { altered: Altered::Course, ..grown[0].clone() };
    let standing = Kept {
        family: Arc::new(ends(step(5), &course.family)),
        incident: Some(incident(1, (0, None), 0.5).id),
        altered: Altered::Standing,
        ..course.clone()
    };
    for told in [course, standing] {
        assert_ne!(state.kept_since(step(0)).unwrap(), as_written(vec![told.clone()]));
        state
            .commit(&StateBatch { families: vec![told.clone()], ..StateBatch::default() })
            .unwrap();
        assert_eq!(state.kept_since(step(0)).unwrap(), as_written(vec![told]));
    }
}

#[test]
fn what_is_written_again_and_again_fills_no_segment() {
    let fired = (0..9).map(|n| ((n, i64::try_from(n).unwrap()), None)).collect();
    let world = World::new(Vec::new(), Vec::new(), Alerts::new(&fired), |_| None, Vec::new());
    let (dir, state) = stored(&StateBatch::default());
    let segments = || -> Vec<(i64, i64)> {
        let shell = shell(dir.path(), "state.db");
        let sql = "SELECT segment, count(*) FROM alert GROUP BY segment ORDER BY segment";
        let mut query = shell.prepare(sql).unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let put = |n: usize| {
        let firings = vec![world.batch.firings[n].clone()];
        state.commit(&StateBatch { firings, ..StateBatch::default() }).unwrap();
    };
    for _ in 0..20 {
        put(0);
        put(1);
    }
    assert_eq!(segments(), [(0, 2)]);
    (0..7).for_each(put);
    assert_eq!(segments(), [(0, 3), (1, 3), (2, 1)]);
}

#[test]
fn a_batch_that_fails_leaves_the_state_and_its_position_as_they_were() {
    let first = World::of_changes(vec![change(1, (0, None))]);
    let (dir, state) = stored(&first.batch);
    let shell = shell(dir.path(), "state.db");
    shell
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON note BEGIN SELECT RAISE(FAIL, 'no room'); END",
        )
        .unwrap();
    let second = StateBatch {
        position: Position { seq: Seq(8), ..position() },
        changes: vec![change(2, (0, None))],
        notes: numbered_notes(vec![1]),
        ..StateBatch::default()
    };
    let error = state.commit(&second).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("no room")), "{error}");
    assert_eq!(state.position().unwrap().seq, Seq(7));
    assert_eq!(state.change(&ChangeId("chg_2".to_owned())).unwrap(), None);
    shell.execute_batch("DROP TRIGGER full").unwrap();
    state.commit(&second).unwrap();
    assert_eq!(state.position().unwrap().seq, Seq(8));
}

#[test]
fn a_thing_that_cannot_be_read_is_named() {
    let alerts = Alerts::new(&BTreeMap::from([((0, 0), None)]));
    let one = incident(1, (0, None), 0.5);
    let changes = vec![change(1, (0, None))];
    let world = World::new(vec![one.clone()], changes, alerts, |_| None, Vec::new());
    let (dir, state) = stored(&world.batch);
    let damages = "UPDATE incident SET body = '{}'; UPDATE change SET history = '{\"labels\": 7}'; \
                   UPDATE family SET body = '{}'";
    shell(dir.path(), "state.db").execute_batch(damages).unwrap();
    let page = page_of(1);
    let family = world.batch.families[0].family.id();
    for (error, row, says) in [
        (state.incidents(&page, &|_| true).unwrap_err(), "inc_1", "missing field"),
        (state.incident(&one.id.0).unwrap_err(), "inc_1", "missing field"),
        (state.history(&ChangeId("chg_1".to_owned())).unwrap_err(), "chg_1", "expected a map"),
        (state.families(&page, &|_| true).unwrap_err(), &family, "missing field"),
        (state.kept_since(step(0)).unwrap_err(), &family, "missing field"),
    ] {
        let StoreError::Damaged { place, what } = &error else { panic!("{error}") };
        assert!(place.contains("state.db, ") && place.ends_with(row), "{place}");
        assert!(what.contains(says), "{what}");
    }
}

#[test]
fn readers_see_the_state_before_a_batch_or_after_it() {
    let (_dir, state) = stored(&StateBatch::default());
    let last = 50;
    let page = page_of(100);
    let starts = || {
        let seen = state.changes(&page, &|_| true).unwrap().items;
        seen.into_iter().map(|one| one.started_at).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| {
            for n in 1..=last {
                let changes = (0..20).map(|m| change(m, (n, None))).collect();
                state.commit(&StateBatch { changes, ..StateBatch::default() }).unwrap();
            }
        });
        while !engine.is_finished() {
            let seen = starts();
            assert!(seen.iter().all(|start| *start == seen[0]), "{seen:?}");
        }
    });
    assert_eq!(starts(), [step(last); 20]);
}
