//! Case files: recorded incidents.
//!
//! In: the text of one file. Out: its events, the catalogue of its time, and the way back from our
//! ids to the file's. What the file knows only from afterwards (`truth`, `class`, `evidence`,
//! `inferred`) is not read, and nothing is decided by how the file spells its ids.

mod posts;
mod truth;

pub use self::{
    posts::{Post, posts},
    truth::{KnownAlert, Truth},
};

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Flaw, Refused, alert::RawAlert, at_most_items_max, change::RawChange, note::RawNote, typed,
    whole,
};
use crate::event::{
    AlertReport, ChangeId, ChangeReport, Episode, Event, EventId, Mapping, Note, Time,
    time_of_micros,
};

/// A recorded incident.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What it was, in a line.
    pub title: String,
    /// The catalogue as it was then.
    pub services: Vec<CaseService>,
    /// Everything that happened, in the order of the file.
    pub events: Vec<Event>,
    /// For each change its id in the file.
    pub changes: BTreeMap<ChangeId, String>,
    told: Vec<Told>,
}

/// One service of the catalogue.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct CaseService {
    /// Its name.
    pub service: String,
    /// `service`, `platform` or `infrastructure`.
    pub tier: Option<String>,
    /// What it cannot do without.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// One entry of the file, in its own form and in ours.
#[derive(Clone, Debug)]
enum Told {
    /// A change: as written, and what it reports.
    Change(Box<(RawChange, ChangeReport)>),
    /// An alert: its id in the file, and what it reports.
    Alert(String, AlertReport),
    /// A note: as written, and what it says.
    Note(Box<(RawNote, Note)>),
}

#[derive(Deserialize)]
#[serde(expecting = "a case: an object")]
struct RawCase {
    id: Option<String>,
    title: Option<String>,
    catalog: Option<Vec<CaseService>>,
    events: Option<Vec<Value>>,
}

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path of its field.
    pub fn parse(text: &[u8]) -> Result<Self, Refused> {
        let raw: RawCase = whole(text)?;
        let entries = raw.events.ok_or_else(|| Refused::new("events", "is missing"))?;
        at_most_items_max(entries.len())?;
        let mut told = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let one = Told::read(entry).map_err(|Flaw { field, reason }| {
                Refused::new(format!("events[{index}].{field}"), reason)
            })?;
            told.push(one);
        }
        tell_twins_apart(&mut told);
        Ok(Self {
            id: raw.id.unwrap_or_default(),
            title: raw.title.unwrap_or_default(),
            services: raw.catalog.unwrap_or_default(),
            events: told.iter().flat_map(Told::events).collect(),
            changes: told.iter().filter_map(Told::change_ids).collect(),
            told,
        })
    }

    /// The same with changes that are named after the case too: `c1` is in many files.
    #[must_use]
    pub fn with_own_ids(mut self) -> Self {
        for told in &mut self.told {
            if let Told::Change(told) = told
                && let Some(id) = &mut told.0.id
            {
                *id = format!("{}/{id}", self.id);
            }
        }
        self.changes = self.told.iter().filter_map(Told::change_ids).collect();
        self
    }

    /// The same without these of its changes, by their ids in the file.
    #[must_use]
    pub fn without_changes(mut self, gone: &BTreeSet<String>) -> Self {
        self.told.retain(|told| match told {
            Told::Change(change) => !change.0.id.as_ref().is_some_and(|id| gone.contains(id)),
            Told::Alert(..) | Told::Note(_) => true,
        });
        self.events = self.told.iter().flat_map(Told::events).collect();
        self.changes = self.told.iter().filter_map(Told::change_ids).collect();
        self
    }

    /// The file's ids of the alerts that are in an episode.
    pub fn alerts<'a>(
        &'a self,
        episode: &'a Episode,
        mapping: &'a Mapping,
    ) -> impl Iterator<Item = &'a str> {
        self.told.iter().filter_map(move |told| match told {
            Told::Alert(id, report) => {
                let within = report.starts_at >= episode.starts_at
                    && episode.ends_at.is_none_or(|end| report.starts_at <= end);
                (within && mapping.identity(&report.labels) == episode.labels)
                    .then_some(id.as_str())
            }
            Told::Change(_) | Told::Note(_) => None,
        })
    }
}

impl Told {
    fn read(entry: Value) -> Result<Self, Flaw> {
        match entry.get("type").and_then(Value::as_str) {
            Some("change") => Self::change(typed(entry)?),
            Some("alert") => {
                let id = entry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok(Self::Alert(id, typed::<RawAlert>(entry)?.report(end_of_time())?))
            }
            Some("note") => Self::note(typed(entry)?),
            other => {
                let reason = format!(
                    "is {}: want \"change\", \"alert\" or \"note\"",
                    other.map_or_else(|| "missing".to_owned(), |word| format!("{word:?}"))
                );
                Err(Flaw::new("type", reason))
            }
        }
    }

    fn change(raw: RawChange) -> Result<Self, Flaw> {
        // Without the file's id the change is named by what it is.
        let mut nameless = raw.clone();
        nameless.id = None;
        let report = nameless.report(end_of_time())?;
        if report.at_assumed {
            return Err(Flaw::new("started_at", "is missing"));
        }
        Ok(Self::Change(Box::new((raw, report))))
    }

    fn note(raw: RawNote) -> Result<Self, Flaw> {
        let note = raw.clone().note(end_of_time())?;
        if note.at_assumed {
            return Err(Flaw::new("at", "is missing"));
        }
        Ok(Self::Note(Box::new((raw, note))))
    }

    fn events(&self) -> Vec<Event> {
        match self {
            Self::Change(told) => told.1.clone().facts().into_iter().map(Event::Change).collect(),
            Self::Alert(_, report) => {
                report.clone().facts().into_iter().map(Event::Alert).collect()
            }
            Self::Note(told) => vec![Event::Note(told.1.clone())],
        }
    }

    fn change_ids(&self) -> Option<(ChangeId, String)> {
        match self {
            Self::Change(told) => Some((told.1.id.clone(), told.0.id.clone().unwrap_or_default())),
            Self::Alert(..) | Self::Note(_) => None,
        }
    }
}

/// Changes that are the same in all that makes their id get an ordinal, in an order that neither
/// their ids nor their places in the file decide.
fn tell_twins_apart(told: &mut [Told]) {
    let mut reports: Vec<&mut ChangeReport> = told
        .iter_mut()
        .filter_map(|told| match told {
            Told::Change(told) => Some(&mut told.1),
            Told::Alert(..) | Told::Note(_) => None,
        })
        .collect();
    reports.sort_by_cached_key(|report| EventId::of(&**report));
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for report in reports {
        let twins = seen.entry(report.id.0.clone()).or_default();
        *twins += 1;
        if *twins > 1 {
            report.id = ChangeId(format!("{}-{twins}", report.id));
        }
    }
}

/// A recorded incident is over: no time in it is in the future. The last second of the year 9999.
fn end_of_time() -> Time {
    time_of_micros(253_402_300_799_000_000)
}
