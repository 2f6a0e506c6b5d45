//! LaunchDarkly's webhooks: entries of its audit log.

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, need, settle},
    written::{Stamp, Text},
};
use crate::{
    event::{Action, Kind, Labels, Status},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "launchdarkly",
    about: "LaunchDarkly webhooks",
    paths: &["/webhooks/launchdarkly"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::LAUNCHDARKLY],
    headers: &[],
    id: "`_id`",
    taken: "what is done to flags and segments, with the flag's key and environments out of the \
            resources that are named",
    left: "members, projects and all else; versions before and after",
    convert,
};

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an entry of the audit log: an object")]
struct Raw {
    #[serde(rename = "_id")]
    id: Text,
    date: Stamp,
    kind: Text,
    name: Text,
    comment: Text,
    #[serde(rename = "titleVerb")]
    verb: Text,
    accesses: Option<Vec<Access>>,
    target: Option<Target>,
    member: Option<Member>,
    app: Option<Named>,
    token: Option<Named>,
    #[serde(rename = "_links")]
    links: Option<Links>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Access {
    action: Text,
    resource: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    resources: Option<Vec<Text>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Member {
    email: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    site: Option<Link>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    href: Text,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let raw: Raw = whole(post.body)?;
    Ok(settle([raw.draft().and_then(|draft| Ok(draft.item(post.received)?))]))
}

impl Raw {
    fn draft(self) -> Result<Draft, Left> {
        let kind = need("kind", self.kind.0)?;
        if kind != "flag" && kind != "segment" {
            return ignored(format!("a {kind} is neither a flag nor a segment"));
        }
        let id = need("_id", self.id.0)?;
        let accesses = self.accesses.unwrap_or_default();
        let actions: Vec<_> = accesses.iter().filter_map(|one| one.action.0.clone()).collect();
        let of_target = self.target.and_then(|target| target.resources).unwrap_or_default();
        let named = accesses.into_iter().map(|one| one.resource).chain(of_target);
        let resources: Vec<_> = named.filter_map(|resource| resource.0).collect();
        let keys = parts(&resources, &kind);
        let what = keys.first().cloned().or_else(|| self.name.0.clone());
        let what = need("accesses.resource", what)?;
        let verb = self.verb.0.unwrap_or_else(|| actions.join(", "));
        let mut draft = Draft::new(["launchdarkly", &id], Status::Succeeded, Kind::FeatureFlag);
        draft.action = Some(meaning(&verb, &actions));
        let why = self.comment.0.map(|text| format!(": {text}")).unwrap_or_default();
        draft.title = Some(format!("{kind} {what}: {verb}{why}"));
        draft.finished_at = self.date;
        let mut labels = Labels::default();
        labels.insert(if kind == "flag" { "feature_flag" } else { "segment" }, what);
        labels.insert_all("environment", parts(&resources, "env"));
        labels.insert_all("project", parts(&resources, "proj"));
        labels.insert_all("flag_action", actions);
        draft.labels = labels;
        let by = self.app.or(self.token).and_then(|it| it.name.0);
        draft.actor = self.member.and_then(|member| member.email.0).or(by);
        draft.url = self.links.and_then(|links| links.site).and_then(|site| site.href.0);
        Ok(draft)
    }
}

/// The names of one sort in `proj/web:env/production:flag/new-cart;tag`.
fn parts(resources: &[String], sort: &str) -> Vec<String> {
    let of = |resource: &str| {
        let part = resource.split(':').find_map(|part| part.strip_prefix(sort)?.strip_prefix('/'));
        part.and_then(|name| name.split(';').next()).map(str::to_owned)
    };
    let mut names: Vec<_> = resources.iter().filter_map(|resource| of(resource)).collect();
    // A whole project is written as `*`.
    names.retain(|name| !name.is_empty() && name != "*");
    names.sort();
    names.dedup();
    names
}

/// What was done: turning a flag on and off is one action, which only the verb tells apart.
fn meaning(verb: &str, actions: &[String]) -> Action {
    let does = |start: &str| actions.iter().any(|action| action.starts_with(start));
    if verb.contains("turned on") {
        Action::Enable
    } else if verb.contains("turned off") {
        Action::Disable
    } else if does("create") || does("clone") {
        Action::Create
    } else if does("delete") {
        Action::Delete
    } else {
        Action::Update
    }
}
