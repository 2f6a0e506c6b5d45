//! The notifications of Jenkins' *Notification* plugin, in JSON over HTTP.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, kind_in, kind_of, labels, need, settle},
    place::Place,
    written::{Stamp, Text},
};
use crate::{
    event::{Kind, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "jenkins",
    about: "Jenkins' Notification plugin",
    paths: &["/webhooks/jenkins"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Bearer, Scheme::Basic, Scheme::Query("access_token")],
    headers: &[],
    id: "the build's address",
    taken: "builds of jobs whose names speak of a deployment or the like, or of all jobs with `?kind=` in \
            the address: when they start, and when they are over. Job and parameters called `service` and \
            `environment` say where",
    left: "other jobs; queued builds, and what comes after a build is completed; all other parameters, \
           which may be secret, logs and artifacts",
    convert,
};

/// Parameters that say where, in small letters.
const SERVICE: [&str; 4] = ["service", "app", "application", "component"];
const ENVIRONMENT: [&str; 6] =
    ["environment", "env", "stage", "target_env", "deploy_env", "target_environment"];

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a build: an object")]
struct Raw {
    name: Text,
    display_name: Text,
    url: Text,
    build: Option<Build>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Build {
    full_url: Text,
    #[serde(rename = "fullUrl")]
    full_url_camel: Text,
    number: Text,
    timestamp: Stamp,
    duration: Option<serde_json::Value>,
    phase: Text,
    status: Text,
    scm: Option<Scm>,
    parameters: Option<BTreeMap<String, Text>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scm {
    branch: Text,
    commit: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.draft(post).and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self, post: &Post<'_>) -> Result<Draft, Left> {
        let build = need("build", self.build)?;
        let name = need("name", self.name.0.or_else(|| self.display_name.0.clone()))?;
        let status = build.status()?;
        let kind = kind_of_job(&name, self.display_name.get(), post)?;
        let number = need("build.number", build.number.0.clone())?;
        let address = build.full_url.0.clone().or(build.full_url_camel.0.clone());
        let job = self.url.0.unwrap_or_else(|| name.clone());
        let id = address.clone().unwrap_or_else(|| format!("{job}:{number}"));
        let mut draft = Draft::new(["jenkins", &id], status, kind);
        draft.title = Some(format!("{name} #{number}"));
        draft.started_at = build.timestamp;
        if status.ended() {
            draft.finished_at = build.finished_at();
        }
        let place = place_of(&name);
        let given = build.parameters.as_ref();
        let scm = build.scm.unwrap_or_default();
        draft.labels = labels([
            ("service", parameter(given, &SERVICE).or(place.service)),
            ("environment", parameter(given, &ENVIRONMENT).or(place.environment)),
            ("job", Some(name)),
            ("ref", scm.branch.0),
        ]);
        draft.revision = scm.commit.0;
        draft.url = address;
        Ok(draft)
    }
}

impl Build {
    fn status(&self) -> Result<Status, Left> {
        match self.phase.get().unwrap_or_default() {
            "STARTED" => return Ok(Status::Started),
            "COMPLETED" => {}
            "" => return Err(need::<()>("build.phase", None).err().unwrap_or(unknown(""))),
            phase => return Err(unknown(phase)),
        }
        match self.status.get().unwrap_or_default() {
            // Unstable: tests failed, and all steps were done.
            "SUCCESS" | "UNSTABLE" => Ok(Status::Succeeded),
            "FAILURE" => Ok(Status::Failed),
            "ABORTED" => Ok(Status::Canceled),
            other => ignored(format!("a build that is {other:?} did nothing")),
        }
    }

    /// It tells when it began, and how many milliseconds it took.
    fn finished_at(&self) -> Stamp {
        let took = self.duration.as_ref().and_then(serde_json::Value::as_i64);
        let took = took.filter(|took| *took > 0).and_then(TimeDelta::try_milliseconds);
        let end =
            self.timestamp.0.zip(took).and_then(|(start, took)| start.checked_add_signed(took));
        Stamp(end)
    }
}

fn unknown(phase: &str) -> Left {
    Left::Ignored(format!("the phase {phase:?} is no start and no end"))
}

/// Where the last part of a job's path is that speaks of a deployment; else the last. One that says
/// only that something is deployed is of what stands before it.
fn place_of(name: &str) -> Place {
    let mut parts = name.rsplit(['/', '»']).map(str::trim);
    let last = parts.clone().next().unwrap_or(name);
    let place = Place::of(parts.find(|part| kind_in(part).is_some()).unwrap_or(last));
    let before = parts.next().map(Place::of).unwrap_or_default();
    Place {
        service: place.service.or(before.service),
        environment: place.environment.or(before.environment),
    }
}

fn kind_of_job(name: &str, shown: Option<&str>, post: &Post<'_>) -> Result<Kind, Left> {
    if let Some(word) = post.asks("kind") {
        return Ok(kind_of(word).unwrap_or(Kind::Other));
    }
    match kind_in(&format!("{name} {}", shown.unwrap_or_default())) {
        Some(kind) => Ok(kind),
        None => ignored(format!("the job {name:?} does not speak of a deployment")),
    }
}

fn parameter(given: Option<&BTreeMap<String, Text>>, names: &[&str]) -> Option<String> {
    let is_named = |name: &str| names.contains(&name.to_lowercase().as_str());
    given?.iter().find(|(name, _)| is_named(name)).and_then(|(_, value)| value.0.clone())
}
