//! The file in which what was polled outlives the daemon. It is a memory and no truth: one that cannot
//! be read is as good as none, since the next poll makes it again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::event::Time;

/// Below the directory of the data.
const FILE: &str = "service-graph.json";

/// As it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Graph {
    prometheus: String,
    calls: Vec<Call>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Call {
    client: String,
    server: String,
    seen_at: Time,
}

impl From<Graph> for super::Graph {
    fn from(kept: Graph) -> Self {
        let call = |call: Call| ((call.client, call.server), call.seen_at);
        Self { name: kept.prometheus, calls: kept.calls.into_iter().map(call).collect() }
    }
}

impl From<super::Graph> for Graph {
    fn from(graph: super::Graph) -> Self {
        let call = |((client, server), seen_at)| Call { client, server, seen_at };
        Self { prometheus: graph.name, calls: graph.calls.into_iter().map(call).collect() }
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl super::Graph {
    /// What was known last, by the file below this directory; nothing without one. Blocks.
    pub fn load(dir: &Path) -> Self {
        let read = fs::read(file(dir))
            .and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                let file = file(dir);
                tracing::warn!(file = %file.display(), %error, "the service graph is polled anew");
            }
            Self::default()
        })
    }

    /// Writes it, whole or not at all; blocks.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let mut written = NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut written, self)?;
        written.persist(file(dir))?;
        Ok(())
    }
}
