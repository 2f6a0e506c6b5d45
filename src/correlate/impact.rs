//! Impact: how long each service was out, and how long it was degraded, as the alerts fired.

use std::collections::BTreeMap;

use super::{Impact, Outage, course::Covered, family::Family};
use crate::event::Time;

/// When a family fired: what has ended, and since when it fires now and is expected to.
type Fired = (Vec<Covered>, Option<(Time, Option<Time>)>);

/// A start and an end; without an end it goes on.
type Span = (Time, Option<Time>);

/// Per service and environment, of families, whether each means outage, and when it fired. How long
/// that is depends on when it is asked: [`Impact::at`].
pub(super) fn impact(fired: Vec<(&Family, bool, Fired)>) -> Vec<Impact> {
    let mut spans: BTreeMap<(&str, &str), [Vec<Span>; 2]> = BTreeMap::new();
    for (family, out, (ended, firing)) in fired {
        let ended = ended.iter().map(|one| (one.from, Some(one.to)));
        let told: Vec<_> = ended.chain(firing).collect();
        for place in places(family) {
            let [outages, degraded] = spans.entry(place).or_default();
            if out { outages.extend(&told) } else { degraded.extend(&told) }
        }
    }
    let told = spans.into_iter().map(|((service, environment), spans)| {
        let spans = spans.map(|spans| {
            union(spans).into_iter().map(|(from, end)| Outage::new(from, end)).collect()
        });
        let [outages, degradations] = spans;
        Impact {
            service: service.to_owned(),
            environment: environment.to_owned(),
            outage_seconds: 0,
            degraded_seconds: 0,
            outages,
            degradations,
        }
    });
    told.collect()
}

fn places(family: &Family) -> impl Iterator<Item = (&str, &str)> {
    let environments = &family.key.environments;
    let unsaid = environments.is_empty().then_some("");
    family.key.services.iter().flat_map(move |service| {
        let environments = environments.iter().map(String::as_str).chain(unsaid);
        environments.map(move |environment| (service.as_str(), environment))
    })
}

/// The same time, covered once, in order.
fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for (from, end) in spans {
        match merged.last_mut() {
            Some((_, last)) if last.is_none_or(|last| from <= last) => {
                *last = last.zip(end).map(|(last, end)| last.max(end));
            }
            _ => merged.push((from, end)),
        }
    }
    merged
}
