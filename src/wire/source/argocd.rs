//! Argo CD's notifications, in the template of `docs/sources.md`, or as the whole Application.
//!
//! Argo CD has no body of its own: users paste a template. Its stock triggers tell of each revision
//! once, and so never of going back to one; ours tells of each operation.

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, labels, need, settle},
    written::{Flag, Stamp, Text},
};
use crate::{
    event::{Action, Kind, Labels, Resource, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "argocd",
    about: "Argo CD notifications",
    paths: &["/webhooks/argocd"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "namespace and name of the application, and when its operation started",
    taken: "the start and the end of each operation, with its resources; one that goes back to an \
            older revision is a rollback, one that stays at its revision is a change of configuration",
    left: "health: how an application is doing is told by alerts",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an Argo CD notification: an object")]
struct Raw {
    // Our template.
    name: Text,
    namespace: Text,
    labels: Option<Labels>,
    project: Text,
    destination: Option<Destination>,
    source: Option<Origin>,
    operation: Option<Operation>,
    history: Option<Vec<Deployed>>,
    url: Text,
    // The application as Kubernetes has it.
    metadata: Option<Metadata>,
    spec: Option<Spec>,
    status: Option<State>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: Text,
    namespace: Text,
    labels: Option<Labels>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    project: Text,
    destination: Option<Destination>,
    source: Option<Origin>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct State {
    operation_state: Option<Operation>,
    history: Option<Vec<Deployed>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Destination {
    name: Text,
    server: Text,
    namespace: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Origin {
    #[serde(rename = "repoURL")]
    repository: Text,
    target_revision: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Deployed {
    revision: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Operation {
    phase: Text,
    message: Text,
    started_at: Stamp,
    finished_at: Stamp,
    #[serde(rename = "operation")]
    asked: Option<Asked>,
    sync_result: Option<Synced>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked {
    initiated_by: Option<By>,
    sync: Option<AskedSync>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct By {
    username: Text,
    automated: Flag,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AskedSync {
    revision: Text,
    revisions: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Synced {
    revision: Text,
    revisions: Option<Vec<String>>,
    resources: Option<Vec<Touched>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Touched {
    kind: Text,
    namespace: Text,
    name: Text,
    status: Text,
    message: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    let draft = raw.flat().draft();
    Ok(settle([draft.and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    /// What the whole Application says where our template has it.
    fn flat(mut self) -> Self {
        if let Some(metadata) = self.metadata.take() {
            self.name = Text(self.name.or(metadata.name));
            self.namespace = Text(self.namespace.or(metadata.namespace));
            self.labels = self.labels.or(metadata.labels);
        }
        if let Some(spec) = self.spec.take() {
            self.project = Text(self.project.or(spec.project));
            self.destination = self.destination.or(spec.destination);
            self.source = self.source.or(spec.source);
        }
        if let Some(state) = self.status.take() {
            self.operation = self.operation.or(state.operation_state);
            self.history = self.history.or(state.history);
        }
        self
    }

    fn draft(self) -> Result<Draft, Left> {
        let name = need("name", self.name.0)?;
        let Some(operation) = self.operation else {
            return ignored("no operation is told of");
        };
        let status = match operation.phase.get() {
            Some("Running" | "Terminating") => Status::Started,
            Some("Succeeded") => Status::Succeeded,
            Some("Failed" | "Error") => Status::Failed,
            _ => return ignored("the operation's phase is not known"),
        };
        let started_at = need("operation.startedAt", operation.started_at.0)?;
        let began = started_at.timestamp().to_string();
        let namespace = self.namespace.0.unwrap_or_default();
        let cluster = self.destination.as_ref().and_then(Destination::cluster);
        let where_from = cluster.clone().unwrap_or_default();
        let revision = operation.revision();
        let (kind, action) =
            kind_of(&self.history.unwrap_or_default(), revision.as_deref(), status);
        let id = ["argocd", &where_from, &namespace, &name, &began];
        let mut draft = Draft::new(id, status, kind);
        draft.action = Some(action);
        let target = self.source.as_ref().and_then(|source| source.target_revision.0.clone());
        draft.title = Some(title(&name, action, revision.as_deref().or(target.as_deref())));
        draft.started_at = operation.started_at;
        draft.finished_at = operation.finished_at;
        let own = self.labels.unwrap_or_default();
        draft.labels = labels([
            (
                "service",
                own.first("app.kubernetes.io/name").map(str::to_owned).or(Some(name.clone())),
            ),
            ("application", Some(name)),
            (
                "environment",
                ["environment", "env"].iter().find_map(|n| own.first(n).map(str::to_owned)),
            ),
            ("cluster", cluster),
            ("namespace", self.destination.and_then(|to| to.namespace.0)),
            ("project", self.project.0),
            ("repository", self.source.and_then(|source| source.repository.0)),
        ]);
        draft.actor = operation.asked.as_ref().and_then(Asked::actor);
        draft.revision = revision;
        draft.url = self.url.0;
        draft.resources = operation.resources();
        Ok(draft)
    }
}

fn title(name: &str, action: Action, revision: Option<&str>) -> String {
    let short = |text: &str| text.get(..7).filter(|_| text.len() == 40).unwrap_or(text).to_owned();
    let shortened = |all: &str| all.split(", ").map(short).collect::<Vec<_>>().join(", ");
    let to = revision.map(|all| format!(" to {}", shortened(all))).unwrap_or_default();
    if action == Action::Rollback {
        return format!("roll {name} back{to}");
    }
    format!("sync {name}{to}")
}

/// What it is to put a revision in place, by those that were in place before: going back to one,
/// keeping it, or a new one.
fn kind_of(history: &[Deployed], revision: Option<&str>, status: Status) -> (Kind, Action) {
    let deployed = (Kind::Deploy, Action::Update);
    let Some(revision) = revision else { return deployed };
    let mut before: Vec<_> = history.iter().filter_map(|one| one.revision.get()).collect();
    // What has succeeded is part of the history already.
    if status == Status::Succeeded && before.last() == Some(&revision) {
        before.pop();
    }
    match before.split_last() {
        Some((last, _)) if *last == revision => (Kind::Config, Action::Update),
        Some((_, older)) if older.contains(&revision) => (Kind::Rollback, Action::Rollback),
        _ => deployed,
    }
}

impl Destination {
    /// Its name, or its address less the scheme; the cluster that Argo CD itself is in has none.
    fn cluster(&self) -> Option<String> {
        let host = || {
            let server = self.server.get()?;
            let server = server.split_once("://").map_or(server, |(_, rest)| rest);
            let host = server.split([':', '/']).next()?;
            (host != "kubernetes.default.svc").then_some(host)
        };
        self.name.get().or_else(host).map(str::to_owned)
    }
}

impl Asked {
    fn actor(&self) -> Option<String> {
        let by = self.initiated_by.as_ref()?;
        by.username.0.clone().or(by.automated.0.then(|| "Argo CD (automated)".to_owned()))
    }
}

/// The revision, or those of an application with several sources.
fn joined(revision: &Text, revisions: Option<&Vec<String>>) -> Option<String> {
    let several = || revisions.filter(|list| !list.is_empty()).map(|list| list.join(", "));
    revision.0.clone().or_else(several)
}

impl Operation {
    fn revision(&self) -> Option<String> {
        let synced = self.sync_result.as_ref();
        let synced = synced.and_then(|done| joined(&done.revision, done.revisions.as_ref()));
        let asked = self.asked.as_ref().and_then(|asked| asked.sync.as_ref());
        synced.or_else(|| asked.and_then(|sync| joined(&sync.revision, sync.revisions.as_ref())))
    }

    fn resources(self) -> Vec<Resource> {
        let touched = self.sync_result.and_then(|synced| synced.resources).unwrap_or_default();
        touched.into_iter().filter_map(Touched::resource).collect()
    }
}

impl Touched {
    /// What was done to it; nothing where it was left as it is.
    fn resource(self) -> Option<Resource> {
        let message = self.message.get().unwrap_or_default();
        if self.status.is("PruneSkipped") || message.contains("unchanged") {
            return None;
        }
        let action = if self.status.is("Pruned") {
            Action::Delete
        } else if message.contains("created") {
            Action::Create
        } else {
            Action::Update
        };
        let name = match (self.namespace.0, self.name.0) {
            (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
            (_, name) => name,
        };
        Some(Resource { type_name: self.kind.0?, name, action: Some(action) })
    }
}
