//! GitLab's webhooks.

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, kind_in, labels, need, settle, status_of},
    written::{Flag, Stamp, Text},
};
use crate::{
    event::{Action, Kind, Labels, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "gitlab",
    about: "GitLab webhooks",
    paths: &["/webhooks/gitlab"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::StandardWebhooks, Scheme::GITLAB_TOKEN],
    headers: &["Idempotency-Key"],
    id: "the deployment's or the pipeline's id, the commit, the release's tag; for flags the \
         delivery",
    taken: "deployments; pipelines with a job that deploys to an environment; pushes to the default \
            branch; merge requests that are merged; releases; feature flags",
    left: "all other events, of which many follow from these; variables, which may be secret",
    convert,
};

/// What GitLab writes for "no commit": a branch that is made or removed.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The events that tell of changes.
const EVENTS: [&str; 6] =
    ["deployment", "pipeline", "push", "merge_request", "release", "feature_flag"];

/// Which event it is.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "a GitLab event: an object")]
struct Said {
    object_kind: Text,
    event_name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a GitLab event: an object")]
struct Raw {
    project: Option<Project>,
    user: Option<User>,
    object_attributes: Option<Attributes>,
    builds: Option<Vec<Build>>,
    commit: Option<Commit>,
    // Of a deployment.
    status: Text,
    status_changed_at: Stamp,
    deployment_id: Text,
    deployable_url: Text,
    environment: Text,
    environment_tier: Text,
    short_sha: Text,
    commit_url: Text,
    commit_title: Text,
    // Of a push.
    #[serde(rename = "ref")]
    git_ref: Text,
    after: Text,
    user_username: Text,
    commits: Option<Vec<Commit>>,
    // Of a release.
    action: Text,
    tag: Text,
    name: Text,
    released_at: Stamp,
    created_at: Stamp,
    url: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Project {
    name: Text,
    path_with_namespace: Text,
    default_branch: Text,
    web_url: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Commit {
    title: Text,
    message: Text,
    timestamp: Stamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    id: Text,
    iid: Text,
    name: Text,
    description: Text,
    title: Text,
    #[serde(rename = "ref")]
    git_ref: Text,
    sha: Text,
    status: Text,
    action: Text,
    active: Flag,
    created_at: Stamp,
    finished_at: Stamp,
    updated_at: Stamp,
    merged_at: Stamp,
    merge_commit_sha: Text,
    target_branch: Text,
    url: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Build {
    environment: Option<Environment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Environment {
    name: Text,
    action: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let said: Said = whole(post.body)?;
    let Some(kind) = said.object_kind.or(said.event_name) else {
        return Err(Refused::new("object_kind", "is missing: this is no GitLab event"));
    };
    if !EVENTS.contains(&&*kind) {
        return Ok(settle([ignored(format!("the event {kind:?} tells of no change"))]));
    }
    let raw: Raw = whole(post.body)?;
    let draft = match &*kind {
        "deployment" => raw.deployment(),
        "pipeline" => raw.pipeline(),
        "push" => raw.push(),
        "merge_request" => raw.merge_request(),
        "release" => raw.release(),
        _ => raw.feature_flag(post.headers.get("idempotency-key")),
    };
    Ok(settle([draft.and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn project(&mut self) -> Result<(String, Labels), Left> {
        let project = need("project", self.project.take())?;
        let path = need("project.path_with_namespace", project.path_with_namespace.0)?;
        let slug = path.rsplit('/').next().map(str::to_owned);
        let labels = labels([
            ("service", slug.or(project.name.0)),
            ("repository", Some(path.clone())),
            ("project_url", project.web_url.0),
        ]);
        Ok((path, labels))
    }

    fn actor(&self) -> Option<String> {
        self.user.as_ref().and_then(|user| user.username.0.clone())
    }

    fn deployment(mut self) -> Result<Draft, Left> {
        let (project, mut labels) = self.project()?;
        let id = need("deployment_id", self.deployment_id.0.take())?;
        let state = need("status", self.status.0.take())?;
        let status = match &*state {
            "blocked" => Status::Planned,
            state => match status_of(state) {
                Some(status) => status,
                None => return ignored(format!("the status {state:?} is not known")),
            },
        };
        let place = self.environment.0.take().unwrap_or_default();
        let said = format!("{place} {}", self.commit_title.get().unwrap_or_default());
        let kind = kind_in(&said).filter(|kind| *kind == Kind::Rollback).unwrap_or(Kind::Deploy);
        let mut draft = Draft::new(["gitlab", &project, "deployment", &id], status, kind);
        let what = self.commit_title.0.take().or(self.short_sha.0.clone()).unwrap_or_default();
        draft.title = Some(format!("deploy {project} to {place}: {what}"));
        if status.ended() {
            draft.finished_at = self.status_changed_at;
        } else {
            draft.started_at = self.status_changed_at;
        }
        draft.actor = self.actor();
        labels.insert("environment", place);
        labels.insert("environment_tier", self.environment_tier.0.unwrap_or_default());
        labels.insert("ref", self.git_ref.0.unwrap_or_default());
        draft.labels = labels;
        let full = self.commit_url.get().and_then(|url| url.rsplit('/').next()).map(str::to_owned);
        draft.revision = full.or(self.short_sha.0);
        draft.url = self.deployable_url.0.or(self.commit_url.0);
        Ok(draft)
    }

    fn pipeline(mut self) -> Result<Draft, Left> {
        let (project, mut labels) = self.project()?;
        let run = need("object_attributes", self.object_attributes.take())?;
        let id = need("object_attributes.id", run.id.0)?;
        let jobs = self.builds.take().unwrap_or_default();
        let deploys = |environment: &Environment| {
            environment.action.get().is_none_or(|action| action == "start")
        };
        let places: Vec<_> =
            jobs.into_iter().filter_map(|job| job.environment.filter(deploys)?.name.0).collect();
        if places.is_empty() {
            return ignored("no job of the pipeline deploys to an environment");
        }
        let state = need("object_attributes.status", run.status.0)?;
        if state == "skipped" || state == "manual" {
            return ignored("a pipeline that did nothing yet");
        }
        let Some(status) = status_of(&state) else {
            return ignored(format!("the status {state:?} is not known"));
        };
        let mut draft = Draft::new(["gitlab", &project, "pipeline", &id], status, Kind::Deploy);
        let what = self.commit.as_ref().and_then(|commit| commit.title.0.clone());
        let what = what.or(run.name.0).or(run.git_ref.0.clone()).unwrap_or_default();
        draft.title = Some(format!("pipeline of {project}: {what}"));
        draft.started_at = run.created_at;
        draft.finished_at = run.finished_at;
        draft.actor = self.actor();
        labels.insert_all("environment", places);
        labels.insert("ref", run.git_ref.0.unwrap_or_default());
        draft.labels = labels;
        draft.revision = run.sha.0;
        draft.url = run.url.0;
        Ok(draft)
    }

    fn push(mut self) -> Result<Draft, Left> {
        let branch = self.project.as_ref().and_then(|project| project.default_branch.0.clone());
        let (project, mut labels) = self.project()?;
        let branch = need("project.default_branch", branch)?;
        let git_ref = need("ref", self.git_ref.0.take())?;
        if git_ref.strip_prefix("refs/heads/") != Some(&branch) {
            return ignored(format!("a push to {git_ref}, which is not the default branch"));
        }
        let commit = need("after", self.after.0.take())?;
        if commit == NO_COMMIT {
            return ignored("a branch was deleted");
        }
        labels.insert("ref", branch);
        let newest = self.commits.take().unwrap_or_default().pop();
        let title = newest
            .as_ref()
            .and_then(|commit| commit.title.get().or(commit.message.get()).map(str::to_owned));
        let mut draft = merged(&project, &commit, title);
        draft.finished_at = newest.map(|commit| commit.timestamp).unwrap_or_default();
        draft.actor = self.user_username.0;
        draft.labels = labels;
        draft.revision = Some(commit);
        Ok(draft)
    }

    fn merge_request(mut self) -> Result<Draft, Left> {
        let (project, mut labels) = self.project()?;
        let merge = need("object_attributes", self.object_attributes.take())?;
        if !merge.action.is("merge") {
            return ignored("a merge request that was not merged now");
        }
        let number = need("object_attributes.iid", merge.iid.0)?;
        let commit = merge.merge_commit_sha.0;
        let key = commit.clone().unwrap_or_else(|| format!("merge-request-{number}"));
        let mut draft = merged(&project, &key, merge.title.0);
        draft.finished_at = merge.merged_at.or(merge.updated_at);
        draft.actor = self.actor();
        labels.insert("ref", merge.target_branch.0.unwrap_or_default());
        draft.labels = labels;
        draft.revision = commit;
        draft.url = merge.url.0;
        Ok(draft)
    }

    fn release(mut self) -> Result<Draft, Left> {
        let (project, labels) = self.project()?;
        if !self.action.is("create") {
            return ignored("a release that was not made now");
        }
        let tag = need("tag", self.tag.0)?;
        let id = ["gitlab", &project, "release", &tag];
        let mut draft = Draft::new(id, Status::Succeeded, Kind::Deploy);
        let name = self.name.0.filter(|name| *name != tag);
        let name = name.map(|name| format!(": {name}")).unwrap_or_default();
        draft.title = Some(format!("release {project} {tag}{name}"));
        draft.finished_at = self.released_at.or(self.created_at);
        draft.labels = labels;
        draft.revision = Some(tag);
        draft.url = self.url.0;
        Ok(draft)
    }

    /// It has neither an id nor a time: that of the delivery tells one toggle from the next.
    fn feature_flag(mut self, delivery: Option<&str>) -> Result<Draft, Left> {
        let (project, mut labels) = self.project()?;
        let flag = need("object_attributes", self.object_attributes.take())?;
        let name = need("object_attributes.name", flag.name.0)?;
        let (action, word) =
            if flag.active.0 { (Action::Enable, "on") } else { (Action::Disable, "off") };
        let mut draft = Draft::new([], Status::Succeeded, Kind::FeatureFlag);
        let about = flag.description.0.map(|text| format!(": {text}")).unwrap_or_default();
        if let Some(delivery) = delivery {
            draft.id = ["gitlab", &project, "flag", delivery].map(str::to_owned).into();
        }
        draft.title = Some(format!("flag {name} {word}{about}"));
        draft.action = Some(action);
        draft.actor = self.actor();
        labels.insert("feature_flag", name);
        draft.labels = labels;
        Ok(draft)
    }
}

/// A merge and the push that it makes are one change: both name the commit.
fn merged(project: &str, commit: &str, title: Option<String>) -> Draft {
    let kind = title.as_deref().and_then(kind_in).filter(|kind| *kind == Kind::Rollback);
    let id = ["gitlab", project, "commit", commit];
    let mut draft = Draft::new(id, Status::Succeeded, kind.unwrap_or(Kind::Other));
    draft.title = title.or_else(|| Some(format!("push {commit}")));
    draft
}
