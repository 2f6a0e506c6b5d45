//! The state after a commit and the assessment in memory, asked the same.

use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use super::{at, directory, note, shell};
use crate::{
    correlate::{Answer, Assessment, Incident, IncidentId, State as Progress},
    event::{
        Action, Change, ChangeId, Episode, EpisodeId, Event, EventId, Kind, Labels, Note, Scope,
        Status, Time,
    },
    store::{EXAMINED_MAX, Page, Paged, Seq, SqliteState, State, StateBatch, StoreError, View},
};

/// A start and perhaps an end, in seconds: few values, so that many are the same.
type Span = (i64, Option<i64>);

fn end_of((start, length): Span) -> Option<Time> {
    length.map(|length| at(start + length))
}

fn incident(n: usize, span: Span, none_probability: f64) -> Incident {
    Incident {
        id: IncidentId(format!("inc_{n}")),
        state: Progress::Open,
        answer: Answer::None,
        headline: format!("the {n}th"),
        started_at: at(span.0),
        ended_at: end_of(span),
        closes_at: None,
        alerts: Vec::new(),
        families: Vec::new(),
        none_probability,
        suspects: Vec::new(),
        cleared: Vec::new(),
        responses: Vec::new(),
        impact: Vec::new(),
    }
}

fn change(n: usize, span: Span) -> Change {
    Change {
        id: ChangeId(format!("chg_{n}")),
        kind: Kind::ALL[n % Kind::ALL.len()],
        action: Action::Update,
        title: format!("the {n}th"),
        status: Status::Started,
        scope: Scope::default(),
        started_at: at(span.0),
        finished_at: end_of(span),
        actor: None,
        revision: None,
        change_set: None,
        url: None,
        resources: Vec::new(),
    }
}

fn episode(n: usize, span: Span) -> Episode {
    Episode {
        id: EpisodeId(format!("alt_{n}")),
        alertname: format!("Alert{}", n % 3),
        labels: [("alertname", format!("Alert{}", n % 3))].into_iter().collect::<Labels>(),
        scope: Scope::default(),
        starts_at: at(span.0),
        ends_at: end_of(span),
        pending_at: None,
        summary: None,
        url: None,
    }
}

fn numbered_notes(times: Vec<i64>) -> Vec<(EventId, Note)> {
    let mut notes: Vec<_> = (0..)
        .zip(times)
        .map(|(n, seconds): (u32, _)| note(seconds, &n.to_string()))
        .map(|note| (Event::Note(note.clone()).id(), note))
        .collect();
    // In event order, as a fold meets them.
    notes.sort_by_key(|(id, note)| (note.at, *id));
    notes
}

fn batch_of(assessment: &Assessment, notes: Vec<(EventId, Note)>) -> StateBatch {
    StateBatch {
        position: Seq(7),
        config: "of this configuration".to_owned(),
        incidents: assessment.incidents.clone(),
        changes: assessment.changes.clone(),
        episodes: assessment.episodes.clone(),
        notes,
        ..StateBatch::default()
    }
}

/// A state that was told all of it, with what it is kept in.
fn stored(batch: &StateBatch) -> (TempDir, SqliteState) {
    let dir = directory();
    let state = SqliteState::open(dir.path()).unwrap();
    state.commit(batch).unwrap();
    (dir, state)
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec((0_i64..6, prop::option::of(0_i64..4)), 0..12)
}

/// An assessment, and its notes with their ids.
fn assessments() -> impl Strategy<Value = StateBatch> {
    let incidents = prop::collection::vec(((0_i64..6, prop::option::of(0_i64..4)), 0.0..1.0), 0..6);
    let holders = prop::collection::vec(prop::option::of(any::<Index>()), 12);
    let notes = prop::collection::vec(0_i64..6, 0..6);
    (incidents, spans(), spans(), holders, notes).prop_map(
        |(incidents, changes, episodes, holders, notes)| {
            let number = |(n, (span, none)): (usize, _)| incident(n, span, none);
            let incidents: Vec<_> = incidents.into_iter().enumerate().map(number).collect();
            let holder = |index: Option<Index>| {
                let index = index.filter(|_| !incidents.is_empty());
                index.map(|index| index.get(&incidents).id.clone())
            };
            let episodes = episodes.into_iter().enumerate().zip(holders);
            let episodes =
                episodes.map(|((n, span), index)| (episode(n, span), holder(index))).collect();
            let changes =
                changes.into_iter().enumerate().map(|(n, span)| change(n, span)).collect();
            let assessment = Assessment { incidents, changes, episodes, notes: Vec::new() };
            batch_of(&assessment, numbered_notes(notes))
        },
    )
}

fn assessment_of(batch: &StateBatch) -> Assessment {
    Assessment {
        incidents: batch.incidents.clone(),
        changes: batch.changes.clone(),
        episodes: batch.episodes.clone(),
        notes: batch.notes.iter().map(|(_, note)| note.clone()).collect(),
    }
}

