//! Simpler ways to name the change: what an answer has to be better than.
//!
//! Each is given the incident's own alerts, and no stranger: the grouping that the product has to do
//! by itself is a present to them.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{Subject, measure::number};
use crate::{
    catalog::Catalog,
    event::{Change, ChangeId, Time},
    wire::case::KnownAlert,
};

/// A simpler way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Baseline {
    /// The change nearest before the first alert.
    MostRecent,
    /// The nearest on a service that alerts, then the nearest of the others.
    SameService,
    /// After `ChangeRCA` (FSE 2024): a bucket of time, log2 of minutes, and `2 / (depth + 2)`.
    TimeAndDepth,
    /// After Gandalf (NSDI 2020): votes of the alerts after a change in windows of 1, 24 and 72 hours,
    /// less vetoes of the same alerts before it.
    Votes,
}

/// What a change is ranked by: greater is more suspicious.
type Score = (f64, f64);

impl Baseline {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::MostRecent, Self::SameService, Self::TimeAndDepth, Self::Votes];

    /// What it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::MostRecent => "most recent",
            Self::SameService => "same service",
            Self::TimeAndDepth => "time and depth",
            Self::Votes => "votes and vetoes",
        }
    }

    /// The changes before the first alert, the most suspicious first.
    pub(super) fn rank<'a>(
        self,
        subject: &Subject,
        catalog: &Catalog,
        changes: &'a BTreeMap<ChangeId, Change>,
        at: Time,
    ) -> Vec<&'a ChangeId> {
        let first = subject.truth.first_alert();
        let own: Vec<_> =
            subject.truth.own_alerts().filter(|alert| alert.starts_at <= at).collect();
        let before = changes.iter().filter(|(_, change)| change.started_at <= first);
        let mut scored: Vec<_> = before
            .map(|(id, change)| {
                let lag = first - change.started_at;
                let score = match self {
                    Self::MostRecent => 0.0,
                    Self::SameService => {
                        f64::from(u8::from(depth(catalog, change, &own) == Some(0)))
                    }
                    Self::TimeAndDepth => bucket(lag) + near(depth(catalog, change, &own)),
                    Self::Votes => votes(subject, catalog, change, &own),
                };
                (id, (score, -number_of_seconds(lag)))
            })
            .collect();
        scored.sort_by(|(_, one), (_, other): &(_, Score)| {
            other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1))
        });
        scored.into_iter().map(|(id, _)| id).collect()
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a few days in seconds")]
fn number_of_seconds(lag: TimeDelta) -> f64 {
    lag.num_seconds() as f64
}

/// Dependencies from a service that alerts down to the changed one, the fewest.
fn depth(catalog: &Catalog, change: &Change, own: &[&KnownAlert]) -> Option<usize> {
    let sick = own.iter().flat_map(|alert| &alert.services);
    let ways = sick.flat_map(|sick| {
        change.scope.services().filter_map(move |changed| {
            if changed == sick { Some(0) } else { catalog.hops(sick, changed) }
        })
    });
    ways.min()
}

/// Up to 1, 2, 4, 8, 16 and 32 minutes: 6 to 1; longer: 0.
fn bucket(lag: TimeDelta) -> f64 {
    let buckets = [1, 2, 4, 8, 16, 32];
    let longer = buckets.iter().filter(|minutes| lag > TimeDelta::minutes(**minutes)).count();
    number(buckets.len() - longer)
}

fn near(depth: Option<usize>) -> f64 {
    depth.map_or(0.0, |depth| 2.0 / (number(depth) + 2.0))
}

/// `Σ w_i ln((P_i - B + 1) / (B + 1))` over the windows in which the votes outnumber the vetoes.
fn votes(subject: &Subject, catalog: &Catalog, change: &Change, own: &[&KnownAlert]) -> f64 {
    let near =
        |alert: &&&KnownAlert| depth(catalog, change, &[**alert]).is_some_and(|depth| depth <= 1);
    let voters: Vec<_> = own.iter().filter(near).collect();
    let from = change.started_at - TimeDelta::hours(72);
    let vetoes = subject.truth.alerts.iter().filter(|earlier| {
        (from..change.started_at).contains(&earlier.starts_at)
            && voters.iter().any(|voter| {
                voter.alertname == earlier.alertname && voter.services == earlier.services
            })
    });
    let vetoes = number(vetoes.count());
    let windows = [(1, 1.0), (24, 0.5), (72, 0.25)];
    let terms = windows.iter().map(|(hours, weight)| {
        let until = change.started_at + TimeDelta::hours(*hours);
        let votes = voters
            .iter()
            .filter(|alert| alert.starts_at >= change.started_at && alert.starts_at <= until);
        let votes = number(votes.count());
        if votes > vetoes { weight * ((votes - vetoes + 1.0) / (vetoes + 1.0)).ln() } else { 0.0 }
    });
    terms.sum()
}
