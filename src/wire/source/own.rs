//! A source of the user's own: any JSON, by JSON pointers that the configuration names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Post,
    draft::{
        AlertDraft, Draft, KIND_AS_SENT, Left, action_of, ignored, kind_of, need, settle, status_of,
    },
    fill_in,
    json_alert::is_over,
    written::{Stamp, stamp_of, text_of},
};
use crate::{
    event::{CANONICAL, Kind, Labels, Status},
    wire::{Ending, Flaw, Item, Normalised, Refused, at_most_items_max, whole},
};

/// The label with the word for a status that has no meaning for us.
const STATUS_AS_SENT: &str = "status_as_sent";

/// What a source of the user's own makes of its posts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Makes {
    /// Changes.
    Changes,
    /// Alerts.
    Alerts,
}

impl Makes {
    /// The fields that can be mapped.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Changes => &[
                "id",
                "title",
                "kind",
                "action",
                "status",
                "started_at",
                "finished_at",
                "service",
                "environment",
                "cluster",
                "region",
                "namespace",
                "actor",
                "revision",
                "change_set",
                "url",
            ],
            Self::Alerts => &[
                "id",
                "alertname",
                "status",
                "starts_at",
                "ends_at",
                "service",
                "environment",
                "cluster",
                "region",
                "namespace",
                "severity",
                "summary",
                "url",
            ],
        }
    }

    /// The field without which nothing can be made.
    pub const fn needed(self) -> &'static str {
        match self {
            Self::Changes => "title",
            Self::Alerts => "alertname",
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// What a JSON pointer points at.
    Pointer(String),
    /// Always the same.
    Fixed(String),
}

impl Origin {
    /// What is written for it: a pointer begins with `/`, anything else is said as it stands.
    ///
    /// # Errors
    /// It begins as a pointer and is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Ok(Self::Fixed(text.to_owned()));
        }
        let escapes = text.split('~').skip(1);
        if escapes.into_iter().any(|rest| !rest.starts_with(['0', '1'])) {
            return Err(format!("{text:?} is no JSON pointer: `~` is written as `~0`"));
        }
        Ok(Self::Pointer(text.to_owned()))
    }

    fn values(&self, thing: &Value) -> Vec<String> {
        match self {
            Self::Fixed(text) => vec![text.clone()],
            Self::Pointer(pointer) => match thing.pointer(pointer) {
                Some(Value::Array(list)) => list.iter().cloned().filter_map(text_of).collect(),
                Some(one) => text_of(one.clone()).into_iter().collect(),
                None => Vec::new(),
            },
        }
    }
}

/// A source that the configuration describes.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its name; it is posted to `/webhooks/NAME`.
    pub name: String,
    /// What it makes.
    pub makes: Makes,
    /// Where a list stands whose things are taken one by one; without it, a body is one thing, or a
    /// list of them.
    pub each: Option<String>,
    /// What a thing has to say at these pointers; anything else is ignored.
    pub only: Labels,
    /// For each field where to look, in order; the first that says something counts.
    pub fields: BTreeMap<&'static str, Vec<Origin>>,
    /// The same for labels of any name.
    pub labels: Vec<(String, Origin)>,
    /// What its words for kinds, actions and statuses mean in ours.
    pub words: Labels,
}

impl Own {
    /// What a post becomes.
    ///
    /// # Errors
    /// It is no JSON, or there is no list where one should be.
    pub fn normalise(&self, post: &Post<'_>) -> Result<Normalised, Refused> {
        let mut endings = Vec::new();
        let mut found = Vec::new();
        for thing in self.things(whole(post.body)?)? {
            found.extend(self.item(&thing, post, &mut endings).transpose());
        }
        let mut normalised = Normalised { endings, ..settle(found) };
        fill_in(&mut normalised, post);
        Ok(normalised)
    }

    fn things(&self, mut body: Value) -> Result<Vec<Value>, Refused> {
        if let Some(each) = &self.each {
            let list = body.pointer_mut(each).map(Value::take);
            body = list.filter(Value::is_array).ok_or_else(|| {
                Refused::new(each, "is no list, and the configuration says `each` of it")
            })?;
        }
        let things = if let Value::Array(list) = body { list } else { vec![body] };
        at_most_items_max(things.len())?;
        Ok(things)
    }

