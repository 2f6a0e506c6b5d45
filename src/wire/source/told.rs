//! What a post becomes, as it is shown to people and compared with goldens.

use serde::Serialize;

use super::draft::KIND_AS_SENT;
use crate::{
    event::Event,
    wire::{Ending, Ignored, Item, Normalised, Refused, Rejected},
};

/// What became of one post.
#[derive(Debug, Serialize)]
pub struct Told {
    /// What was understood.
    pub items: Vec<ToldItem>,
    /// The alerts that it ends, by their labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<Ending>,
    /// What was understood and is none of our business.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
    /// What was not understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// Why nothing at all was understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// What one thing became.
#[derive(Debug, Serialize)]
pub struct ToldItem {
    /// By what it can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its facts.
    pub events: Vec<Event>,
    /// Words in it that mean nothing to us, and what was made of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Told {
    /// Whether something was not understood.
    pub fn is_flawed(&self) -> bool {
        self.refused.is_some() || !self.rejected.is_empty()
    }
}

impl From<Result<Normalised, Refused>> for Told {
    fn from(result: Result<Normalised, Refused>) -> Self {
        match result {
            Ok(Normalised { items, rejected, ignored, endings, truncated: _ }) => Self {
                items: items.into_iter().map(ToldItem::from).collect(),
                ends: endings,
                ignored,
                rejected,
                refused: None,
            },
            Err(refused) => Self {
                items: Vec::new(),
                ends: Vec::new(),
                ignored: Vec::new(),
                rejected: Vec::new(),
                refused: Some(refused),
            },
        }
    }
}

impl From<Item> for ToldItem {
    fn from(Item { events, id }: Item) -> Self {
        let remarks = events.iter().flat_map(remarks).collect();
        Self { id, events, remarks }
    }
}

fn remarks(event: &Event) -> Vec<String> {
    let Event::Change(report) = event else { return Vec::new() };
    let told = [
        (KIND_AS_SENT, "kind", "other"),
        ("action_as_sent", "action", "update"),
        ("status_as_sent", "status", report.status.word()),
    ];
    let told = told.into_iter().filter_map(|(label, what, made)| {
        let word = report.labels.first(label)?;
        Some(format!("{word:?} is no {what} that is known: it is taken as {made}"))
    });
    told.collect()
}
