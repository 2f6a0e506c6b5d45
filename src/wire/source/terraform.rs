//! Terraform's and OpenTofu's plans (`show -json`) and streams of events (`apply -json`), as a CI job
//! posts them.
//!
//! Of a resource its address, type, module and action are taken and nothing else: what stands before
//! and after, outputs and variables may be secret, and are not even read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, ignored, settle, status_of},
    written::{Flag, Stamp, Text},
};
use crate::{
    event::{Action, Kind, Labels, Resource, Status, digest},
    wire::{Normalised, Refused, signature::Scheme, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "terraform",
    about: "Terraform and OpenTofu from any CI: `show -json` and `apply -json`",
    paths: &["/webhooks/terraform"],
    verbs: Verbs::PostOrPut,
    dialect: Dialect::Own,
    schemes: &[Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "`?run=` in the address, which ties a plan to its apply; else the plan's time and resources, or \
         the stream's",
    taken: "each resource that is created, updated, deleted or replaced, with its type and module: a \
            change for each of these actions, all of one change set. A plan is planned, unless \
            `?status=` says otherwise",
    left: "values, outputs and variables; data sources; what is only read, moved, imported or forgotten; \
           plans that alter nothing",
    convert,
};

/// What is done to resources, in the order in which it is told, with the word for it.
const ACTIONS: [(Action, &str); 4] = [
    (Action::Delete, "delete"),
    (Action::Replace, "replace"),
    (Action::Create, "create"),
    (Action::Update, "update"),
];

/// So many addresses stand in a title.
const TOLD_MAX: usize = 3;

/// What resources of a type are, by a part of the type's name; the first that fits counts.
const KINDS: [(Kind, &[&str]); 7] = [
    (Kind::Certificate, &["certificate", "acm_", "tls_"]),
    (Kind::Dns, &["route53", "dns_", "_dns", "cloudflare_record"]),
    (Kind::Secret, &["secret", "kms_", "vault_"]),
    (Kind::Permission, &["_iam_", "_role", "_policy", "service_account", "_rbac"]),
    (
        Kind::Database,
        &["_db_", "_rds_", "_sql_", "dynamodb", "elasticache", "redis", "postgres", "mysql"],
    ),
    (
        Kind::Network,
        &[
            "security_group",
            "_route",
            "subnet",
            "_vpc",
            "_lb",
            "firewall",
            "network",
            "gateway",
            "cloudfront",
            "ingress",
        ],
    ),
    (Kind::FeatureFlag, &["launchdarkly_feature_flag", "feature_flag"]),
];

/// One resource and what is done to it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Touched {
    type_name: String,
    module: Option<String>,
    action: Action,
}

/// What a plan or a stream tells of one run.
#[derive(Debug)]
struct Run {
    /// `terraform` or `tofu`.
    tool: &'static str,
    /// `plan`, `apply` or `destroy`.
    operation: &'static str,
    status: Status,
    started_at: Stamp,
    finished_at: Stamp,
    touched: BTreeMap<String, Touched>,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let run = match Stream::read(post.body) {
        Some(stream) => stream.run(),
        None => Plan::read(post.body)?.run(),
    };
    Ok(settle(run.changes(post)))
}

/// A plan as `show -json` writes it.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "a plan: an object")]
struct Plan {
    format_version: Text,
    timestamp: Stamp,
    errored: Flag,
    resource_changes: Option<Vec<ResourceChange>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResourceChange {
    address: Text,
    module_address: Text,
    mode: Text,
    #[serde(rename = "type")]
    type_name: Text,
    deposed: Text,
    change: Option<PlannedChange>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PlannedChange {
    actions: Option<Vec<String>>,
}

impl Plan {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let want = "want the output of `show -json` or of `apply -json`";
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Refused { field: None, reason: want.to_owned() });
        }
        let plan: Self = whole(body)?;
        if plan.format_version.0.is_none() {
            return Err(Refused::new("format_version", format!("is missing: {want}")));
        }
        Ok(plan)
    }

    fn run(self) -> Run {
        let mut touched = BTreeMap::new();
        for change in self.resource_changes.unwrap_or_default() {
            if let Some((key, resource)) = change.touched() {
                touched.insert(key, resource);
            }
        }
        let status = if self.errored.0 { Status::Failed } else { Status::Planned };
        Run {
            tool: "terraform",
            operation: "plan",
            status,
            started_at: self.timestamp,
            finished_at: Stamp(None),
            touched,
        }
    }
}

