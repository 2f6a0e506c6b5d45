//! Labels that may have several values, and the scope that they say.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::OnceLock,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use super::{EventId, pairs::Pairs};

/// The labels that say where, under the one name that rules and answers use for each.
pub const CANONICAL: [&str; 5] = ["environment", "cluster", "region", "namespace", "service"];

/// Label names with one or more values each; no empty names or values.
///
/// In JSON and TOML a value is a string, or a list of strings where there are several.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    pairs: Pairs,
    /// Their hash, once it was asked for and as long as they stay as they are: no part of what they say.
    id: OnceLock<EventId>,
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.pairs == other.pairs
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.pairs.cmp(&other.pairs)
    }
}

impl Labels {
    /// Adds one value; empty names and values say nothing and are left out.
    pub fn insert(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) {
        self.altered().insert(name.as_ref(), value.as_ref());
    }

    /// Adds values, in whatever order and however many there are, at the cost of one sort.
    pub fn insert_all<V: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = V>) {
        self.altered().insert_all(name, values);
    }

    /// The values of a label, in order; none when it is absent.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.of(name).iter().map(|place| self.pairs.value(place))
    }

    /// The first value of a label.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Whether the label has any value.
    pub fn has(&self, name: &str) -> bool {
        !self.pairs.of(name).is_empty()
    }

    /// Whether the label has this value.
    pub fn holds(&self, name: &str, value: &str) -> bool {
        self.values(name).any(|held| held == value)
    }

    /// Whether both have the label, and share a value of it. `None`: one of them does not have it.
    pub fn share(&self, other: &Self, name: &str) -> Option<bool> {
        let both = self.has(name) && other.has(name);
        both.then(|| self.values(name).any(|value| other.holds(name, value)))
    }

    /// All names with each of their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter()
    }

    /// Each name once, with all its values, in order.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, impl ExactSizeIterator<Item = &str>)> {
        self.pairs.by_name().filter_map(|places| {
            let name = self.pairs.name(places.first()?);
            Some((name, places.iter().map(|place| self.pairs.value(place))))
        })
    }

    /// How many label names there are.
    pub fn len(&self) -> usize {
        self.by_name().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Takes in every value of the other.
    pub fn extend(&mut self, other: &Self) {
        for (name, value) in other.iter() {
            self.insert(name, value);
        }
    }

    /// Their hash.
    pub fn id(&self) -> EventId {
        *self.id.get_or_init(|| EventId::of_written(|json| self.write(json)))
    }

    /// The pairs, to be altered.
    fn altered(&mut self) -> &mut Pairs {
        self.id = OnceLock::new();
        &mut self.pairs
    }

    /// Adds their JSON form, and knows their hash from then on: the engine asks for it, and to
    /// write them again for that was a sixteenth of a storm's processor time, on the thread that it waits for.
    pub(super) fn write_and_hash(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        let from = json.len();
        self.write(json)?;
        self.id.get_or_init(|| EventId::of_bytes(json.get(from..).unwrap_or_default()));
        Ok(())
    }

    /// Adds their JSON form, as `serde_json` has it, to what is there.
    ///
    /// Most labels have one value each, and hold nothing that JSON says in another way, which is quickly
    /// seen of all of them at once: to look at each byte by itself, twice for each alert, was a
    /// twelfth of what an alert costs.
    fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        if !self.pairs.is_plain() {
            return serde_json::to_writer(json, self);
        }
        json.reserve(self.pairs.plain_bytes());
        let mut before = r#"{""#;
        for (name, value) in self.iter() {
            for part in [before, name, r#"":""#, value] {
                json.extend_from_slice(part.as_bytes());
            }
            before = r#"",""#;
        }
        json.extend_from_slice(if self.is_empty() { b"{}" } else { br#""}"# });
        Ok(())
    }

    /// Leaves out a label.
    pub fn remove(&mut self, name: &str) {
        self.altered().remove(name);
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.insert(name, value);
        }
        labels
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Values<'a> {
            One(&'a str),
            Several(Vec<&'a str>),
        }
        let labels = self.by_name().filter_map(|(name, mut values)| {
            let values = if values.len() > 1 {
                Values::Several(values.collect())
            } else {
                Values::One(values.next()?)
            };
            Some((name, values))
        });
        serializer.collect_map(labels)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Labels, A::Error> {
        Pairs::read(map).map(|pairs| Labels { pairs, id: OnceLock::new() })
    }
}

/// Where something is: its labels, with the [`CANONICAL`] ones filled in from their aliases.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Scope(Labels);

impl Scope {
    /// All of its labels.
    pub fn labels(&self) -> &Labels {
        &self.0
    }

    /// The services named.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.values("service")
    }

    /// The environments named.
    pub fn environments(&self) -> impl Iterator<Item = &str> {
        self.0.values("environment")
    }

    /// Takes in every value of the other.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }
}

/// How label names of the wild become scope: for each canonical name, which labels to ask, in order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Mapping {
    /// Canonical name to the names to ask in turn; the first that is there gives the values.
    pub names: BTreeMap<String, Vec<String>>,
    /// Values of `service` aliases that name a scrape job or an exporter, not what is sick.
    pub not_services: BTreeSet<String>,
    /// Labels that tell two copies of one alert apart and nothing else.
    pub drop_labels: BTreeSet<String>,
}

