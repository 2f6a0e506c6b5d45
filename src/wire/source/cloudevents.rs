//! CloudEvents 1.0 over HTTP: structured, binary and batched. What they carry is told by their type.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs, cdevents,
    draft::{Draft, KIND_AS_SENT, Left, at, ignored, kind_in, labels, need, settle},
    written::{Stamp, Text, percent_decoded, stamp_of},
};
use crate::{
    event::{Kind, Status},
    wire::{
        Item, Normalised, Refused, at_most_items_max, one_or_list, signature::Scheme, typed, whole,
    },
};

pub(super) const SOURCE: Source = Source {
    name: "cloudevents",
    about: "any CloudEvent over HTTP: Tekton, kubewatch, Knative, Argo Events, Eventarc",
    paths: &["/events", "/webhooks/cloudevents"],
    verbs: Verbs::PostAndHandshake,
    dialect: Dialect::Own,
    schemes: SCHEMES,
    headers: &["Content-Type", "ce-id", "ce-source", "ce-type"],
    id: "`source` and `id`; for Tekton the run's uid",
    taken: "CDEvents; Tekton's runs whose pipeline speaks of a deployment or the like; any other type \
            as a change of kind `other`",
    left: "Tekton's `unknown`, which is progress, and its other runs",
    convert,
};

/// What the specification of CloudEvents' webhooks lets senders use.
pub(super) const SCHEMES: &[Scheme] =
    &[Scheme::StandardWebhooks, Scheme::Bearer, Scheme::Basic, Scheme::Query("access_token")];

/// The attributes of an event, however they came, and what it carries.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "a CloudEvent: an object")]
struct Envelope {
    id: Text,
    source: Text,
    #[serde(rename = "type")]
    type_name: Text,
    subject: Text,
    time: Stamp,
    data: Value,
    data_base64: Text,
}

pub(super) fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let events = envelopes(post)?;
    Ok(settle(events.into_iter().map(|event| {
        // A CDEvent is a whole in itself, and may come without an envelope.
        if event.get("context").is_some() && event.get("specversion").is_none() {
            return cdevents::meaning(&event, post);
        }
        meaning(typed(event)?, post)
    })))
}

/// The events of a post, each as if it had come structured.
fn envelopes(post: &Post<'_>) -> Result<Vec<Value>, Refused> {
    let media_type = post.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
    if media_type.starts_with("application/cloudevents-batch") {
        let batch: Vec<Value> = whole(post.body)?;
        at_most_items_max(batch.len())?;
        return Ok(batch);
    }
    if !media_type.starts_with("application/cloudevents") && post.headers.get("ce-id").is_some() {
        return binary(post).map(|event| vec![event]);
    }
    one_or_list(post.body)
}

/// One whose attributes are headers, and whose data are the body.
fn binary(post: &Post<'_>) -> Result<Value, Refused> {
    let mut event = serde_json::Map::new();
    for (name, value) in post.headers.beginning_with("ce-") {
        let value = percent_decoded(value.trim_matches('"'), false)
            .ok_or_else(|| Refused::new(format!("ce-{name}"), "is not percent-encoded UTF-8"))?;
        event.insert(name.to_owned(), Value::from(value));
    }
    let data = if post.body.is_empty() { Value::Null } else { whole(post.body)? };
    event.insert("data".to_owned(), data);
    Ok(Value::Object(event))
}

fn meaning(mut event: Envelope, post: &Post<'_>) -> Result<Item, Left> {
    if let Some(text) = event.data_base64.get() {
        let bytes = STANDARD.decode(text).ok();
        let data = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        event.data = data.unwrap_or_default();
    }
    let type_name = need("type", event.type_name.0.clone())?;
    if type_name.starts_with("dev.cdevents.") {
        return cdevents::meaning(&event.data, post);
    }
    let draft = match type_name.strip_prefix("dev.tekton.event.") {
        Some(rest) => tekton(rest, &event)?,
        None => other(type_name, event)?,
    };
    Ok(draft.item(post.received)?)
}

/// A type that means nothing to us: what its attributes say, for rules to match.
fn other(type_name: String, event: Envelope) -> Result<Draft, Left> {
    let id = need("id", event.id.0)?;
    let source = need("source", event.source.0)?;
    let mut draft = Draft::new(["cloudevents", &source, &id], Status::Succeeded, Kind::Other);
    let subject = event.subject.0;
    let about = subject.as_deref().unwrap_or(&source);
    draft.title = Some(format!("{type_name} {about}"));
    draft.finished_at = event.time;
    let said = |name| at(&event.data, &[name]).and_then(Value::as_str).map(str::to_owned);
    draft.labels = labels([
        (KIND_AS_SENT, Some(type_name)),
        ("ce_source", Some(source)),
        ("subject", subject),
        ("service", said("service")),
        ("environment", said("environment")),
        ("cluster", said("cluster")),
        ("namespace", said("namespace")),
    ]);
    draft.actor = said("actor");
    draft.url = said("url");
    Ok(draft)
}

/// `pipelinerun.successful.v1`: runs come out of order and some twice, so that a run's id ties them.
fn tekton(rest: &str, event: &Envelope) -> Result<Draft, Left> {
    let mut words = rest.split('.');
    let (what, said) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let status = match said {
        "queued" => Status::Planned,
        "started" | "running" => Status::Started,
        "successful" => Status::Succeeded,
        "failed" => Status::Failed,
        _ => return ignored(format!("{said:?} tells of no start and no end")),
    };
    let run = ["pipelineRun", "customRun"].iter().find_map(|name| at(&event.data, &[name]));
    let Some(run) = run.filter(|_| what != "taskrun") else {
        return ignored(format!("a {what} is a part of a run"));
    };
    let text = |path: &[&str]| at(run, path).and_then(Value::as_str).map(str::to_owned);
    let time =
        |path: &[&str]| at(run, path).and_then(|time| stamp_of(time).ok()).unwrap_or_default();
    let name = need("metadata.name", text(&["metadata", "name"]))?;
    let pipeline = text(&["spec", "pipelineRef", "name"])
        .or_else(|| text(&["metadata", "labels", "tekton.dev/pipeline"]));
    let called = pipeline.clone().unwrap_or_else(|| name.clone());
    let Some(kind) = kind_in(&called) else {
        return ignored(format!("the pipeline {called:?} does not speak of a deployment"));
    };
    let uid = text(&["metadata", "uid"]).unwrap_or_else(|| name.clone());
    let mut draft = Draft::new(["tekton", &uid], status, kind);
    draft.title = Some(format!("{called}: {name}"));
    draft.started_at = time(&["status", "startTime"]);
    if status.ended() {
        draft.finished_at = time(&["status", "completionTime"]).or(event.time);
    } else {
        draft.started_at = draft.started_at.or(event.time);
    }
    let label = |name: &str| text(&["metadata", "labels", name]);
    draft.labels = labels([
        ("service", label("app.kubernetes.io/name").or_else(|| label("app"))),
        ("environment", label("environment")),
        ("namespace", text(&["metadata", "namespace"])),
        ("pipeline", pipeline),
    ]);
    Ok(draft)
}
