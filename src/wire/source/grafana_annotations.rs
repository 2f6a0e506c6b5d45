//! Grafana's annotations, as deploy scripts, Flux and Argo CD post them, and Graphite's events.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, kind_in, kind_of, labels, need, settle},
    written::{Stamp, Text, text_of},
};
use crate::{
    event::{Kind, Labels, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "grafana_annotations",
    about: "whatever posts annotations to Grafana: deploy scripts, Flux, Argo CD",
    paths: &["/api/annotations", "/api/annotations/graphite"],
    verbs: Verbs::Post,
    dialect: Dialect::Grafana,
    schemes: &[Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "a hash of the text, the tags and the time",
    taken: "each annotation, as a change: tags as `name:value`, `name=value` and `name: value` are \
            labels, and the kind is told by the other tags and the text",
    left: "dashboards and panels",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an annotation: an object")]
struct Raw {
    text: Text,
    time: Stamp,
    time_end: Stamp,
    tags: Value,
    // Graphite's.
    what: Text,
    when: Stamp,
    data: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.draft().and_then(|draft| Ok(draft.item(post.received)?))]))
}

/// Tags as a list, or in Graphite's way as words.
pub(super) fn tags(written: Value) -> Vec<String> {
    match written {
        Value::Array(list) => list.into_iter().filter_map(text_of).collect(),
        Value::String(words) => words.split_whitespace().map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// The labels in tags, and the tags that are none.
pub(super) fn split(tags: Vec<String>) -> (Labels, Vec<String>) {
    let (mut labels, mut bare) = (Labels::default(), Vec::new());
    for tag in tags {
        match tag.split_once([':', '=']) {
            Some((name, value)) if !name.trim().is_empty() => {
                labels.insert(name.trim(), value.trim());
            }
            _ => bare.push(tag),
        }
    }
    (labels, bare)
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        let text = need("text", self.text.0.or(self.what.0).or(self.data.0))?;
        let (mut tagged, bare) = split(tags(self.tags));
        let named = bare.iter().find_map(|tag| kind_of(tag));
        let kind = named.or_else(|| kind_in(&text)).or_else(|| kind_in(&bare.join(" ")));
        let mut draft = Draft::new([], Status::Succeeded, kind.unwrap_or(Kind::Other));
        let began = self.time.or(self.when);
        draft.started_at = began;
        draft.finished_at = self.time_end.or(began);
        draft.title = Some(text);
        draft.revision =
            ["version", "revision"].iter().find_map(|n| tagged.first(n).map(str::to_owned));
        for tag in bare {
            tagged.extend(&labels([("tags", Some(tag))]));
        }
        draft.labels = tagged;
        Ok(draft)
    }
}
