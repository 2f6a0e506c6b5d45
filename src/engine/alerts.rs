//! The alerts: which firings of each are known, so that the next report of one can join them.
//!
//! Those of late are held in memory, all are in the state, and filters say of most that come that
//! they were never there. So memory stays flat, and a storm of new alerts does not ask the disk.

use std::collections::BTreeMap;

use fnv::FnvBuildHasher;
use indexmap::IndexMap;

use super::{
    BATCH_MAX,
    seen::{Filters, Range},
};
use crate::{
    correlate::{FamilyRef, Fold, Head, KeyView, Model, Span},
    event::{AlertReport, Event, EventId, Firing, Firings, Time},
    store::{FiringRow, Log, Seen, State, StoreError},
};

/// So many alerts are held in memory; when there are twice as many, the older half goes.
const RECENT_MAX: usize = if cfg!(test) { 2 } else { 32 << 10 };
/// There is room for that and a batch from the beginning, of which memory is taken only as it is used: what
/// grows is copied, and for a while there twice.
const ROOM: usize = 2 * RECENT_MAX + BATCH_MAX;

/// All of a family's firings.
const ALL: usize = usize::MAX >> 1;

/// What is known of one alert.
#[derive(Clone, Debug, Default)]
struct Alert {
    family: FamilyRef,
    firings: Firings,
    /// The state may have older firings of it, from this time.
    older: Option<Range>,
    /// Its firings differ from what is written.
    unwritten: bool,
}

/// The alerts in memory, in the order in which they came: what is looked at one after the other lies side
/// by side, and what is looked for is found in a small table.
type Recent = IndexMap<EventId, Alert, FnvBuildHasher>;

/// All alerts.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    recent: Recent,
    /// Alerts that began before this may be known to the filters alone.
    recent_from: Time,
    seen: Filters,
    /// The alerts whose firings differ from what is written.
    unwritten: Vec<EventId>,
    /// What began before is dropped: it is not read any more.
    held_from: Option<Time>,
}

/// Where firings are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) log: &'a dyn Log,
    pub(super) state: &'a dyn State,
    /// What began before is in no family.
    pub(super) from: Time,
}

impl Alerts {
    /// The alerts that the state holds.
    pub(super) fn read(state: &dyn State, recent_from: Time) -> Result<Self, StoreError> {
        let seen = Filters::new(state.seen()?);
        let recent = Recent::with_capacity_and_hasher(ROOM, FnvBuildHasher::default());
        let mut alerts = Self { recent, recent_from, seen, ..Self::default() };
        state.firings_since(recent_from, &mut |row| alerts.hold(&row))?;
        for (identity, alert) in &mut alerts.recent {
            alert.older = alerts.seen.when(identity);
        }
        Ok(alerts)
    }

    fn hold(&mut self, row: &FiringRow) {
        // What came too late is shown, and is no part of anything.
        if row.family == FamilyRef::NONE || self.held_from.is_some_and(|from| row.starts_at < from)
        {
            return;
        }
        let alert = self.recent.entry(row.identity).or_default();
        alert.family = row.family;
        alert.firings.join(row.starts_at, row.firing);
    }

    /// Alerts that began before this are known to the filters alone.
    pub(super) fn recent_from(&self) -> Time {
        self.recent_from
    }

    /// Takes in one report, and tells the fold what is different by it.
    pub(super) fn absorb(
        &mut self,
        (id, report): (EventId, &AlertReport),
        model: &Model,
        kept: Kept<'_>,
        fold: &mut Fold,
    ) -> Result<(), StoreError> {
        let identity = model.mapping.identity_id(&report.labels);
        let place = fold.place(&KeyView::of(&report.labels, &model.mapping));
        let family = place.family;
        let held = self.recent.get(&identity);
        let older = held.map_or_else(|| self.seen.when(&identity), |alert| alert.older);
        if let Some(older) = older {
            for row in kept.state.firings_of(family, Some(&identity), older, ALL)? {
                self.hold(&row);
            }
        }
        let alert = self.recent.entry(identity).or_default();
        (alert.family, alert.older) = (family, None);
        let old = Span::all(&alert.firings, &identity, kept.from);
        if alert.firings.absorb(report, id) && !std::mem::replace(&mut alert.unwritten, true) {
            self.unwritten.push(identity);
        }
        if report.starts_at < self.recent_from {
            // It would not be read again at the next start.
            self.seen.insert(&identity, (report.starts_at, report.starts_at));
        }
        let new = Span::all(&alert.firings, &identity, kept.from);
        let mut failed = None;
        let head = |span: &Span| head(span, (id, report), &alert.firings, model, kept);
        let told = std::cell::RefCell::new(&mut failed);
        fold.alert(model, place, (&old, &new), &|span| {
            head(span).unwrap_or_else(|error| {
                **told.borrow_mut() = Some(error);
                Head::default()
            })
        });
        failed.map_or(Ok(()), Err)
    }

