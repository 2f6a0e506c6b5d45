//! Lists for people: a timeline, and incidents.

use super::page::{Column, Page};
use crate::{
    correlate::Incident,
    say::{Clock, answer, say_probability, show_moment},
    timeline::{Entry, Role, say_entry, say_kind},
};

/// Writes a timeline onto the page: when, what, and what it is to the story.
pub(crate) fn timeline(page: &mut Page, entries: &[Entry]) {
    let Some(first) = entries.first() else { return };
    let clock = Clock::new(first.at, entries.iter().map(|entry| entry.at));
    page.strong(&first.at.format("%Y-%m-%d").to_string(), "all times UTC");
    let row = |entry: &Entry| {
        vec![clock.show(entry.at), mark(&entry.role), say_kind(entry).to_owned(), say_entry(entry)]
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
