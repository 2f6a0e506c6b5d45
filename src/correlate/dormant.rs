//! What lay dormant until a suspect woke it.
//!
//! A file that is read at a start only, a secret that new pods alone mount: it is altered, nothing
//! happens, and whatever starts the thing anew is blamed days later. That is the suspect, since
//! without it nothing would have happened then; what it brought into effect is told with it.

use super::{
    Contributing,
    candidate::{Candidate, Slot as ChangeSlot},
    hazard::Ground,
    learning::SHOWS_WITHIN,
};
use crate::{
    duration::say_duration,
    event::{Action, Change, Kind, Time},
};

/// So many are told of one suspect, the latest.
const TOLD_MAX: usize = 3;

/// Whether what it is made to starts anew by it, and reads its settings then.
const fn wakes(change: &Change) -> bool {
    match change.action {
        Action::Restart | Action::Replace | Action::ScaleUp => true,
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

/// Whether it is of a kind that what runs may not take in before it starts anew.
const fn may_sleep(change: &Change) -> bool {
    let kind =
        matches!(change.kind, Kind::Config | Kind::Secret | Kind::Certificate | Kind::Permission);
    kind && !wakes(change)
}

/// When it was done.
fn done_at(change: &Change) -> Time {
    change.finished_at.unwrap_or(change.started_at)
}

impl<'a> Ground<'a> {
    /// What this set may have brought into effect: the latest first.
    pub(super) fn woken_by(self, set: &Candidate, onset: Time) -> Vec<Contributing> {
        let wakers = set.members.iter().filter_map(|member| self.changes.get(*member));
        let wakers: Vec<_> = wakers.filter(|change| wakes(change)).collect();
        let Some(woken_at) = wakers.iter().map(|waker| waker.started_at).min() else {
            return Vec::new();
        };
        let slept_from = woken_at - SHOWS_WITHIN;
        let earlier = self.before(onset, slept_from).filter(|(slot, change)| {
            !set.members.contains(slot) && may_sleep(change) && done_at(change) <= slept_from
        });
        let slept = earlier.filter_map(|(_, change)| {
            let waker = wakers.iter().find(|waker| is_of_same_thing(waker, change))?;
            let woken_before = self.before(onset, woken_at).any(|(slot, other)| {
                !set.members.contains(&slot)
                    && wakes(other)
                    && other.started_at > done_at(change)
                    && is_of_same_thing(other, change)
            });
            (!woken_before && self.stayed_well(change)).then(|| told(change, waker))
        });
        let mut told: Vec<_> = slept.collect();
        told.sort_by(|one, other| {
            other.started_at.cmp(&one.started_at).then_with(|| one.change.cmp(&other.change))
        });
        told.truncate(TOLD_MAX);
        told
    }

    /// The changes in whose time a cause is looked for, up to a time.
    fn before(self, onset: Time, until: Time) -> impl Iterator<Item = (ChangeSlot, &'a Change)> {
        let from = onset - self.model.settings.look_back;
        let sets = self.changes.between(from, until);
        let members = sets.flat_map(|set| set.members.iter().copied());
        let changes = members.filter_map(move |slot| Some((slot, self.changes.get(slot)?)));
        changes.filter(move |(_, one)| one.started_at >= from && one.started_at <= until)
    }
}

/// Whether both were made to one service, and not in places that are known to differ.
fn is_of_same_thing(one: &Change, other: &Change) -> bool {
    let share = |name: &str| one.scope.labels().share(other.scope.labels(), name);
    let differ = ["environment", "cluster", "region", "namespace"]
        .iter()
        .any(|name| share(name) == Some(false));
    !differ && share("service") == Some(true)
}

fn told(change: &Change, waker: &Change) -> Contributing {
    let slept = say_duration(waker.started_at - done_at(change));
    let service = change.scope.services().find(|one| waker.scope.services().any(|two| two == *one));
    let reason = format!(
        "made {slept} earlier, and nothing followed; {} was not started anew before this",
        service.unwrap_or("the service"),
    );
    Contributing {
        change: change.id.clone(),
        title: change.title.clone(),
        kind: change.kind,
        started_at: change.started_at,
        reason,
    }
}
