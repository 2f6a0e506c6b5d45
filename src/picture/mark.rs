//! Marks: the one thing that each pair of entries is about.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::{
    event::{Status, Time, Verdict},
    say::{say_count, say_place, say_probability, say_seconds},
    timeline::{Entry, EntryKind, Role},
};

/// What a mark looks like.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Shape {
    /// A change, over the time that it took.
    Change,
    /// A change that ended before it was done.
    FailedChange,
    /// A change that is only announced.
    PlannedChange,
    /// An alert, over the time that it fired.
    Alert,
    /// What somebody wrote.
    Note,
    /// That somebody said of a change that it was the cause, or was not.
    Feedback,
}

/// What a mark is to the story.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// The first suspect.
    FirstSuspect,
    /// Another suspect.
    Suspect,
    /// A response.
    Response,
    /// A symptom of an urgent severity.
    Urgent,
    /// Another symptom.
    Symptom,
    /// What people wrote.
    Said,
    /// A change that was cleared.
    Cleared,
    /// Anything else.
    Context,
}

impl Part {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstSuspect => "first-suspect",
            Self::Suspect => "suspect",
            Self::Response => "response",
            Self::Urgent => "urgent",
            Self::Symptom => "symptom",
            Self::Said => "said",
            Self::Cleared => "cleared",
            Self::Context => "context",
        }
    }
}

/// One thing in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// What it looks like.
    pub shape: Shape,
    /// What it is to the story.
    pub part: Part,
    /// When it began.
    pub from: Time,
    /// When it ended; of what goes on, the time that the picture is as of.
    pub to: Time,
    /// It goes on.
    pub open: bool,
    /// The earliest that a symptom can have begun.
    pub onset: Option<Time>,
    /// What it is called.
    pub label: String,
    /// All that there is to say of it in a line or two.
    pub detail: String,
    /// Where it is.
    pub place: String,
    /// The number of its first entry in the timeline, from 0.
    pub entry: usize,
}

impl Mark {
    /// When it begins to show.
    pub(super) fn since(&self) -> Time {
        self.onset.unwrap_or(self.from)
    }

    /// When it ends.
    pub(super) fn until(&self) -> Time {
        self.to
    }
}

/// Where changes and alerts are of which nobody said where, ...
const NOWHERE: &str = "anywhere";
/// ... and where words are that are about all of it.
const SAID: &str = "notes";

/// The marks of these entries as of `at`; a beginning and its end are one.
pub(super) fn marks(entries: &[Entry], at: Time) -> Vec<Mark> {
    let mut begun: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut marks: Vec<Mark> = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let key = (
            entry.change.as_ref().map_or("", |id| id.0.as_str()),
            entry.alert.as_ref().map_or("", |id| id.0.as_str()),
        );
        match entry.kind {
            EntryKind::Gap => {}
            EntryKind::Note | EntryKind::Feedback | EntryKind::ChangePlanned => {
                marks.push(mark(entry, number, entry.at, false));
            }
            EntryKind::ChangeStarted | EntryKind::AlertFiring => {
                begun.insert(key, marks.len());
                marks.push(mark(entry, number, at.max(entry.at), true));
            }
            EntryKind::ChangeFinished
            | EntryKind::ChangeFailed
            | EntryKind::ChangeCanceled
            | EntryKind::AlertResolved
            | EntryKind::AlertExpired => {
                if let Some(mark) = begun.get(&key).and_then(|n| marks.get_mut(*n)) {
                    mark.to = entry.at;
                    mark.open = false;
                    mark.shape = shape(entry);
                    mark.detail = detail(entry);
                } else {
                    // Its beginning is the same moment, or out of the range.
                    let lasted = TimeDelta::seconds(entry.lasted_seconds.unwrap_or(0));
                    let whole = mark(entry, number, entry.at, false);
                    marks.push(Mark { from: entry.at - lasted, ..whole });
                }
            }
        }
    }
    marks
}

