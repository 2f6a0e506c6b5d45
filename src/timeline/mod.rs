//! Timelines: what happened, line by line, in the order in which it happened.
//!
//! In: an incident with its alerts, and the changes and notes around it; or everything in a range
//! of time. Out: entries, each with what it is to the story. Pure: nothing here knows a clock or a
//! store, and the order of what comes in decides nothing.

mod entry;
mod words;

#[cfg(test)]
mod tests;

pub use self::{
    entry::{Entry, EntryKind, Role},
    words::{say_entry, say_kind},
};

use std::collections::BTreeMap;

use crate::{
    correlate::{Family, Incident},
    event::{CANONICAL, Change, ChangeId, Feedback, Labels, Note, Time},
    feed::Gap,
};

/// An incident's own timeline: its symptoms, suspects and responses from first to last, and of the
/// cleared changes and the notes those that fall between the first suspect's start and its end, as
/// of `at`.
pub fn entries(
    incident: &Incident,
    symptoms: &[Family],
    changes: &[Change],
    notes: &[Note],
    at: Time,
) -> Vec<Entry> {
    let roles = roles(incident);
    let told = changes.iter().filter_map(|change| Some((change, roles.get(&change.id)?)));
    let span = Span::of(incident);
    let told: Vec<_> = told.filter(|(change, role)| span.tells_of(change, role)).collect();
    let place = place(symptoms, &told);

    let lines_of_changes = told.iter().flat_map(|(change, role)| Entry::of_change(change, role));
    let lines_of_alerts = symptoms.iter().flat_map(|one| Entry::of_family(one, at));
    let lines_of_notes =
        notes.iter().filter(|note| belongs(note, incident, &span, &place)).map(Entry::of_note);
    in_order(lines_of_changes.chain(lines_of_alerts).chain(lines_of_notes))
}

/// Everything that is given, whatever it belongs to, as of `at`.
pub fn between(symptoms: &[Family], changes: &[Change], notes: &[Note], at: Time) -> Vec<Entry> {
    let lines_of_changes =
        changes.iter().flat_map(|change| Entry::of_change(change, &Role::Context));
    let lines_of_alerts = symptoms.iter().flat_map(|one| Entry::of_family(one, at));
    let lines_of_notes = notes.iter().map(Entry::of_note);
    in_order(lines_of_changes.chain(lines_of_alerts).chain(lines_of_notes))
}

/// The same entries, and the gaps in what was heard: these are known of now alone, so they are told
/// by who knows the time. A gap that began before `from` stands there.
pub fn with_gaps(entries: Vec<Entry>, gaps: &[Gap], from: Time) -> Vec<Entry> {
    in_order(entries.into_iter().chain(gaps.iter().map(|gap| Entry::of_gap(gap, from))))
}

/// The same entries, and what people said of the changes that `titled` knows.
pub fn with_feedback(
    entries: Vec<Entry>,
    feedback: &[Feedback],
    titled: &BTreeMap<&ChangeId, &Change>,
) -> Vec<Entry> {
    let said =
        feedback.iter().map(|said| Entry::of_feedback(said, titled.get(&said.change).copied()));
    in_order(entries.into_iter().chain(said))
}

fn in_order(lines: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by(Entry::order);
    lines
}

/// What each change is to the incident.
fn roles(incident: &Incident) -> BTreeMap<&ChangeId, Role> {
    let responses = incident.responses.iter().map(|id| (id, Role::Response));
    let cleared = incident.cleared.iter().flat_map(|cleared| {
        let role = Role::Cleared { reason: cleared.reason.clone() };
        cleared.changes.iter().map(move |id| (id, role.clone()))
    });
    let suspects = incident.suspects.iter().flat_map(|suspect| {
        let role = Role::Suspect { rank: suspect.rank, probability: suspect.probability };
        suspect.changes.iter().map(move |id| (id, role.clone()))
    });
    responses.chain(cleared).chain(suspects).collect()
}

/// What an incident's timeline reaches over.
struct Span {
    from: Time,
    /// `None` while the incident goes on.
    to: Option<Time>,
}

impl Span {
    /// From the earliest suspect, or the earliest symptom where none is older, to the last alert's
    /// end.
    fn of(incident: &Incident) -> Self {
        let suspects = incident.suspects.iter().map(|suspect| suspect.started_at);
        let onsets = incident.families.iter().map(|family| family.onset_from);
        let from = suspects.chain(onsets).fold(incident.started_at, Time::min);
        Self { from, to: incident.ended_at }
    }

    fn holds(&self, at: Time) -> bool {
        self.from <= at && self.to.is_none_or(|to| at <= to)
    }

    /// Cleared changes are many and mostly old: those from before the story are left out of it.
    fn tells_of(&self, change: &Change, role: &Role) -> bool {
        match role {
            Role::Cleared { .. } => {
                self.holds(change.started_at)
                    || change.finished_at.is_some_and(|finished| self.holds(finished))
            }
            Role::Suspect { .. } | Role::Response | Role::Symptom | Role::Context => true,
        }
    }
}

/// Everywhere that the story is; where somebody else changed something, it is not.
fn place(symptoms: &[Family], told: &[(&Change, &Role)]) -> Labels {
    let mut place = Labels::default();
    for family in symptoms {
        place.extend(family.labels());
    }
    for (change, role) in told {
        if !matches!(role, Role::Cleared { .. }) {
            place.extend(change.scope.labels());
        }
    }
    place
}

/// Whether a note is about the incident: it says so, or it says nothing that speaks against it.
fn belongs(note: &Note, incident: &Incident, span: &Span, place: &Labels) -> bool {
    match &note.incident {
        Some(id) => *id == incident.id.0,
        None => {
            span.holds(note.at)
                && CANONICAL.iter().all(|name| note.labels.share(place, name) != Some(false))
        }
    }
}
