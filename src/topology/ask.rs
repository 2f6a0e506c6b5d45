//! What a Prometheus is asked, and what is made of its answer.

use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use serde::Deserialize;

use super::Settings;
use crate::{duration::show_duration, prom_api::Prometheus};

/// What is looked at at least: a call that was made since counts.
const RANGE_MIN: TimeDelta = TimeDelta::hours(1);
/// So many calls are known at most; a graph of instances instead of services has more.
const CALLS_MAX: usize = 20_000;
/// A longer name is nobody's.
const NAME_BYTES_MAX: usize = 256;

/// Who called whom of late.
pub(super) async fn calls(settings: &Settings) -> anyhow::Result<Vec<(String, String)>> {
    let token = match &settings.token_file {
        Some(file) => Some(read_token(file).await?),
        None => None,
    };
    let prometheus = Prometheus::at(settings.url.clone(), token)?;
    let (vector, _) = prometheus.ask::<Vector>("query", &[("query", &query(settings))]).await?;
    let calls = vector.calls();
    if calls.len() > CALLS_MAX {
        let name = settings.name();
        bail!("{name} knows {} calls, more than {CALLS_MAX}: are these services?", calls.len());
    }
    Ok(calls)
}

/// Read each time, so that another one counts without a word.
async fn read_token(file: &Path) -> anyhow::Result<String> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// What was not called since the last poll is left out; so is what has been called no more.
fn query(settings: &Settings) -> String {
    let range = show_duration(settings.every.max(RANGE_MIN));
    format!(
        "sum by (client, server, connection_type) \
         (increase(traces_service_graph_request_total[{range}])) > 0"
    )
}

/// The data of `/api/v1/query`.
#[derive(Debug, Deserialize)]
pub(super) struct Vector {
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: Call,
}

#[derive(Debug, Deserialize)]
struct Call {
    #[serde(default)]
    client: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    connection_type: String,
}

impl Vector {
    /// Who calls whom, without what is no service.
    pub(super) fn calls(self) -> Vec<(String, String)> {
        let calls = self.result.into_iter().map(|sample| sample.metric);
        calls.filter(Call::is_of_services).map(|call| (call.client, call.server)).collect()
    }
}

impl Call {
    fn is_of_services(&self) -> bool {
        let is_name = |name: &str| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        // Whoever has no traces of their own, as a browser.
        let is_nobody = self.connection_type == "virtual_node"
            && (self.client == "user" || self.server == "unknown");
        is_name(&self.client) && is_name(&self.server) && self.client != self.server && !is_nobody
    }
}
