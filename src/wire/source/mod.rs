//! The sources: what users' tools already send, one file each.
//!
//! In: a post to one of the [`SOURCES`]. Out: its events; what was understood and is none of our
//! business, with the reason; what was not understood, with the reason. A source's file holds the
//! types of what is written and one conversion to events, nothing else. Adding the next one is such a
//! file, a line in the table, payloads with goldens in `tests/sources/` and a section in
//! `docs/sources.md`; routes, signatures, counters and the command line follow from the table.
//!
//! What all of them keep to: fields that are not listed are ignored, and so are fields that are not
//! of the expected type but say nothing that is needed. A kind of change that is not known is taken
//! as `other`, with its word in the label `kind_as_sent`. Ids of changes begin with the source's name
//! and tie the reports of one change together, and no value of a secret is kept.

mod alertmanager_events;
mod argocd;
mod atlantis;
mod buildkite;
mod cdevents;
mod cloudevents;
mod cloudtrail;
mod datadog;
mod draft;
mod flagger;
mod flux;
mod github;
mod gitlab;
mod grafana;
mod grafana_annotations;
mod hcp_terraform;
mod jenkins;
mod json_alert;
mod kubernetes_audit;
mod launchdarkly;
mod ours;
mod own;
mod pagerduty_changes;
mod pagerduty_events;
mod place;
mod post;
mod terraform;
mod told;
mod written;

#[cfg(test)]
mod tests;

pub use self::{
    own::{Makes, Origin, Own},
    post::{Headers, Post},
    told::Told,
};

use self::written::percent_decoded;
use super::{Normalised, Refused, signature::Scheme};
use crate::event::{CANONICAL, Event, Labels};

/// One source: what is told of it, and how its posts become events.
#[derive(Debug)]
pub struct Source {
    /// Its name: in addresses, in `[sources.NAME]`, in metrics and on the command line.
    pub name: &'static str,
    /// What sends it.
    pub about: &'static str,
    /// The addresses that take it. The first is the one to tell people.
    pub paths: &'static [&'static str],
    /// How it is sent.
    pub verbs: Verbs,
    /// How it is answered.
    pub dialect: Dialect,
    /// How it can show that it is itself, where secrets are configured for it.
    pub schemes: &'static [Scheme],
    /// The headers that say what a body is.
    pub headers: &'static [&'static str],
    /// What tells a repetition from something new.
    pub id: &'static str,
    /// What becomes an event.
    pub taken: &'static str,
    /// What does not.
    pub left: &'static str,
    /// The conversion.
    convert: fn(&Post<'_>) -> Result<Normalised, Refused>,
}

/// The methods that a source is sent with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verbs {
    /// POST.
    Post,
    /// POST, or PUT where its users configure that.
    PostOrPut,
    /// POST, and OPTIONS before it, as CloudEvents' webhooks ask whether they may.
    PostAndHandshake,
}

/// Whose replies a source's clients expect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// Our own: 200 and a receipt.
    Own,
    /// Alertmanager's API: 200 and nothing, or a string.
    Alertmanager,
    /// PagerDuty's Events API: 202 exactly.
    PagerDuty,
    /// Datadog's: 202.
    Datadog,
    /// Grafana's annotations: 200 exactly, and a number.
    Grafana,
}

/// Where the addresses begin that are nobody else's.
const WEBHOOKS: &str = "/webhooks/";

/// Every source, in the order in which they are told to people.
pub static SOURCES: &[Source] = &[
    ours::ALERTMANAGER,
    ours::ALERTMANAGER_API,
    alertmanager_events::SOURCE,
    grafana::SOURCE,
    pagerduty_events::SOURCE,
    json_alert::SOURCE,
    github::SOURCE,
    gitlab::SOURCE,
    argocd::SOURCE,
    flux::SOURCE,
    flagger::SOURCE,
    cdevents::SOURCE,
    cloudevents::SOURCE,
    pagerduty_changes::SOURCE,
    datadog::SOURCE,
    grafana_annotations::SOURCE,
    terraform::SOURCE,
    hcp_terraform::SOURCE,
    atlantis::SOURCE,
    kubernetes_audit::SOURCE,
    cloudtrail::SOURCE,
    launchdarkly::SOURCE,
    jenkins::SOURCE,
    buildkite::SOURCE,
    ours::CHANGES,
    ours::ALERTS,
    ours::NOTES,
];

impl Source {
    /// The source of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SOURCES.iter().find(|source| source.name == name)
    }

    /// The source whose posts come to this address.
    pub fn at(path: &str) -> Option<&'static Self> {
        SOURCES.iter().find(|source| source.paths.contains(&path))
    }

    /// The same, and what a webhook's address says behind that of the source: `/cluster=main` is as
    /// good as `?cluster=main`, for senders that leave out a query, as API servers do.
    pub fn addressed(path: &str) -> Option<(&'static Self, Vec<(String, String)>)> {
        if !path.starts_with(WEBHOOKS) {
            return Some((Self::at(path)?, Vec::new()));
        }
        let (own, said) = match path.find('=') {
            Some(place) => path.split_at(path.get(..place)?.rfind('/')?),
            None => (path, ""),
        };
        let source = Self::at(own.trim_end_matches('/'))?;
        let pair = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.to_owned(), percent_decoded(value, false)?))
        };
        Some((source, said.split('/').filter_map(pair).collect()))
    }

    /// What a post becomes.
    ///
    /// # Errors
    /// Nothing of it is understood.
    pub fn normalise(&self, post: &Post<'_>) -> Result<Normalised, Refused> {
        let mut normalised = (self.convert)(post)?;
        fill_in(&mut normalised, post);
        Ok(normalised)
    }
}

/// Puts what the address says where an event says nothing: for tools that send nothing of where they
/// are, `?environment=production` in the address that they are given says it.
pub(super) fn fill_in(normalised: &mut Normalised, post: &Post<'_>) {
    if post.query.is_empty() {
        return;
    }
    let given: Labels = CANONICAL
        .iter()
        .filter_map(|name| Some((*name, post.asks(name)?)))
        .filter(|(_, value)| value.len() <= super::LABEL_VALUE_MAX)
        .collect();
    let said = |name| {
        let value = post.asks(name).filter(|value| value.len() <= super::TEXT_MAX);
        value.map(str::to_owned)
    };
    for event in normalised.items.iter_mut().flat_map(|item| &mut item.events) {
        match event {
            // The report of an end says nothing else: that of its start has all of it.
            Event::Change(report) if report.title.is_some() || !report.labels.is_empty() => {
                add_missing(&mut report.labels, &given);
                report.actor = report.actor.take().or_else(|| said("actor"));
                report.revision = report.revision.take().or_else(|| said("revision"));
                report.url = report.url.take().or_else(|| said("url"));
            }
            // Feedback names its incident.
            Event::Change(_) | Event::Feedback(_) => {}
            Event::Alert(report) => add_missing(&mut report.labels, &given),
            Event::Note(note) => add_missing(&mut note.labels, &given),
        }
    }
}

fn add_missing(labels: &mut Labels, given: &Labels) {
    for (name, value) in given.iter().filter(|(name, _)| !labels.has(name)).collect::<Vec<_>>() {
        labels.insert(name, value);
    }
}
