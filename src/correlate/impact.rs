//! Impact: how long each service was out, and how long it was degraded, as the alerts fired.

use std::collections::BTreeMap;

use super::{Impact, Outage, Settings};
use crate::event::{Episode, Time};

/// Per service and environment; firing alerts count up to `at`.
pub(super) fn impact(episodes: &[&Episode], settings: &Settings, at: Time) -> Vec<Impact> {
    let mut spans: BTreeMap<(String, String), [Vec<Span>; 2]> = BTreeMap::new();
    for episode in episodes {
        let labels = episode.scope.labels();
        let out = settings.outage.iter().any(|matchers| matchers.matches(labels));
        let span = (episode.starts_at, episode.ends_at);
        for (service, environment) in places(episode) {
            let [outages, degraded] = spans.entry((service, environment)).or_default();
            if out { outages.push(span) } else { degraded.push(span) }
        }
    }
    spans
        .into_iter()
        .map(|((service, environment), [outages, degraded])| {
            let as_of = |(from, end): Span| Outage::new(from, end, at);
            let [outages, degradations] =
                [outages, degraded].map(|spans| union(spans).into_iter().map(as_of).collect());
            let spans = Impact {
                service,
                environment,
                outage_seconds: 0,
                degraded_seconds: 0,
                outages,
                degradations,
            };
            spans.at(at)
        })
        .collect()
}

fn places(episode: &Episode) -> impl Iterator<Item = (String, String)> {
    episode.scope.services().flat_map(|service| {
        let mut environments: Vec<_> = episode.scope.environments().collect();
        if environments.is_empty() {
            environments.push("");
        }
        environments.into_iter().map(|environment| (service.to_owned(), environment.to_owned()))
    })
}

/// A start and an end; without an end it goes on.
type Span = (Time, Option<Time>);

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
