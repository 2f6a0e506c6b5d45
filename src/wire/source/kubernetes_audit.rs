//! The audit events of a Kubernetes API server: who changed which object.
//!
//! Objects themselves are not read, whatever the audit policy sends of them. Helm's releases are known
//! by the names of their secrets.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Dialect, Post, Source, Verbs,
    draft::{Draft, Left, at, ignored, labels, need, settle},
    written::{Stamp, Text},
};
use crate::{
    event::{Action, Kind, Resource, Status, Time, digest},
    wire::{Item, Normalised, Refused, at_most_items_max, signature::Scheme, typed, whole},
};

pub(super) const SOURCE: Source = Source {
    name: "kubernetes_audit",
    about: "the audit webhook of a Kubernetes API server",
    paths: &["/webhooks/k8s-audit"],
    verbs: Verbs::Post,
    dialect: Dialect::Own,
    schemes: &[Scheme::Bearer, Scheme::Basic],
    headers: &[],
    id: "`auditID`; a Helm release's namespace, name and revision",
    taken: "objects that were created, altered or deleted by people, and by the tools that apply what \
            people wrote (kubectl, Helm, Argo CD, Flux, Terraform, Pulumi, Ansible), whatever account \
            these use; claims of Crossplane like any other object; releases of Helm",
    left: "what Kubernetes does by itself (users `system:...`), and service accounts of controllers, which \
           have no tool's user agent; what Argo CD writes into its own objects; \
           leases, events, endpoints, reviews; status; dry runs; what was refused",
    convert,
};

/// Users that are Kubernetes itself begin so, ...
const SYSTEM: &str = "system:";
/// ... but for service accounts, of which those of this namespace are Kubernetes as well, ...
const ACCOUNT: &str = "system:serviceaccount:";
const KUBE_SYSTEM: &str = "system:serviceaccount:kube-system:";
/// ... and the administrator whom OpenShift calls so.
const ADMINISTRATOR: &str = "system:admin";

/// What service accounts use to apply what people wrote, by the beginning of the user agent in small
/// letters. Whatever else a service account uses is a controller, and does what follows from that.
const TOOLS: [&str; 13] = [
    "kubectl",
    "helm/",
    "helmfile",
    "argocd",
    "kustomize-controller",
    "helm-controller",
    "terraform",
    "hashicorp",
    "opentofu",
    "pulumi",
    "ansible",
    "skaffold",
    "oc/",
];

/// Objects that say nothing of what anybody wants.
const BOOKKEEPING: [&str; 14] = [
    "events",
    "leases",
    "endpoints",
    "endpointslices",
    "controllerrevisions",
    "replicasets",
    "tokenreviews",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "localsubjectaccessreviews",
    "certificatesigningrequests",
    "csinodes",
    "componentstatuses",
];

/// What objects of a resource are; the first list that holds the resource counts.
const KINDS: [(Kind, &[&str]); 9] = [
    (Kind::Secret, &["secrets", "externalsecrets", "sealedsecrets"]),
    (
        Kind::Permission,
        &["roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts"],
    ),
    (
        Kind::Network,
        &[
            "networkpolicies",
            "ingresses",
            "services",
            "gateways",
            "httproutes",
            "virtualservices",
            "destinationrules",
            "ingressclasses",
        ],
    ),
    (Kind::Certificate, &["certificates", "issuers", "clusterissuers"]),
    (Kind::Scaling, &["horizontalpodautoscalers", "scaledobjects", "verticalpodautoscalers"]),
    (
        Kind::Deploy,
        &[
            "deployments",
            "statefulsets",
            "daemonsets",
            "cronjobs",
            "jobs",
            "applications",
            "applicationsets",
            "helmreleases",
            "kustomizations",
            "rollouts",
        ],
    ),
    (Kind::Maintenance, &["pods"]),
    (
        Kind::Infrastructure,
        &["nodes", "nodepools", "machines", "machinedeployments", "persistentvolumeclaims"],
    ),
    (
        Kind::Config,
        &[
            "configmaps",
            "customresourcedefinitions",
            "namespaces",
            "resourcequotas",
            "limitranges",
            "poddisruptionbudgets",
            "priorityclasses",
            "storageclasses",
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
        ],
    ),
];

/// Objects whose name is that of a service.
const SERVICES: [&str; 11] = [
    "deployments",
    "statefulsets",
    "daemonsets",
    "cronjobs",
    "jobs",
    "services",
    "ingresses",
    "horizontalpodautoscalers",
    "applications",
    "helmreleases",
    "rollouts",
];

