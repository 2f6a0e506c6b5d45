//! Our own form of notes: one object, or a list of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, LABEL_NAME_MAX, NOTE_TEXT_MAX, Normalised, Refused, TEXT_MAX, Values,
    gather, limits, moment::Moment, one_or_list, typed,
};
use crate::event::{Event, Labels, Note, Time, digest};

/// A note as it is written. Fields that are not listed are ignored.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(expecting = "a note: an object")]
pub(super) struct RawNote {
    #[serde(default, skip_serializing_if = "Moment::is_unset")]
    pub(super) at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
}

/// The events in a body of notes.
///
/// # Errors
/// It is neither an object nor a list.
pub fn normalise(body: &[u8], received: Time) -> Result<Normalised, Refused> {
    Ok(Normalised::of(one_or_list(body)?.into_iter().map(|thing| item(thing, received))))
}

fn item(thing: Value, received: Time) -> Result<Item, Flaw> {
    let note = typed::<RawNote>(thing)?.note(received)?;
    let id = Some(digest("note_", &note));
    Ok(Item { events: vec![Event::Note(note)], id })
}

impl RawNote {
    pub(super) fn note(self, received: Time) -> Result<Note, Flaw> {
        let at = limits::time("at", self.at, received, AHEAD_MAX)?;
        let text = limits::text("text", self.text, NOTE_TEXT_MAX)?
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| Flaw::new("text", "is missing"))?;
        let labels =
            gather(self.labels, [("service", self.service), ("environment", self.environment)])?;
        Ok(Note {
            at: at.unwrap_or(received),
            at_assumed: at.is_none(),
            text,
            author: limits::text("author", self.author, TEXT_MAX)?,
            incident: limits::text("incident", self.incident, LABEL_NAME_MAX)?,
            labels,
        })
    }
}