impl Mapping {
    /// The scope that the labels say.
    pub fn scope(&self, labels: &Labels) -> Scope {
        let mut scope = labels.clone();
        for (canonical, aliases) in &self.names {
            if let Some(values) = aliases.iter().find_map(|alias| self.useful(labels, alias)) {
                scope.remove(canonical);
                for value in values {
                    scope.insert(canonical, value);
                }
            }
        }
        Scope(scope)
    }

    fn useful<'a>(&self, labels: &'a Labels, alias: &str) -> Option<impl Iterator<Item = &'a str>> {
        // What the source itself calls the service is believed; a guess from `job` is not.
        let believed = CANONICAL.contains(&alias);
        let is_useful = move |value: &&str| believed || !self.not_services.contains(*value);
        let mut values = labels.values(alias).filter(is_useful).peekable();
        values.peek().is_some().then_some(values)
    }

    /// The values that the labels have for one canonical name, as in their scope.
    pub fn values<'a>(
        &self,
        labels: &'a Labels,
        canonical: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let aliases = self.names.get(canonical).map(Vec::as_slice).unwrap_or_default();
        let alias = aliases.iter().find_map(|alias| self.useful(labels, alias));
        let own = alias.is_none().then(|| labels.values(canonical));
        alias.into_iter().flatten().chain(own.into_iter().flatten())
    }

    /// The hash of an alert's identity.
    pub fn identity_id(&self, labels: &Labels) -> EventId {
        if self.drop_labels.iter().any(|name| labels.has(name)) {
            self.identity(labels).id()
        } else {
            labels.id()
        }
    }

    /// The labels that make an alert the one that it is.
    pub fn identity(&self, labels: &Labels) -> Labels {
        let mut kept = labels.clone();
        self.drop_labels.iter().for_each(|name| kept.remove(name));
        kept
    }
}

impl Default for Mapping {
    /// What Prometheus' mixins, Kubernetes' recommended labels and common exporters use.
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let names = [
            ("environment", list(&["environment", "env", "stage", "deployment_environment"])),
            ("cluster", list(&["cluster", "cluster_name", "k8s_cluster", "k8s_cluster_name"])),
            ("region", list(&["region", "aws_region", "cloud_region", "location"])),
            ("namespace", list(&["namespace", "exported_namespace", "kubernetes_namespace"])),
            (
                "service",
                list(&[
                    "service",
                    "service_name",
                    "app_kubernetes_io_name",
                    "app",
                    "deployment",
                    "statefulset",
                    "daemonset",
                    "application",
                    "component",
                    "job",
                ]),
            ),
        ];
        let not_services = [
            "kube-state-metrics",
            "node-exporter",
            "node_exporter",
            "kubernetes-pods",
            "kubernetes-nodes",
            "kubernetes-service-endpoints",
            "kubernetes-apiservers",
            "cadvisor",
            "blackbox",
            "blackbox-exporter",
            "blackbox_exporter",
            "node",
            "probe",
        ];
        Self {
            names: names.into_iter().map(|(name, list)| (name.to_owned(), list)).collect(),
            not_services: not_services.into_iter().map(str::to_owned).collect(),
            drop_labels: ["replica", "prometheus_replica", "__replica__", "receive_replica"]
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }
}