fn range() -> impl Strategy<Value = (Option<i64>, Option<i64>)> {
    (prop::option::of(-1_i64..10), prop::option::of(-1_i64..10))
}

fn first_page((start, end): (Option<i64>, Option<i64>), limit: usize) -> Page {
    Page { start: start.map(at), end: end.map(at), after: None, limit }
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
    (memory, state): (&dyn View, &dyn View),
    list: impl Fn(&dyn View, &Page) -> Result<Paged<T>, StoreError>,
    wanted: &[T],
) {
    let pages = walk(first, |page| list(state, page));
    assert_eq!(pages, walk(first, |page| list(memory, page)));
    assert!(pages.iter().all(|page| page.items.len() <= first.limit), "{pages:?}");
    let items: Vec<_> = pages.into_iter().flat_map(|page| page.items).collect();
    let whole = list(state, &Page { limit: 100, ..first.clone() }).unwrap();
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
        page.end.is_none_or(|limit| start <= limit)
            && page.start.is_none_or(|limit| end.is_none_or(|end| end >= limit))
    });
    listed.sort_by_key(|one| (std::cmp::Reverse(about(one).0), about(one).2));
    listed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lists_are_the_same_from_the_state_and_from_memory(
        batch in assessments(),
        range in range(),
        limit in 1_usize..4,
        kept in prop::collection::btree_set(0_i64..6, 1..6),
    ) {
        let (_dir, state) = stored(&batch);
        let memory = assessment_of(&batch);
        let both: (&dyn View, &dyn View) = (&memory, &state);
        let first = first_page(range, limit);
        let kept = |start: Time| kept.contains(&(start - at(0)).num_seconds());

        let keep = |one: &Incident| kept(one.started_at);
        let about = |one: &Incident| (one.started_at, one.ended_at, one.id.0.clone());
        let wanted = listed(&batch.incidents, &first, about, keep);
        assert_same_list(&first, both, |view, page| view.incidents(page, &keep), &wanted);

        let keep = |one: &Change| kept(one.started_at);
        let about = |one: &Change| (one.started_at, one.finished_at, one.id.0.clone());
        let wanted = listed(&batch.changes, &first, about, keep);
        assert_same_list(&first, both, |view, page| view.changes(page, &keep), &wanted);

        let keep = |one: &Episode| kept(one.starts_at);
        let about = |(one, _): &(Episode, _)| (one.starts_at, one.ends_at, one.id.0.clone());
        let wanted = listed(&batch.episodes, &first, about, |(one, _)| keep(one));
        assert_same_list(&first, both, |view, page| view.episodes(page, &keep), &wanted);
    }

    #[test]
    fn single_things_are_the_same_from_the_state_and_from_memory(
        batch in assessments(),
        (from, to) in (-1_i64..7, -1_i64..7),
        limit in 0_usize..4,
    ) {
        let (_dir, state) = stored(&batch);
        let memory = assessment_of(&batch);
        for n in 0..13 {
            for id in [format!("inc_{n}"), format!("alt_{n}"), format!("chg_{n}")] {
                prop_assert_eq!(state.incident(&id).unwrap(), memory.incident(&id).unwrap());
                let change = ChangeId(id.clone());
                prop_assert_eq!(state.change(&change).unwrap(), memory.change(&change).unwrap());
                let incident = IncidentId(id);
                prop_assert_eq!(state.members(&incident).unwrap(), memory.members(&incident).unwrap());
            }
        }
        for (episode, holder) in &batch.episodes {
            let found = state.incident(&episode.id.0).unwrap().map(|incident| incident.id);
            prop_assert_eq!(&found, holder);
            if let Some(holder) = holder {
                prop_assert!(state.members(holder).unwrap().contains(episode));
            }
        }
        let (from, to) = (at(from), at(to));
        let notes = state.notes(from, to, limit).unwrap();
        prop_assert_eq!(&notes, &memory.notes(from, to, limit).unwrap());
        let within = memory.notes.iter().filter(|note| from <= note.at && note.at <= to);
        prop_assert_eq!(notes, within.take(limit).cloned().collect::<Vec<_>>());
    }
}

#[test]
fn a_call_that_keeps_nothing_ends_and_says_where_to_go_on() {
    let count = EXAMINED_MAX + 10;
    let changes: Vec<_> = (0..count).map(|n| change(n, (0, None))).collect();
    let memory = Assessment { changes, ..Assessment::default() };
    let (_dir, state) = stored(&batch_of(&memory, Vec::new()));
    let last = memory.changes.iter().map(|change| change.id.0.clone()).max().unwrap();
    let keep = |change: &Change| change.id.0 == last;
    let first = Page { start: None, end: None, after: None, limit: 1 };
    let views: [&dyn View; 2] = [&state, &memory];
    for view in views {
        let found: Vec<_> = walk(&first, |page| view.changes(page, &keep))
            .into_iter()
            .map(|page| page.items.len())
            .collect();
        assert_eq!(found, [0, 1]);
    }
}

