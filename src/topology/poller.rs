//! Polls, now and then, and tells of what is new.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::{Graph, Settings, ask::calls};
use crate::{
    event::Time,
    metrics::{Metrics, PollResult},
};

/// After a poll that failed it is tried again so soon, where it would be longer.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// The one that polls.
#[derive(Debug)]
pub struct Poller {
    settings: watch::Receiver<Option<Settings>>,
    graph: watch::Sender<Arc<Graph>>,
    dir: PathBuf,
    metrics: Arc<Metrics>,
    clock: fn() -> Time,
}

impl Poller {
    /// One that asks whom the settings name at the time, if anybody, keeps what it knows below this
    /// directory, and begins with what is known; and what is known then.
    pub fn new(
        settings: watch::Receiver<Option<Settings>>,
        known: Graph,
        dir: PathBuf,
        metrics: Arc<Metrics>,
        clock: fn() -> Time,
    ) -> (Self, watch::Receiver<Arc<Graph>>) {
        metrics.service_graph_holds(known.len());
        let (graph, graphs) = watch::channel(Arc::new(known));
        (Self { settings, graph, dir, metrics, clock }, graphs)
    }

    /// Polls until it is time to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.poll_on() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn poll_on(&mut self) {
        loop {
            let settings = self.settings.borrow_and_update().clone();
            let rest = match &settings {
                Some(settings) => Some(self.poll(settings).await),
                None => None,
            };
            let over = async {
                match rest {
                    Some(rest) => sleep(rest).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {}
                Ok(()) = self.settings.changed() => {}
            }
        }
    }

    /// Asks once; how long to rest then.
    async fn poll(&self, settings: &Settings) -> Duration {
        let every = settings.every.to_std().unwrap_or(RETRY_AFTER);
        match calls(settings).await {
            Ok(calls) => {
                self.learn(settings, calls).await;
                every
            }
            Err(error) => {
                // Counted first: who reads the line finds it in the metrics.
                self.metrics.service_graph_polled(PollResult::Failed, None);
                let error = format!("{error:#}");
                tracing::warn!(error, "the service graph could not be polled: it stays as it was");
                every.min(RETRY_AFTER)
            }
        }
    }

    async fn learn(&self, settings: &Settings, calls: Vec<(String, String)>) {
        let (now, known) = ((self.clock)(), Arc::clone(&self.graph.borrow()));
        let name = settings.name();
        let mut graph = if known.name == name { (*known).clone() } else { Graph::of(name) };
        graph.learn(calls, now, now.checked_sub_signed(settings.keep).unwrap_or(Time::MIN_UTC));
        let (is_news, graph) = (!graph.says_as(&known), Arc::new(graph));
        self.save(&graph).await;
        self.metrics.service_graph_holds(graph.len());
        self.graph.send_if_modified(|known| {
            *known = graph;
            is_news
        });
        let result = if is_news { PollResult::Changed } else { PollResult::Unchanged };
        self.metrics.service_graph_polled(result, Some(now));
    }

    /// What cannot be kept is known all the same, until the next start.
    async fn save(&self, graph: &Arc<Graph>) {
        let (graph, dir) = (Arc::clone(graph), self.dir.clone());
        let saved = tokio::task::spawn_blocking(move || graph.save(&dir)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "the service graph could not be kept");
        }
    }
}
