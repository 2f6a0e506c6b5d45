//! Changes: reports about them, and what the reports of one change merge into.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{EventId, Labels, Mapping, Scope, Time, digest};

/// Declares an enum of words that is written, parsed and listed by the same names.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every one, in the order of the format's list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|one| one.word() == text).ok_or_else(|| {
                    let all: Vec<_> = Self::ALL.iter().map(|one| one.word()).collect();
                    format!("{text:?} is none of {}", all.join(", "))
                })
            }
        }
    };
}

words! {
    /// What sort of thing was altered.
    Kind {
        /// A new version of an application.
        Deploy = "deploy",
        /// Configuration of an application or a platform.
        Config = "config",
        /// Machines, clusters, cloud resources: what infrastructure code makes.
        Infrastructure = "infrastructure",
        /// Schema, data or settings of a database.
        Database = "database",
        /// Routes, firewalls, load balancers, BGP.
        Network = "network",
        /// A flag or an experiment.
        FeatureFlag = "feature_flag",
        /// More or less of the same.
        Scaling = "scaling",
        /// Certificates and their trust.
        Certificate = "certificate",
        /// Who may do what.
        Permission = "permission",
        /// Passwords, keys, tokens.
        Secret = "secret",
        /// Names and what they resolve to.
        Dns = "dns",
        /// Planned work.
        Maintenance = "maintenance",
        /// Going back on another change.
        Rollback = "rollback",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// What was done to it.
    Action {
        /// It is new.
        Create = "create",
        /// It is different.
        Update = "update",
        /// It is gone.
        Delete = "delete",
        /// It is another one in the same place.
        Replace = "replace",
        /// There is more of it.
        ScaleUp = "scale_up",
        /// There is less of it.
        ScaleDown = "scale_down",
        /// It is as it was before.
        Rollback = "rollback",
        /// It is on.
        Enable = "enable",
        /// It is off.
        Disable = "disable",
        /// Its secret is another.
        Rotate = "rotate",
        /// It began anew.
        Restart = "restart",
    }
}

words! {
    /// How far a change has come.
    Status {
        /// Not begun.
        Planned = "planned",
        /// Under way.
        Started = "started",
        /// Done.
        Succeeded = "succeeded",
        /// Ended before it was done; part of it may be in place.
        Failed = "failed",
        /// Called off; part of it may be in place.
        Canceled = "canceled",
    }
}

impl Status {
    /// Whether nothing more will be done.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// Names a change, as its source does; else `chg_` and a hash of what it is.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ChangeId(pub String);

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One thing that a change touched.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Resource {
    /// Its type, as `aws_eks_node_group`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was done to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// One source says how far one change has come. Fields that it leaves out say nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChangeReport {
    /// Which change.
    pub id: ChangeId,
    /// How far it has come.
    pub status: Status,
    /// Since when it has come so far: the fact's event time.
    pub at: Time,
    /// `at` is the time of receipt, because the source gave none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_assumed: bool,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// What sort of thing was altered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What was done to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// One line, as a commit subject says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where, `service` and `environment` among them.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Who or what did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The commit or version that it put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The key that all changes of one act share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set: Option<String>,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
}

impl ChangeReport {
    /// A report that says nothing but how far which change has come.
    pub fn new(id: ChangeId, status: Status, at: Time) -> Self {
        Self {
            id,
            status,
            at,
            at_assumed: false,
            started_at: None,
            kind: None,
            action: None,
            title: None,
            labels: Labels::default(),
            actor: None,
            revision: None,
            change_set: None,
            url: None,
            resources: Vec::new(),
        }
    }

    /// The facts in a report: where one tells of an ended change when it began, that it began then,
    /// and that it ended.
    pub fn facts(self) -> Vec<Self> {
        match self.started_at {
            Some(started_at) if self.status.ended() => {
                let mut ended = Self::new(self.id.clone(), self.status, self.at);
                ended.at_assumed = self.at_assumed;
                ended.started_at = Some(started_at);
                let began =
                    Self { status: Status::Started, at: started_at, at_assumed: false, ..self };
                vec![began, ended]
            }
            _ => vec![self],
        }
    }

    pub(super) fn without_assumed_times(&self) -> Self {
        let started_at = self.started_at.filter(|started| *started != self.at);
        Self { at: Time::default(), started_at, ..self.clone() }
    }
}

/// The first to say something is believed; `None` is later than any stamp.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Claim<T>(Option<((Time, EventId), T)>);

impl<T> Default for Claim<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> Claim<T> {
    fn new(stamp: (Time, EventId), value: Option<&T>) -> Self {
        Self(value.map(|value| (stamp, value.clone())))
    }

    fn merge(&mut self, other: &Self) {
        let replaced = match (&self.0, &other.0) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((mine, _)), Some((theirs, _))) => theirs < mine,
        };
        if replaced {
            self.0.clone_from(&other.0);
        }
    }

    fn value(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }
}