#[test]
fn a_batch_alters_removes_and_adds_and_says_how_far_it_came() {
    let dir = directory();
    let state = SqliteState::open(dir.path()).unwrap();
    assert_eq!(state.position().unwrap(), (Seq(0), String::new()));
    let (one, two) = (incident(1, (0, None), 0.5), incident(2, (1, None), 0.5));
    let first = Assessment {
        incidents: vec![one.clone(), two.clone()],
        changes: vec![change(1, (0, None))],
        episodes: vec![
            (episode(1, (0, None)), Some(one.id.clone())),
            (episode(2, (1, None)), Some(two.id.clone())),
            (episode(3, (2, None)), None),
        ],
        notes: Vec::new(),
    };
    state.commit(&batch_of(&first, numbered_notes(vec![1]))).unwrap();
    let altered = Change { finished_at: Some(at(9)), ..change(1, (3, None)) };
    let second = StateBatch {
        position: Seq(9),
        config: "another".to_owned(),
        incidents_gone: vec![two.id.clone()],
        episodes_gone: vec![EpisodeId("alt_3".to_owned())],
        changes: vec![altered.clone()],
        // It belongs to the first incident now, and another to none.
        episodes: vec![
            (episode(1, (0, Some(1))), None),
            (episode(2, (1, None)), Some(one.id.clone())),
        ],
        notes: numbered_notes(vec![1, 2]),
        ..StateBatch::default()
    };
    state.commit(&second).unwrap();
    drop(state);
    let state = SqliteState::open(dir.path()).unwrap();
    assert_eq!(state.position().unwrap(), (Seq(9), "another".to_owned()));
    assert_eq!(state.incident("inc_2").unwrap(), None);
    assert_eq!(state.incident("alt_1").unwrap(), None);
    assert_eq!(state.incident("alt_2").unwrap().map(|held| held.id), Some(one.id.clone()));
    assert_eq!(state.members(&one.id).unwrap(), [episode(2, (1, None))]);
    assert_eq!(state.change(&altered.id).unwrap(), Some(altered));
    assert_eq!(state.notes(at(0), at(9), 9).unwrap().len(), 2);
    assert_eq!(state.size().unwrap().rows, 6);

    state.clear().unwrap();
    assert_eq!(state.position().unwrap(), (Seq(0), String::new()));
    assert_eq!(state.size().unwrap().rows, 0);
}

#[test]
fn a_batch_that_fails_leaves_the_state_and_its_position_as_they_were() {
    let first = Assessment { changes: vec![change(1, (0, None))], ..Assessment::default() };
    let (dir, state) = stored(&batch_of(&first, Vec::new()));
    let shell = shell(dir.path(), "state.db");
    shell
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON note BEGIN SELECT RAISE(FAIL, 'no room'); END",
        )
        .unwrap();
    let second = StateBatch {
        position: Seq(8),
        changes: vec![change(2, (0, None))],
        notes: numbered_notes(vec![1]),
        ..StateBatch::default()
    };
    let error = state.commit(&second).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("no room")), "{error}");
    assert_eq!(state.position().unwrap().0, Seq(7));
    assert_eq!(state.change(&ChangeId("chg_2".to_owned())).unwrap(), None);
    shell.execute_batch("DROP TRIGGER full").unwrap();
    state.commit(&second).unwrap();
    assert_eq!(state.position().unwrap().0, Seq(8));
}

#[test]
fn a_thing_that_cannot_be_read_is_named() {
    let one = incident(1, (0, None), 0.5);
    let all = Assessment { incidents: vec![one.clone()], ..Assessment::default() };
    let (dir, state) = stored(&batch_of(&all, Vec::new()));
    shell(dir.path(), "state.db").execute_batch("UPDATE incident SET body = '{}'").unwrap();
    let page = Page { start: None, end: None, after: None, limit: 1 };
    let errors =
        [state.incidents(&page, &|_| true).unwrap_err(), state.incident(&one.id.0).unwrap_err()];
    for error in errors {
        let StoreError::Damaged { place, what } = &error else { panic!("{error}") };
        assert!(place.contains("state.db, ") && place.ends_with("inc_1"), "{place}");
        assert!(what.contains("missing field"), "{what}");
    }
}

#[test]
fn readers_see_the_state_before_a_batch_or_after_it() {
    let (_dir, state) = stored(&StateBatch::default());
    let last = 50;
    let page = Page { start: None, end: None, after: None, limit: 100 };
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
    assert_eq!(starts(), [at(last); 20]);
}
