//! Our own form of changes: one object, or a list of them.
//!
//! A pipeline may report a change when it starts and again when it ends, or once at its end. The
//! reports of one change have one id: the sender's, or one made of what the change is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AHEAD_MAX, Flaw, Item, LABEL_NAME_MAX, Normalised, PLANNED_AHEAD_MAX, RESOURCES_MAX, Refused,
    TEXT_MAX, Values, gather, limits, moment::Moment, one_or_list, typed,
};
use crate::event::{
    Action, ChangeId, ChangeReport, Event, Kind, Labels, Resource, Status, Time, digest,
};

/// A change as it is written. Fields that are not listed are ignored.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(expecting = "a change: an object")]
pub(super) struct RawChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    #[serde(default, skip_serializing_if = "Moment::is_unset")]
    pub(super) started_at: Moment,
    #[serde(default, skip_serializing_if = "Moment::is_unset")]
    pub(super) finished_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resources: Option<Vec<RawResource>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(expecting = "a resource: an object")]
pub(super) struct RawResource {
    #[serde(rename = "type")]
    type_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
}

/// The events in a body of changes.
///
/// # Errors
/// It is neither an object nor a list.
pub fn normalise(body: &[u8], received: Time) -> Result<Normalised, Refused> {
    Ok(Normalised::of(one_or_list(body)?.into_iter().map(|thing| item(thing, received))))
}

fn item(thing: Value, received: Time) -> Result<Item, Flaw> {
    let report = typed::<RawChange>(thing)?.report(received)?;
    let id = Some(report.id.0.clone());
    Ok(Item { events: report.facts().into_iter().map(Event::Change).collect(), id })
}

/// The id of a change that its source did not name: `chg_` and a hash of what it is and when it
/// began.
///
/// How far it has come is not part of it, so the report of its end finds that of its start. Where
/// the source gave no time either, the time of receipt stands for the start: then nothing tells a
/// repeated report from a second change of the same title, and to miss a change is worse than to
/// show it twice.
pub fn content_id(report: &ChangeReport) -> ChangeId {
    let began_at = report.started_at.unwrap_or(report.at);
    let ChangeReport { title, kind, action, labels, revision, change_set, .. } = report;
    ChangeId(digest("chg_", &(title, kind, action, labels, began_at, revision, change_set)))
}

impl RawChange {
    pub(super) fn report(self, received: Time) -> Result<ChangeReport, Flaw> {
        let status = self.status()?;
        let when = self.when(status, received)?;
        let id = limits::text("id", self.id, LABEL_NAME_MAX)?;
        let title = limits::words(self.title);
        if id.is_none() && title.is_none() {
            return Err(Flaw::new("title", "is missing, and so is an id: one of them is needed"));
        }
        let mut labels = gather(
            self.labels,
            [
                ("service", self.service),
                ("environment", self.environment),
                ("cluster", self.cluster),
                ("region", self.region),
                ("namespace", self.namespace),
            ],
        )?;
        let kind = known(self.kind, kind_of, Kind::Other, "kind_as_sent", &mut labels);
        let action = known(self.action, action_of, Action::Update, "action_as_sent", &mut labels);
        limits::labels(&labels)?;
        let mut report = ChangeReport {
            id: ChangeId(String::new()),
            status,
            at: when.at,
            at_assumed: when.assumed,
            started_at: when.started_at,
            kind,
            action,
            title,
            labels,
            actor: limits::text("actor", self.actor, TEXT_MAX)?,
            revision: limits::text("revision", self.revision, TEXT_MAX)?,
            change_set: limits::text("change_set", self.change_set, TEXT_MAX)?,
            url: limits::url(self.url),
            resources: resources(self.resources)?,
        };
        report.id = id.map_or_else(|| content_id(&report), ChangeId);
        Ok(report)
    }

    fn status(&self) -> Result<Status, Flaw> {
        match self.status.as_deref().filter(|word| !word.is_empty()) {
            Some(word) => status_of(&plain(word)).ok_or_else(|| {
                let all: Vec<_> = Status::ALL.iter().map(|status| status.word()).collect();
                Flaw::new("status", format!("{word:?} is none of {}", all.join(", ")))
            }),
            None if self.finished_at.is_unset() => Ok(Status::Started),
            None => Ok(Status::Succeeded),
        }
    }

