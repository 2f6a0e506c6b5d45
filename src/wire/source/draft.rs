//! Events in the making: what a source's fields mean, before the limits.
//!
//! A vendor's fields are as long as the vendor likes. What is over a limit is cut here, since people
//! cannot make their vendor write less, and a change with half a title is better than none.

use chrono::TimeDelta;
use serde_json::Value;

use super::written::{Stamp, Text};
use crate::{
    event::{Action, AlertReport, Event, Kind, Labels, Note, Resource, Status, Time, digest},
    wire::{
        AHEAD_MAX, Flaw, Item, LABEL_NAME_MAX, LABEL_VALUE_MAX, LABEL_VALUES_MAX, LABELS_MAX,
        NOTE_TEXT_MAX, Normalised, RESOURCES_MAX, TEXT_MAX, change::RawChange, limits,
    },
};

/// The label that holds a word for a kind that has no meaning for us: the change is of kind `other`,
/// and rules can still match the word.
pub(super) const KIND_AS_SENT: &str = "kind_as_sent";

/// Why there is no event in a thing.
#[derive(Debug)]
pub(super) enum Left {
    /// It was understood, and is none of our business.
    Ignored(String),
    /// It was not understood.
    Flawed(Flaw),
}

impl From<Flaw> for Left {
    fn from(flaw: Flaw) -> Self {
        Self::Flawed(flaw)
    }
}

/// What became of the things of one body.
pub(super) fn settle(found: impl IntoIterator<Item = Result<Item, Left>>) -> Normalised {
    let mut normalised = Normalised::default();
    for (index, found) in found.into_iter().enumerate() {
        match found {
            Ok(item) => normalised.take(index, Ok(item)),
            Err(Left::Ignored(reason)) => normalised.ignore(index, reason),
            Err(Left::Flawed(flaw)) => normalised.take(index, Err(flaw)),
        }
    }
    normalised
}

/// It is none of our business.
pub(super) fn ignored<T>(reason: impl Into<String>) -> Result<T, Left> {
    Err(Left::Ignored(reason.into()))
}

/// A field without which a thing says nothing.
pub(super) fn need<T>(field: &str, value: Option<T>) -> Result<T, Left> {
    value.ok_or_else(|| Left::Flawed(Flaw::new(field, "is missing")))
}

/// A change as a source tells of it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The parts of its id, the source's name first: what ties the reports of one change together.
    pub(super) id: Vec<String>,
    pub(super) status: Status,
    pub(super) kind: Kind,
    pub(super) action: Option<Action>,
    pub(super) title: Option<String>,
    pub(super) started_at: Stamp,
    pub(super) finished_at: Stamp,
    pub(super) labels: Labels,
    pub(super) actor: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) change_set: Option<String>,
    pub(super) url: Option<String>,
    pub(super) resources: Vec<Resource>,
}

impl Draft {
    /// A change of which nothing else is known.
    pub(super) fn new<const N: usize>(id: [&str; N], status: Status, kind: Kind) -> Self {
        Self {
            id: id.into_iter().map(str::to_owned).collect(),
            status,
            kind,
            action: None,
            title: None,
            started_at: Stamp(None),
            finished_at: Stamp(None),
            labels: Labels::default(),
            actor: None,
            revision: None,
            change_set: None,
            url: None,
            resources: Vec::new(),
        }
    }

    /// Its facts, within the limits.
    pub(super) fn item(self, received: Time) -> Result<Item, Flaw> {
        let change_set = self.change_set.map(|key| fitting(key, TEXT_MAX));
        let started_at = limits_time("its start", self.started_at, received)?;
        let finished_at = limits_time("its end", self.finished_at, received)?;
        // Two clocks of one vendor: an end before the start is the start's moment.
        let started_at = match (started_at, finished_at) {
            (Some(start), Some(end)) if end < start => Some(end),
            (start, _) => start,
        };
        let raw = RawChange {
            id: Some(fitting(self.id.join(":"), LABEL_NAME_MAX)),
            title: self.title.map(first_line),
            kind: Some(self.kind.word().to_owned()),
            action: self.action.map(|action| action.word().to_owned()),
            status: Some(self.status.word().to_owned()),
            started_at: Stamp(started_at).moment(),
            finished_at: Stamp(finished_at).moment(),
            labels: Some(within_limits(&self.labels)),
            revision: self.revision.map(|text| cut(text, TEXT_MAX)),
            change_set,
            actor: self.actor.map(|text| cut(text, TEXT_MAX)),
            url: self.url,
            ..RawChange::default()
        };
        let mut report = raw.report(received)?;
        report.resources = self.resources.into_iter().take(RESOURCES_MAX).map(short).collect();
        let id = Some(report.id.0.clone());
        Ok(Item { events: report.facts().into_iter().map(Event::Change).collect(), id })
    }
}

