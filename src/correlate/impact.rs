//! Impact: how long each service was out, and how long it was degraded, as the alerts fired.

use std::collections::BTreeMap;

use super::{Impact, Outage, course::Covered, family::Family};
use crate::event::Time;

/// No end in sight: the end of the year 9999, the last that RFC 3339 can say.
const FAR: Time = match chrono::DateTime::from_timestamp(253_402_300_799, 0) {
    Some(far) => far,
    None => Time::MAX_UTC,
};

/// When a family fired: what has ended, and since when it fires now and is expected to.
type Fired = (Vec<Covered>, Option<(Time, Option<Time>)>);

/// Per service and environment, of families, whether each means outage, and when it fired. What
/// goes on has no length yet: [`Impact::at`] gives it one.
pub(super) fn impact(fired: Vec<(&Family, bool, Fired)>) -> Vec<Impact> {
    let mut spans: BTreeMap<(String, String), [Vec<Outage>; 2]> = BTreeMap::new();
    for (family, out, (ended, firing)) in fired {
        let ended = ended.iter().map(|one| Outage { from: one.from, to: one.to, ongoing: false });
        let firing = firing.map(|(from, expected)| Outage {
            from,
            to: expected.unwrap_or(FAR),
            ongoing: true,
        });
        let told: Vec<_> = ended.chain(firing).collect();
        for place in places(family) {
            let [outages, degraded] = spans.entry(place).or_default();
            if out { outages.extend(told.clone()) } else { degraded.extend(told.clone()) }
        }
    }
    let told = spans.into_iter().map(|((service, environment), [outages, degraded])| Impact {
        service,
        environment,
        outage_seconds: 0,
        degraded_seconds: 0,
        outages: union(outages),
        degradations: union(degraded),
    });
    told.collect()
}

fn places(family: &Family) -> impl Iterator<Item = (String, String)> {
    family.key.services.iter().flat_map(|service| {
        let mut environments = family.key.environments.clone();
        if environments.is_empty() {
            environments.push(String::new());
        }
        environments.into_iter().map(|environment| (service.clone(), environment))
    })
}

/// The same time, covered once, in order.
fn union(mut spans: Vec<Outage>) -> Vec<Outage> {
    spans.sort_by_key(|span| (span.from, span.to));
    let mut merged: Vec<Outage> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.from <= last.to => {
                last.to = last.to.max(span.to);
                last.ongoing |= span.ongoing;
            }
            _ => merged.push(span),
        }
    }
    merged
}
