//! The catalogue: services and what they depend on. Pure: callers read the files.
//!
//! In: `[[service]]` tables with `name`, `tier` and `depends_on`, Backstage's entities, or services
//! from elsewhere. Out: how far it is from one service to another, what everybody stands on, and who
//! says so. It knows nothing of changes and alerts.

mod backstage;
mod entity;
mod origin;
mod parse;

#[cfg(test)]
mod tests;

pub(crate) use self::parse::read_services;
pub use self::{
    backstage::parse_backstage,
    origin::{Origin, Part, Speaker},
    parse::parse_toml,
};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use serde::Serialize;

/// Longer ways than this say nothing.
pub const HOPS_MAX: usize = 6;

/// The tiers that a catalogue file may name, from what users see down to what all stand on.
pub const TIERS: [&str; 4] = ["service", "datastore", "platform", "infrastructure"];

/// A service without a tier is substrate if at least so many others stand on it, ...
const USERS_MIN: usize = 3;

/// ... and at least one in so many of all others. Below a fifth it is a shared service: when it
/// breaks, some suffer and most do not, which is what its dependencies already say.
const USERS_SHARE: usize = 5;

/// One service, as the catalogue knows it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Service {
    /// One of [`TIERS`], as far as it is said.
    pub tier: Option<String>,
    /// What it cannot do without.
    pub depends_on: BTreeSet<String>,
}

/// A service by its place among all, in the order of names.
pub type Place = usize;

/// Services by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    services: BTreeMap<String, Service>,
    places: BTreeMap<String, Place>,
    /// The dependencies of the service at each place.
    used: Vec<Vec<Place>>,
    /// What the service at each place stands on, and how far away, once it was asked for.
    reach: Vec<OnceLock<BTreeMap<Place, usize>>>,
    /// Whether the service at each place is substrate.
    substrate: Vec<bool>,
    /// By user and used: who says so, as far as that is known.
    origins: BTreeMap<(String, String), BTreeSet<Origin>>,
}

impl PartialEq for Catalog {
    /// All else follows from the services.
    fn eq(&self, other: &Self) -> bool {
        self.services == other.services
    }
}

impl Eq for Catalog {}

impl Catalog {
    /// A catalogue of these services, and of those that they only depend on.
    pub fn new(mut services: BTreeMap<String, Service>) -> Self {
        let named: Vec<String> =
            services.values().flat_map(|service| service.depends_on.iter().cloned()).collect();
        for name in named {
            services.entry(name).or_default();
        }
        let places: BTreeMap<_, _> =
            services.keys().enumerate().map(|(place, name)| (name.clone(), place)).collect();
        let used: Vec<Vec<Place>> = services
            .values()
            .map(|service| service.depends_on.iter().filter_map(|name| places.get(name)).copied())
            .map(Iterator::collect)
            .collect();
        let users = reversed(&used);
        let substrate = services
            .values()
            .enumerate()
            .map(|(place, service)| match service.tier.as_deref() {
                Some("platform" | "infrastructure") => true,
                Some("service" | "datastore") => false,
                // What others call their tiers says nothing here.
                Some(_) | None => stood_on_by_many(place, &users),
            })
            .collect();
        let reach = vec![OnceLock::new(); used.len()];
        Self { services, places, used, reach, substrate, origins: BTreeMap::new() }
    }

    /// A catalogue of what several say: each dependency that any of them names, and of what is said of
    /// a tier the first.
    pub fn merged(parts: &[Part]) -> Self {
        Self::default().with(parts)
    }

    /// The same, and what others say besides.
    #[must_use]
    pub fn with(&self, parts: &[Part]) -> Self {
        let (mut services, mut origins) = (self.services.clone(), self.origins.clone());
        for Part { origin, services: said } in parts {
            for (name, service) in said {
                let known = services.entry(name.clone()).or_default();
                known.tier = known.tier.take().or_else(|| service.tier.clone());
                for used in service.depends_on.iter().filter(|used| *used != name) {
                    known.depends_on.insert(used.clone());
                    let edge = (name.clone(), used.clone());
                    origins.entry(edge).or_default().insert(origin.clone());
                }
            }
        }
        Self { origins, ..Self::new(services) }
    }

