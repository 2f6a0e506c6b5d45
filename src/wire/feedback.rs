//! Feedback on one incident: one object, or a list of them.

use serde::Deserialize;
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, LABEL_NAME_MAX, NOTE_TEXT_MAX, Normalised, Refused, TEXT_MAX, limits,
    moment::Moment, one_or_list, typed,
};
use crate::event::{ChangeId, Event, Feedback, Labels, Time, Verdict, digest};

/// Feedback as it is written. Fields that are not listed are ignored.
#[derive(Clone, Debug, Deserialize)]
#[serde(expecting = "feedback: an object")]
struct RawFeedback {
    #[serde(default)]
    at: Moment,
    change: Option<String>,
    verdict: Option<String>,
    text: Option<String>,
    author: Option<String>,
}

/// What feedback is on: what stays of an incident when its id changes.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The id of its first alert ...
    pub alert: String,
    /// ... what that is called, and where it is.
    pub labels: Labels,
}

/// The events in a body of feedback on this incident.
///
/// # Errors
/// It is neither an object nor a list.
pub fn normalise(body: &[u8], incident: &About, received: Time) -> Result<Normalised, Refused> {
    let things = one_or_list(body)?.into_iter();
    Ok(Normalised::of(things.map(|thing| item(thing, incident, received))))
}

fn item(thing: Value, incident: &About, received: Time) -> Result<Item, Flaw> {
    let feedback = typed::<RawFeedback>(thing)?.feedback(incident, received)?;
    let id = Some(digest("feedback_", &feedback));
    Ok(Item { events: vec![Event::Feedback(feedback)], id })
}

impl RawFeedback {
    fn feedback(self, incident: &About, received: Time) -> Result<Feedback, Flaw> {
        let at = limits::time("at", self.at, received, AHEAD_MAX)?;
        let change = limits::text("change", self.change, LABEL_NAME_MAX)?
            .ok_or_else(|| Flaw::new("change", "is missing: the id of the change it is about"))?;
        let verdict = self.verdict.as_deref().unwrap_or_default();
        let verdict =
            Verdict::ALL.into_iter().find(|one| one.word() == verdict).ok_or_else(|| {
                let known = Verdict::ALL.map(Verdict::word).join(", ");
                Flaw::new("verdict", format!("{verdict:?} is none of {known}"))
            })?;
        Ok(Feedback {
            at: at.unwrap_or(received),
            at_assumed: at.is_none(),
            incident: incident.alert.clone(),
            labels: incident.labels.clone(),
            change: ChangeId(change),
            verdict,
            text: limits::text("text", self.text, NOTE_TEXT_MAX)?,
            author: limits::text("author", self.author, TEXT_MAX)?,
        })
    }
}
