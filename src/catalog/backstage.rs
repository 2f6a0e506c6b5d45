//! Backstage's entities as services. A service is known by its name alone, as in alerts: a component,
//! a resource and a system of one name are one, whatever their namespaces.
//!
//! Who consumes an API depends on those who provide it, and on the API itself where nobody does. A
//! system depends on what is part of it, and a component on its subcomponents: what breaks a part
//! breaks the whole, and who depends on the whole depends on each.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Origin, Part, Speaker,
    entity::{Entity, Id, read_entities},
};
use crate::problem::Problem;

/// What Backstage files say, given as (name, text): a part for each. They are read together, since one
/// may consume what another provides.
///
/// # Errors
/// Every problem of every file.
pub fn parse_backstage(files: &[(String, String)]) -> Result<Vec<Part>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut entities = Vec::new();
    for (file, text) in files {
        let (read, wrong) = read_entities(file, text);
        problems.extend(wrong);
        entities.push((file.as_str(), read));
    }
    problems.extend(told_twice(&entities));
    if !problems.is_empty() {
        return Err(problems);
    }
    let all = All::of(entities.iter().flat_map(|(_, entities)| entities));
    Ok(entities.iter().map(|(file, entities)| all.part(file, entities)).collect())
}

fn told_twice(entities: &[(&str, Vec<Entity>)]) -> Vec<Problem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, entity) in entities.iter().flat_map(|(file, all)| all.iter().map(move |e| (file, e)))
    {
        if let Some((first, line)) = seen.insert(&entity.id, (file, entity.place.0)) {
            let what = format!("{} is there twice", entity.id);
            let hint = format!("the other is at {first}:{line}; leave one of them out");
            problems.push(Problem::at_line(file, entity.place, what).hint(hint));
        }
    }
    problems
}

/// What it takes all entities to know.
#[derive(Debug, Default)]
struct All<'e> {
    /// Names as they are written where the entity is.
    names: BTreeMap<&'e Id, &'e str>,
    /// Who provides an API.
    providers: BTreeMap<&'e Id, BTreeSet<&'e str>>,
}

impl<'e> All<'e> {
    fn of(entities: impl Iterator<Item = &'e Entity>) -> Self {
        let mut all = Self::default();
        for entity in entities {
            all.names.insert(&entity.id, &entity.name);
            for api in &entity.provides {
                all.providers.entry(&api.id).or_default().insert(&entity.name);
            }
        }
        all
    }

    /// The services that an entity stands for.
    fn services<'s>(&'s self, id: &Id, name: &'s str) -> Vec<&'s str> {
        match self.providers.get(id) {
            Some(providers) => providers.iter().copied().collect(),
            None => vec![self.names.get(id).copied().unwrap_or(name)],
        }
    }

    fn part(&self, file: &str, entities: &[Entity]) -> Part {
        let mut part = Part::new(Origin::new(Speaker::Backstage, file));
        for entity in entities {
            let own = self.services(&entity.id, &entity.name);
            for service in &own {
                let known = part.services.entry((*service).to_owned()).or_default();
                known.tier = known.tier.take().or(entity.tier.map(str::to_owned));
            }
            self.link(&mut part, entity, &own);
        }
        part
    }

    fn link(&self, part: &mut Part, entity: &Entity, own: &[&str]) {
        for other in entity.depends_on.iter().chain(&entity.consumes) {
            depend(part, own, &self.services(&other.id, &other.name));
        }
        for other in entity.dependency_of.iter().chain(&entity.part_of) {
            depend(part, &self.services(&other.id, &other.name), own);
        }
    }
}

fn depend(part: &mut Part, users: &[&str], used: &[&str]) {
    for user in users {
        for used in used.iter().filter(|used| *used != user) {
            part.depends(*user, *used);
        }
    }
}
