//! HCP Terraform's and Terraform Enterprise's notifications of runs.

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, labels, need, settle},
    place::Place,
    written::{Stamp, Text},
};
use crate::{
    event::{Kind, Status},
    wire::{Item, Normalised, Refused, at_most_items_max, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "hcp_terraform",
    about: "HCP Terraform and Terraform Enterprise: run notifications",
    paths: &["/webhooks/hcp-terraform"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::HCP_TERRAFORM],
    headers: &[],
    id: "`run_id`",
    taken: "runs that apply, have applied, failed or were called off; a workspace's name says service \
            and environment, as `checkout-prod`",
    left: "runs that wait or only plan, and those that altered nothing; drift, of which nobody knows \
           since when it is; the notification that only asks whether somebody is there",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a notification: an object")]
struct Raw {
    run_url: Text,
    run_id: Text,
    run_message: Text,
    run_created_by: Text,
    workspace_name: Text,
    organization_name: Text,
    notifications: Option<Vec<Notification>>,
    trigger: Text,
    trigger_scope: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Notification {
    trigger: Text,
    run_status: Text,
    run_updated_at: Stamp,
    run_updated_by: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let mut raw: Raw = whole(post.body)?;
    if let (Some(scope), Some(trigger)) = (raw.trigger_scope.get(), raw.trigger.get()) {
        let reason = match trigger {
            "assessment:drifted" => "drift was found, and nobody knows since when it is".to_owned(),
            trigger => format!("{trigger:?} tells of a {scope}, and not of a run"),
        };
        return Ok(settle([ignored(reason)]));
    }
    let Some(notifications) = raw.notifications.take() else {
        return Err(Refused::new("notifications", "is missing: this is no notification"));
    };
    at_most_items_max(notifications.len())?;
    Ok(settle(notifications.into_iter().map(|one| raw.item(one, post))))
}

impl Raw {
    fn item(&self, one: Notification, post: &Post<'_>) -> Result<Item, Left> {
        let trigger = need("notifications.trigger", one.trigger.0)?;
        if trigger == "verification" {
            return ignored("it only asks whether somebody is there");
        }
        let state = one.run_status.0.unwrap_or_default();
        let status = meaning(&trigger, &state)?;
        let id = need("run_id", self.run_id.0.clone())?;
        let workspace = need("workspace_name", self.workspace_name.0.clone())?;
        let mut draft = Draft::new(["hcp_terraform", &id], status, Kind::Infrastructure);
        let message = self.run_message.get().map(|text| format!(": {text}")).unwrap_or_default();
        draft.title = Some(format!("terraform run of {workspace}{message}"));
        if status.ended() {
            draft.finished_at = one.run_updated_at;
        } else {
            draft.started_at = one.run_updated_at;
        }
        let Place { service, environment } = Place::of(&workspace);
        draft.labels = labels([
            ("service", service),
            ("environment", environment),
            ("workspace", Some(workspace)),
            ("organization", self.organization_name.0.clone()),
        ]);
        draft.actor = self.run_created_by.0.clone().or(one.run_updated_by.0);
        draft.url.clone_from(&self.run_url.0);
        Ok(draft.item(post.received)?)
    }
}

/// How far a run has come, where it has come so far that something may have been altered.
fn meaning(trigger: &str, state: &str) -> Result<Status, Left> {
    match (trigger, state) {
        ("run:applying", _) => Ok(Status::Started),
        ("run:completed", "applied") => Ok(Status::Succeeded),
        ("run:completed", _) => ignored(format!("the run is {state:?}: it altered nothing")),
        ("run:errored", "canceled" | "force_canceled" | "discarded") => Ok(Status::Canceled),
        ("run:errored", _) => Ok(Status::Failed),
        _ => ignored(format!("{trigger:?}: nothing is altered yet")),
    }
}
