//! Flagger's event hooks: how far a canary has come.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, labels, need, settle},
    written::{Text, stamp_of, text_of},
};
use crate::{
    event::{Action, Kind, Status},
    wire::{Flaw, Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "flagger",
    about: "Flagger's webhooks of type `event`",
    paths: &["/webhooks/flagger"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Query("access_token"), Scheme::Basic],
    headers: &[],
    id: "namespace, name, `checksum`, phase and time: a canary that comes back has the same checksum",
    taken: "a new revision, which gets its first traffic; its promotion; its failure, which is a \
            rollback",
    left: "the steps between these; hooks of other types, whose answer decides on the rollout",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "a Flagger event: an object")]
struct Raw {
    name: Text,
    namespace: Text,
    phase: Text,
    checksum: Text,
    metadata: Option<Map<String, Value>>,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.draft().and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        let name = need("name", self.name.0)?;
        let namespace = need("namespace", self.namespace.0)?;
        let mut metadata = self.metadata.unwrap_or_default();
        let mut take = |key: &str| metadata.remove(key);
        let Some(message) = take("eventMessage").and_then(text_of) else {
            return ignored("no `eventMessage`: this hook is not of type `event`");
        };
        let at = stamp_of(&take("timestamp").unwrap_or_default())
            .map_err(|wrong| Flaw::new("metadata.timestamp", wrong))?;
        take("eventType");
        let phase = need("phase", self.phase.0)?;
        let (status, kind, action) = match &*phase {
            "Progressing" if message.starts_with("New revision") => {
                (Status::Succeeded, Kind::Deploy, Action::Create)
            }
            "Succeeded" => (Status::Succeeded, Kind::Deploy, Action::Update),
            "Failed" => (Status::Succeeded, Kind::Rollback, Action::Rollback),
            _ => return ignored(format!("a step on the way, in the phase {phase:?}")),
        };
        let checksum = self.checksum.0.unwrap_or_default();
        let when = at.0.map(|at| at.timestamp().to_string()).unwrap_or_default();
        let id = ["flagger", &namespace, &name, &checksum, &phase, &when];
        let mut draft = Draft::new(id, status, kind);
        draft.action = Some(action);
        draft.finished_at = at;
        draft.title = Some(message);
        draft.labels = labels([
            ("service", Some(name)),
            ("namespace", Some(namespace)),
            ("strategy", Some("canary".to_owned())),
        ]);
        for (key, value) in metadata {
            draft.labels.insert(key, text_of(value).unwrap_or_default());
        }
        draft.actor = Some("Flagger".to_owned());
        Ok(draft)
    }
}
