//! Impact: how long each service was out, and how long it was degraded, as the alerts fired.

use std::collections::BTreeMap;

use super::{Impact, Outage, Settings};
use crate::event::{Episode, Time};

/// Per service and environment; firing alerts count up to `at`.
pub(super) fn impact(episodes: &[&Episode], settings: &Settings, at: Time) -> Vec<Impact> {
    let mut spans: BTreeMap<(String, String), [Vec<Outage>; 2]> = BTreeMap::new();
    for episode in episodes {
        let labels = episode.scope.labels();
        let out = settings.outage.iter().any(|matchers| matchers.matches(labels));
        let span = Outage {
            from: episode.starts_at,
            to: episode.ends_at.unwrap_or(at),
            ongoing: episode.fires(),
        };
        for (service, environment) in places(episode) {
            let [outages, degraded] = spans.entry((service, environment)).or_default();
            if out { outages.push(span.clone()) } else { degraded.push(span.clone()) }
        }
    }
    spans
        .into_iter()
        .map(|((service, environment), [outages, degraded])| {
            let (outages, degradations) = (union(outages), union(degraded));
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
