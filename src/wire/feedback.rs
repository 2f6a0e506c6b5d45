//! Feedback on one incident: one object, or a list of them.

use serde::Deserialize;
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, LABEL_NAME_MAX, NOTE_TEXT_MAX, Normalised, Refused, TEXT_MAX, limits,
    moment::Moment, one_or_list, typed,
};
use crate::event::{ChangeId, Event, Feedback, Time, Verdict, digest};

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

/// The events in a body of feedback on this incident.
///
/// # Errors
/// It is neither an object nor a list.
pub fn normalise(body: &[u8], incident: &str, received: Time) -> Result<Normalised, Refused> {
    let things = one_or_list(body)?.into_iter();
    Ok(Normalised::of(things.map(|thing| item(thing, incident, received))))
}

fn item(thing: Value, incident: &str, received: Time) -> Result<Item, Flaw> {
    let feedback = typed::<RawFeedback>(thing)?.feedback(incident, received)?;
    let id = Some(digest("feedback_", &feedback));
    Ok(Item { events: vec![Event::Feedback(feedback)], id })
}

impl RawFeedback {
    fn feedback(self, incident: &str, received: Time) -> Result<Feedback, Flaw> {
        let at = limits::time("at", self.at, received, AHEAD_MAX)?;
        let change = limits::text("change", self.change, LABEL_NAME_MAX)?
            .ok_or_else(|| Flaw::new("change", "is missing: the id of the change it is about"))?;
        let verdict = self.verdict.as_deref().unwrap_or_default();
        let verdict =
            Verdict::ALL.into_iter().find(|one| one.word() == verdict).ok_or_else(|| {
                Flaw::new("verdict", format!("{verdict:?} is neither cause nor not_cause"))
            })?;
        Ok(Feedback {
            at: at.unwrap_or(received),
            at_assumed: at.is_none(),
            incident: incident.to_owned(),
            change: ChangeId(change),
            verdict,
            text: limits::text("text", self.text, NOTE_TEXT_MAX)?,
            author: limits::text("author", self.author, TEXT_MAX)?,
        })
    }
}