fn mark(entry: &Entry, number: usize, to: Time, open: bool) -> Mark {
    let place = say_place(&entry.services, &entry.environments);
    Mark {
        shape: shape(entry),
        part: part(entry),
        from: entry.at,
        to,
        open,
        onset: entry.onset_from,
        label: label(entry),
        detail: detail(entry),
        place: match (place.is_empty(), shape(entry)) {
            (false, _) => place,
            (true, Shape::Note | Shape::Feedback) => SAID.to_owned(),
            (true, _) => NOWHERE.to_owned(),
        },
        entry: number,
    }
}

fn shape(entry: &Entry) -> Shape {
    match (entry.kind, entry.status) {
        (EntryKind::AlertFiring | EntryKind::AlertResolved | EntryKind::AlertExpired, _) => {
            Shape::Alert
        }
        (EntryKind::Note | EntryKind::Gap, _) => Shape::Note,
        (EntryKind::Feedback, _) => Shape::Feedback,
        (EntryKind::ChangePlanned, _) => Shape::PlannedChange,
        (EntryKind::ChangeFailed | EntryKind::ChangeCanceled, _)
        | (_, Some(Status::Failed | Status::Canceled)) => Shape::FailedChange,
        (EntryKind::ChangeStarted | EntryKind::ChangeFinished, _) => Shape::Change,
    }
}

/// Severities that wake people, as common alert rules spell them.
const URGENT: [&str; 7] = ["critical", "page", "error", "fatal", "emergency", "high", "urgent"];

fn part(entry: &Entry) -> Part {
    match &entry.role {
        Role::Suspect { rank: 1, .. } => Part::FirstSuspect,
        Role::Suspect { .. } => Part::Suspect,
        Role::Response => Part::Response,
        Role::Cleared { .. } => Part::Cleared,
        Role::Symptom => match &entry.severity {
            Some(severity) if URGENT.contains(&severity.to_lowercase().as_str()) => Part::Urgent,
            Some(_) | None => Part::Symptom,
        },
        Role::Context if matches!(entry.kind, EntryKind::Note | EntryKind::Feedback) => Part::Said,
        Role::Context if entry.alert.is_some() => Part::Symptom,
        Role::Context => Part::Context,
    }
}

fn label(entry: &Entry) -> String {
    match (&entry.role, entry.alerts, entry.verdict) {
        (Role::Suspect { probability, .. }, _, _) => {
            format!("{} {}", entry.title, say_probability(*probability))
        }
        (_, Some(alerts), _) => format!("{} ×{alerts}", entry.title),
        (_, _, Some(Verdict::Cause)) => format!("the cause: {}", entry.title),
        (_, _, Some(Verdict::NotCause)) => format!("not the cause: {}", entry.title),
        (_, _, Some(Verdict::Withdrawn)) => format!("taken back: {}", entry.title),
        _ => entry.title.clone(),
    }
}

fn detail(entry: &Entry) -> String {
    let role = match &entry.role {
        Role::Suspect { rank, probability } => {
            Some(format!("suspect {rank}, {}", say_probability(*probability)))
        }
        Role::Cleared { reason } => Some(format!("cleared: {reason}")),
        Role::Response => Some("a response".to_owned()),
        Role::Symptom | Role::Context => None,
    };
    let lasted = entry.lasted_seconds.filter(|s| *s != 0);
    let parts = [
        Some(label(entry)),
        entry.change_kind.map(|kind| kind.to_string()),
        Some(say_place(&entry.services, &entry.environments)),
        entry.severity.clone(),
        entry.status.map(|status| status.word().to_owned()),
        entry.alerts.map(|count| say_count(count, "alert")),
        lasted.map(|seconds| format!("lasted {}", say_seconds(seconds))),
        role,
        entry.detail.clone(),
        entry.actor.as_ref().map(|actor| format!("by {actor}")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}
