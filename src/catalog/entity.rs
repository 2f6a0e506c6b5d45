//! One entity of a Backstage file, `catalog-info.yaml`: what it says of who depends on whom, with
//! every problem at its line. Fields that say nothing of that are left alone.

use saphyr::{LoadableYamlNode as _, MarkedYaml};

use crate::problem::{Problem, nearest};

/// The kinds that are taken.
const TAKEN: [&str; 4] = ["component", "resource", "system", "api"];
/// Backstage's other kinds, which say nothing of what runs.
const LEFT: [&str; 5] = ["domain", "group", "user", "location", "template"];
/// How Backstage's own documents begin; others may lie in the same file.
const BACKSTAGE: &str = "backstage.io/";
/// Where an entity is of which nothing else is said.
const NAMESPACE: &str = "default";

/// Which entity is meant, in small letters: Backstage compares references so.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Id {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A reference to an entity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reference {
    pub(super) id: Id,
    /// The name as it is written.
    pub(super) name: String,
}

/// What one entity says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entity {
    pub(super) id: Id,
    /// The name as it is written.
    pub(super) name: String,
    /// Line and column.
    pub(super) place: (usize, usize),
    /// One of the catalogue's tiers, where its type says so.
    pub(super) tier: Option<&'static str>,
    pub(super) depends_on: Vec<Reference>,
    pub(super) dependency_of: Vec<Reference>,
    pub(super) provides: Vec<Reference>,
    pub(super) consumes: Vec<Reference>,
    /// The system or the component that it is part of.
    pub(super) part_of: Vec<Reference>,
}

/// The entities of a file's documents, and what is wrong with them. Where it is not YAML, nothing
/// else is told.
pub(super) fn read_entities(file: &str, text: &str) -> (Vec<Entity>, Vec<Problem>) {
    let documents = match MarkedYaml::load_from_str(text) {
        Ok(documents) => documents,
        Err(error) => {
            let at = (error.marker().line(), error.marker().col() + 1);
            let problem = Problem::at_line(file, at, format!("this is not YAML: {}", error.info()));
            return (Vec::new(), vec![problem.hint("documents are parted by a line `---`")]);
        }
    };
    let mut reader = Reader { file, problems: Vec::new() };
    let entities = documents.iter().filter_map(|document| reader.entity(document)).collect();
    (entities, reader.problems)
}

/// Reads the documents of one file.
struct Reader<'f> {
    file: &'f str,
    problems: Vec<Problem>,
}

type Node<'y> = MarkedYaml<'y>;