    /// Who says that the one depends on the other.
    pub fn origins(&self, user: &str, used: &str) -> impl Iterator<Item = &Origin> {
        self.origins.get(&(user.to_owned(), used.to_owned())).into_iter().flatten()
    }

    /// All of them by name; a service that is only depended on has an entry too.
    pub fn services(&self) -> &BTreeMap<String, Service> {
        &self.services
    }

    /// Whether it knows no service.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// How many dependencies lead from `user` to `used`, by the shortest way: 0 for the same one,
    /// known or not; `None` where none leads there within [`HOPS_MAX`].
    pub fn hops(&self, user: &str, used: &str) -> Option<usize> {
        if user == used {
            return Some(0);
        }
        self.hops_between(self.place(user)?, self.place(used)?)
    }

    /// The place of a service.
    pub fn place(&self, service: &str) -> Option<Place> {
        self.places.get(service).copied()
    }

    /// As [`Catalog::hops`], between the services at two places.
    pub fn hops_between(&self, user: Place, used: Place) -> Option<usize> {
        if user == used {
            return Some(0);
        }
        self.reach(user)?.get(&used).copied()
    }

    /// The services that a service stands on, as far as [`HOPS_MAX`], in the order of names.
    pub fn below(&self, user: &str) -> impl Iterator<Item = &str> {
        let reach = self.place(user).and_then(|user| self.reach(user));
        let names = self.services.keys().enumerate();
        let below =
            names.filter(move |(place, _)| reach.is_some_and(|all| all.contains_key(place)));
        below.map(|(_, name)| name.as_str()).filter(move |name| *name != user)
    }

    /// What the service at a place stands on, and how far away.
    fn reach(&self, user: Place) -> Option<&BTreeMap<Place, usize>> {
        let reach = self.reach.get(user)?.get_or_init(|| {
            let mut reach = BTreeMap::new();
            walk(user, &self.used, |place, hops| {
                if hops <= HOPS_MAX {
                    reach.insert(place, hops);
                }
                hops <= HOPS_MAX
            });
            reach
        });
        Some(reach)
    }

    /// Whether the service is something that many others stand on: its tier says so, `platform` or
    /// `infrastructure`; or no tier is said, and at least three others and a fifth of all others
    /// depend on it, directly or not.
    pub fn is_substrate(&self, service: &str) -> bool {
        self.places
            .get(service)
            .and_then(|place| self.substrate.get(*place))
            .copied()
            .unwrap_or_default()
    }
}

fn reversed(used: &[Vec<Place>]) -> Vec<Vec<Place>> {
    let mut users = vec![Vec::new(); used.len()];
    for (user, used) in used.iter().enumerate() {
        for place in used {
            if let Some(list) = users.get_mut(*place) {
                list.push(user);
            }
        }
    }
    users
}

fn stood_on_by_many(place: Place, users: &[Vec<Place>]) -> bool {
    let others = users.len().saturating_sub(1);
    let enough = USERS_MIN.max(others.div_ceil(USERS_SHARE));
    let mut seen = 0;
    walk(place, users, |_, _| {
        seen += 1;
        seen < enough
    });
    seen >= enough
}

/// Visits everything that the edges lead to, nearest first, until `go_on` says no.
fn walk(start: Place, edges: &[Vec<Place>], mut go_on: impl FnMut(Place, usize) -> bool) {
    let mut seen = vec![false; edges.len()];
    let mut frontier = vec![start];
    let mut hops = 0;
    if let Some(first) = seen.get_mut(start) {
        *first = true;
    }
    while !frontier.is_empty() {
        hops += 1;
        let mut next = Vec::new();
        for place in frontier.iter().filter_map(|place| edges.get(*place)).flatten() {
            let Some(seen) = seen.get_mut(*place).filter(|seen| !**seen) else { continue };
            *seen = true;
            if !go_on(*place, hops) {
                return;
            }
            next.push(*place);
        }
        frontier = next;
    }
}
