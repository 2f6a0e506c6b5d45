//! Impact: how long each service was out, and how long it was degraded, as the alerts fired.

use std::collections::BTreeMap;

use super::{Impact, Outage, course::Stretched, family::Family};

/// Per service and environment, of families, whether each means outage, and when it fired. How long
/// that is depends on when it is asked: [`Impact::at`].
pub(super) fn impact<S: Iterator<Item = Stretched> + Clone>(
    families: &[(&Family, bool, S)],
) -> Vec<Impact> {
    let mut spans: BTreeMap<(&str, &str), [Vec<Stretched>; 2]> = BTreeMap::new();
    for (family, out, fired) in families {
        for place in places(family) {
            let [outages, degraded] = spans.entry(place).or_default();
            if *out { outages.extend(fired.clone()) } else { degraded.extend(fired.clone()) }
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
fn union(mut spans: Vec<Stretched>) -> Vec<Stretched> {
    spans.sort_unstable();
    let mut merged: Vec<Stretched> = Vec::new();
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
