//! Builds, starts and stops the parts. Everything that runs is started here, and the end of any
//! part ends the program.

mod stores;

use std::{fmt, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{self, JoinSet},
};

use crate::{
    config::Config,
    engine::Engine,
    http::{self, Api, Parts, Tokens},
    metrics::Metrics,
    store::StoreError,
};

/// What is only known where the program starts.
#[derive(Default)]
pub struct Options {
    /// A listener to serve on instead of opening one at the configured address.
    pub listener: Option<TcpListener>,
    /// Told the address once requests are taken there.
    pub announce: Option<Box<dyn FnOnce(SocketAddr) + Send>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Serves until `shutdown`, then stops gracefully: no more connections, the requests that run end,
/// the engine ends its batch.
///
/// # Errors
/// A part could not be started, or ended before it should.
pub async fn run(
    config: Config,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let dir = config.store.dir.clone();
    let ended = run_parts(config, options, shutdown).await;
    ended.map_err(|error| stores::advise(error, &dir))
}

async fn run_parts(
    config: Config,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let tokens = match &config.server.token_file {
        Some(file) => Some(Tokens::load(file)?),
        None => None,
    };
    let metrics = Arc::new(Metrics::new(Registry::new()).context("cannot register metrics")?);
    let model = Arc::new(config.model);
    let (log, state) = stores::open(&config.store.dir, model.settings.horizon)?;
    let (log_fails, state_fails) = (log.failure(), state.damage());
    let hash = model.hash();
    let (engine, handle, ready) = Engine::new(model, log, state, Arc::clone(&metrics));
    let api = Api::new(Parts {
        engine: handle,
        config: hash,
        metrics,
        tokens,
        body_bytes_max: config.server.body_bytes_max,
        ready,
    });
    let listener = match options.listener {
        Some(listener) => listener,
        None => bind(config.server.listen).await?,
    };
    let address = listener.local_addr().context("the listener has no address")?;

    let mut tasks = Tasks::default();
    tasks.spawn("engine", |stop| async move { engine.run(stop).await.map_err(Into::into) });
    tasks.spawn("http", |stop| async move {
        http::serve(listener, api, stopped(stop)).await;
        Ok(())
    });
    // Last, so that they stop first: the stores end when nobody uses them any more.
    tasks.spawn("log", |stop| until(stop, log_fails));
    tasks.spawn("state", |stop| until(stop, state_fails));
    tracing::info!(%address, "listening");
    if let Some(announce) = options.announce {
        announce(address);
    }
    tasks.run_until(shutdown).await
}

/// Opens a listener.
///
/// # Errors
/// The address is taken, or not this machine's.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Ends well when it is time to stop, and badly with the failure if that comes first.
async fn until(
    stop: watch::Receiver<bool>,
    failure: impl Future<Output = StoreError>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = stopped(stop) => Ok(()),
        failure = failure => Err(failure.into()),
    }
}

/// Resolves when it is time to stop, or nobody is left to say so.
async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// The parts that run, each until it is told to stop.
#[derive(Debug, Default)]
struct Tasks {
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
    stops: Vec<(task::Id, watch::Sender<bool>)>,
}

impl Tasks {
    fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, told) = watch::channel(false);
        let task = task(told);
        let started = self.running.spawn(async move { (name, task.await) });
        self.stops.push((started.id(), stop));
    }

    /// Runs until `shutdown`, then stops the parts, the last started first, and waits for each.
    async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (gone, mut outcome) = tokio::select! {
            () = shutdown => (None, Ok(())),
            Some(ended) = self.running.join_next_with_id() => match ended {
                Ok((id, (name, Ok(())))) => {
                    (Some(id), Err(anyhow::anyhow!("the {name} ended by itself")))
                }
                Ok((id, (name, Err(error)))) => {
                    (Some(id), Err(error.context(format!("the {name} failed"))))
                }
                Err(panicked) => (Some(panicked.id()), Err(panicked.into())),
            },
        };
        tracing::info!("stopping");
        for (id, stop) in self.stops.into_iter().rev() {
            // Nobody is left there to wait for.
            if gone == Some(id) {
                continue;
            }
            stop.send_replace(true);
            if let Some(ended) = self.running.join_next().await {
                let ended = match ended {
                    Ok((name, ended)) => ended.with_context(|| format!("the {name} failed")),
                    Err(panicked) => Err(panicked.into()),
                };
                outcome = outcome.and(ended);
            }
        }
        if let Err(error) = outcome {
            bail!(error);
        }
        Ok(())
    }
}
