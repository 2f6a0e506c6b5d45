//! How the thing that was changed stands to the thing that shows a symptom.

use crate::{
    catalog::Catalog,
    event::{Change, Kind, Labels, Scope},
};

/// The way from the changed thing to the symptom.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// The service itself was changed.
    Same { service: String },
    /// The service stands on what was changed, over so many dependencies.
    Below { user: String, used: String, hops: usize },
    /// What was changed uses the service, over so many dependencies.
    Above { user: String, used: String, hops: usize },
    /// Both are at one place.
    Place { name: String, value: String },
    /// No relation is known.
    Unknown,
}

/// A way, and how likely a broken change shows along it (1: certainly).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relation {
    pub(super) strength: f64,
    /// What the relation says of guilt.
    pub(super) weight: Weight,
    /// Whether the catalogue knows a way between the two.
    pub(super) catalogued: bool,
    pub(super) way: Way,
    /// The part of the strength that is owed to the environments: 1 for the same one.
    pub(super) environment: f64,
}

/// How much more often the change behind a symptom stands so to it than any other change does, for the
/// first symptom of a story and for the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weight {
    pub(super) first: f64,
    pub(super) other: f64,
}

impl Weight {
    const fn new(first: f64, other: f64) -> Self {
        Self { first, other }
    }

    fn max(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), other: self.other.max(other.other) }
    }

    fn times(self, factor: f64) -> Self {
        Self { first: self.first * factor, other: self.other * factor }
    }
}

impl Relation {
    /// Whether it is close enough for the change to answer for the symptom, or the symptom for it.
    pub(super) fn in_scope(&self) -> bool {
        Self::is_in_scope(self.strength)
    }

    /// Whether this strength is close enough.
    pub(super) fn is_in_scope(strength: f64) -> bool {
        strength >= IN_SCOPE
    }

    /// Whether this share of a strength says that both are in different environments.
    pub(super) fn is_elsewhere(environment: f64) -> bool {
        environment <= OTHER_ENVIRONMENT
    }
}

/// Weaker relations say nothing about innocence or response.
const IN_SCOPE: f64 = 0.05;

/// Strengths by distance down the dependencies; the last one goes for all that are longer.
const BELOW: [f64; 4] = [0.35, 0.20, 0.06, 0.01];
/// The same for infrastructure under what many stand on.
const SUBSTRATE: [f64; 4] = [0.50, 0.40, 0.20, 0.05];
/// What the changed thing calls: its load or its requests changed.
const ABOVE: [f64; 3] = [0.05, 0.02, 0.005];
/// Catalogues are incomplete: never nothing within one environment.
const UNKNOWN: f64 = 0.02;
/// A change reaches about this share of a service that it is not known to reach.
const UNKNOWN_REACH: f64 = 0.20;
/// In another environment the change itself is not there.
const OTHER_ENVIRONMENT: f64 = 0.01;
/// One of them does not say its environment.
const ENVIRONMENT_UNSAID: f64 = 0.5;
/// Neither does: most likely there is only one.
const ENVIRONMENTS_UNSAID: f64 = 0.8;
/// The same service in another cluster or region of one environment has its own configuration.
const OTHER_PLACE: f64 = 0.3;

/// Labels that name a place which things share, with how much sharing it says: the smaller the
/// place, the more.
const PLACES: [(&str, f64); 9] = [
    ("node", 0.7),
    ("host", 0.7),
    ("instance", 0.7),
    ("load_balancer", 0.5),
    ("namespace", 0.4),
    ("zone", 0.1),
    ("site", 0.1),
    ("dc", 0.1),
    ("cluster", 0.1),
];

/// How the change stands to a symptom with these labels.
pub(super) fn relation(change: &Change, symptom: &Labels, catalog: &Catalog) -> Relation {
    let mut best = Relation {
        strength: unknown(catalog),
        weight: unknown_weight(catalog),
        catalogued: false,
        way: Way::Unknown,
        environment: 1.0,
    };
    for (strength, way) in
        service_ways(change, symptom, catalog).chain(places(change, symptom, catalog))
    {
        best.weight = best.weight.max(way.weight());
        best.catalogued |= !matches!(way, Way::Place { .. } | Way::Unknown);
        if strength > best.strength {
            best.strength = strength;
            best.way = way;
        }
    }
    best.environment = environments(&change.scope, symptom);
    best.strength *= best.environment;
    best.weight = best.weight.times(best.environment * place_weight(change, symptom));
    best
}

impl Way {
    fn weight(&self) -> Weight {
        let at = |weights: &[Weight], hops: usize| {
            let last = weights.last().copied().unwrap_or(NO_WEIGHT);
            weights.get(hops.saturating_sub(1)).copied().unwrap_or(last)
        };
        match self {
            Self::Same { .. } => WEIGHT_SAME,
            Self::Below { hops, .. } => at(&WEIGHTS_BELOW, *hops),
            Self::Above { hops, .. } => at(&WEIGHTS_ABOVE, *hops),
            Self::Place { .. } | Self::Unknown => NO_WEIGHT,
        }
    }
}