    /// Tells the fold of all episodes of the keys of which it forgot too much.
    pub(super) fn retell(
        &self,
        model: &Model,
        kept: Kept<'_>,
        fold: &mut Fold,
    ) -> Result<(), StoreError> {
        for key in fold.forgotten() {
            let family = FamilyRef::of(&key);
            let all = kept.state.firings_of(family, None, (kept.from, Time::MAX_UTC), ALL)?;
            let mut alerts: BTreeMap<EventId, Firings> = BTreeMap::new();
            let held = self.unwritten.iter().filter_map(|one| Some((*one, self.recent.get(one)?)));
            let unwritten = held.filter(|(_, alert)| alert.family == family);
            let unwritten = unwritten.flat_map(|(identity, alert)| alert.rows(identity));
            for row in all.into_iter().chain(unwritten) {
                alerts.entry(row.identity).or_default().join(row.starts_at, row.firing);
            }
            let spans: Vec<_> = alerts
                .iter()
                .flat_map(|(identity, firings)| Span::all(firings, identity, kept.from))
                .collect();
            let firings: BTreeMap<_, _> = alerts
                .iter()
                .flat_map(|(identity, firings)| {
                    firings.iter().map(|(start, one)| ((*identity, *start), *one))
                })
                .collect();
            let mut failed = None;
            let told = std::cell::RefCell::new(&mut failed);
            let head = |span: &Span| {
                let firing = firings.get(&(span.identity, span.starts_at));
                firing.map_or_else(|| Ok(Head::default()), |one| told_by(span, one, model, kept))
            };
            fold.retell(model, &key, &spans, &|span| {
                head(span).unwrap_or_else(|error| {
                    **told.borrow_mut() = Some(error);
                    Head::default()
                })
            });
            failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// What differs from what is written, of the firings and of the filters.
    pub(super) fn take_unwritten(&mut self) -> (Vec<FiringRow>, Vec<Seen>) {
        let mut rows = Vec::with_capacity(self.unwritten.len());
        for identity in std::mem::take(&mut self.unwritten) {
            let Some(alert) = self.recent.get_mut(&identity) else { continue };
            alert.unwritten = false;
            rows.extend(alert.rows(identity));
        }
        // In the order of the table: neighbours are written together.
        rows.sort_by_cached_key(|row| (row.starts_at, row.identity));
        self.forget();
        (rows, self.seen.take_unwritten())
    }

    /// Forgets what began before a time, which is dropped; the numbers of the filters that hold nothing
    /// later. All that is known must have been handed out to be written.
    pub(super) fn forget_before(&mut self, from: Time) -> Vec<u32> {
        self.held_from = Some(from);
        self.recent.values_mut().for_each(|alert| alert.firings.forget_before(from));
        self.recent.retain(|_, alert| alert.firings.iter().next().is_some());
        self.seen.forget_before(from)
    }

    /// Leaves the older half to the state and the filters, once there are too many. All of it must
    /// have been handed out to be written.
    fn forget(&mut self) {
        if self.recent.len() < 2 * RECENT_MAX {
            return;
        }
        let mut starts: Vec<_> = self.recent.values().map(Alert::newest).collect();
        let middle = starts.len() / 2;
        let (_, &mut from, _) = starts.select_nth_unstable(middle);
        for (identity, alert) in &self.recent {
            let mut starts = alert.firings.iter().map(|(start, _)| *start);
            if starts.clone().next().is_some_and(|oldest| oldest < from) {
                let newest = alert.newest();
                // What began before is known to a filter already.
                let first = starts.find(|start| *start >= self.recent_from).unwrap_or(newest);
                self.seen.insert(identity, (first, newest));
            }
        }
        self.recent.retain(|_, alert| alert.newest() >= from);
        self.recent_from = self.recent_from.max(from);
    }
}

impl Alert {
    /// When its last firing began.
    fn newest(&self) -> Time {
        self.firings.iter().next_back().map_or(Time::MIN_UTC, |(start, _)| *start)
    }

    fn rows(&self, identity: EventId) -> impl Iterator<Item = FiringRow> {
        let mut stretches = self.firings.stretches().peekable();
        self.firings.iter().map(move |(starts_at, firing)| {
            let stretch = stretches.next_if(|stretch| stretch.starts_at == *starts_at);
            // Of an episode it is told since when it was pending, whoever saw that.
            let pending_at = stretch.map_or(firing.pending_at, |stretch| stretch.pending_at);
            FiringRow {
                identity,
                family: self.family,
                starts_at: *starts_at,
                firing: Firing { pending_at, ..*firing },
                episode: stretch.map(|stretch| stretch.outlook),
            }
        })
    }
}

/// What is told of an episode: by the report at hand if that is the one that tells of it, else by
/// the one in the log.
fn head(
    span: &Span,
    (id, report): (EventId, &AlertReport),
    firings: &Firings,
    model: &Model,
    kept: Kept<'_>,
) -> Result<Head, StoreError> {
    match firings.iter().find(|(start, _)| *start == span.starts_at) {
        Some((_, firing)) if firing.told != id => told_by(span, firing, model, kept),
        _ => Ok(Head::new(report, span, &model.mapping)),
    }
}

fn told_by(
    span: &Span,
    firing: &Firing,
    model: &Model,
    kept: Kept<'_>,
) -> Result<Head, StoreError> {
    Ok(match kept.log.event(firing.told_at, &firing.told)? {
        Some(Event::Alert(report)) => Head::new(&report, span, &model.mapping),
        Some(Event::Change(_) | Event::Note(_) | Event::Feedback(_)) | None => Head::default(),
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        correlate::FamilyKey,
        event::{Labels, time_of_micros},
        store::{Position, SqliteLog, SqliteState, StateBatch},
    };

    fn minute(n: i64) -> Time {
        time_of_micros(n * 60_000_000)
    }

    /// What is told of one of six alerts, two of a name: when it began, and perhaps when it ended.
    fn report() -> impl Strategy<Value = AlertReport> {
        (0_u8..6, 0_i64..60, prop::option::of(0_i64..20)).prop_map(|(n, start, length)| {
            AlertReport {
                labels: [("alertname", format!("Alert{}", n % 3)), ("instance", n.to_string())]
                    .into_iter()
                    .collect::<Labels>(),
                starts_at: minute(start),
                ends_at: length.map(|length| minute(start + length)),
                expires_at: None,
                pending_at: None,
                summary: None,
                url: None,
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Memory holds two to four alerts here: whatever was left to the state and the filters, in
        /// whichever order it is told, before a restart or after it, each firing is written as if all
        /// had been known all the time.
        #[test]
        fn what_was_forgotten_is_joined_by_what_follows(
            batches in prop::collection::vec(
                (prop::collection::vec(report(), 1..6), any::<bool>()),
                1..12,
            ),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let state = SqliteState::open(dir.path()).unwrap();
            let log = SqliteLog::open(dir.path(), TimeDelta::days(1)).unwrap();
            let kept = Kept { log: &log, state: &state, from: Time::MIN_UTC };
            let (model, mut fold) = (Model::default(), Fold::default());
            let (mut alerts, mut known) = (Alerts::default(), BTreeMap::<_, Alert>::new());
            for (reports, restarts) in batches {
                for report in reports {
                    let id = Event::Alert(report.clone()).id();
                    alerts.absorb((id, &report), &model, kept, &mut fold).unwrap();
                    let identity = model.mapping.identity_id(&report.labels);
                    let alert = known.entry(identity).or_default();
                    alert.family = FamilyRef::of(&FamilyKey::of(&report.labels, &model.mapping));
                    alert.firings.absorb(&report, id);
                }
                alerts.retell(&model, kept, &mut fold).unwrap();
                let (firings, seen) = alerts.take_unwritten();
                let position =
                    Position { recent: alerts.recent_from(), ..Position::default() };
                let batch = StateBatch { position, firings, seen, ..StateBatch::default() };
                state.commit(&batch).unwrap();
                if restarts {
                    let recent = state.position().unwrap().recent;
                    alerts = Alerts::read(&state, recent).unwrap();
                }
            }
            let mut written = Vec::new();
            state.firings_since(Time::MIN_UTC, &mut |row| written.push(row)).unwrap();
            let all = known.iter().flat_map(|(identity, alert)| alert.rows(*identity));
            let mut all: Vec<_> = all.collect();
            all.sort_by_key(|row| (row.starts_at, row.identity));
            prop_assert_eq!(&written, &all);

            // Whoever looks for a family's episodes may stop when there are so many.
            let mut begun = 0;
            for one in fold.advance(&model, Time::MIN_UTC).families {
                let (from, to) = (one.family.starts_at, one.family.ends_at);
                let to = to.unwrap_or(Time::MAX_UTC);
                let is_of_it = |row: &&FiringRow| {
                    row.family == one.key && row.episode.is_some()
                        && (from..=to).contains(&row.starts_at)
                };
                let episodes = written.iter().filter(is_of_it).count();
                prop_assert_eq!(episodes, one.family.episodes, "{:?}", one.family);
                begun += episodes;
            }
            prop_assert_eq!(begun, written.iter().filter(|row| row.episode.is_some()).count());
        }
    }
}