/// What the secret of each revision of a release is called, before release and revision.
const HELM: &str = "sh.helm.release.v1.";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an audit event: an object")]
struct Raw {
    #[serde(rename = "auditID")]
    audit_id: Text,
    stage: Text,
    #[serde(rename = "requestURI")]
    uri: Text,
    verb: Text,
    user: Option<User>,
    impersonated_user: Option<User>,
    user_agent: Text,
    object_ref: Option<Object>,
    response_status: Option<Response>,
    request_received_timestamp: Stamp,
    stage_timestamp: Stamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: Text,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    resource: Text,
    namespace: Text,
    name: Text,
    api_group: Text,
    subresource: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    code: Option<u16>,
}

fn convert(post: &Post<'_>) -> Result<Normalised, Refused> {
    let mut body: Value = whole(post.body)?;
    let events = match body.get_mut("items").map(Value::take) {
        Some(Value::Array(events)) => events,
        Some(Value::Null) => Vec::new(),
        Some(_) => return Err(Refused::new("items", "is no list")),
        None if at(&body, &["auditID"]).is_some() => vec![body],
        None => return Err(Refused::new("items", "is missing: this is no list of audit events")),
    };
    at_most_items_max(events.len())?;
    Ok(settle(events.into_iter().map(|event| {
        let raw: Raw = typed(event)?;
        raw.item(post.received)
    })))
}

impl Raw {
    fn item(self, received: Time) -> Result<Item, Left> {
        let id = need("auditID", self.audit_id.0.clone())?;
        let object = self.object_ref.clone();
        let Some(object) = object else { return ignored("it is of no object") };
        let Some(resource) = object.resource.0.clone() else {
            return ignored("it is of no resource");
        };
        self.is_done()?;
        self.is_wanted(&resource)?;
        let done = Done { raw: self, object, resource };
        let draft = match done.release() {
            Some(release) => done.helm(&release?),
            None => done.draft(&id)?,
        };
        Ok(draft.item(received)?)
    }

    /// Whether something was really altered.
    fn is_done(&self) -> Result<(), Left> {
        if !self.stage.is("ResponseComplete") {
            return ignored(format!(
                "the stage {:?} is not the end",
                self.stage.get().unwrap_or_default()
            ));
        }
        let code = self.response_status.as_ref().and_then(|response| response.code).unwrap_or(200);
        if !(200..300).contains(&code) {
            return ignored(format!("it was answered with {code}: nothing was altered"));
        }
        if self.uri.get().is_some_and(|uri| uri.contains("dryRun=")) {
            return ignored("a dry run alters nothing");
        }
        Ok(())
    }

    /// Whether somebody wanted it, and it did not only follow from what they wanted.
    fn is_wanted(&self, resource: &str) -> Result<(), Left> {
        if BOOKKEEPING.contains(&resource) {
            return ignored(format!("{resource} are the cluster's own bookkeeping"));
        }
        let who = self.who().unwrap_or_default();
        if who.starts_with(KUBE_SYSTEM) {
            return ignored(format!("{who} is Kubernetes itself"));
        }
        if who.starts_with(ACCOUNT) {
            let agent = self.user_agent.get().unwrap_or_default().to_lowercase();
            if !TOOLS.iter().any(|tool| agent.starts_with(tool)) {
                return ignored(format!("{who} is a controller: its user agent is no tool's"));
            }
            let group = self.object_ref.as_ref().and_then(|object| object.api_group.get());
            let is_kept = self.verb.is("patch") || self.verb.is("update");
            if agent.starts_with("argocd") && group == Some("argoproj.io") && is_kept {
                return ignored("Argo CD keeps its own objects up");
            }
        } else if who.starts_with(SYSTEM) && who != ADMINISTRATOR {
            return ignored(format!("{who} is Kubernetes itself"));
        }
        Ok(())
    }

    /// Whoever is impersonated did it.
    fn who(&self) -> Option<&str> {
        let users = [&self.impersonated_user, &self.user];
        users.into_iter().flatten().find_map(|user| user.username.get())
    }

    /// `kubectl/v1.29.0 (linux/amd64) ...` is `kubectl`.
    fn tool(&self) -> Option<String> {
        let agent = self.user_agent.get()?;
        agent.split(['/', ' ']).next().map(str::to_owned)
    }
}

/// Something that was done to an object.
struct Done {
    raw: Raw,
    object: Object,
    resource: String,
}

/// One revision of a release.
struct Release {
    name: String,
    revision: String,
}

impl Done {
    /// The release whose secret this is; the inner error: it is one, and was only kept up.
    fn release(&self) -> Option<Result<Release, Left>> {
        let name = self.object.name.get().filter(|_| self.resource == "secrets")?;
        let (name, revision) = name.strip_prefix(HELM)?.rsplit_once(".v")?;
        if !self.raw.verb.is("create") {
            return Some(ignored("Helm keeps its own secrets up"));
        }
        Some(Ok(Release { name: name.to_owned(), revision: revision.to_owned() }))
    }