impl ResourceChange {
    fn touched(self) -> Option<(String, Touched)> {
        if self.mode.is("data") {
            return None;
        }
        let actions = self.change?.actions.unwrap_or_default();
        let actions: Vec<_> = actions.iter().map(String::as_str).collect();
        let action = match &actions[..] {
            ["create"] => Action::Create,
            ["update"] => Action::Update,
            ["delete"] => Action::Delete,
            ["delete", "create"] | ["create", "delete"] => Action::Replace,
            _ => return None,
        };
        let address = self.address.0?;
        let type_name = self.type_name.0.unwrap_or_else(|| type_in(&address));
        let deposed = self.deposed.0.map(|key| format!(" (deposed {key})")).unwrap_or_default();
        let touched = Touched { type_name, module: self.module_address.0, action };
        Some((address + &deposed, touched))
    }
}

/// `module.a.aws_lb.web[0]` is an `aws_lb`.
fn type_in(address: &str) -> String {
    let parts: Vec<_> = address.split('.').collect();
    let from_end = parts.len().checked_sub(2).and_then(|place| parts.get(place));
    from_end.copied().unwrap_or(address).to_owned()
}

/// A line of a stream.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    #[serde(rename = "@module")]
    module: Text,
    #[serde(rename = "@level")]
    level: Text,
    #[serde(rename = "@timestamp")]
    at: Stamp,
    #[serde(rename = "type")]
    type_name: Text,
    tofu: Text,
    diagnostic: Option<Diagnostic>,
    change: Option<Act>,
    hook: Option<Act>,
    changes: Option<Summary>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Diagnostic {
    severity: Text,
}

/// What is done to a resource, planned or under way.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Act {
    resource: Option<Addressed>,
    action: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Addressed {
    addr: Text,
    module: Text,
    resource_type: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    operation: Text,
}

/// What the lines of a stream say together.
#[derive(Default)]
struct Stream {
    is_tofu: bool,
    first: Stamp,
    last: Stamp,
    failed: bool,
    /// The last operation that was summed up.
    operation: Option<String>,
    planned: BTreeMap<String, Touched>,
    /// What was begun.
    begun: BTreeMap<String, Touched>,
}

impl Stream {
    /// The events of a body, if there are any. Lines that are none are left alone: a job's log may
    /// have others in between.
    fn read(body: &[u8]) -> Option<Self> {
        let mut stream = None;
        for line in body.split(|byte| *byte == b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
            if line.module.0.is_some() {
                stream.get_or_insert_with(Self::default).hear(line);
            }
        }
        stream
    }

    fn hear(&mut self, line: Line) {
        self.first = self.first.or(line.at);
        self.last = line.at.or(self.last);
        self.is_tofu |= line.module.is("tofu.ui") || line.tofu.0.is_some();
        match line.type_name.get().unwrap_or_default() {
            "planned_change" => note(&mut self.planned, line.change),
            "apply_start" => note(&mut self.begun, line.hook),
            "apply_errored" => self.failed = true,
            "diagnostic" => {
                let says_error = line.diagnostic.is_some_and(|said| said.severity.is("error"));
                self.failed |= says_error || line.level.is("error");
            }
            "change_summary" => {
                self.operation =
                    line.changes.and_then(|said| said.operation.0).or(self.operation.take());
            }
            _ => {}
        }
    }

    fn run(mut self) -> Run {
        let applied = self.operation.as_deref().filter(|operation| *operation != "plan");
        let operation = match applied {
            Some("destroy") => "destroy",
            None if self.begun.is_empty() => "plan",
            Some(_) | None => "apply",
        };
        // One that breaks off was ended by something, with what it had done.
        let status = match (operation, applied) {
            _ if self.failed => Status::Failed,
            ("plan", _) => Status::Planned,
            (_, Some(_)) => Status::Succeeded,
            (_, None) => Status::Failed,
        };
        if operation != "plan" {
            // A replacement is begun twice, as what it is made of; the plan says what it is.
            for (address, touched) in &mut self.begun {
                touched.action =
                    self.planned.get(address).map_or(touched.action, |plan| plan.action);
            }
        }
        Run {
            tool: if self.is_tofu { "tofu" } else { "terraform" },
            operation,
            status,
            started_at: self.first,
            finished_at: if status.ended() { self.last } else { Stamp(None) },
            touched: if operation == "plan" { self.planned } else { self.begun },
        }
    }
}

