//! The edge: bytes that a source sent become events, or the reason why not.
//!
//! In: one request's body and the time of its receipt. Out: for each thing that was posted its
//! events, or what is wrong with it. One file a source. Nothing here reads a clock, waits, or
//! knows the store; no input makes it panic. [`source`] has the table of all that can be posted.

pub mod alert;
pub mod alertmanager;
pub mod alertmanager_api;
pub mod case;
pub mod change;
pub mod feedback;
mod limits;
mod moment;
pub mod note;
pub mod signature;
pub mod source;

#[cfg(test)]
mod tests;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::event::{AlertReport, Event, Labels, Time};

pub use self::limits::{
    AHEAD_MAX, ITEMS_MAX, LABEL_NAME_MAX, LABEL_VALUE_MAX, LABEL_VALUES_MAX, LABELS_MAX,
    NOTE_TEXT_MAX, PLANNED_AHEAD_MAX, RESOURCES_MAX, TEXT_MAX, URL_MAX,
};

/// What became of one body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalised {
    /// What was understood, in the order of the body.
    pub items: Vec<Item>,
    /// What was not, each with its reason.
    pub rejected: Vec<Rejected>,
    /// What was understood and is none of our business, each with its reason.
    pub ignored: Vec<Ignored>,
    /// The alerts that end, where a sender names them and says nothing else of them.
    pub endings: Vec<Ending>,
    /// How many alerts the sender says that it left out of the body.
    pub truncated: u64,
}

impl Normalised {
    fn take(&mut self, index: usize, result: Result<Item, Flaw>) {
        match result {
            Ok(item) => self.items.push(item),
            Err(Flaw { field, reason }) => self.rejected.push(Rejected { index, field, reason }),
        }
    }

    fn of(results: impl IntoIterator<Item = Result<Item, Flaw>>) -> Self {
        let mut normalised = Self::default();
        for (index, result) in results.into_iter().enumerate() {
            normalised.take(index, result);
        }
        normalised
    }

    fn ignore(&mut self, index: usize, reason: impl Into<String>) {
        self.ignored.push(Ignored { index, reason: reason.into() });
    }
}

/// One thing that was posted.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The facts in it: a finished change or a resolved alert is two.
    pub events: Vec<Event>,
    /// The id to tell the sender, for things that can be asked for by it.
    pub id: Option<String>,
}

impl Item {
    fn of_alert(report: AlertReport) -> Self {
        Self { events: report.facts().into_iter().map(Event::Alert).collect(), id: None }
    }
}

/// So far apart two clocks may be that tell of one alert.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// An end of the alerts that have these labels among theirs: which they are, and when they began, is
/// for whoever knows all alerts to find out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ending {
    /// What all of them have.
    pub labels: Labels,
    /// When they ended.
    pub at: Time,
    /// What the sender knows them by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Ending {
    /// Whether an alert of these labels that began then is one of them. The clocks of who told of its
    /// start and of its end may differ.
    pub fn is_of(&self, labels: &Labels, starts_at: Time) -> bool {
        starts_at - self.at <= SKEW
            && self.labels.iter().all(|(name, value)| labels.holds(name, value))
    }

    /// The end of an alert of these labels that began then.
    pub fn end(&self, labels: Labels, starts_at: Time) -> Item {
        Item::of_alert(AlertReport {
            labels,
            starts_at,
            ends_at: Some(self.at.max(starts_at)),
            expires_at: None,
            pending_at: None,
            summary: None,
            url: None,
        })
    }
}

/// One thing that was posted, was understood, and says nothing that belongs to an incident.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ignored {
    /// Its place in the body, from 0.
    pub index: usize,
    /// Why it is left.
    pub reason: String,
}

/// One thing that was posted and not understood; the others of its body are not touched by it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Rejected {
    /// Its place in the body, from 0.
    pub index: usize,
    /// The path of the field, from the thing on; empty where it is the whole thing.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Nothing of the body was understood.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{}{reason}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct Refused {
    /// The path of the field, where it is one field's fault.
    pub field: Option<String>,
    /// What is wrong; for broken JSON with line and column.
    pub reason: String,
}

impl Refused {
    fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: Some(field.into()), reason: reason.into() }
    }
}

/// What is wrong with one thing.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Flaw {
    field: String,
    reason: String,
}

impl Flaw {
    fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// The whole body as `T`.
fn whole<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let named = error.inner().is_data() && path != ".";
        Refused { field: named.then_some(path), reason: error.inner().to_string() }
    })?;
    json.end().map_err(|error| Refused { field: None, reason: error.to_string() })?;
    Ok(value)
}

/// The things in a body that is one object, or a list of them.
fn one_or_list(body: &[u8]) -> Result<Vec<Value>, Refused> {
    let things = match whole(body)? {
        Value::Array(list) => list,
        one @ Value::Object(_) => vec![one],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let reason = "want an object, or a list of objects".to_owned();
            return Err(Refused { field: None, reason });
        }
    };
    at_most_items_max(things.len())?;
    Ok(things)
}

fn at_most_items_max(count: usize) -> Result<(), Refused> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    let reason = format!("{count} things in one body; at most {ITEMS_MAX} are taken: split it");
    Err(Refused { field: None, reason })
}

/// One thing as `T`.
fn typed<T: DeserializeOwned>(thing: Value) -> Result<T, Flaw> {
    serde_path_to_error::deserialize(thing).map_err(|error| {
        let path = error.path().to_string();
        Flaw::new(if path == "." { "" } else { &path }, error.inner().to_string())
    })
}

/// A label's values as sources write them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "want a string or a list of strings")]
enum Values {
    One(String),
    Several(Vec<String>),
}

impl Values {
    fn into_all(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Several(values) => values,
        }
    }

    fn add_to(self, labels: &mut Labels, name: &str) {
        match self {
            Self::One(value) => labels.insert(name, value),
            Self::Several(values) => labels.insert_all(name, values),
        }
    }
}

/// The labels of a thing, with those that it says in fields of their own.
fn gather<const N: usize>(
    labels: Option<Labels>,
    fields: [(&str, Option<Values>); N],
) -> Result<Labels, Flaw> {
    let mut labels = labels.unwrap_or_default();
    for (name, values) in fields {
        if let Some(values) = values {
            values.add_to(&mut labels, name);
        }
    }
    limits::labels(&labels)?;
    Ok(labels)
}
