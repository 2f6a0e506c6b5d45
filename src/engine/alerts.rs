//! The alerts: which firings of each are known, so that the next report of one can join them.
//!
//! Those of late are held in memory, all are in the state, and filters say of most that come that
//! they were never there. So memory stays flat, and a storm of new alerts does not ask the disk.

use std::collections::BTreeMap;

use fnv::FnvBuildHasher;

use super::seen::Filters;
use crate::{
    correlate::{FamilyRef, Fold, Head, KeyView, Model, Span},
    event::{AlertReport, Event, EventId, Firing, Firings, Time},
    store::{FiringRow, Log, Seen, State, StoreError},
};

/// So many alerts are held in memory; when there are twice as many, the older half goes.
const RECENT_MAX: usize = 1 << 16;

/// All of a family's firings.
const ALL: usize = usize::MAX >> 1;

/// What is known of one alert.
#[derive(Clone, Debug, Default)]
struct Alert {
    family: FamilyRef,
    firings: Firings,
    /// There may be older firings in the state.
    partial: bool,
}

#[expect(
    clippy::disallowed_types,
    reason = "a storm asks it for each alert; wherever it is gone through, order decides nothing"
)]
type Recent = std::collections::HashMap<EventId, Alert, FnvBuildHasher>;

/// All alerts.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    recent: Recent,
    /// Alerts that began before this may be known to the filters alone.
    recent_from: Time,
    seen: Filters,
    /// The firings that differ from what is written, in the order of the table: neighbours are written
    /// together.
    unwritten: BTreeMap<(Time, EventId), FiringRow>,
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
        let mut alerts = Self { recent_from, seen, ..Self::default() };
        state.firings_since(recent_from, &mut |row| alerts.hold(&row))?;
        for (identity, alert) in &mut alerts.recent {
            alert.partial = alerts.seen.may_hold(identity);
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
        if held.map_or_else(|| self.seen.may_hold(&identity), |alert| alert.partial) {
            let all = (Time::MIN_UTC, Time::MAX_UTC);
            for row in kept.state.firings_of(family, Some(&identity), all, ALL)? {
                self.hold(&row);
            }
        }
        let alert = self.recent.entry(identity).or_default();
        (alert.family, alert.partial) = (family, false);
        let old = Span::all(&alert.firings, &identity, kept.from);
        if alert.firings.absorb(report, id) {
            let rows = alert.rows(identity);
            self.unwritten.extend(rows.map(|row| ((row.starts_at, identity), row)));
        }
        if report.starts_at < self.recent_from {
            // It would not be read again at the next start.
            self.seen.insert(&identity, report.starts_at);
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
            let unwritten = self.unwritten.values().filter(|row| row.family == family);
            for row in all.iter().chain(unwritten) {
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
        let rows = std::mem::take(&mut self.unwritten).into_values().collect();
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
        let newest = |alert: &Alert| {
            alert.firings.iter().next_back().map_or(Time::MIN_UTC, |(start, _)| *start)
        };
        let mut starts: Vec<_> = self.recent.values().map(newest).collect();
        let middle = starts.len() / 2;
        let (_, from, _) = starts.select_nth_unstable(middle);
        let from = *from;
        let is_older = |alert: &Alert| alert.firings.iter().any(|(start, _)| *start < from);
        let older = self.recent.iter().filter(|(_, alert)| is_older(alert));
        let mut older: Vec<_> = older.map(|(identity, alert)| (*identity, newest(alert))).collect();
        // Which filter holds what is not to depend on how a table is laid out.
        older.sort_unstable();
        for (identity, newest) in older {
            self.seen.insert(&identity, newest);
        }
        self.recent.retain(|_, alert| newest(alert) >= from);
        self.recent_from = self.recent_from.max(from);
    }
}

impl Alert {
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
