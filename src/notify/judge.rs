//! Decides what is news of an incident, and when it is told. Pure.
//!
//! A person is told when a suspect is there for the first time, when it becomes likely, when another
//! takes its place, and when what was told is no longer so. Who comes second, how probabilities move,
//! and incidents that no change is suspected of are in the answer for those who ask.

use chrono::TimeDelta;

use super::Settings;
use crate::{event::Time, store::Claim};

/// What a notice is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// There is an incident, and a change that may have caused it.
    Suspected,
    /// A change very likely caused it.
    Likely,
    /// It is another change than was told.
    Changed,
    /// The change that was told as likely is only one of several.
    Doubted,
    /// The change that was told is not suspected any more, and no other is.
    Cleared,
}

impl News {
    /// The word for it, as Standard Webhooks wants types.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Suspected => "incident.suspected",
            Self::Likely => "incident.suspect_likely",
            Self::Changed => "incident.suspect_changed",
            Self::Doubted => "incident.suspect_doubted",
            Self::Cleared => "incident.suspect_cleared",
        }
    }
}

/// What is new in the present claim to those who were told an earlier one. `still_suspected`:
/// whether the change set of the earlier claim is among the present suspects, in whatever place.
pub(super) fn news(told: &Claim, now: &Claim, still_suspected: bool) -> Option<News> {
    match (told, now) {
        (Claim::Nothing, Claim::Nothing) => None,
        (Claim::Nothing, Claim::Suspected(_)) => Some(News::Suspected),
        (Claim::Nothing | Claim::Suspected(_), Claim::Likely(_)) => Some(News::Likely),
        (Claim::Suspected(_) | Claim::Likely(_), Claim::Nothing) => Some(News::Cleared),
        (Claim::Suspected(_), Claim::Suspected(_)) => (!still_suspected).then_some(News::Changed),
        (Claim::Likely(_), Claim::Suspected(_)) if still_suspected => Some(News::Doubted),
        (Claim::Likely(_), Claim::Suspected(_)) => Some(News::Changed),
        (Claim::Likely(told), Claim::Likely(now)) => told.is_disjoint(now).then_some(News::Changed),
    }
}

/// What is known of an incident when it is decided whether to tell of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// How many notices there were of it.
    pub(super) notices: u32,
    /// Since when there has been news of it.
    pub(super) since: Time,
    /// When its last alert began.
    pub(super) last_alert: Time,
}

/// When to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// The incident is too old to tell anybody of it.
    Never,
    /// Not before then.
    At(Time),
    /// Now.
    Now,
}

/// When the news of an incident is told: once it has settled, and while the incident is fresh.
///
/// Each notice doubles the time for the next to settle, so that an answer that swings is told a
/// dozen times a day at most, and the first times at once.
pub(super) fn turn(settings: &Settings, standing: Standing, now: Time) -> Turn {
    if standing.last_alert + settings.fresh < now {
        return Turn::Never;
    }
    let due = standing.since + settling(settings.settle, standing.notices);
    if due <= now { Turn::Now } else { Turn::At(due) }
}

fn settling(settle: TimeDelta, notices: u32) -> TimeDelta {
    // A day has 2^17 seconds: what is doubled more often waits longer than any incident lasts.
    let times = 1_i32 << notices.min(17);
    settle.checked_mul(times).unwrap_or(TimeDelta::days(1)).min(TimeDelta::days(1))
}