/// All that was reported of one change. Merging is a join: in any order, any number of times.
///
/// What the change *is* comes from the earliest report that says it, label by label a union; how
/// far it has come from the latest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ChangeHistory {
    kind: Claim<Kind>,
    action: Claim<Action>,
    title: Claim<String>,
    actor: Claim<String>,
    revision: Claim<String>,
    change_set: Claim<String>,
    url: Claim<String>,
    labels: Labels,
    resources: std::collections::BTreeSet<Resource>,
    /// The latest report; at one time the one that came further.
    latest: Option<(Time, Status)>,
    started_at: Option<Time>,
    first_heard_at: Option<Time>,
}

impl ChangeHistory {
    /// Takes in one report, whose content id is `id`.
    pub fn absorb(&mut self, report: &ChangeReport, id: EventId) {
        let stamp = (report.at, id);
        let began = match report.status {
            Status::Planned => None,
            Status::Started => Some(report.started_at.unwrap_or(report.at)),
            Status::Succeeded | Status::Failed | Status::Canceled => report.started_at,
        };
        self.merge(&Self {
            kind: Claim::new(stamp, report.kind.as_ref()),
            action: Claim::new(stamp, report.action.as_ref()),
            title: Claim::new(stamp, report.title.as_ref()),
            actor: Claim::new(stamp, report.actor.as_ref()),
            revision: Claim::new(stamp, report.revision.as_ref()),
            change_set: Claim::new(stamp, report.change_set.as_ref()),
            url: Claim::new(stamp, report.url.as_ref()),
            labels: report.labels.clone(),
            resources: report.resources.iter().cloned().collect(),
            latest: Some((report.at, report.status)),
            started_at: began,
            first_heard_at: Some(report.at),
        });
    }

    /// Takes in all that the other holds.
    pub fn merge(&mut self, other: &Self) {
        self.kind.merge(&other.kind);
        self.action.merge(&other.action);
        self.title.merge(&other.title);
        self.actor.merge(&other.actor);
        self.revision.merge(&other.revision);
        self.change_set.merge(&other.change_set);
        self.url.merge(&other.url);
        self.labels.extend(&other.labels);
        self.resources.extend(other.resources.iter().cloned());
        self.latest = self.latest.max(other.latest);
        self.started_at = earlier(self.started_at, other.started_at);
        self.first_heard_at = earlier(self.first_heard_at, other.first_heard_at);
    }

    /// Whether the latest report says that it is over.
    pub fn has_ended(&self) -> bool {
        self.latest.is_some_and(|(_, status)| status.ended())
    }

    /// The change that these reports tell of; `None` before the first report.
    pub fn change(&self, id: &ChangeId, mapping: &Mapping) -> Option<Change> {
        let (latest_at, status) = self.latest?;
        let finished_at = status.ended().then_some(latest_at);
        let mut labels = self.labels.clone();
        self.resources
            .iter()
            .for_each(|resource| labels.insert("resource_types", &resource.type_name));
        Some(Change {
            id: id.clone(),
            kind: self.kind.value().copied().unwrap_or(Kind::Other),
            action: self.action.value().copied().unwrap_or(Action::Update),
            title: self.title.value().cloned().unwrap_or_else(|| id.0.clone()),
            status,
            scope: mapping.scope(&labels),
            started_at: self.started_at.or(self.first_heard_at)?,
            finished_at,
            actor: self.actor.value().cloned(),
            revision: self.revision.value().cloned(),
            change_set: self.change_set.value().cloned(),
            url: self.url.value().cloned(),
            resources: self.resources.iter().cloned().collect(),
        })
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// One change, as far as it has been told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub id: ChangeId,
    /// What sort of thing was altered.
    pub kind: Kind,
    /// What was done to it.
    pub action: Action,
    /// One line.
    pub title: String,
    /// How far it has come.
    pub status: Status,
    /// Where it is, with all its labels.
    pub scope: Scope,
    /// When it began; for a planned one, when it was announced.
    pub started_at: Time,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<Time>,
    /// Who or what did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The commit or version that it put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The key that all changes of one act share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set: Option<String>,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
}

impl Change {
    /// What it is, whatever it is called: ties are broken by it, so that the spelling of ids and
    /// the order of arrival decide nothing.
    pub fn content(&self) -> String {
        digest(
            "",
            &(self.started_at, self.kind, self.action, &self.title, &self.scope, &self.revision),
        )
    }
}