    /// The event in a thing; nothing where it ends an alert that is known by its id.
    fn item(
        &self,
        thing: &Value,
        post: &Post<'_>,
        endings: &mut Vec<Ending>,
    ) -> Result<Option<Item>, Left> {
        for (pointer, mut wanted) in self.only.by_name() {
            let said = thing.pointer(pointer).cloned().and_then(text_of);
            if !said.as_deref().is_some_and(|said| wanted.any(|word| word == said)) {
                let said = said.unwrap_or_else(|| "nothing".to_owned());
                return ignored(format!("{pointer} says {said:?}"));
            }
        }
        match self.makes {
            Makes::Changes => Ok(Some(self.change(thing)?.item(post.received)?)),
            Makes::Alerts => self.alert(thing, post, endings),
        }
    }

    fn values(&self, thing: &Value, field: &str) -> Vec<String> {
        let origins = self.fields.get(field).map(Vec::as_slice).unwrap_or_default();
        let mut all = origins.iter().map(|origin| origin.values(thing));
        all.find(|values| !values.is_empty()).unwrap_or_default()
    }

    fn text(&self, thing: &Value, field: &str) -> Option<String> {
        self.values(thing, field).into_iter().next()
    }

    fn time(&self, thing: &Value, field: &str) -> Result<Stamp, Flaw> {
        match self.text(thing, field) {
            None => Ok(Stamp(None)),
            Some(text) => stamp_of(&Value::from(text)).map_err(|wrong| Flaw::new(field, wrong)),
        }
    }

    /// A word in the meaning that the configuration gives it.
    fn word(&self, thing: &Value, field: &str) -> Option<String> {
        let word = self.text(thing, field)?;
        Some(self.words.first(&word).map_or(word.clone(), str::to_owned))
    }

    fn labels_of(&self, thing: &Value) -> Labels {
        let mut labels = Labels::default();
        for name in CANONICAL {
            labels.insert_all(name, self.values(thing, name));
        }
        for (name, origin) in &self.labels {
            labels.insert_all(name, origin.values(thing));
        }
        labels
    }

    fn change(&self, thing: &Value) -> Result<Draft, Left> {
        let text = |field| self.text(thing, field);
        let id = text("id");
        let title = text("title").or_else(|| id.clone());
        let mut labels = self.labels_of(thing);
        let finished_at = self.time(thing, "finished_at")?;
        let word = self.word(thing, "status");
        let status = word.as_deref().and_then(status_of);
        if let (None, Some(word)) = (status, word) {
            labels.insert(STATUS_AS_SENT, word);
        }
        let ended = if finished_at.0.is_some() || !self.fields.contains_key("started_at") {
            Status::Succeeded
        } else {
            Status::Started
        };
        let word = self.word(thing, "kind");
        let kind = word.as_deref().and_then(kind_of);
        if let (None, Some(word)) = (kind, word) {
            labels.insert(KIND_AS_SENT, word);
        }
        let kind = kind.unwrap_or(Kind::Other);
        let mut draft = Draft::new([], status.unwrap_or(ended), kind);
        if let Some(id) = id {
            draft.id = vec![self.name.clone(), id];
        }
        draft.title = Some(need("title", title)?);
        draft.action = self.word(thing, "action").as_deref().and_then(action_of);
        draft.started_at = self.time(thing, "started_at")?;
        draft.finished_at = finished_at;
        draft.labels = labels;
        draft.actor = text("actor");
        draft.revision = text("revision");
        draft.change_set = text("change_set");
        draft.url = text("url");
        Ok(draft)
    }

    fn alert(
        &self,
        thing: &Value,
        post: &Post<'_>,
        endings: &mut Vec<Ending>,
    ) -> Result<Option<Item>, Left> {
        let text = |field| self.text(thing, field);
        let over = self.word(thing, "status").is_some_and(|word| is_over(&word));
        let (starts_at, ends_at) = (self.time(thing, "starts_at")?, self.time(thing, "ends_at")?);
        let id = text("id");
        if let (true, Some(id)) = (over, &id) {
            let at = ends_at.0.filter(|at| *at <= post.received).unwrap_or(post.received);
            let labels = [("id", id.as_str()), ("source", &self.name)].into_iter().collect();
            endings.push(Ending { labels, at, id: Some(id.clone()) });
            return Ok(None);
        }
        let mut labels = self.labels_of(thing);
        labels.insert("alertname", need("alertname", text("alertname"))?);
        labels.insert("source", self.name.as_str());
        labels.insert("id", id.unwrap_or_default());
        labels.insert("severity", text("severity").unwrap_or_default());
        let ended = over || ends_at.0.is_some();
        let draft = AlertDraft {
            labels,
            starts_at,
            ended: ended.then_some(ends_at),
            summary: text("summary"),
            url: text("url"),
            ..AlertDraft::default()
        };
        Ok(Some(draft.item(post.received)?))
    }
}