    fn helm(&self, release: &Release) -> Draft {
        let Release { name, revision } = release;
        let namespace = self.object.namespace.get().unwrap_or_default();
        let id = ["kubernetes_audit", "helm", namespace, name, revision];
        let mut draft = Draft::new(id, Status::Succeeded, Kind::Deploy);
        draft.action = Some(if revision == "1" { Action::Create } else { Action::Update });
        draft.title = Some(format!("helm release {name}, revision {revision}, in {namespace}"));
        draft.labels = labels([
            ("service", Some(name.clone())),
            ("namespace", self.object.namespace.0.clone()),
            ("helm_release", Some(name.clone())),
        ]);
        draft.revision = Some(revision.clone());
        self.finish(&mut draft);
        draft
    }

    fn draft(&self, id: &str) -> Result<Draft, Left> {
        let action = self.action()?;
        let name = self.object.name.get();
        let namespace = self.object.namespace.get();
        let mut draft = Draft::new(["kubernetes_audit", id], Status::Succeeded, self.kind());
        draft.action = Some(action);
        let what = self.type_name();
        let sub = self.object.subresource.get().map(|sub| format!("/{sub}")).unwrap_or_default();
        let within = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        draft.title = Some(match name {
            Some(name) => format!("{action} {what}{sub} {name}{within}"),
            None => format!("{action} all {what}{within}"),
        });
        let is_service = SERVICES.contains(&self.resource.as_str());
        draft.labels = labels([
            ("service", name.filter(|_| is_service).map(str::to_owned)),
            ("namespace", namespace.map(str::to_owned)),
            ("resource_types", Some(what.clone())),
        ]);
        let full = [namespace, name].into_iter().flatten().collect::<Vec<_>>().join("/");
        let full = Some(full).filter(|full| !full.is_empty());
        draft.resources = vec![Resource { type_name: what, name: full, action: Some(action) }];
        self.finish(&mut draft);
        Ok(draft)
    }

    /// What all of them say.
    fn finish(&self, draft: &mut Draft) {
        draft.finished_at = self.raw.stage_timestamp.or(self.raw.request_received_timestamp);
        draft.actor = self.raw.who().map(str::to_owned);
        let tool = self.raw.tool();
        if let Some(tool) = &tool {
            draft.labels.insert("tool", tool.as_str());
        }
        // What one applies at once is one act, and comes as an event for each object.
        let minute = draft.finished_at.0.map(|at| at.timestamp().div_euclid(60));
        let act = (self.raw.who(), tool, self.object.namespace.get(), minute);
        draft.change_set = minute.map(|_| digest("kubernetes_audit:", &act));
    }

    fn action(&self) -> Result<Action, Left> {
        if self.object.subresource.is("status") {
            return ignored("the status tells what is, and not what was wanted");
        }
        let verb = self.raw.verb.get().unwrap_or_default();
        let is_restart =
            self.raw.uri.get().is_some_and(|uri| uri.contains("fieldManager=kubectl-rollout"));
        let is_pod = self.resource == "pods";
        match (verb, self.object.subresource.get()) {
            ("create", Some("eviction")) => Ok(Action::Delete),
            (
                "create",
                Some(sub @ ("exec" | "attach" | "portforward" | "proxy" | "binding" | "token")),
            ) => ignored(format!("{sub} alters no object")),
            ("update" | "patch", _) if is_restart => Ok(Action::Restart),
            ("create", _) => Ok(Action::Create),
            ("update" | "patch", _) => Ok(Action::Update),
            // What a person deletes of pods comes up again.
            ("delete" | "deletecollection", _) if is_pod => Ok(Action::Restart),
            ("delete" | "deletecollection", _) => Ok(Action::Delete),
            _ => ignored(format!("{verb:?} alters no object")),
        }
    }

    /// An object of a group that is not Kubernetes' own, and of which nothing is known, is a claim of
    /// Crossplane or the like: somebody wants something to be there.
    fn kind(&self) -> Kind {
        if self.object.subresource.is("scale") {
            return Kind::Scaling;
        }
        let resource = self.resource.as_str();
        let known = KINDS.iter().find(|(_, all)| all.contains(&resource)).map(|(kind, _)| *kind);
        let is_own = |group: &str| !group.contains('.') || group.ends_with(".k8s.io");
        let group = self.object.api_group.get().unwrap_or_default();
        known.unwrap_or(if is_own(group) { Kind::Config } else { Kind::Infrastructure })
    }

    /// `deployments.apps`, as `kubectl` names it.
    fn type_name(&self) -> String {
        match self.object.api_group.get() {
            Some(group) => format!("{}.{group}", self.resource),
            None => self.resource.clone(),
        }
    }
}