    fn when(&self, status: Status, received: Time) -> Result<When, Flaw> {
        let ahead = if status == Status::Planned { PLANNED_AHEAD_MAX } else { AHEAD_MAX };
        let started_at = limits::time("started_at", self.started_at, received, ahead)?;
        let finished_at = limits::time("finished_at", self.finished_at, received, ahead)?;
        if let (Some(started_at), Some(finished_at)) = (started_at, finished_at)
            && finished_at < started_at
        {
            return Err(Flaw::new("finished_at", "is before started_at"));
        }
        let assumed = When { at: received, assumed: true, started_at };
        let said = |at| When { at, assumed: false, started_at };
        match status {
            // Announced is what it is as of now, whenever it is to begin.
            Status::Planned => Ok(match started_at {
                Some(at) if at <= received => said(at),
                _ => assumed,
            }),
            // An end that is expected, or was filled in: the status is what somebody meant to say.
            Status::Started => Ok(match started_at {
                Some(at) => said(at),
                None => When { started_at: Some(received), ..assumed },
            }),
            Status::Succeeded | Status::Failed | Status::Canceled => {
                Ok(finished_at.or(started_at).map_or(assumed, said))
            }
        }
    }
}

/// The time of a report's fact, and when the change began.
struct When {
    at: Time,
    assumed: bool,
    started_at: Option<Time>,
}

/// The word's meaning; a word that has none for us is kept as a label, for rules to match.
fn known<T>(
    word: Option<String>,
    meaning: fn(&str) -> Option<T>,
    otherwise: T,
    label: &str,
    labels: &mut Labels,
) -> Option<T> {
    let word = word.filter(|word| !word.is_empty())?;
    let found = meaning(&plain(&word));
    if found.is_none() {
        labels.insert(label, word);
    }
    Some(found.unwrap_or(otherwise))
}

/// A word in the one spelling that is compared: `Roll-Back` is `roll_back`.
pub(super) fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', ' '], "_")
}

pub(super) fn kind_of(word: &str) -> Option<Kind> {
    word.parse().ok().or(match word {
        "deployment" | "release" => Some(Kind::Deploy),
        "configuration" => Some(Kind::Config),
        "infra" => Some(Kind::Infrastructure),
        "migration" => Some(Kind::Database),
        "flag" => Some(Kind::FeatureFlag),
        "scale" => Some(Kind::Scaling),
        _ => None,
    })
}

pub(super) fn action_of(word: &str) -> Option<Action> {
    word.parse().ok().or(match word {
        "destroy" | "remove" => Some(Action::Delete),
        "revert" | "roll_back" => Some(Action::Rollback),
        _ => None,
    })
}

/// The words of CI systems and of infrastructure tools.
pub(super) fn status_of(word: &str) -> Option<Status> {
    word.parse().ok().or(match word {
        "queued" | "pending" | "waiting" | "scheduled" | "requested" | "created" => {
            Some(Status::Planned)
        }
        "running" | "in_progress" | "inprogress" | "applying" | "executing" => {
            Some(Status::Started)
        }
        "success" | "successful" | "applied" | "finished" | "passed" | "completed" | "done"
        | "synced" => Some(Status::Succeeded),
        "failure" | "error" | "errored" | "failing" | "terminal" | "unhealthy" | "timed_out"
        | "rolled_back" | "rolledback" => Some(Status::Failed),
        "cancelled" | "aborted" | "discarded" | "skipped" | "force_canceled" => {
            Some(Status::Canceled)
        }
        _ => None,
    })
}

fn resources(written: Option<Vec<RawResource>>) -> Result<Vec<Resource>, Flaw> {
    let written = written.unwrap_or_default();
    if written.len() > RESOURCES_MAX {
        let reason = format!("{} resources; at most {RESOURCES_MAX} are taken", written.len());
        return Err(Flaw::new("resources", reason));
    }
    written.into_iter().map(RawResource::resource).collect()
}

impl RawResource {
    fn resource(self) -> Result<Resource, Flaw> {
        let type_name = limits::text("resources.type", Some(self.type_name), TEXT_MAX)?
            .ok_or_else(|| Flaw::new("resources.type", "is empty"))?;
        let name = limits::text("resources.name", self.name, TEXT_MAX)?;
        let action = self.action.and_then(|word| action_of(&plain(&word)));
        Ok(Resource { type_name, name, action })
    }
}
