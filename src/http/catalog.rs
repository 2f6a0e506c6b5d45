//! Which services there are, what each depends on, and who says so.

use serde::Serialize;
use warp::reply::Response;

use super::{
    Api,
    reply::{ApiError, json},
};
use crate::{
    catalog::{Catalog, Origin},
    correlate::Model,
};

/// All that is in force, with the hash that it is a part of.
#[derive(Serialize)]
struct Shown<'c> {
    config: String,
    services: Vec<Service<'c>>,
    dependencies: Vec<Dependency<'c>>,
}

/// One service.
#[derive(Serialize)]
struct Service<'c> {
    name: &'c str,
    tier: Option<&'c str>,
    /// Whether many others stand on it, by its tier or by their number.
    substrate: bool,
}

/// The one cannot do without the other.
#[derive(Serialize)]
struct Dependency<'c> {
    service: &'c str,
    depends_on: &'c str,
    origins: Vec<&'c Origin>,
}

impl Api {
    pub(super) async fn catalog(&self) -> Result<Response, ApiError> {
        let model = self.parts.engine.model();
        self.in_turn(move || Ok(json(&Shown::of(&model)))).await
    }
}

impl<'c> Shown<'c> {
    fn of(model: &'c Model) -> Self {
        let catalog = &model.catalog;
        let services = catalog.services().iter().map(|(name, service)| Service {
            name,
            tier: service.tier.as_deref(),
            substrate: catalog.is_substrate(name),
        });
        Self {
            config: model.hash(),
            services: services.collect(),
            dependencies: dependencies(catalog),
        }
    }
}

fn dependencies(catalog: &Catalog) -> Vec<Dependency<'_>> {
    let all = catalog.services().iter().flat_map(|(name, service)| {
        service.depends_on.iter().map(move |used| (name.as_str(), used.as_str()))
    });
    all.map(|(service, depends_on)| Dependency {
        service,
        depends_on,
        origins: catalog.origins(service, depends_on).collect(),
    })
    .collect()
}
