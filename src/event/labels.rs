//! Labels that may have several values, and the scope that they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::EventId;

/// The labels that say where, under the one name that rules and answers use for each.
pub const CANONICAL: [&str; 5] = ["environment", "cluster", "region", "namespace", "service"];

/// Label names with one or more values each; no empty names or values.
///
/// In JSON and TOML a value is a string, or a list of strings where there are several. Kept as
/// sorted pairs: most labels have one value, and an alert has ten of them, a million times over.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Labels(Vec<(String, String)>);

/// So many labels are searched one by one.
const FEW: usize = 32;

impl Labels {
    /// Adds one value; empty names and values say nothing and are left out.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let pair = (name.into(), value.into());
        if pair.0.is_empty() || pair.1.is_empty() {
            return;
        }
        // Most come in order.
        if self.0.last().is_none_or(|last| *last < pair) {
            self.0.push(pair);
        } else if let Err(place) = self.0.binary_search(&pair) {
            self.0.insert(place, pair);
        }
    }

    /// Adds values, in whatever order and however many there are, at the cost of one sort.
    pub fn insert_all(&mut self, name: &str, values: Vec<String>) {
        let said = values.into_iter().filter(|value| !name.is_empty() && !value.is_empty());
        self.0.extend(said.map(|value| (name.to_owned(), value)));
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// The pairs of a label.
    fn pairs(&self, name: &str) -> &[(String, String)] {
        // Of few labels all are looked at: that two names differ is mostly seen by their lengths,
        // and in which order they stand only by their bytes.
        let from = if self.0.len() <= FEW {
            self.0.iter().position(|(held, _)| held == name)
        } else {
            Some(self.0.partition_point(|(held, _)| held.as_str() < name))
        };
        let rest = from.and_then(|from| self.0.get(from..)).unwrap_or_default();
        let n = rest.iter().take_while(|(held, _)| held == name).count();
        rest.get(..n).unwrap_or_default()
    }

    /// The values of a label, in order; none when it is absent.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs(name).iter().map(|(_, value)| value.as_str())
    }

    /// The first value of a label.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Whether the label has any value.
    pub fn has(&self, name: &str) -> bool {
        !self.pairs(name).is_empty()
    }

    /// Whether the label has this value.
    pub fn holds(&self, name: &str, value: &str) -> bool {
        self.values(name).any(|held| held == value)
    }

    /// Whether both have the label, and share a value of it. `None`: one of them does not have it.
    pub fn share(&self, other: &Self, name: &str) -> Option<bool> {
        let (mine, theirs) = (self.pairs(name), other.pairs(name));
        let both = !mine.is_empty() && !theirs.is_empty();
        both.then(|| mine.iter().any(|pair| theirs.contains(pair)))
    }

    /// All names with each of their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Each name once, with all its values, in order.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, impl ExactSizeIterator<Item = &str>)> {
        self.0.chunk_by(|(one, _), (other, _)| one == other).filter_map(|pairs| {
            let (name, _) = pairs.first()?;
            Some((name.as_str(), pairs.iter().map(|(_, value)| value.as_str())))
        })
    }

    /// How many label names there are.
    pub fn len(&self) -> usize {
        self.by_name().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in every value of the other.
    pub fn extend(&mut self, other: &Self) {
        for (name, value) in other.iter() {
            if !self.holds(name, value) {
                self.insert(name, value);
            }
        }
    }

    /// Leaves out a label.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(held, _)| held != name);
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut written = Vec::with_capacity(USUAL);
        while let Some(name) = map.next_key::<String>()? {
            written.push((name, map.next_value()?));
        }
        // Most programs write them sorted. Of a name that is written twice, the last counts.
        if !written.is_sorted_by(|(one, _), (other, _)| one < other) {
            let mut last = BTreeMap::new();
            last.extend(written);
            written = last.into_iter().collect();
        }
        let mut labels = Labels(Vec::with_capacity(written.len()));
        for (name, given) in written {
            match given {
                Given::Nothing => {}
                Given::One(value) => labels.insert(name, value),
                Given::Several(mut values) => {
                    values.sort_unstable();
                    for value in values {
                        labels.insert(name.as_str(), value);
                    }
                }
            }
        }
        Ok(labels)
    }
}

/// So many labels an alert has more often than not; only room is made by it.
const USUAL: usize = 12;

/// What is written as the value of a label.
enum Given {
    Nothing,
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

// By hand, because an untagged enum copies every value into a tree before it looks at it: that was
// a third of the cost of reading an alert.
struct GivenVisitor;

impl GivenVisitor {
    fn mistyped<E: de::Error>() -> Result<Given, E> {
        Err(E::custom("want a string or a list of strings"))
    }
}

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_str<E>(self, value: &str) -> Result<Given, E> {
        Ok(Given::One(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Given, E> {
        Ok(Given::One(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            let Given::One(value) = value else { return Self::mistyped() };
            values.push(value);
        }
        Ok(Given::Several(values))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Given, E> {
        Self::mistyped()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Given, E> {
        Self::mistyped()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Given, E> {
        Self::mistyped()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Given, E> {
        Self::mistyped()
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Given, A::Error> {
        Self::mistyped()
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
                    scope.insert(canonical.clone(), value);
                }
            }
        }
        Scope(scope)
    }

    fn useful<'a>(&self, labels: &'a Labels, alias: &str) -> Option<Vec<&'a str>> {
        // What the source itself calls the service is believed; a guess from `job` is not.
        let believed = CANONICAL.contains(&alias);
        let values: Vec<_> = labels
            .values(alias)
            .filter(|value| believed || !self.not_services.contains(*value))
            .collect();
        (!values.is_empty()).then_some(values)
    }

    /// The values that the labels have for one canonical name, as in their scope.
    pub fn values<'a>(
        &self,
        labels: &'a Labels,
        canonical: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let aliases = self.names.get(canonical).map(Vec::as_slice).unwrap_or_default();
        let alias = aliases.iter().find_map(|alias| self.useful(labels, alias));
        let (aliased, own) = match alias {
            Some(values) => (values, None),
            None => (Vec::new(), Some(labels.values(canonical))),
        };
        aliased.into_iter().chain(own.into_iter().flatten())
    }

    /// The hash of an alert's identity.
    pub fn identity_id(&self, labels: &Labels) -> EventId {
        if self.drop_labels.iter().any(|name| labels.has(name)) {
            EventId::of(&self.identity(labels))
        } else {
            EventId::of(labels)
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
