//! How a line of a timeline is written for people.

use super::{Entry, EntryKind, Role};
use crate::{
    event::Verdict,
    say::{say_place, say_seconds},
};

/// What happened, in a word.
pub const fn say_kind(entry: &Entry) -> &'static str {
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
            Some(Verdict::Withdrawn) => "unsaid",
            Some(Verdict::Cause) | None => "cause",
        },
    }
}

/// What happened where, in a sentence.
pub fn say_entry(entry: &Entry) -> String {
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
    // A gap's words say from when to when it was.
    let lasted = entry.lasted_seconds.filter(|_| entry.kind != EntryKind::Gap);
    if let Some(seconds) = lasted.filter(|seconds| *seconds != 0) {
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
