//! Atlantis' webhooks: an apply of a project, and what it found to have drifted.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, at, ignored, labels, need, settle},
    place::Place,
    written::Text,
};
use crate::{
    event::{Kind, Status},
    wire::{Normalised, Refused, signature::Scheme, typed, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "atlantis",
    about: "Atlantis webhooks of kind `http`",
    paths: &["/webhooks/atlantis"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "repository, pull request, commit, directory, workspace and project",
    taken: "each apply of a project, done or failed, at the time of its receipt, since it has none",
    left: "drift, of which nobody knows since when it is; clone URLs, which may hold credentials",
    convert,
};

/// The workspace of those who have one only.
const ONLY_WORKSPACE: &str = "default";

/// Field names are those of Go.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", expecting = "an apply: an object")]
struct Raw {
    workspace: Text,
    repo: Option<Repo>,
    pull: Option<Pull>,
    user: Option<User>,
    success: bool,
    directory: Text,
    project_name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Repo {
    full_name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Pull {
    num: Text,
    head_commit: Text,
    #[serde(rename = "URL")]
    url: Text,
    head_branch: Text,
    base_branch: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct User {
    username: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let body: Value = whole(post.body)?;
    let draft = match at(&body, &["detection_id"]) {
        Some(_) => ignored("drift was looked for, and nobody knows since when it is"),
        None => typed::<Raw>(body).map_err(Left::from).and_then(Raw::draft),
    };
    Ok(settle([draft.and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        let repository = need("Repo.FullName", self.repo.and_then(|repo| repo.full_name.0))?;
        let pull = need("Pull", self.pull)?;
        let number = need("Pull.Num", pull.num.0)?;
        let workspace = self.workspace.0.unwrap_or_else(|| ONLY_WORKSPACE.to_owned());
        let directory = self.directory.0.unwrap_or_else(|| ".".to_owned());
        let commit = pull.head_commit.0;
        let status = if self.success { Status::Succeeded } else { Status::Failed };
        let id = [
            "atlantis",
            &repository,
            &number,
            commit.as_deref().unwrap_or_default(),
            &directory,
            &workspace,
            self.project_name.get().unwrap_or_default(),
        ];
        let mut draft = Draft::new(id, status, Kind::Infrastructure);
        let what = self.project_name.get().unwrap_or(&directory);
        let branch = pull.head_branch.get().map(|name| format!(" ({name})")).unwrap_or_default();
        draft.title = Some(format!("atlantis apply {what} of {repository}#{number}{branch}"));
        let named = Place::of(self.project_name.get().unwrap_or_else(|| last(&directory)));
        let service = named.service.or_else(|| Place::of(last(&repository)).service);
        let environment = match &*workspace {
            ONLY_WORKSPACE => named.environment.or_else(|| in_path(&directory)),
            workspace => Some(workspace.to_owned()),
        };
        draft.labels = labels([
            ("service", service),
            ("environment", environment),
            ("repository", Some(repository.clone())),
            ("directory", Some(directory)),
            ("workspace", Some(workspace)),
            ("ref", pull.base_branch.0),
        ]);
        draft.change_set = Some(format!("atlantis:{repository}#{number}"));
        draft.actor = self.user.and_then(|user| user.username.0);
        draft.revision = commit;
        draft.url = pull.url.0;
        Ok(draft)
    }
}

/// The last part of a path that says something.
fn last(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty() && *part != ".").unwrap_or_default()
}

/// The environment that a directory is of.
fn in_path(directory: &str) -> Option<String> {
    directory.split('/').find_map(|part| Place::of(part).environment)
}