/// How much a relation says of guilt, by a count over recorded incidents. What falls sick first was
/// itself changed, or stands on what was, up to three dependencies down. What falls sick besides shows
/// a ground that all of it stands on, and that lies deeper. What was changed and uses what fell sick
/// broke it seldom, and less so the further up it is: there a way is known, and it is the wrong one.
const WEIGHT_SAME: Weight = Weight::new(0.5, 0.2);
const WEIGHTS_BELOW: [Weight; 4] =
    [Weight::new(0.45, 0.2), Weight::new(0.55, 0.6), Weight::new(0.42, 0.6), Weight::new(0.1, 0.1)];
const WEIGHTS_ABOVE: [Weight; 2] = [Weight::new(0.13, 0.2), Weight::new(0.05, 0.05)];
const WEIGHT_UNKNOWN: Weight = Weight::new(0.05, 0.06);
const NO_WEIGHT: Weight = Weight::new(0.0, 0.0);
/// With more services about than this, one that is not known to be related is less likely the one.
const SERVICES_FEW: f64 = 60.0;

fn unknown_weight(catalog: &Catalog) -> Weight {
    let services = super::number(catalog.services().len());
    WEIGHT_UNKNOWN.times(SERVICES_FEW / services.max(SERVICES_FEW))
}

/// That both name one place, or different ones.
const PLACE_AGREES: f64 = 2.0;
const PLACE_DIFFERS: f64 = 0.45;

fn place_weight(change: &Change, symptom: &Labels) -> f64 {
    let places = PLACES.iter().map(|(name, _)| *name).chain(["region"]);
    let said = places.filter_map(|name| change.scope.labels().share(symptom, name));
    let (agree, differ) =
        said.fold(
            (0, 0),
            |(agree, differ), same| {
                if same { (agree + 1, differ) } else { (agree, differ + 1) }
            },
        );
    match agree.cmp(&differ) {
        std::cmp::Ordering::Greater => PLACE_AGREES,
        std::cmp::Ordering::Less => PLACE_DIFFERS,
        std::cmp::Ordering::Equal => 1.0,
    }
}

/// With more services about, one that is not known to be related is less likely the one.
fn unknown(catalog: &Catalog) -> f64 {
    UNKNOWN.min(UNKNOWN_REACH / (10.0 + super::number(catalog.services().len())))
}

fn environments(scope: &Scope, symptom: &Labels) -> f64 {
    match scope.labels().share(symptom, "environment") {
        Some(true) => 1.0,
        Some(false) => OTHER_ENVIRONMENT,
        None if scope.labels().has("environment") || symptom.has("environment") => {
            ENVIRONMENT_UNSAID
        }
        None => ENVIRONMENTS_UNSAID,
    }
}

fn service_ways<'a>(
    change: &'a Change,
    symptom: &'a Labels,
    catalog: &'a Catalog,
) -> impl Iterator<Item = (f64, Way)> + 'a {
    let apart = ["cluster", "region"]
        .iter()
        .any(|name| change.scope.labels().share(symptom, name) == Some(false));
    let factor = if apart { OTHER_PLACE } else { 1.0 };
    change.scope.services().flat_map(move |changed| {
        symptom.values("service").filter_map(move |sick| {
            service_way(change.kind, changed, sick, catalog)
                .map(|(strength, way)| (strength * factor, way))
        })
    })
}

fn service_way(kind: Kind, changed: &str, sick: &str, catalog: &Catalog) -> Option<(f64, Way)> {
    if changed == sick {
        return Some((1.0, Way::Same { service: sick.to_owned() }));
    }
    if let Some(hops) = catalog.hops(sick, changed) {
        let ground = is_ground(kind) && catalog.is_substrate(changed);
        let strength = step(if ground { &SUBSTRATE } else { &BELOW }, hops);
        let way = Way::Below { user: sick.to_owned(), used: changed.to_owned(), hops };
        return Some((strength, way));
    }
    let hops = catalog.hops(changed, sick)?;
    let way = Way::Above { user: changed.to_owned(), used: sick.to_owned(), hops };
    Some((step(&ABOVE, hops), way))
}

fn step(strengths: &[f64], hops: usize) -> f64 {
    let last = strengths.last().copied().unwrap_or_default();
    strengths.get(hops.saturating_sub(1)).copied().unwrap_or(last)
}

/// Kinds that change the ground on which services stand.
pub(super) const fn is_ground(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Infrastructure
            | Kind::Scaling
            | Kind::Network
            | Kind::Dns
            | Kind::Maintenance
            | Kind::Permission
    )
}

fn places<'a>(
    change: &'a Change,
    symptom: &'a Labels,
    catalog: &'a Catalog,
) -> impl Iterator<Item = (f64, Way)> + 'a {
    PLACES.iter().flat_map(move |(name, strength)| {
        let strength = match *name {
            "cluster" if is_ground(change.kind) => cluster_strength(change, catalog),
            _ => *strength,
        };
        change.scope.labels().values(name).filter(|value| symptom.holds(name, value)).map(
            move |value| {
                (strength, Way::Place { name: (*name).to_owned(), value: value.to_owned() })
            },
        )
    })
}

/// How far a change of a cluster's ground reaches all that runs in it: far, unless the catalogue
/// knows the changed service as one that little stands on.
fn cluster_strength(change: &Change, catalog: &Catalog) -> f64 {
    let mut known = change.scope.services().filter(|name| catalog.services().contains_key(*name));
    if known.any(|name| !catalog.is_substrate(name)) { 0.1 } else { 0.5 }
}
