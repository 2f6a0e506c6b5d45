//! Buildkite's webhooks of builds.

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, kind_in, kind_of, labels, need, settle},
    place::Place,
    written::{Flag, Stamp, Text},
};
use crate::{
    event::{Kind, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "buildkite",
    about: "Buildkite webhooks",
    paths: &["/webhooks/buildkite"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Buildkite, Scheme::token("x-buildkite-token")],
    headers: &["X-Buildkite-Event"],
    id: "the build's id",
    taken: "builds of pipelines whose names speak of a deployment or the like, or of all pipelines with \
            `?kind=` in the address: when they start, and when they are over",
    left: "other pipelines; builds that wait at a gate; jobs, which are parts of a build; `env` and \
           `meta_data`, which may be secret",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a Buildkite event: an object")]
struct Raw {
    event: Text,
    build: Option<Build>,
    pipeline: Option<Pipeline>,
    sender: Option<Person>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Build {
    id: Text,
    number: Text,
    state: Text,
    blocked: Flag,
    branch: Text,
    commit: Text,
    message: Text,
    creator: Option<Person>,
    created_at: Stamp,
    started_at: Stamp,
    finished_at: Stamp,
    web_url: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pipeline {
    slug: Text,
    name: Text,
    repository: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Person {
    name: Text,
    email: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    let event = post.headers.get("x-buildkite-event").or(raw.event.get()).map(str::to_owned);
    let Some(event) = event else {
        return Err(Refused::new("event", "is missing: this is no Buildkite event"));
    };
    Ok(settle([raw.draft(&event, post).and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self, event: &str, post: &Post<'_>) -> Result<Draft, Left> {
        if !matches!(event, "build.running" | "build.finished") {
            return ignored(format!("the event {event:?} is no start and no end of a build"));
        }
        let build = need("build", self.build)?;
        let pipeline = need("pipeline", self.pipeline)?;
        let slug = need("pipeline.slug", pipeline.slug.0)?;
        let kind = kind_of_pipeline(&slug, pipeline.name.get(), post)?;
        let status = build.status(event)?;
        let id = need("build.id", build.id.0)?;
        let mut draft = Draft::new(["buildkite", &id], status, kind);
        let number = build.number.0.map(|number| format!(" #{number}")).unwrap_or_default();
        let message = build.message.get().and_then(|text| text.lines().next());
        let message = message.map(|line| format!(": {line}")).unwrap_or_default();
        draft.title = Some(format!("{slug}{number}{message}"));
        draft.started_at = build.started_at.or(build.created_at);
        if status.ended() {
            draft.finished_at = build.finished_at;
        }
        let Place { service, environment } = Place::of(&slug);
        draft.labels = labels([
            ("service", service),
            ("environment", environment),
            ("pipeline", Some(slug)),
            ("repository", pipeline.repository.0.map(without_credentials)),
            ("ref", build.branch.0),
        ]);
        let who = build.creator.or(self.sender);
        draft.actor = who.and_then(|who| who.email.or(who.name));
        draft.revision = build.commit.0.filter(|commit| commit != "HEAD");
        draft.url = build.web_url.0;
        Ok(draft)
    }
}

impl Build {
    fn status(&self, event: &str) -> Result<Status, Left> {
        if event == "build.running" {
            return Ok(Status::Started);
        }
        if self.blocked.0 {
            return ignored("the build waits at a gate");
        }
        match self.state.get().unwrap_or_default() {
            "passed" => Ok(Status::Succeeded),
            "failed" | "failing" => Ok(Status::Failed),
            "canceled" | "canceling" => Ok(Status::Canceled),
            "skipped" | "not_run" => ignored("a build that did nothing"),
            state => ignored(format!("the state {state:?} is no end")),
        }
    }
}

fn kind_of_pipeline(slug: &str, name: Option<&str>, post: &Post<'_>) -> Result<Kind, Left> {
    if let Some(word) = post.asks("kind") {
        return Ok(kind_of(word).unwrap_or(Kind::Other));
    }
    match kind_in(&format!("{slug} {}", name.unwrap_or_default())) {
        Some(kind) => Ok(kind),
        None => ignored(format!("the pipeline {slug:?} does not speak of a deployment")),
    }
}

/// `https://user:token@example.com/web.git` less what is secret.
fn without_credentials(address: String) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => address,
    }
}