/// An alert as a source tells of it.
#[derive(Clone, Debug, Default)]
pub(super) struct AlertDraft {
    /// All that makes it the one that it is, `alertname` among them: its end has to have the same.
    pub(super) labels: Labels,
    /// Where no time is told, it is that of receipt.
    pub(super) starts_at: Stamp,
    /// When it stopped, if it did; the inner `None`: at the time of receipt.
    pub(super) ended: Option<Stamp>,
    pub(super) summary: Option<String>,
    pub(super) url: Option<String>,
    /// What the sender knows it by.
    pub(super) id: Option<String>,
    /// For how long it holds, where nobody will tell of its end.
    pub(super) holds: Option<TimeDelta>,
}

impl AlertDraft {
    /// Its facts, within the limits.
    pub(super) fn item(self, received: Time) -> Result<Item, Flaw> {
        let labels = within_limits(&self.labels);
        if !labels.has("alertname") {
            return Err(Flaw::new("alertname", "is missing: the alert has no name"));
        }
        let starts_at = limits_time("its start", self.starts_at, received)?;
        let ends_at = match self.ended {
            None => None,
            Some(end) => Some(limits_time("its end", end, received)?.unwrap_or(received)),
        };
        let starts_at = starts_at.or(ends_at).unwrap_or(received);
        let report = AlertReport {
            labels,
            starts_at: ends_at.map_or(starts_at, |end| end.min(starts_at)),
            ends_at,
            expires_at: self.holds.and_then(|holds| starts_at.checked_add_signed(holds)),
            pending_at: None,
            summary: limits::words(self.summary),
            url: limits::url(self.url),
        };
        Ok(Item { id: self.id, ..Item::of_alert(report) })
    }
}

/// A note as a source tells of it.
pub(super) fn note(
    text: String,
    at: Stamp,
    author: Option<String>,
    labels: &Labels,
    received: Time,
) -> Result<Item, Flaw> {
    let at = limits_time("its time", at, received)?;
    let note = Note {
        at: at.unwrap_or(received),
        at_assumed: at.is_none(),
        text: cut(text, NOTE_TEXT_MAX),
        author: author.map(|author| cut(author, TEXT_MAX)),
        incident: None,
        labels: within_limits(labels),
    };
    let id = Some(digest("note_", &note));
    Ok(Item { events: vec![Event::Note(note)], id })
}

/// Labels out of texts that may say nothing.
pub(super) fn labels<T: Into<Option<String>>, const N: usize>(pairs: [(&str, T); N]) -> Labels {
    let said = pairs.into_iter().filter_map(|(name, value)| Some((name, value.into()?)));
    said.collect()
}

impl From<Text> for Option<String> {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// A status in the words of CI systems and infrastructure tools.
pub(super) fn status_of(word: &str) -> Option<Status> {
    crate::wire::change::status_of(&crate::wire::change::plain(word))
}

/// A kind in the words of CI systems and infrastructure tools.
pub(super) fn kind_of(word: &str) -> Option<Kind> {
    crate::wire::change::kind_of(&crate::wire::change::plain(word))
}

/// What was done, in the words of infrastructure tools.
pub(super) fn action_of(word: &str) -> Option<Action> {
    crate::wire::change::action_of(&crate::wire::change::plain(word))
}

/// The kind that words about a change speak of, where they do.
pub(super) fn kind_in(words: &str) -> Option<Kind> {
    let words = words.to_lowercase();
    let speaks = |stems: &[&str]| stems.iter().any(|stem| words.contains(stem));
    if speaks(&["rollback", "roll back", "rolled back", "revert"]) {
        Some(Kind::Rollback)
    } else if speaks(&["migrat"]) {
        Some(Kind::Database)
    } else if speaks(&["terraform", "tofu", "pulumi", "infra", "provision"]) {
        Some(Kind::Infrastructure)
    } else if speaks(&["feature flag", "feature-flag", "toggle"]) {
        Some(Kind::FeatureFlag)
    } else if speaks(&["deploy", "release", "rollout", "promote", "publish", "upgrade"]) {
        Some(Kind::Deploy)
    } else {
        None
    }
}

/// What a value says, by names that stand one in another.
pub(super) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

fn limits_time(field: &str, stamp: Stamp, received: Time) -> Result<Option<Time>, Flaw> {
    limits::time(field, stamp.moment(), received, AHEAD_MAX)
}

/// An id within a limit; a longer one is its hash, since its end may be what tells it from another.
fn fitting(text: String, max: usize) -> String {
    if text.len() <= max { text } else { digest("chg_", &text) }
}

fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

/// The first line that says something: commit messages and comments go on.
fn first_line(text: String) -> String {
    match text.trim_start().split_once('\n') {
        Some((line, _)) => line.trim_end().to_owned(),
        None => text,
    }
}

fn within_limits(labels: &Labels) -> Labels {
    let mut kept = Labels::default();
    let fitting = labels.by_name().filter(|(name, _)| name.len() <= LABEL_NAME_MAX);
    for (name, values) in fitting.take(LABELS_MAX) {
        for value in values.take(LABEL_VALUES_MAX) {
            kept.insert(name, cut(value.to_owned(), LABEL_VALUE_MAX));
        }
    }
    kept
}

fn short(resource: Resource) -> Resource {
    let name = resource.name.map(|name| cut(name, TEXT_MAX));
    Resource { type_name: cut(resource.type_name, TEXT_MAX), name, action: resource.action }
}
