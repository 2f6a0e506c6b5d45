//! GitHub's webhooks, and those of Gitea and Forgejo, which are shaped alike.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, kind_in, labels, need, settle, status_of},
    written::{Flag, Stamp, Text, percent_decoded},
};
use crate::{
    event::{Kind, Labels, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "github",
    about: "GitHub webhooks; Gitea and Forgejo",
    paths: &["/webhooks/github", "/webhooks/gitea"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::GITHUB],
    headers: &["X-GitHub-Event"],
    id: "the deployment's id, the run's id and attempt, the commit, the release's tag",
    taken: "`deployment`, `deployment_status`, `workflow_run` where its name or file speaks of a \
            deployment or the like, `push` to the default branch, `pull_request` merged, `release` \
            published",
    left: "all other events; the state `inactive`; runs that were skipped",
    convert,
};

/// The events that tell of changes.
const EVENTS: [&str; 6] =
    ["deployment", "deployment_status", "workflow_run", "pull_request", "push", "release"];

/// Whoever acts for nobody.
const NOBODY: &str = "github-actions[bot]";

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a GitHub event: an object")]
struct Raw {
    action: Text,
    deployment: Option<Deployment>,
    deployment_status: Option<DeploymentStatus>,
    workflow_run: Option<WorkflowRun>,
    pull_request: Option<PullRequest>,
    release: Option<Release>,
    repository: Option<Repository>,
    sender: Option<User>,
    #[serde(rename = "ref")]
    git_ref: Text,
    after: Text,
    before: Text,
    deleted: Flag,
    forced: Flag,
    compare: Text,
    pusher: Option<Pusher>,
    head_commit: Option<Commit>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    name: Text,
    full_name: Text,
    default_branch: Text,
    pushed_at: Stamp,
    html_url: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    login: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pusher {
    name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Commit {
    message: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Deployment {
    id: Text,
    sha: Text,
    #[serde(rename = "ref")]
    git_ref: Text,
    task: Text,
    environment: Text,
    description: Text,
    created_at: Stamp,
    creator: Option<User>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeploymentStatus {
    state: Text,
    environment: Text,
    environment_url: Text,
    log_url: Text,
    target_url: Text,
    created_at: Stamp,
    updated_at: Stamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkflowRun {
    id: Text,
    run_attempt: Text,
    name: Text,
    path: Text,
    display_title: Text,
    conclusion: Text,
    head_sha: Text,
    head_branch: Text,
    html_url: Text,
    run_started_at: Stamp,
    created_at: Stamp,
    updated_at: Stamp,
    actor: Option<User>,
    triggering_actor: Option<User>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PullRequest {
    number: Text,
    title: Text,
    merged: Flag,
    merged_at: Stamp,
    merge_commit_sha: Text,
    merged_by: Option<User>,
    html_url: Text,
    base: Option<Base>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Base {
    #[serde(rename = "ref")]
    git_ref: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Release {
    tag_name: Text,
    name: Text,
    published_at: Stamp,
    html_url: Text,
    author: Option<User>,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let header = post.headers.get("x-github-event").or(post.headers.get("x-gitea-event"));
    let Some(event) = header else {
        let reason = "the header is missing: it says which event this is";
        return Err(Refused::new("X-GitHub-Event", reason));
    };
    let form = form_field(post.body);
    let body = form.as_deref().map_or(post.body, str::as_bytes);
    if !EVENTS.contains(&event) {
        let IgnoredAny = whole(body)?;
        let reason = match event {
            "ping" => "a ping".to_owned(),
            other => format!("the event {other:?} tells of no change"),
        };
        return Ok(settle([ignored(reason)]));
    }
    let raw: Raw = whole(body)?;
    let draft = match event {
        "deployment" => raw.deployment(),
        "deployment_status" => raw.deployment_status(),
        "workflow_run" => raw.workflow_run(),
        "pull_request" => raw.pull_request(),
        "push" => raw.push(),
        _ => raw.release(),
    };
    Ok(settle([draft.and_then(|draft| Ok(draft.item(post.received)?))]))
}

/// The JSON in a body of GitHub's other content type, a form.
fn form_field(body: &[u8]) -> Option<String> {
    let form = std::str::from_utf8(body).ok()?.strip_prefix("payload=")?;
    percent_decoded(form.split('&').next()?, true)
}

fn login(user: Option<User>) -> Option<String> {
    user?.login.0.filter(|login| login != NOBODY)
}

fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}

impl Raw {
    fn repository(&mut self) -> Result<(String, Labels), Left> {
        let repository = need("repository", self.repository.take())?;
        let full_name = need("repository.full_name", repository.full_name.0)?;
        let labels =
            labels([("service", repository.name.0), ("repository", Some(full_name.clone()))]);
        Ok((full_name, labels))
    }

    fn deployment(mut self) -> Result<Draft, Left> {
        if !self.action.is("created") {
            return ignored("a deployment that was not created now");
        }
        let mut draft = self.deployed(Status::Started)?;
        draft.actor = draft.actor.or_else(|| login(self.sender));
        Ok(draft)
    }

    fn deployment_status(mut self) -> Result<Draft, Left> {
        let said = need("deployment_status", self.deployment_status.take())?;
        let state = need("deployment_status.state", said.state.0)?;
        if state == "inactive" {
            return ignored("inactive: a newer deployment took its place");
        }
        let Some(status) = status_of(&state) else {
            return ignored(format!("the state {state:?} is not known"));
        };
        let run = self.workflow_run.take();
        let actor = run.and_then(|run| login(run.triggering_actor));
        let mut draft = self.deployed(status)?;
        let at = said.updated_at.or(said.created_at);
        if status.ended() {
            draft.finished_at = at;
        } else {
            draft.started_at = at;
        }
        draft.actor = actor.or(draft.actor).or_else(|| login(self.sender));
        draft.url = said.log_url.or(said.target_url).or(said.environment_url.0).or(draft.url);
        if let (false, Some(environment)) = (draft.labels.has("environment"), said.environment.0) {
            draft.labels.insert("environment", environment);
        }
        Ok(draft)
    }

    /// What a deployment says in both of its events.
    fn deployed(&mut self, status: Status) -> Result<Draft, Left> {
        let page = self.repository.as_ref().and_then(|repository| repository.html_url.0.clone());
        let (repository, mut labels) = self.repository()?;
        let deployment = need("deployment", self.deployment.take())?;
        let id = need("deployment.id", deployment.id.0)?;
        let task = deployment.task.get().unwrap_or("deploy").to_owned();
        let version = deployment.git_ref.get().or(deployment.sha.get().map(short));
        let place = deployment.environment.get().map(|name| format!(" to {name}"));
        let title = deployment.description.0.unwrap_or_else(|| {
            let version = version.map(|version| format!(" {version}"));
            [&task, " ", &repository, &version.unwrap_or_default(), &place.unwrap_or_default()]
                .concat()
        });
        for (name, value) in
            [("environment", deployment.environment.0), ("ref", deployment.git_ref.0)]
        {
            labels.insert(name, value.unwrap_or_default());
        }
        let kind = kind_in(&task).unwrap_or(Kind::Deploy);
        let mut draft = Draft::new(["github", &repository, "deployment", &id], status, kind);
        draft.title = Some(title);
        draft.started_at = deployment.created_at;
        draft.labels = labels;
        draft.actor = login(deployment.creator);
        draft.revision = deployment.sha.0;
        draft.url = page.map(|page| format!("{page}/deployments"));
        Ok(draft)
    }

    fn workflow_run(mut self) -> Result<Draft, Left> {
        let (repository, mut labels) = self.repository()?;
        let run = need("workflow_run", self.workflow_run.take())?;
        let status = match self.action.get() {
            Some("requested") => Status::Planned,
            Some("in_progress") => Status::Started,
            Some("completed") => match run.conclusion.get().and_then(status_of) {
                Some(status) if !run.conclusion.is("skipped") => status,
                _ => return ignored("a run that did nothing"),
            },
            _ => return ignored("the action is not known"),
        };
        let name = run.name.get().unwrap_or_default();
        let said = format!("{name} {}", run.path.get().unwrap_or_default());
        let Some(kind) = kind_in(&said) else {
            return ignored(format!("the workflow {name:?} does not speak of a deployment"));
        };
        let id = need("workflow_run.id", run.id.0)?;
        let attempt = run.run_attempt.0.unwrap_or_else(|| "1".to_owned());
        labels.insert("workflow", name);
        labels.insert("ref", run.head_branch.0.unwrap_or_default());
        let mut draft = Draft::new(["github", &repository, "run", &id, &attempt], status, kind);
        draft.title = match run.display_title.0 {
            Some(title) => Some(format!("{name}: {title}")),
            None => Some(format!("{name} of {repository}")),
        };
        draft.started_at = run.run_started_at.or(run.created_at);
        if status.ended() {
            draft.finished_at = run.updated_at;
        }
        draft.labels = labels;
        draft.actor = login(run.triggering_actor).or_else(|| login(run.actor));
        draft.revision = run.head_sha.0;
        draft.url = run.html_url.0;
        Ok(draft)
    }

    fn pull_request(mut self) -> Result<Draft, Left> {
        let (repository, mut labels) = self.repository()?;
        let pull = need("pull_request", self.pull_request.take())?;
        if !self.action.is("closed") || !pull.merged.0 {
            return ignored("a pull request that was not merged now");
        }
        let number = need("pull_request.number", pull.number.0)?;
        labels.insert("ref", pull.base.and_then(|base| base.git_ref.0).unwrap_or_default());
        let mut draft = match &pull.merge_commit_sha.0 {
            Some(commit) => merged(&repository, commit, pull.title.get()),
            None => merged(&repository, &format!("pull-{number}"), pull.title.get()),
        };
        draft.finished_at = pull.merged_at;
        draft.labels = labels;
        draft.actor = login(pull.merged_by);
        draft.revision = pull.merge_commit_sha.0;
        draft.url = pull.html_url.0;
        Ok(draft)
    }

    fn push(mut self) -> Result<Draft, Left> {
        let (pushed_at, branch) = match &self.repository {
            Some(repository) => (repository.pushed_at, repository.default_branch.0.clone()),
            None => (Stamp(None), None),
        };
        let (repository, mut labels) = self.repository()?;
        let git_ref = need("ref", self.git_ref.0)?;
        let branch = need("repository.default_branch", branch)?;
        if git_ref.strip_prefix("refs/heads/") != Some(&branch) {
            return ignored(format!("a push to {git_ref}, which is not the default branch"));
        }
        if self.deleted.0 {
            return ignored("a branch was deleted");
        }
        let commit = need("after", self.after.0)?;
        labels.insert("ref", branch);
        let message = self.head_commit.and_then(|commit| commit.message.0);
        let mut draft = merged(&repository, &commit, message.as_deref());
        // Only by force does a branch come to a commit again, and then that is another change.
        if let (true, Some(before)) = (self.forced.0, self.before.0) {
            draft.id.push(before);
        }
        draft.finished_at = pushed_at;
        draft.labels = labels;
        draft.actor = self.pusher.and_then(|pusher| pusher.name.0).or_else(|| login(self.sender));
        draft.revision = Some(commit);
        draft.url = self.compare.0;
        Ok(draft)
    }

    fn release(mut self) -> Result<Draft, Left> {
        let (repository, labels) = self.repository()?;
        if !self.action.is("published") {
            return ignored("a release that was not published now");
        }
        let release = need("release", self.release.take())?;
        let tag = need("release.tag_name", release.tag_name.0)?;
        let id = ["github", &repository, "release", &tag];
        let mut draft = Draft::new(id, Status::Succeeded, Kind::Deploy);
        let name = release.name.0.filter(|name| *name != tag);
        let name = name.map(|name| format!(": {name}")).unwrap_or_default();
        draft.title = Some(format!("release {repository} {tag}{name}"));
        draft.finished_at = release.published_at;
        draft.labels = labels;
        draft.actor = login(release.author);
        draft.revision = Some(tag);
        draft.url = release.html_url.0;
        Ok(draft)
    }
}

/// A merge and the push that it makes are one change: both name the commit.
fn merged(repository: &str, commit: &str, title: Option<&str>) -> Draft {
    let kind = title.and_then(kind_in).filter(|kind| *kind == Kind::Rollback);
    let id = ["github", repository, "commit", commit];
    let mut draft = Draft::new(id, Status::Succeeded, kind.unwrap_or(Kind::Other));
    let title = title.map_or_else(|| format!("push {}", short(commit)), str::to_owned);
    draft.title = Some(title);
    draft
}
