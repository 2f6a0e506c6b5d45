//! Flux' notification controller: the providers `generic` and `generic-hmac`.

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, labels, need, settle},
    written::{Stamp, Text},
};
use crate::{
    event::{Action, Kind, Labels, Resource, Status, digest},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "flux",
    about: "Flux' notification controller",
    paths: &["/webhooks/flux"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::FLUX, Scheme::Bearer],
    headers: &[],
    id: "the object, its revision and the time; a failure that is told again and again is one",
    taken: "what a Kustomization applied, object by object; installs, upgrades, rollbacks and \
            uninstalls by Helm; failures",
    left: "`ReconciliationSucceeded`, which comes each time that Flux looks, whether it altered \
           anything or not; sources that fetched something; Helm's tests",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a Flux event: an object")]
struct Raw {
    involved_object: Option<Object>,
    severity: Text,
    timestamp: Stamp,
    message: Text,
    reason: Text,
    metadata: Option<Labels>,
    reporting_controller: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    kind: Text,
    name: Text,
    namespace: Text,
    uid: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.draft().and_then(|draft| Ok(draft.item(post.received)?))]))
}

/// What a reason says of the change that it tells of.
fn meaning(reason: &str, applied: &[Resource]) -> Option<(Status, Kind, Action)> {
    let failed = reason.ends_with("Failed") || reason.ends_with("Error");
    let status = if failed { Status::Failed } else { Status::Succeeded };
    let helm = reason.ends_with("Succeeded") || failed;
    match reason {
        _ if helm && reason.starts_with("Rollback") => {
            Some((status, Kind::Rollback, Action::Rollback))
        }
        _ if helm && reason.starts_with("Uninstall") => {
            Some((status, Kind::Deploy, Action::Delete))
        }
        _ if helm && reason.starts_with("Install") => Some((status, Kind::Deploy, Action::Create)),
        _ if helm && reason.starts_with("Upgrade") => Some((status, Kind::Deploy, Action::Update)),
        _ if reason.starts_with("Test") => None,
        _ if failed || !applied.is_empty() => Some((status, Kind::Deploy, Action::Update)),
        _ => None,
    }
}

/// Keys come with the prefix of their group or without it.
fn metadata(written: &Labels) -> Labels {
    written.iter().map(|(name, value)| (name.rsplit('/').next().unwrap_or(name), value)).collect()
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        let object = need("involvedObject", self.involved_object)?;
        let kind_of_object = need("involvedObject.kind", object.kind.0)?;
        let name = need("involvedObject.name", object.name.0)?;
        let reason = need("reason", self.reason.0)?;
        if kind_of_object.ends_with("Repository") || kind_of_object.ends_with("Chart") {
            return ignored(format!("a {kind_of_object} fetches, and alters nothing that runs"));
        }
        let message = self.message.0.unwrap_or_default();
        let resources = resources(&message);
        let Some((status, kind, action)) = meaning(&reason, &resources) else {
            return ignored(format!("{reason:?} does not say that anything was altered"));
        };
        let namespace = object.namespace.0.unwrap_or_default();
        let said = metadata(&self.metadata.unwrap_or_default());
        let first = |names: &[&str]| names.iter().find_map(|n| said.first(n).map(str::to_owned));
        let revision = first(&["originRevision", "revision"]);
        let key = revision.clone().unwrap_or_else(|| digest("", &message));
        let uid = object.uid.0.unwrap_or_else(|| format!("{namespace}/{name}"));
        let mut draft = Draft::new(["flux", &uid, &key], status, kind);
        // The same revision is applied again when somebody altered what it had put in place.
        draft.id.push(match self.timestamp.0.filter(|_| status == Status::Succeeded) {
            Some(at) => at.timestamp().to_string(),
            None => reason.clone(),
        });
        draft.action = Some(action);
        draft.finished_at = self.timestamp;
        let to = revision.as_deref().map(|text| format!(" to {}", short(text))).unwrap_or_default();
        draft.title =
            Some(first(&["summary"]).unwrap_or_else(|| format!("{kind_of_object} {name}{to}")));
        let from_flux = ["revision", "originRevision", "digest", "token", "summary"];
        let mut kept = said.clone();
        for name in from_flux {
            kept.remove(name);
        }
        if !kept.has("service") {
            kept.insert_all("service", services(&kind_of_object, &name, &resources));
        }
        kept.extend(&labels([
            ("namespace", Some(namespace).filter(|_| !said.has("namespace"))),
            ("flux_kind", Some(kind_of_object)),
            ("flux_name", Some(name)),
            ("reason", Some(reason)),
            ("severity", self.severity.0.filter(|severity| severity == "error")),
        ]));
        draft.labels = kept;
        draft.actor = self.reporting_controller.0;
        draft.revision = revision.as_deref().map(|text| commit(text).to_owned());
        draft.resources = resources;
        Ok(draft)
    }
}

/// `main@sha1:abc`, `sha1:abc` and `main/abc` are all `abc`.
fn commit(revision: &str) -> &str {
    let digest = revision.split_once("sha1:").map(|(_, commit)| commit);
    let old = || revision.rsplit_once('/').map(|(_, commit)| commit).filter(|it| it.len() == 40);
    digest.or_else(old).unwrap_or(revision)
}

fn short(revision: &str) -> &str {
    let commit = commit(revision);
    commit.get(..7).filter(|_| commit.len() == 40).unwrap_or(commit)
}

/// A release is of one service; a Kustomization of those whose workloads it puts in place.
fn services(kind: &str, name: &str, resources: &[Resource]) -> Vec<String> {
    if kind == "HelmRelease" {
        return vec![name.to_owned()];
    }
    let workloads = ["Deployment", "StatefulSet", "DaemonSet"];
    let named = resources.iter().filter(|one| workloads.contains(&&*one.type_name));
    let last = |name: &String| name.rsplit('/').next().map(str::to_owned);
    named.filter_map(|one| one.name.as_ref().and_then(last)).collect()
}

/// `Deployment/apps/web configured`, one a line.
fn resources(message: &str) -> Vec<Resource> {
    let line = |line: &str| {
        let (what, done) = line.trim().rsplit_once(' ')?;
        let action = match done {
            "created" => Action::Create,
            "configured" => Action::Update,
            "deleted" | "pruned" => Action::Delete,
            _ => return None,
        };
        let (type_name, name) = what.split_once('/')?;
        let name = Some(name.to_owned());
        Some(Resource { type_name: type_name.to_owned(), name, action: Some(action) })
    };
    message.lines().filter_map(line).collect()
}
