//! What lay dormant until a suspect woke it.
//!
//! A file that is read at a start only, a secret that new pods alone mount, a way through new code that
//! no setting leads to yet: it is put in place, nothing happens, and what takes it into use is blamed
//! days or weeks later. That is the suspect, since without it nothing would have happened then; what
//! it brought into effect is told with it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Contributing, Model,
    candidate::Candidate,
    family::{Family, hash as family_hash},
    hazard::Ground,
    learning::SHOWS_WITHIN,
    scope::is_ground,
};
use crate::{
    catalog::Catalog,
    duration::say_duration,
    event::{Action, Change, ChangeHistory, ChangeId, ChangeReport, EventId, Kind, Status, Time},
};

/// So many are told of one suspect, the latest.
const TOLD_MAX: usize = 3;

/// What was reported of changes before the window: of these only what lies dormant counts, and what
/// goes on in the window.
#[derive(Clone, Debug, Default)]
pub struct Past(BTreeMap<ChangeId, ChangeHistory>);

/// What of that may still be woken, and where to find it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asleep {
    /// By start.
    changes: Vec<Change>,
    by_service: ByService,
}

/// Changes that wait for something, and those that bring it, by what they are made to. Each is called
/// by a number of the caller's.
#[derive(Clone, Debug, Default)]
pub(super) struct ByService {
    services: BTreeMap<u64, Vec<usize>>,
    /// Those by which all that stands on a thing starts anew.
    shaken: Vec<usize>,
}

/// What takes a change into use that lies dormant.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Spark {
    /// The thing starts anew, and reads its settings.
    Start,
    /// New code meets a new setting.
    Setting,
}

/// Whether it alters what is read and not what runs.
const fn is_setting(kind: Kind) -> bool {
    matches!(kind, Kind::Config | Kind::Secret | Kind::Certificate | Kind::Permission)
}

/// Whether what it is made to starts anew by it.
const fn starts(change: &Change) -> bool {
    match change.action {
        Action::Restart => true,
        Action::Replace | Action::ScaleUp => !is_setting(change.kind),
        Action::Create
        | Action::Update
        | Action::Delete
        | Action::ScaleDown
        | Action::Rollback
        | Action::Enable
        | Action::Disable
        | Action::Rotate => {
            matches!(change.kind, Kind::Deploy | Kind::Rollback | Kind::Maintenance)
        }
    }
}

/// Whether all that stands on what it is made to starts anew by it.
fn shakes(change: &Change, catalog: &Catalog) -> bool {
    let anew = matches!(change.action, Action::Restart | Action::Replace)
        || matches!(change.kind, Kind::Maintenance);
    anew && is_ground(change.kind)
        && change.scope.services().any(|service| catalog.is_substrate(service))
}

/// Whether it puts code in place.
const fn releases(change: &Change) -> bool {
    matches!(change.kind, Kind::Deploy) && matches!(change.action, Action::Create | Action::Update)
}

/// What it brings to the thing that it is made to.
const fn brings(change: &Change) -> Option<Spark> {
    if starts(change) {
        Some(Spark::Start)
    } else if matches!(change.kind, Kind::Config | Kind::FeatureFlag) {
        Some(Spark::Setting)
    } else {
        None
    }
}

/// What it may wait for, before it has any effect.
const fn waits_for(change: &Change) -> Option<Spark> {
    if releases(change) {
        Some(Spark::Setting)
    } else if is_setting(change.kind) && !starts(change) {
        Some(Spark::Start)
    } else {
        None
    }
}

/// Whether it was done, as far as is known.
const fn is_in_place(change: &Change) -> bool {
    !matches!(change.status, Status::Planned | Status::Canceled)
}

/// When it was done.
fn done_at(change: &Change) -> Time {
    change.finished_at.unwrap_or(change.started_at)
}

/// Whether what the one brings reaches what the other was made to.
fn reaches(one: &Change, other: &Change, catalog: &Catalog) -> bool {
    is_of_same_thing(one, other) || reaches_from_below(one, other, catalog)
}

/// Whether the one was made to what the other's thing stands on, or reads.
fn reaches_from_below(one: &Change, other: &Change, catalog: &Catalog) -> bool {
    let is_way = |hops: usize| match brings(one) {
        Some(Spark::Start) => hops > 0 && shakes(one, catalog),
        Some(Spark::Setting) => hops == 1,
        None => false,
    };
    let mut hops = one
        .scope
        .services()
        .flat_map(|used| other.scope.services().filter_map(|user| catalog.hops(user, used)));
    hops.any(is_way) && !are_apart(one, other, &["environment", "cluster", "region"])
}

