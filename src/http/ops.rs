//! What supervisors ask: whether it lives, whether it is ready, and its metrics.

use std::sync::Arc;

use warp::reply::Response;

use super::{
    Api,
    reply::{ApiError, json, typed},
};
use crate::clock;
use crate::event::{Time, show_time};

const PLAIN: &str = "text/plain; charset=utf-8";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Api {
    /// The process answers.
    pub(super) fn healthy() -> Response {
        typed(PLAIN, b"healthy\n".to_vec())
    }

    /// Whether answers hold all that was in the log at the start.
    pub(super) fn ready(&self) -> Result<Response, ApiError> {
        if *self.parts.ready.borrow() {
            return Ok(typed(PLAIN, b"ready\n".to_vec()));
        }
        let assessed = self.parts.engine.assessed().0;
        let detail = format!("starting: the log is assessed up to {assessed}");
        Err(ApiError::not_yet(detail))
    }

    /// What tools ask an Alertmanager for before they talk to it.
    pub(super) fn alertmanager_status(&self) -> Response {
        json(&serde_json::json!({
            "cluster": { "status": "disabled", "peers": [] },
            "config": { "original": "" },
            "uptime": show_time(self.started_at),
            "versionInfo": {
                "version": env!("CARGO_PKG_VERSION"),
                "revision": "",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": "",
            },
        }))
    }

    pub(super) async fn metrics_page(&self) -> Result<Response, ApiError> {
        let (engine, metrics) = (self.parts.engine.clone(), Arc::clone(&self.parts.metrics));
        for feed in self.parts.hearing.feeds(clock::now()) {
            metrics.feed(&feed.name.0, feed.heard.map(|(_, last)| last), feed.silent);
        }
        let text = self.in_turn(move || {
            let end = engine.log().end()?;
            let (events, oldest) = engine.lag(end);
            metrics.engine_lags(events, oldest);
            metrics.store_holds("log", engine.log().size()?);
            metrics.log_begins(engine.log().oldest(Time::MIN_UTC, end)?);
            metrics.store_holds("state", engine.state().size()?);
            metrics.text().map_err(|error| {
                tracing::error!(%error, "the metrics cannot be written");
                ApiError::internal()
            })
        });
        Ok(typed(METRICS, text.await?))
    }
}