impl Reader<'_> {
    fn entity(&mut self, document: &Node<'_>) -> Option<Entity> {
        // The rest of a file that ends with `---`.
        if document.data.is_null() {
            return None;
        }
        if document.data.as_mapping().is_none() {
            self.wrong(document, "this is no entity", "write `apiVersion`, `kind`, `metadata`");
            return None;
        }
        let version = self.need(document, "apiVersion");
        if version.as_ref().is_some_and(|version| !version.starts_with(BACKSTAGE)) {
            return None;
        }
        let kind = self.need(document, "kind").and_then(|kind| self.kind(document, &kind));
        let metadata = self.needed_table(document, "metadata");
        let name = metadata.and_then(|metadata| self.need(metadata, "name"));
        version?;
        let kind = kind?;
        if LEFT.contains(&kind.as_str()) {
            return None;
        }
        let (metadata, name) = (metadata?, name?);
        let namespace = self.text(metadata, "namespace").unwrap_or_else(|| NAMESPACE.to_owned());
        let place = place(metadata.data.as_mapping_get("name").unwrap_or(document));
        let id = Id::new(&kind, &namespace, &name);
        Some(self.with_spec(document, Entity::new(id, name, place), &namespace))
    }

    fn kind(&mut self, document: &Node<'_>, written: &str) -> Option<String> {
        let kind = written.to_lowercase();
        let known = TAKEN.into_iter().chain(LEFT);
        if known.clone().any(|one| one == kind) {
            return Some(kind);
        }
        let hint = match nearest(written, known) {
            Some(meant) => format!("did you mean {}?", capitalised(meant)),
            None => format!("those that count are {}", TAKEN.map(capitalised).join(", ")),
        };
        let place = document.data.as_mapping_get("kind").unwrap_or(document);
        self.wrong(place, format!("Backstage has no kind {written:?}"), hint);
        None
    }

    fn with_spec(&mut self, document: &Node<'_>, entity: Entity, namespace: &str) -> Entity {
        let Some(spec) = self.table(document, "spec") else { return entity };
        let kind = self.text(spec, "type").unwrap_or_default();
        let tier = if entity.id.kind == "resource" { tier_of(&kind.to_lowercase()) } else { None };
        let mut read = |key, kind| self.references(spec, key, kind, namespace);
        Entity {
            tier,
            depends_on: read("dependsOn", None),
            dependency_of: read("dependencyOf", None),
            provides: read("providesApis", Some("api")),
            consumes: read("consumesApis", Some("api")),
            part_of: [read("system", Some("system")), read("subcomponentOf", Some("component"))]
                .concat(),
            ..entity
        }
    }

    /// The entities that a field names, one or a list, of this kind where they do not say another.
    fn references(
        &mut self,
        spec: &Node<'_>,
        key: &str,
        kind: Option<&str>,
        namespace: &str,
    ) -> Vec<Reference> {
        let Some(node) = spec.data.as_mapping_get(key).filter(|node| !node.data.is_null()) else {
            return Vec::new();
        };
        let list = match node.data.as_sequence() {
            Some(list) => list.as_slice(),
            None => std::slice::from_ref(node),
        };
        let mut found = Vec::new();
        for one in list {
            let Some(written) = one.data.as_str() else {
                let what = format!("`{key}` names something that is no text");
                self.wrong(one, what, "write references, as component:payments");
                continue;
            };
            match Reference::parse(written, kind, namespace) {
                Ok(reference) => found.push(reference),
                Err(why) => {
                    let hint = "write kind:namespace/name, as component:payments";
                    self.wrong(one, format!("`{key}` names {written:?}, {why}"), hint);
                }
            }
        }
        found
    }

    /// A text that has to be there.
    fn need(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        if node.data.as_mapping_get(key).is_none() {
            self.wrong(node, format!("there is no `{key}`"), format!("add `{key}: ...`"));
        }
        self.text(node, key)
    }

    fn text(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        let value = node.data.as_mapping_get(key)?;
        let text = value.data.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(value, format!("`{key}` is no text"), "put it in quotes");
        }
        text.map(str::to_owned)
    }

    fn needed_table<'n, 'y>(&mut self, node: &'n Node<'y>, key: &str) -> Option<&'n Node<'y>> {
        if node.data.as_mapping_get(key).is_none() {
            self.wrong(node, format!("there is no `{key}`"), format!("add `{key}:`"));
        }
        self.table(node, key)
    }

    fn table<'n, 'y>(&mut self, node: &'n Node<'y>, key: &str) -> Option<&'n Node<'y>> {
        let value = node.data.as_mapping_get(key)?;
        let is_table = value.data.as_mapping().is_some();
        if !is_table {
            self.wrong(value, format!("`{key}` holds no fields"), "indent them below it");
        }
        is_table.then_some(value)
    }

    fn wrong(&mut self, node: &Node<'_>, what: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::at_line(self.file, place(node), what).hint(hint));
    }
}

/// Line and column, from 1.
fn place(node: &Node<'_>) -> (usize, usize) {
    (node.span.start.line(), node.span.start.col() + 1)
}

/// What a resource of this type is to others, for the types that Backstage's documentation names.
fn tier_of(kind: &str) -> Option<&'static str> {
    match kind {
        "database" | "s3-bucket" => Some("datastore"),
        "cluster" | "kubernetes-cluster" => Some("platform"),
        _ => None,
    }
}

fn capitalised(kind: &str) -> String {
    if kind == "api" {
        return "API".to_owned();
    }
    let mut letters = kind.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl Entity {
    const fn new(id: Id, name: String, place: (usize, usize)) -> Self {
        Self {
            id,
            name,
            place,
            tier: None,
            depends_on: Vec::new(),
            dependency_of: Vec::new(),
            provides: Vec::new(),
            consumes: Vec::new(),
            part_of: Vec::new(),
        }
    }
}

impl Id {
    fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_lowercase(),
            namespace: namespace.to_lowercase(),
            name: name.to_lowercase(),
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.kind, self.namespace, self.name)
    }
}

impl Reference {
    /// `[kind:][namespace/]name`, with what it does not say: the namespace is that of the entity which
    /// refers.
    fn parse(written: &str, kind: Option<&str>, namespace: &str) -> Result<Self, &'static str> {
        let (said, rest) = match written.split_once(':') {
            Some((kind, rest)) => (Some(kind), rest),
            None => (kind, written),
        };
        let (namespace, name) = rest.split_once('/').unwrap_or((namespace, rest));
        let kind = said.ok_or("and not of which kind it is")?;
        let parts = [kind, namespace, name];
        if parts.iter().any(|part| part.is_empty() || part.contains(['/', ':', ' '])) {
            return Err("which is no reference");
        }
        Ok(Self { id: Id::new(kind, namespace, name), name: name.to_owned() })
    }
}
