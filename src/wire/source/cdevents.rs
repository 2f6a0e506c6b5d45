//! CDEvents, before and after 0.5: inside CloudEvents, or bare.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs, cloudevents,
    draft::{AlertDraft, Draft, KIND_AS_SENT, Left, ignored, kind_in, labels, need},
    written::{Stamp, Text, percent_decoded},
};
use crate::{
    event::{Action, Kind, Labels, Status},
    wire::{Flaw, Item},
};

pub(super) const SOURCE: Source = Source {
    name: "cdevents",
    about: "CDEvents, in a CloudEvent or bare",
    paths: &["/webhooks/cdevents"],
    verbs: Verbs::PostAndHandshake,
    dialect: Dialect::Own,
    schemes: cloudevents::SCHEMES,
    headers: &["Content-Type", "ce-id", "ce-source", "ce-type"],
    id: "`context.source` and `context.id`; for runs and incidents those of the subject",
    taken: "services deployed, upgraded, rolled back and removed; environments; pipeline runs whose \
            name speaks of a deployment or the like; changes merged; artifacts published; incidents, \
            which are alerts; other types as changes of kind `other`",
    left: "what is queued, built and tested; tickets and approvals",
    convert: cloudevents::convert,
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a CDEvent: an object")]
struct Raw {
    context: Option<Context>,
    subject: Option<Subject>,
    custom_data: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Context {
    id: Text,
    source: Text,
    #[serde(rename = "type")]
    type_name: Text,
    timestamp: Stamp,
    chain_id: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subject {
    id: Text,
    source: Text,
    content: Content,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Content {
    environment: Option<Named>,
    service: Option<Named>,
    repository: Option<Named>,
    artifact_id: Text,
    pipeline_name: Text,
    name: Text,
    outcome: Text,
    description: Text,
    uri: Text,
    url: Text,
    #[serde(rename = "ticketURI")]
    ticket: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    id: Text,
}

/// What a CDEvent means.
pub(super) fn meaning(data: &Value, post: &Post<'_>) -> Result<Item, Left> {
    let raw: Raw = serde_path_to_error::deserialize(data)
        .map_err(|error| Flaw::new(format!("data.{}", error.path()), error.inner().to_string()))?;
    let context = need("context", raw.context)?;
    let subject = need("subject", raw.subject)?;
    let type_name = need("context.type", context.type_name.0.clone())?;
    let words: Vec<_> = type_name.split('.').collect();
    let ["dev", "cdevents" | "cdeventsx", what, said, ..] = words[..] else {
        return Err(Flaw::new("context.type", "is no type of CDEvents").into());
    };
    if what == "incident" {
        return Ok(incident(said, &context, subject)?.item(post.received)?);
    }
    let mut draft = change(what, said, &type_name, &context, &subject)?;
    draft.change_set = context.chain_id.0;
    let custom = |name| raw.custom_data.get(name).and_then(Value::as_str).map(str::to_owned);
    draft.actor = custom("actor").or_else(|| custom("user"));
    draft.url = subject.content.uri.or(subject.content.url).or_else(|| custom("url"));
    Ok(draft.item(post.received)?)
}

/// `ns/checkout` and `service/checkout` are both `checkout`.
fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn name_of(named: Option<&Named>) -> Option<String> {
    named.and_then(|named| named.id.get()).map(|id| last(id).to_owned())
}

/// The version in a purl, as in `pkg:oci/checkout@sha256%3Aabc?tag=7`.
fn version(purl: &str) -> Option<String> {
    let (_, version) = purl.rsplit_once('@')?;
    percent_decoded(version.split(['?', '#']).next()?, false)
}

/// What they are about alters nothing that runs.
const NO_CHANGES: [&str; 11] = [
    "approval",
    "artifact",
    "branch",
    "build",
    "change",
    "repository",
    "taskrun",
    "testcaserun",
    "testoutput",
    "testsuiterun",
    "ticket",
];

fn change(
    what: &str,
    said: &str,
    type_name: &str,
    context: &Context,
    subject: &Subject,
) -> Result<Draft, Left> {
    let id = need("context.id", context.id.0.clone())?;
    let source = need("context.source", context.source.0.clone())?;
    let about = need("subject.id", subject.id.0.clone())?;
    let name = last(&about).to_owned();
    let content = &subject.content;
    let place = name_of(content.environment.as_ref());
    let done = |kind| Draft::new(["cdevents", &source, &id], Status::Succeeded, kind);
    let of_service = |kind, action| Draft { action: Some(action), ..done(kind) };
    let mut draft = match (what, said) {
        ("service", "deployed" | "upgraded" | "published") => {
            of_service(Kind::Deploy, Action::Update)
        }
        ("service", "rolledback") => of_service(Kind::Rollback, Action::Rollback),
        ("service", "removed") => of_service(Kind::Deploy, Action::Delete),
        ("environment", "created") => of_service(Kind::Infrastructure, Action::Create),
        ("environment", "modified") => of_service(Kind::Infrastructure, Action::Update),
        ("environment", "deleted") => of_service(Kind::Infrastructure, Action::Delete),
        ("pipelinerun", _) => run(said, &source, &about, subject)?,
        ("change", "merged") => done(Kind::Other),
        ("artifact", "published") => done(Kind::Deploy),
        (what, _) if NO_CHANGES.contains(&what) => {
            return ignored(format!("{type_name} is no change of what runs"));
        }
        _ => {
            let mut draft = done(Kind::Other);
            draft.labels.insert(KIND_AS_SENT, type_name);
            draft
        }
    };
    let to = place.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
    draft.title.get_or_insert_with(|| format!("{what} {said}: {name}{to}"));
    if !draft.status.ended() {
        draft.started_at = context.timestamp;
    } else if draft.finished_at.0.is_none() {
        draft.finished_at = context.timestamp;
    }
    let service = (what == "service").then(|| name.clone());
    let of_environment = (what == "environment").then(|| content.name.0.clone().unwrap_or(name));
    draft.labels.extend(&labels([
        ("service", service.or_else(|| name_of(content.service.as_ref()))),
        ("environment", place.or(of_environment)),
        ("repository", content.repository.as_ref().and_then(|named| named.id.0.clone())),
        ("artifact", content.artifact_id.0.clone()),
        ("ce_source", Some(source)),
    ]));
    draft.revision = content.artifact_id.get().and_then(version);
    Ok(draft)
}

fn run(said: &str, source: &str, about: &str, subject: &Subject) -> Result<Draft, Left> {
    let name = subject.content.pipeline_name.get().unwrap_or_else(|| last(about));
    let Some(kind) = kind_in(name) else {
        return ignored(format!("the pipeline {name:?} does not speak of a deployment"));
    };
    let status = match said {
        "queued" => Status::Planned,
        "started" => Status::Started,
        "finished" => match subject.content.outcome.get() {
            Some("failure" | "error") => Status::Failed,
            Some("cancel") => Status::Canceled,
            _ => Status::Succeeded,
        },
        _ => return ignored(format!("{said:?} tells of no start and no end")),
    };
    let source = subject.source.get().unwrap_or(source);
    let mut draft = Draft::new(["cdevents", "run", source, about], status, kind);
    draft.title = Some(format!("{name}: {}", last(about)));
    Ok(draft)
}

fn incident(said: &str, context: &Context, subject: Subject) -> Result<AlertDraft, Left> {
    let about = need("subject.id", subject.id.0)?;
    let content = subject.content;
    let labels: Labels = labels([
        ("alertname", Some("Incident".to_owned())),
        ("incident", Some(about)),
        ("service", name_of(content.service.as_ref())),
        ("environment", name_of(content.environment.as_ref())),
    ]);
    let mut draft = AlertDraft {
        labels,
        starts_at: context.timestamp,
        summary: content.description.0,
        url: content.ticket.0,
        ..AlertDraft::default()
    };
    match said {
        "detected" => {}
        "reported" => return ignored("an incident is told of when it is detected"),
        "resolved" => draft.ended = Some(context.timestamp),
        _ => return ignored(format!("{said:?} of an incident is not known")),
    }
    Ok(draft)
}
