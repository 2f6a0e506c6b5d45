//! Makes the state anew from the log, without a daemon: events that came late count from then on.
//!
//! In: a directory that nobody has open. Out: the log in event order, and the state that a daemon
//! would have to which all had been told in time. The records stay, and nobody is told anything.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus::Registry;
use tokio::sync::watch;

use super::{
    Tasks,
    reload::whole,
    stores::{self, Stores},
};
use crate::{
    config::Config,
    engine::{Engine, Handle},
    event::Time,
    metrics::Metrics,
    store::StoreError,
    topology::Graph,
};

/// What was made anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Rebuilt {
    /// So many events are in the log.
    pub events: u64,
    /// So many of them had come late, and count now.
    pub late: u64,
    /// So many incidents they make.
    pub incidents: usize,
}

/// Makes the state of the configured directory anew.
///
/// # Errors
/// Somebody has it open, it has no log, or a store cannot be read or written. What was acknowledged is
/// not lost by it; it can be done again.
pub async fn rebuild(config: Config) -> anyhow::Result<Rebuilt> {
    let dir = config.store.dir.clone();
    let rebuilt = rebuild_all(config).await;
    rebuilt.map_err(|error| stores::advise(error, &dir))
}

async fn rebuild_all(config: Config) -> anyhow::Result<Rebuilt> {
    let (stores, late) = stores::open_anew(&config)?;
    let Stores { log, state, records } = stores;
    let metrics = Arc::new(Metrics::new(Registry::new()).context("cannot register metrics")?);
    // As the daemon that stopped last had it in force.
    let graph = Graph::load(&config.store.dir);
    let model = whole(&config.model, config.service_graph.as_ref(), &graph);
    let (_models, model) = watch::channel(Arc::new(model));
    let frozen_before = records.frozen_before().context("cannot read the records")?;
    let (engine, handle, mut ready) = Engine::new(model, log, state, records, metrics);
    let mut tasks = Tasks::default();
    tasks.spawn("engine", |stop| async move { engine.run(stop).await.map_err(Into::into) });
    let assessed = async {
        if ready.wait_for(|ready| *ready).await.is_err() {
            // The engine is gone, and the tasks end with it.
            std::future::pending::<()>().await;
        }
    };
    tasks.run_until(assessed).await?;
    count(&handle, frozen_before, late).context("cannot count what was made")
}

fn count(handle: &Handle, frozen_before: Option<Time>, late: u64) -> Result<Rebuilt, StoreError> {
    let events = handle.log().size()?.rows;
    // What is frozen stays as it was.
    let from = frozen_before.unwrap_or(Time::MIN_UTC);
    let incidents = handle.state().incidents_since(from)?.len();
    Ok(Rebuilt { events, late, incidents })
}