/// Whether both were made to one service, and not in places that are known to differ.
fn is_of_same_thing(one: &Change, other: &Change) -> bool {
    one.scope.labels().share(other.scope.labels(), "service") == Some(true)
        && !are_apart(one, other, &["environment", "cluster", "region", "namespace"])
}

fn are_apart(one: &Change, other: &Change, places: &[&str]) -> bool {
    places.iter().any(|name| one.scope.labels().share(other.scope.labels(), name) == Some(false))
}

/// Whether the one waited no longer once the other began: it was woken, or other code took its place.
fn ends_wait(sleeper: &Change, other: &Change, catalog: &Catalog) -> bool {
    let wakes = brings(other) == waits_for(sleeper) && reaches(other, sleeper, catalog);
    let replaces = releases(sleeper) && releases(other) && is_of_same_thing(other, sleeper);
    other.started_at > done_at(sleeper) && (wakes || replaces)
}

impl Past {
    /// Takes in one report.
    pub fn absorb(&mut self, report: &ChangeReport, id: EventId) {
        self.0.entry(report.id.clone()).or_default().absorb(report, id);
    }

    /// What had not ended by then, for its end to join, and what may still be woken.
    pub(super) fn settle(self, model: &Model) -> (BTreeMap<ChangeId, ChangeHistory>, Asleep) {
        let Self(mut histories) = self;
        let told = histories.iter().filter_map(|(id, history)| history.change(id, &model.mapping));
        let mut all: Vec<_> = told.filter(is_in_place).collect();
        all.sort_by_cached_key(|change| (change.started_at, change.content()));
        histories.retain(|_, history| !history.has_ended());
        let mut changes = still_asleep(&all, &model.catalog);
        changes.reverse();
        let numbered: Vec<_> = changes.iter().enumerate().collect();
        let by_service = ByService::of(&numbered, &model.catalog);
        (histories, Asleep { changes, by_service })
    }
}

/// Those of these changes, which come by start, that nothing woke or replaced: the latest first.
///
/// They are gone through from the last to the first. Of all that does the same in the same place only
/// the latest has to be kept: what that does not wake none of them wakes.
fn still_asleep(all: &[Change], catalog: &Catalog) -> Vec<Change> {
    let (mut later, mut known) = (ByService::default(), BTreeSet::new());
    let mut asleep = Vec::new();
    for (number, change) in all.iter().enumerate().rev() {
        let ends = |n| all.get(n).is_some_and(|other| ends_wait(change, other, catalog));
        if waits_for(change).is_some() && !later.around(change, catalog).any(ends) {
            asleep.push(change.clone());
        }
        let labels = change.scope.labels();
        let place = ["service", "environment", "cluster", "region", "namespace"]
            .map(|name| labels.values(name).collect::<Vec<_>>());
        if known.insert((brings(change), releases(change), shakes(change, catalog), place)) {
            later.add(number, change, catalog);
        }
    }
    asleep
}

impl ByService {
    /// Of these changes, by start.
    pub(super) fn of(changes: &[(usize, &Change)], catalog: &Catalog) -> Self {
        let mut all = Self::default();
        for (number, change) in changes {
            all.add(*number, change, catalog);
        }
        all
    }

    fn add(&mut self, number: usize, change: &Change, catalog: &Catalog) {
        if !is_in_place(change) || brings(change).is_none() && waits_for(change).is_none() {
            return;
        }
        for service in change.scope.services() {
            self.services.entry(family_hash(service)).or_default().push(number);
        }
        if shakes(change, catalog) {
            self.shaken.push(number);
        }
    }

    /// Those that are made to one of these services.
    fn at(&self, services: &BTreeSet<&str>) -> BTreeSet<usize> {
        let at = services.iter().filter_map(|one| self.services.get(&family_hash(*one)));
        at.flatten().copied().collect()
    }

    /// Those that may end the wait of this one, some of them twice.
    fn around<'a>(
        &'a self,
        sleeper: &'a Change,
        catalog: &'a Catalog,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let used = sleeper.scope.services().filter_map(|service| catalog.services().get(service));
        let used = used.flat_map(|service| service.depends_on.iter().map(String::as_str));
        let services = sleeper.scope.services().chain(used);
        let made = services.filter_map(|service| self.services.get(&family_hash(service)));
        made.flatten().chain(&self.shaken).copied()
    }
}

