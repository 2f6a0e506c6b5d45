//! One line of a timeline, and the order of lines.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{
    correlate::Family,
    event::{Change, ChangeId, EpisodeId, Feedback, Kind, Labels, Note, Status, Time, Verdict},
    feed::Gap,
};

/// What happened. The order is that of lines with one time: causes, then symptoms, then words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A change was announced and has not begun.
    ChangePlanned,
    /// A change began.
    ChangeStarted,
    /// A change is done.
    ChangeFinished,
    /// A change ended before it was done.
    ChangeFailed,
    /// A change was called off.
    ChangeCanceled,
    /// An alert began to fire.
    AlertFiring,
    /// An alert stopped.
    AlertResolved,
    /// An alert's source did not say again that it fires.
    AlertExpired,
    /// Somebody was not heard from.
    Gap,
    /// Somebody wrote something.
    Note,
    /// Somebody said that a change was the cause, or was not.
    Feedback,
}

/// What the line is to the story.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Role {
    /// It may be the cause.
    Suspect {
        /// 1 for the first.
        rank: u32,
        /// Of being the cause.
        probability: f64,
    },
    /// It was considered and is not the cause.
    Cleared {
        /// Why not.
        reason: String,
    },
    /// It was done because of the incident.
    Response,
    /// It is what went wrong.
    Symptom,
    /// It helps to understand the rest.
    Context,
}

/// One line of a timeline.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub kind: EntryKind,
    /// The change's title, the alert's name, the note's words, or who was not heard from.
    pub title: String,
    /// What the alert means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the line is to the story; its fields stand beside the others.
    #[serde(flatten)]
    pub role: Role,
    /// The services that it names.
    pub services: Vec<String>,
    /// The environments that it names.
    pub environments: Vec<String>,
    /// An alert's severity, as its label says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// How far the change has come by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What sort of thing the change altered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_kind: Option<Kind>,
    /// The change that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeId>,
    /// The alert episode that it is about, of several the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<EpisodeId>,
    /// How many alert episodes it is about, where these are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<usize>,
    /// Who or what did or wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// At the beginning of a symptom: the earliest that it can really have begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset_from: Option<Time>,
    /// What was said of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// At the end of something that lasts: how long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted_seconds: Option<i64>,
}

impl Entry {
    /// A change's beginning and its end; one line where they are the same moment.
    pub(super) fn of_change(change: &Change, role: &Role) -> Vec<Self> {
        let line = |at, kind| Self {
            at,
            kind,
            title: change.title.clone(),
            detail: None,
            role: role.clone(),
            services: values(change.scope.labels(), "service"),
            environments: values(change.scope.labels(), "environment"),
            severity: None,
            status: Some(change.status),
            change_kind: Some(change.kind),
            change: Some(change.id.clone()),
            alert: None,
            alerts: None,
            actor: change.actor.clone(),
            url: change.url.clone(),
            onset_from: None,
            verdict: None,
            lasted_seconds: None,
        };
        let began = match change.status {
            Status::Planned => return vec![line(change.started_at, EntryKind::ChangePlanned)],
            Status::Started | Status::Succeeded | Status::Failed | Status::Canceled => {
                line(change.started_at, EntryKind::ChangeStarted)
            }
        };
        let Some(finished_at) = change.finished_at else { return vec![began] };
        let ended = Self {
            lasted_seconds: Some((finished_at - change.started_at).num_seconds()),
            ..line(finished_at, end_of(change.status))
        };
        if finished_at == change.started_at { vec![ended] } else { vec![began, ended] }
    }

    /// A symptom's beginning and, once it is over, its end. One that is only expected is told when
    /// it has come: until then the source may say more.
    pub(super) fn of_family(family: &Family, at: Time) -> Vec<Self> {
        let fired = Self {
            at: family.starts_at,
            kind: EntryKind::AlertFiring,
            title: family.key.alertname.clone(),
            detail: family.head.summary.clone(),
            role: Role::Symptom,
            services: family.key.services.clone(),
            environments: family.key.environments.clone(),
            severity: family.labels().first("severity").map(str::to_owned),
            status: None,
            change_kind: None,
            change: None,
            alert: Some(family.head.id.clone()),
            alerts: Some(family.episodes).filter(|episodes| *episodes > 1),
            actor: None,
            url: family.head.url.clone(),
            onset_from: Some(family.onset_from),
            verdict: None,
            lasted_seconds: None,
        };
        let ended = family.ended_at(at).map(|ends_at| Self {
            at: ends_at,
            kind: if family.expected { EntryKind::AlertExpired } else { EntryKind::AlertResolved },
            onset_from: None,
            lasted_seconds: Some((ends_at - family.starts_at).num_seconds()),
            ..fired.clone()
        });
        [Some(fired), ended].into_iter().flatten().collect()
    }

    /// A line that says this at this time, and nothing else.
    fn plain(at: Time, kind: EntryKind, title: String) -> Self {
        Self {
            at,
            kind,
            title,
            detail: None,
            role: Role::Context,
            services: Vec::new(),
            environments: Vec::new(),
            severity: None,
            status: None,
            change_kind: None,
            change: None,
            alert: None,
            alerts: None,
            actor: None,
            url: None,
            onset_from: None,
            verdict: None,
            lasted_seconds: None,
        }
    }

    /// What somebody wrote.
    pub(super) fn of_note(note: &Note) -> Self {
        Self {
            services: values(&note.labels, "service"),
            environments: values(&note.labels, "environment"),
            actor: note.author.clone(),
            ..Self::plain(note.at, EntryKind::Note, note.text.clone())
        }
    }

    /// What somebody said of a change, under its title where that is known.
    pub(super) fn of_feedback(said: &Feedback, change: Option<&Change>) -> Self {
        let title = change.map_or_else(|| said.change.0.clone(), |change| change.title.clone());
        Self {
            detail: said.text.clone(),
            change: Some(said.change.clone()),
            actor: said.author.clone(),
            verdict: Some(said.verdict),
            ..Self::plain(said.at, EntryKind::Feedback, title)
        }
    }

    /// That somebody was not heard from, where that began, or at the earliest that is told.
    pub(super) fn of_gap(gap: &Gap, earliest: Time) -> Self {
        let at = gap.from.max(earliest);
        let lasted_seconds = gap.to.map(|to| (to - at).num_seconds());
        Self { lasted_seconds, ..Self::plain(at, EntryKind::Gap, gap.words(at)) }
    }

    /// The order of a timeline: by time, causes before symptoms before words, then by what is said.
    /// Ids come last, so that how they are spelled decides only between lines that say the same.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }

    fn sort_key(&self) -> impl Ord {
        (
            (self.at, self.kind, &self.title),
            (&self.services, &self.environments, &self.severity, self.lasted_seconds),
            (&self.detail, &self.actor, &self.url, self.status),
            (&self.change, &self.alert),
        )
    }
}

/// What a change's end is called.
fn end_of(status: Status) -> EntryKind {
    match status {
        Status::Failed => EntryKind::ChangeFailed,
        Status::Canceled => EntryKind::ChangeCanceled,
        Status::Planned | Status::Started | Status::Succeeded => EntryKind::ChangeFinished,
    }
}

fn values(labels: &Labels, name: &str) -> Vec<String> {
    labels.values(name).map(str::to_owned).collect()
}
