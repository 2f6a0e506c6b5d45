//! The API over real stores in a temporary directory: what is answered to what is asked.

mod alertmanager;
mod bodies;
mod feeds;
mod ingest;
mod ops;
mod params;
mod query;
mod socket;
mod sources;

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use warp::{
    http::{HeaderMap, StatusCode, header},
    test::RequestBuilder,
};

use super::{Admission, Api, Parts, Reload, Tokens, routes};
use crate::{
    clock,
    correlate::Model,
    engine::Handle,
    event::{Time, parse_time},
    feed::{Carries, Expected, FeedName},
    hearing::Hearing,
    metrics::Metrics,
    store::{Log, Records, Seq, SqliteLog, SqliteRecords, SqliteState, State},
};

const BODY_MAX: usize = 64 << 10;

/// A daemon without its engine: what is assessed is what a test says.
struct Daemon {
    log: Arc<dyn Log>,
    state: Arc<SqliteState>,
    assessed: watch::Sender<Seq>,
    ready: watch::Sender<bool>,
    models: watch::Sender<Arc<Model>>,
    admissions: watch::Sender<Arc<Admission>>,
    reloads: mpsc::Receiver<Reload>,
    api: Api,
    _dir: TempDir,
}

/// A reply, read whole.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Daemon {
    fn start() -> Self {
        Self::with(|log| log, None)
    }

    fn with(log: impl FnOnce(Arc<dyn Log>) -> Arc<dyn Log>, tokens: Option<Tokens>) -> Self {
        Self::built(log, tokens, &[])
    }

    /// One that has been awake for an hour, in which terraform should have been heard every five
    /// minutes.
    fn that_misses_terraform() -> Self {
        let name = FeedName("terraform".to_owned());
        let every = TimeDelta::minutes(5);
        Self::built(|log| log, None, &[Expected { name, carries: Carries::Changes, every }])
    }

    fn built(
        log: impl FnOnce(Arc<dyn Log>) -> Arc<dyn Log>,
        tokens: Option<Tokens>,
        expected: &[Expected],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = Arc::new(Model::default());
        let on_disk = SqliteLog::open(dir.path(), model.settings.horizon).unwrap();
        let state = Arc::new(SqliteState::open(dir.path()).unwrap());
        let (assessed, assessed_so_far) = watch::channel(Seq(0));
        let (ready, readiness) = watch::channel(false);
        let log = log(Arc::new(on_disk));
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::open(dir.path()).unwrap());
        let an_hour_ago = clock::now() - TimeDelta::hours(1);
        let hearing = Arc::new(Hearing::new(Arc::clone(&records), expected, an_hour_ago).unwrap());
        let contract: Arc<dyn State> = Arc::<SqliteState>::clone(&state);
        let (models, model) = watch::channel(model);
        let admission = Admission {
            tokens,
            body_bytes_max: BODY_MAX,
            doors: BTreeMap::new(),
            own: BTreeMap::new(),
        };
        let (admissions, admission) = watch::channel(Arc::new(admission));
        let (reload, reloads) = mpsc::channel(1);
        let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
        let (tail, told) = (Arc::clone(&log), Arc::clone(&metrics));
        let api = Api::new(Parts {
            engine: Handle::new(model, tail, contract, records, assessed_so_far, told),
            hearing,
            metrics,
            admission,
            ready: readiness,
            reload: Some(reload),
            desk: None,
        });
        Self { log, state, assessed, ready, models, admissions, reloads, api, _dir: dir }
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        let reply = request.reply(&routes(self.api.clone())).await;
        let body = serde_json::from_slice(reply.body())
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(reply.body()).into_owned()));
        Reply { status: reply.status(), headers: reply.headers().clone(), body }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(warp::test::request().path(path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = warp::test::request().method("POST").path(path);
        self.send(request.body(body.to_string())).await
    }
}

impl Reply {
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:#}", self.body);
        self.body
    }

    #[track_caller]
    fn problem(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.body["status"], status);
        self.body
    }
}

fn at(text: &str) -> Time {
    parse_time(text).unwrap()
}

fn webhook(alerts: &[Value]) -> Value {
    json!({"version": "4", "status": "firing", "alerts": alerts})
}

fn alert(name: &str) -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": name},
        "startsAt": "2023-02-23T19:13:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    })
}
