//! Puts another configuration in force while the program runs: the files' on SIGHUP, and when it is
//! asked to over HTTP; and that of who calls whom when a poll found something new. The new set is
//! built whole before anything of it counts, so a bad file changes nothing, and all that an answer
//! depends on has one way to change.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch},
};

use super::admission;
use crate::{
    clock,
    config::{Config, REFUSAL_HINT},
    correlate::Model,
    engine::Handle,
    http::{Admission, Reload, Reloaded},
    metrics::Metrics,
    problem::Problem,
    topology::{Graph, Settings},
};

/// So many may wait for a reload; more are told to come again.
pub(super) const REQUESTS_MAX: usize = 8;

/// How long a reload waits for the state to be assessed under the new configuration before it is
/// answered all the same.
const ASSESS_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the configuration comes from, to be read again.
pub struct Source {
    /// What it is called in problems.
    pub name: String,
    /// Reads all of it; every problem of every file.
    pub read: Box<dyn Fn() -> Result<Config, Vec<Problem>> + Send + Sync>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The options that are as they were at the start until the program ends.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    listen: SocketAddr,
    dir: PathBuf,
    /// The engine has it from the start.
    retention: Option<TimeDelta>,
    /// The log marks events as late by it when they come, so old marks would contradict a new one.
    horizon: TimeDelta,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            listen: config.server.listen,
            dir: config.store.dir.clone(),
            retention: config.store.retention,
            horizon: config.model.settings.horizon,
        }
    }

    /// Puts the options back to what they were; the names of those that were altered.
    fn keep_in(&self, config: &mut Config) -> Vec<&'static str> {
        let mut altered = Vec::new();
        let mut keep = |name, is_altered| {
            if is_altered {
                altered.push(name);
            }
        };
        keep("server.listen", config.server.listen != self.listen);
        keep("store.dir", config.store.dir != self.dir);
        keep("store.retention", config.store.retention != self.retention);
        keep("correlation.horizon", config.model.settings.horizon != self.horizon);
        config.server.listen = self.listen;
        config.store.dir.clone_from(&self.dir);
        config.store.retention = self.retention;
        config.model.settings.horizon = self.horizon;
        altered
    }
}

/// What can be put in force without a restart.
struct Prepared {
    /// As the files have it.
    base: Model,
    service_graph: Option<Settings>,
    admission: Admission,
    needs_restart: Vec<&'static str>,
}

/// What runs under the configuration, and how to tell it of another.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) fixed: Fixed,
    pub(super) models: watch::Sender<Arc<Model>>,
    pub(super) admissions: watch::Sender<Arc<Admission>>,
    pub(super) engine: Handle,
    pub(super) metrics: Arc<Metrics>,
}

/// The one that puts a new configuration in force.
#[derive(Debug)]
pub(super) struct Reloader {
    source: Arc<Source>,
    running: Running,
    /// What is in force, as the files have it, ...
    base: Model,
    /// ... whom to ask besides, ...
    service_graph: watch::Sender<Option<Settings>>,
    /// ... and what they said.
    graphs: watch::Receiver<Arc<Graph>>,
}

impl Reloader {
    /// One that begins with what is in force: this from the files, and this from who was asked.
    pub(super) fn new(
        source: Source,
        running: Running,
        base: Model,
        service_graph: watch::Sender<Option<Settings>>,
        graphs: watch::Receiver<Arc<Graph>>,
    ) -> Self {
        Self { source: Arc::new(source), running, base, service_graph, graphs }
    }

