//! Builds, starts and stops the parts. Everything that runs is started here, and the end of any
//! part ends the program.

mod rebuild;
mod reload;
mod stores;

pub use self::{
    rebuild::{Rebuilt, rebuild},
    reload::Source,
};

use std::{fmt, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc, watch},
    task::{self, JoinSet},
};

use self::reload::{Fixed, REQUESTS_MAX, Reloader, Running, whole};
use crate::{
    clock,
    config::{self, Config},
    engine::{Engine, Retention},
    hearing::Hearing,
    http::{self, Admission, Api, Parts, Tokens},
    metrics::Metrics,
    notify::{self, Courier, Secrets, Teller},
    store::StoreError,
    topology::{Graph, Poller},
};

/// What is only known where the program starts.
#[derive(Default)]
pub struct Options {
    /// A listener to serve on instead of opening one at the configured address.
    pub listener: Option<TcpListener>,
    /// Told the address once requests are taken there.
    pub announce: Option<Box<dyn FnOnce(SocketAddr) + Send>>,
    /// Where to read the configuration again when somebody asks for that.
    pub source: Option<Source>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, announce: _, source } = self;
        f.debug_struct("Options")
            .field("listener", listener)
            .field("source", source)
            .finish_non_exhaustive()
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
    let fixed = Fixed::of(&config);
    let (admissions, admission) = watch::channel(Arc::new(admission(&config)?));
    let metrics = Arc::new(Metrics::new(Registry::new()).context("cannot register metrics")?);
    let stores::Stores { log, state, records } = stores::open(&config)?;
    // What was polled before the last end counts until the first poll.
    let graph = Graph::load(&config.store.dir);
    let model = whole(&config.model, config.service_graph.as_ref(), &graph);
    metrics.config_loaded(clock::now(), &model.hash());
    let (log_fails, state_fails) = (log.failure(), state.damage());
    let hearing = Hearing::new(Arc::clone(&records), &config.feeds, clock::now())
        .map(Arc::new)
        .context("cannot read who was heard")?;
    let (models, model) = watch::channel(Arc::new(model));
    let (engine, handle, ready) =
        Engine::new(model, log, state, Arc::clone(&records), Arc::clone(&metrics));
    let engine = engine.keeping(retention(&config.store));
    let mut tasks = Tasks::default();
    let (asked, kept) = (handle.clone(), Arc::clone(&metrics));
    let running = Running { fixed, models, admissions, engine: asked, metrics: kept };
    let start = |source| tasks.reload(source, &config, graph, running);
    let reload = options.source.map(start).transpose()?;
    let api = Api::new(Parts {
        engine: handle.clone(),
        hearing: Arc::clone(&hearing),
        metrics: Arc::clone(&metrics),
        admission,
        ready: ready.clone(),
        reload,
    });
    let listener = match options.listener {
        Some(listener) => listener,
        None => bind(config.server.listen).await?,
    };
    let address = listener.local_addr().context("the listener has no address")?;

    let link = config.notify.link.clone().unwrap_or_else(|| format!("http://{address}"));
    let notifiers = notifiers(notify::Parts {
        engine: handle,
        hearing: Arc::clone(&hearing),
        records,
        metrics,
        posted: Arc::new(Notify::new()),
        settings: config.notify,
        link,
        clock: clock::now,
    })?;

    tasks.spawn("engine", |stop| async move { engine.run(stop).await.map_err(Into::into) });
    tasks.spawn("hearing", |stop| async move {
        hearing.run(clock::now, stop).await.map_err(Into::into)
    });
    if let Some((teller, courier)) = notifiers {
        tasks.spawn(
            "teller",
            |stop| async move { teller.run(ready, stop).await.map_err(Into::into) },
        );
        tasks.spawn("courier", |stop| async move { courier.run(stop).await.map_err(Into::into) });
    }
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

/// For how long things are kept.
fn retention(store: &config::Store) -> Option<Retention> {
    store.retention.map(|period| Retention { period, clock: clock::now })
}

/// Who may come in, and with how much.
fn admission(config: &Config) -> anyhow::Result<Admission> {
    let tokens = config.server.token_file.as_deref().map(Tokens::load).transpose()?;
    let body_bytes_max = config.server.body_bytes_max;
    let own = config.own_sources.clone().into_iter();
    let own = own.map(|(name, source)| (name, Arc::new(source))).collect();
    Ok(Admission { tokens, body_bytes_max, doors: config.doors.clone(), own })
}

/// Opens a listener.
///
/// # Errors
/// The address is taken, or not this machine's.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Those who tell the receiver of incidents, if there is one.
fn notifiers(parts: notify::Parts) -> anyhow::Result<Option<(Teller, Courier)>> {
    let Some(receiver) = parts.settings.receiver.clone() else { return Ok(None) };
    let secrets = Secrets::load(&receiver.secret_file)?;
    let courier = Courier::new((receiver, secrets), &parts)?;
    Ok(Some((Teller::new(parts, clock::now()).context("cannot read what was told")?, courier)))
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

    /// Starts to reload when asked to, and to poll who calls whom; to whom requests go.
    fn reload(
        &mut self,
        source: Source,
        config: &Config,
        known: Graph,
        running: Running,
    ) -> anyhow::Result<mpsc::Sender<http::Reload>> {
        let (ask, requests) = mpsc::channel(REQUESTS_MAX);
        // From here on a SIGHUP does not end the process.
        let hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let (service_graph, settings) = watch::channel(config.service_graph.clone());
        let (dir, metrics) = (config.store.dir.clone(), Arc::clone(&running.metrics));
        let (poller, graphs) = Poller::new(settings, known, dir, metrics, clock::now);
        let base = config.model.clone();
        let reloader = Reloader::new(source, running, base, service_graph, graphs);
        self.spawn("reload", |stop| async move {
            reloader.run(requests, hangups, stopped(stop)).await;
            Ok(())
        });
        self.spawn("poller", |stop| async move {
            poller.run(stop).await;
            Ok(())
        });
        Ok(ask)
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
