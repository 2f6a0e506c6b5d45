//! How symptoms spread: how much one that is there adds to another's rate, by where both are.

use super::{family::Spot, kernel::SKEW, model::Model, time::hours};
use crate::catalog::{Catalog, Place};

/// A story must make a family this many times likelier than its base rate does: two to one.
pub(super) const LINK_LEAST: f64 = 2.0;

/// How much a symptom that is there adds to another's rate, per hour.
pub(super) fn spread(model: &Model, from: &Spot, to: &Spot) -> f64 {
    let lag = to.starts_at - from.starts_at;
    if lag < -SKEW {
        return 0.0;
    }
    let lag = hours(lag).max(0.0);
    let near = nearness(&model.catalog, from, to) * spread_density(lag);
    near.max(kinship(from, to) * kin_density(lag))
}

/// How much a symptom adds to the rate of any other in its environment: little, but where many
/// begin at once, one more is hardly there by chance.
pub(super) fn burst(from: &Spot, to: &Spot) -> f64 {
    let lag = hours(to.starts_at - from.starts_at).max(0.0);
    let anywhere = if elsewhere(from, to) { BURST * 0.1 } else { BURST };
    anywhere * spread_density(lag)
}

/// Of symptoms that nothing ties to it, one in so many thousands follows a given one: about ten at
/// once make one more likelier than chance.
const BURST: f64 = 0.0002;

/// Whether both are known to be in different environments.
fn elsewhere(one: &Spot, other: &Spot) -> bool {
    let (one, other) = (&one.environments, &other.environments);
    !one.is_empty() && !other.is_empty() && !share(one, other)
}

/// Symptoms of one cause show within minutes of each other, or hours later when something runs out.
pub(super) fn spread_density(lag: f64) -> f64 {
    let quick = (-lag / QUICK_MEAN).exp() / QUICK_MEAN;
    let slow = (-lag / SLOW_MEAN).exp() / SLOW_MEAN;
    0.8 * quick + 0.2 * slow
}

const QUICK_MEAN: f64 = 5.0 / 60.0;
const SLOW_MEAN: f64 = 1.0;
/// What shows the same trouble again does so more slowly: the next environment, the next controller.
const KIN_MEAN: f64 = 2.0;

/// How close two symptoms are: what fails makes its users fail, and is seen to fail by them first.
///
/// The numbers are judgements of order, not measurements: the same service before its neighbours,
/// these before what merely shares a cluster, and another environment a long way behind.
fn nearness(catalog: &Catalog, from: &Spot, to: &Spot) -> f64 {
    let mut near = 0.0_f64;
    for (sick, sick_place) in &from.services {
        for (next, next_place) in &to.services {
            let hops = |user: &Option<Place>, used: &Option<Place>| {
                catalog.hops_between((*user)?, (*used)?)
            };
            let close = if sick == next {
                0.15
            } else {
                match (hops(next_place, sick_place), hops(sick_place, next_place)) {
                    (Some(1), _) => 0.10,
                    (_, Some(1)) => 0.07,
                    (Some(2), _) | (_, Some(2)) => 0.02,
                    _ => 0.0,
                }
            };
            near = near.max(close);
        }
    }
    if from.near.iter().zip(&to.near).any(|(one, other)| share(one, other)) {
        near = near.max(0.10);
    }
    if share(&from.clusters, &to.clusters) {
        near = near.max(0.003);
    }
    match (elsewhere(from, to), from.alertname == to.alertname) {
        (true, true) => near.max(0.03) * 0.3,
        (true, false) => near * 0.1,
        (false, true) => near.max(0.03),
        (false, false) => near.max(0.001),
    }
}

/// How likely a symptom is seen again: by the same service, by the same name, or both. It is less so
/// in another environment, and far more than a stranger there, since what is done to one environment
/// is done to the next.
fn kinship(from: &Spot, to: &Spot) -> f64 {
    let mut services = from.services.iter().map(|(service, _)| service);
    let same_service = services.any(|one| to.services.iter().any(|(other, _)| one == other));
    let kin = match (same_service, from.alertname == to.alertname) {
        (true, true) => 0.30,
        (true, false) => 0.15,
        (false, true) => 0.03,
        (false, false) => return 0.0,
    };
    if elsewhere(from, to) { kin * 0.5 } else { kin }
}

fn kin_density(lag: f64) -> f64 {
    let quick = (-lag / QUICK_MEAN).exp() / QUICK_MEAN;
    let slow = (-lag / KIN_MEAN).exp() / KIN_MEAN;
    0.5 * quick + 0.5 * slow
}

fn share(one: &[u64], other: &[u64]) -> bool {
    one.iter().any(|value| other.contains(value))
}