fn note(all: &mut BTreeMap<String, Touched>, act: Option<Act>) {
    let Some(act) = act else { return };
    let Some(resource) = act.resource else { return };
    let action = match act.action.get() {
        Some("create") => Action::Create,
        Some("update") => Action::Update,
        Some("delete" | "remove") => Action::Delete,
        Some("replace") => Action::Replace,
        _ => return,
    };
    let Some(address) = resource.addr.0 else { return };
    let type_name = resource.resource_type.0.unwrap_or_else(|| type_in(&address));
    let touched = Touched { type_name, module: resource.module.0, action };
    all.entry(address)
        .and_modify(|known| {
            if known.action != action {
                known.action = Action::Replace;
            }
        })
        .or_insert(touched);
}

impl Run {
    /// A change for each action.
    fn changes(mut self, post: &Post<'_>) -> Vec<Result<crate::wire::Item, Left>> {
        if let Some(status) = post.asks("status").and_then(status_of) {
            self.status = status;
        }
        if self.touched.is_empty() {
            return vec![ignored(format!("this {} alters no resource", self.operation))];
        }
        let key = match post.asks("run") {
            Some(run) => run.to_owned(),
            None => self.key(),
        };
        let changes = ACTIONS.iter().filter_map(|(action, word)| self.change(*action, word, &key));
        changes.map(|draft| Ok(draft.item(post.received)?)).collect()
    }

    /// What tells this run from others: its time, and what it touches.
    fn key(&self) -> String {
        let addresses: Vec<_> = self.touched.keys().collect();
        digest("", &(self.operation, self.started_at.0, addresses))
    }

    fn change(&self, action: Action, word: &str, key: &str) -> Option<Draft> {
        let touched: Vec<_> =
            self.touched.iter().filter(|(_, touched)| touched.action == action).collect();
        if touched.is_empty() {
            return None;
        }
        let mut draft = Draft::new(["terraform", key, word], self.status, kind(&touched));
        draft.action = Some(action);
        draft.title = Some(self.title(word, &touched));
        // A plan is no beginning.
        if self.status != Status::Planned {
            draft.started_at = self.started_at;
        }
        draft.finished_at = self.finished_at;
        draft.labels = labels(self.tool, &touched);
        draft.change_set = Some(format!("terraform:{key}"));
        let resource = |(address, touched): &(&String, &Touched)| Resource {
            type_name: touched.type_name.clone(),
            name: Some((*address).clone()),
            action: Some(action),
        };
        draft.resources = touched.iter().map(resource).collect();
        Some(draft)
    }

    fn title(&self, word: &str, touched: &[(&String, &Touched)]) -> String {
        let shown: Vec<_> =
            touched.iter().take(TOLD_MAX).map(|(address, _)| address.as_str()).collect();
        let more = match touched.len().saturating_sub(shown.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} {}: {word} {}{more}", self.tool, self.operation, shown.join(", "))
    }
}

fn labels(tool: &str, touched: &[(&String, &Touched)]) -> Labels {
    let mut labels = Labels::default();
    labels.insert("tool", tool);
    let types = touched.iter().map(|(_, touched)| touched.type_name.as_str());
    labels.insert_all("resource_types", types);
    labels.insert_all("module", touched.iter().filter_map(|(_, one)| one.module.as_ref()));
    labels
}

/// What all of these are, where they are of one kind.
fn kind(touched: &[(&String, &Touched)]) -> Kind {
    let of = |type_name: &str| {
        let fits = |parts: &[&str]| parts.iter().any(|part| type_name.contains(part));
        KINDS.iter().find(|(_, parts)| fits(parts)).map(|(kind, _)| *kind)
    };
    let mut kinds = touched.iter().map(|(_, touched)| of(&touched.type_name));
    let first = kinds.next().flatten();
    first.filter(|first| kinds.all(|kind| kind == Some(*first))).unwrap_or(Kind::Infrastructure)
}