    /// Reloads when it is asked to, until told to stop.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Reload>,
        mut hangups: Signal,
        stop: impl Future<Output = ()>,
    ) {
        let serve = async {
            loop {
                let request = tokio::select! {
                    request = requests.recv() => request,
                    _ = hangups.recv() => None,
                    Ok(()) = self.graphs.changed() => {
                        self.graph_changed();
                        continue;
                    }
                };
                let outcome = self.reload().await;
                if let Some(Reload { answer }) = request {
                    // Whoever asked may be gone; what was put in force stays.
                    drop(answer.send(outcome));
                }
            }
        };
        tokio::select! {
            () = serve => {}
            () = stop => {}
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, Vec<Problem>> {
        match self.prepare().await {
            Ok(prepared) => Ok(self.put_in_force(prepared).await),
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("{problem}");
                }
                let problems_found = problems.len();
                self.running.metrics.reload_failed();
                tracing::error!(problems_found, "the configuration stays as it was");
                Err(problems)
            }
        }
    }

    /// The whole new set, from files: on a thread that may block.
    async fn prepare(&self) -> Result<Prepared, Vec<Problem>> {
        let (source, fixed) = (Arc::clone(&self.source), self.running.fixed.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(&source, &fixed)).await;
        prepared.unwrap_or_else(|error| {
            Err(vec![Problem::of_file(&self.source.name, format!("reading it failed: {error}"))])
        })
    }

    async fn put_in_force(&mut self, prepared: Prepared) -> Reloaded {
        let Prepared { base, service_graph, admission, needs_restart } = prepared;
        self.running.admissions.send_replace(Arc::new(admission));
        self.base = base;
        self.service_graph.send_if_modified(|now| {
            let is_another = *now != service_graph;
            *now = service_graph;
            is_another
        });
        let config = self.swap().0;
        self.running.metrics.config_loaded(clock::now(), &config);
        let assessed = self.running.engine.wait_for_config(&config, ASSESS_TIMEOUT).await;
        for option in &needs_restart {
            tracing::warn!(option, "this is another now, and needs a restart");
        }
        tracing::info!(config, assessed, "the configuration was read anew");
        Reloaded { config, assessed, needs_restart }
    }

    /// A poll found something new.
    fn graph_changed(&mut self) {
        let calls = self.graphs.borrow_and_update().len();
        let (config, is_another) = self.swap();
        self.running.metrics.config_in_force(&config);
        if is_another {
            tracing::info!(config, calls, "the service graph is another now");
        }
    }

    /// Puts in force what there is now: its hash, and whether answers depend on what is new. What
    /// they do not depend on, as who told of a dependency, counts as well, and nothing is assessed
    /// again for it.
    fn swap(&self) -> (String, bool) {
        let model = {
            let (settings, graph) = (self.service_graph.borrow(), self.graphs.borrow());
            whole(&self.base, settings.as_ref(), &graph)
        };
        let config = model.hash();
        let is_another = self.running.models.borrow().hash() != config;
        self.running.models.send_if_modified(|now| {
            *now = Arc::new(model);
            is_another
        });
        (config, is_another)
    }
}

/// What the files say, and who calls whom besides.
pub(super) fn whole(base: &Model, settings: Option<&Settings>, graph: &Graph) -> Model {
    let part = settings.and_then(|settings| graph.part(settings));
    Model { catalog: base.catalog.with(part.as_slice()), ..base.clone() }
}

fn prepare(source: &Source, fixed: &Fixed) -> Result<Prepared, Vec<Problem>> {
    let mut config = (source.read)()?;
    let needs_restart = fixed.keep_in(&mut config);
    // Without a token it may be fine to listen where the new file says, and not where it does.
    if let Some(why) = config.server.refusal() {
        return Err(vec![Problem::of_file(&source.name, why).hint(REFUSAL_HINT)]);
    }
    let admission = admission(&config).map_err(|error| {
        let file = config.server.token_file.as_deref().unwrap_or(source.name.as_ref());
        vec![Problem::of_file(&file.display().to_string(), format!("{error:#}"))]
    })?;
    let Config { model: base, service_graph, .. } = config;
    Ok(Prepared { base, service_graph, admission, needs_restart })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(read: Config) -> Result<Prepared, Vec<Problem>> {
        let mut running = Config::default();
        running.server.listen = SocketAddr::from(([0, 0, 0, 0], 8377));
        let read = Box::new(move || Ok(read.clone()));
        prepare(&Source { name: "antecede.toml".to_owned(), read }, &Fixed::of(&running))
    }

    #[test]
    fn address_directory_retention_and_horizon_stay_until_a_restart() {
        let mut config = Config::default();
        config.server.allow_unauthenticated = true;
        config.store.dir = PathBuf::from("elsewhere");
        config.store.retention = None;
        config.model.settings.horizon += TimeDelta::days(1);
        config.model.settings.quiet += TimeDelta::days(1);
        let prepared = prepared(config.clone()).ok().unwrap();
        let expected = ["server.listen", "store.dir", "store.retention", "correlation.horizon"];
        assert_eq!(prepared.needs_restart, expected);
        let settings = prepared.base.settings;
        assert_eq!(settings.horizon, Config::default().model.settings.horizon);
        assert_eq!(settings.quiet, config.model.settings.quiet);
    }

    #[test]
    fn the_token_stays_where_the_address_that_needs_it_does() {
        // Fine by itself, as it would listen on loopback.
        let problems = prepared(Config::default()).err().unwrap();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.to_string().starts_with("antecede.toml:1:1: 0.0.0.0:8377 can be reached"));
    }
}