impl<'a> Ground<'a> {
    /// What this set may have brought into effect, in what it was made to, or in what fell sick first
    /// and what that stands on: the latest first.
    pub(super) fn woken_by(self, set: &Candidate, first: &'a Family) -> Vec<Contributing> {
        let wakers = set.members.iter().filter_map(|member| self.changes.get(*member));
        let wakers: Vec<_> = wakers.filter(|change| brings(change).is_some()).collect();
        let Some(woken_at) = wakers.iter().map(|waker| waker.started_at).min() else {
            return Vec::new();
        };
        let (onset, sick) = (first.onset_to, self.sick(first));
        let services = wakers.iter().flat_map(|waker| waker.scope.services());
        let services = services.chain(sick.iter().copied()).collect();
        let slept = self.dormant_at(&services, set, onset);
        let slept = slept.filter(|change| done_at(change) <= woken_at - SHOWS_WITHIN);
        let mut told: Vec<_> = slept
            .filter_map(|change| {
                let mut wakers = wakers.iter();
                let waker = wakers.find(|waker| self.wakes(waker, change, onset, &sick))?;
                let is_over = self.is_over(change, set, woken_at)
                    || self.is_weighed(change, onset) && !self.stayed_well(change);
                (!is_over).then(|| self.told(change, waker, onset))
            })
            .collect();
        told.sort_by(|one, other| {
            other.started_at.cmp(&one.started_at).then_with(|| one.change.cmp(&other.change))
        });
        told.truncate(TOLD_MAX);
        told
    }

    /// What fell sick first, and all that it stands on.
    fn sick(self, first: &'a Family) -> BTreeSet<&'a str> {
        let services = first.labels().values("service");
        services.flat_map(|one| std::iter::once(one).chain(self.model.catalog.below(one))).collect()
    }

    /// The changes of the time in which such are looked for that may lie dormant in these services.
    fn dormant_at(
        self,
        services: &BTreeSet<&str>,
        set: &Candidate,
        onset: Time,
    ) -> impl Iterator<Item = &'a Change> {
        let known = self.changes.by_service.at(services);
        let known = known.into_iter().filter(|slot| !set.members.contains(slot));
        let known: Vec<_> = known.filter_map(|slot| self.changes.get(slot)).collect();
        let asleep = &self.changes.asleep;
        let before =
            asleep.by_service.at(services).into_iter().filter_map(|n| asleep.changes.get(n));
        let before = before.filter(move |change| self.changes.named(&change.id).is_none());
        let from = onset - self.model.settings.dormant;
        known.into_iter().chain(before).filter(move |change| change.started_at >= from)
    }

    /// Whether it brings what the other waits for, to the same thing or, from below, to what may have made
    /// others sick.
    ///
    /// What is weighed itself is told besides only where a start of the same thing may have been all
    /// that it waited for: the rest stands among the suspects, or is cleared.
    fn wakes(self, waker: &Change, sleeper: &Change, onset: Time, sick: &BTreeSet<&str>) -> bool {
        if brings(waker) != waits_for(sleeper) {
            return false;
        }
        let same = is_of_same_thing(waker, sleeper);
        if self.is_weighed(sleeper, onset) {
            return same && !releases(sleeper);
        }
        let is_sick = sleeper.scope.services().any(|service| sick.contains(service));
        same || is_sick && reaches_from_below(waker, sleeper, &self.model.catalog)
    }

    /// Whether its wait was over before, by what is not of this set.
    fn is_over(self, sleeper: &Change, set: &Candidate, woken_at: Time) -> bool {
        let catalog = &self.model.catalog;
        let others = self.changes.by_service.around(sleeper, catalog);
        let mut others = others
            .filter(|slot| !set.members.contains(slot))
            .filter_map(|slot| self.changes.get(slot));
        others.any(|other| other.started_at <= woken_at && ends_wait(sleeper, other, catalog))
    }

    /// Whether it is weighed as a cause itself, and what followed it is known.
    fn is_weighed(self, change: &Change, onset: Time) -> bool {
        change.started_at >= onset - self.model.settings.look_back
    }

    fn told(self, change: &Change, waker: &Change, onset: Time) -> Contributing {
        let slept = say_duration(waker.started_at - done_at(change));
        let quiet = if self.is_weighed(change, onset) { ", and nothing followed" } else { "" };
        let reason = if releases(change) {
            format!("released {slept} earlier; this was the first new setting that it met")
        } else {
            let service = change.scope.services().next().unwrap_or("the service");
            format!("made {slept} earlier{quiet}; {service} was not started anew before this")
        };
        Contributing {
            change: change.id.clone(),
            title: change.title.clone(),
            kind: change.kind,
            started_at: change.started_at,
            reason,
        }
    }
}
