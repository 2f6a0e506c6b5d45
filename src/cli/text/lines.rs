//! Lists for people: a timeline, and incidents.

use super::page::{Column, Page};
use crate::{
    correlate::Incident,
    event::Verdict,
    say::{Clock, answer, say_place, say_probability, say_seconds, show_moment},
    timeline::{Entry, EntryKind, Role},
};

/// Writes a timeline onto the page: when, what, and what it is to the story.
pub(crate) fn timeline(page: &mut Page, entries: &[Entry]) {
    let Some(first) = entries.first() else { return };
    let clock = Clock::new(first.at, entries.iter().map(|entry| entry.at));
    page.strong(&first.at.format("%Y-%m-%d").to_string(), "all times UTC");
    let row = |entry: &Entry| {
        vec![clock.show(entry.at), mark(&entry.role), event(entry).to_owned(), sentence(entry)]
    };
    let columns = [Column::Left, Column::Left, Column::Left, Column::Wrapped];
    page.columns(2, &columns, entries.iter().map(row));
}

/// What a line is to the story, in a word; symptoms and notes speak for themselves.
fn mark(role: &Role) -> String {
    match role {
        Role::Suspect { rank, probability } => {
            format!("suspect {rank}, {}", say_probability(*probability))
        }
        Role::Cleared { .. } => "cleared".to_owned(),
        Role::Response => "response".to_owned(),
        Role::Symptom | Role::Context => String::new(),
    }
}

const fn event(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::ChangePlanned => "planned",
        EntryKind::ChangeStarted => "started",
        EntryKind::ChangeFinished => "finished",
        EntryKind::ChangeFailed => "failed",
        EntryKind::ChangeCanceled => "canceled",
        EntryKind::AlertFiring => "ALERT",
        EntryKind::AlertResolved => "resolved",
        EntryKind::AlertExpired => "expired",
        EntryKind::Gap => "gap",
        EntryKind::Note => "note",
        EntryKind::Feedback => match entry.verdict {
            Some(Verdict::NotCause) => "not it",
            Some(Verdict::Cause) | None => "cause",
        },
    }
}

fn sentence(entry: &Entry) -> String {
    let mut words = entry.title.clone();
    let place = say_place(&entry.services, &entry.environments);
    if !place.is_empty() {
        words.push_str(", ");
        words.push_str(&place);
    }
    if let (EntryKind::AlertFiring, Some(severity)) = (entry.kind, &entry.severity) {
        words.push_str(", ");
        words.push_str(severity);
    }
    if let Some(seconds) = entry.lasted_seconds.filter(|seconds| *seconds != 0) {
        words.push_str(", after ");
        words.push_str(&say_seconds(seconds));
    }
    if let (EntryKind::Note | EntryKind::Feedback, Some(author)) = (entry.kind, &entry.actor) {
        words.push_str(" (");
        words.push_str(author);
        words.push(')');
    }
    if let (EntryKind::ChangeStarted, Role::Cleared { reason }) = (entry.kind, &entry.role) {
        words.push_str(": ");
        words.push_str(reason);
    }
    words
}

/// Writes incidents onto the page, one line each.
pub(crate) fn incidents(page: &mut Page, incidents: &[Incident]) {
    let row = |incident: &Incident| {
        let (word, rest) = answer(incident);
        vec![
            incident.id.0.clone(),
            show_moment(incident.started_at),
            incident.state.word().to_owned(),
            format!("{word}  {rest}"),
        ]
    };
    let columns = [Column::Left, Column::Left, Column::Left, Column::Wrapped];
    page.columns(0, &columns, incidents.iter().map(row));
}
