//! The outside's window: what the daemon takes, and what it answers.
//!
//! In: HTTP requests. Out: events handed to the log, and answers read from the state or folded as
//! of a time. `route` says which paths there are, `reply` which errors. Nothing is acknowledged
//! before it is durable, no request is unbounded, and no error is a warp rejection: those mean
//! "try the next route".

mod actions;
mod auth;
mod body;
mod catalog;
mod documents;
mod endings;
mod feeds;
mod forms;
mod ingest;
mod ops;
mod pages;
mod params;
mod query;
mod reload;
mod reply;
mod route;
mod server;
mod stream;
mod view;

#[cfg(test)]
mod tests;

pub use self::{
    auth::Tokens,
    reload::{Reload, Reloaded},
    server::serve,
};

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use warp::{
    Filter as _,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderMap, Method},
    reply::Response,
};

use self::{
    body::Body,
    ingest::Poster,
    reply::{ApiError, handshake},
    route::{Target, target},
};
use crate::{
    clock,
    engine::Handle,
    event::Time,
    hearing::Hearing,
    metrics::Metrics,
    notify::Desk,
    wire::{
        signature::Verifier,
        source::{Own, Source},
    },
};

/// So many reads of the store or of the log run at once; more wait.
const READS_MAX: usize = 8;

/// What answering needs.
#[derive(Debug)]
pub struct Parts {
    /// What is known.
    pub engine: Handle,
    /// Who is heard.
    pub hearing: Arc<Hearing>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may come in, and with how much.
    pub admission: watch::Receiver<Arc<Admission>>,
    /// Whether the engine has caught up since the start.
    pub ready: watch::Receiver<bool>,
    /// Whom to ask to read the configuration anew; `None`: it is read from nowhere.
    pub reload: Option<mpsc::Sender<Reload>>,
    /// Who takes action items; `None`: they are sent nowhere.
    pub desk: Option<Desk>,
}

/// Who may come in, and with how much.
#[derive(Debug)]
pub struct Admission {
    /// The tokens to ask for; `None`: everybody who reaches the address comes in.
    pub tokens: Option<Tokens>,
    /// A request's body is cut off here.
    pub body_bytes_max: usize,
    /// The sources, by name, that come in by a secret of their own in a token's place.
    pub doors: BTreeMap<String, Verifier>,
    /// The sources that the configuration describes, by name.
    pub own: BTreeMap<String, Arc<Own>>,
}

/// Answers requests; cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    parts: Arc<Parts>,
    reads: Arc<Semaphore>,
    /// One for each that follows what is assessed, ...
    streams: Arc<Semaphore>,
    /// ... all of whom end when this says so.
    closing: Arc<watch::Sender<bool>>,
    started_at: Time,
}

/// A request, before its body is read.
struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    query: Vec<(String, String)>,
    body: Body,
}

/// Everything that can be asked for.
pub fn routes(api: Api) -> BoxedFilter<(Response,)> {
    let request = warp::method()
        .and(warp::path::full().map(|path: FullPath| path.as_str().to_owned()))
        .and(warp::header::headers_cloned())
        .and(asked())
        .and(body::streamed())
        .map(|method, path, headers, query, body| Request { method, path, headers, query, body });
    target()
        .and(request)
        .then(move |target, request| {
            let api = api.clone();
            async move { api.answer(target, request).await }
        })
        .boxed()
}

/// What the query says, and what a source's address says like it.
fn asked() -> BoxedFilter<(Vec<(String, String)>,)> {
    warp::query::<Vec<(String, String)>>()
        .and(warp::path::full())
        .map(|mut query: Vec<(String, String)>, path: FullPath| {
            query.extend(Source::addressed(path.as_str()).into_iter().flat_map(|(_, said)| said));
            query
        })
        .boxed()
}

impl Api {
    /// Answers out of these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            streams: Arc::new(Semaphore::new(stream::STREAMS_MAX)),
            closing: Arc::new(watch::Sender::new(false)),
            started_at: clock::now(),
        }
    }

    async fn answer(self, target: Target, request: Request) -> Response {
        let started = Instant::now();
        let admission = Arc::clone(&self.parts.admission.borrow());
        let (route, source) = (target.route(), target.source(&request.method, &admission));
        let page = target.page().cloned();
        let response = match self.dispatch(target, source.as_ref(), request, &admission).await {
            Ok(response) => response,
            Err(error) if page.is_some() => pages::failed(error),
            Err(error) => match &source {
                Some(source) => error.in_dialect(source.dialect()),
                None => error.into_response(),
            },
        };
        let code = response.status().as_u16();
        self.parts.metrics.http_answered(route, code, started.elapsed());
        if let Some(source) = source {
            self.parts.metrics.ingest_answered(source.name(), code, started.elapsed());
        }
        response
    }

    async fn dispatch(
        &self,
        target: Target,
        source: Option<&Poster>,
        request: Request,
        admission: &Admission,
    ) -> Result<Response, ApiError> {
        if target.is_unknown(admission) {
            return Err(ApiError::not_found("there is nothing at this path"));
        }
        let methods = target.methods();
        if !methods.contains(&request.method) {
            return Err(ApiError::method_not_allowed(methods));
        }
        if request.method == Method::OPTIONS {
            return Ok(handshake(request.headers.get("webhook-request-origin")));
        }
        if let Some(source) = source {
            return self.ingest(source, request, admission).await;
        }
        if let (Some(tokens), false) = (&admission.tokens, target.is_open())
            && let Err(error) = tokens.admit(&request.headers, target.role())
        {
            return match target.page() {
                Some(_) if request.method == Method::GET && error.is_unauthorized() => {
                    Ok(pages::to_login(&request))
                }
                Some(_) | None => Err(error),
            };
        }
        if let Target::Page(view) = target {
            return self.show(view, request).await;
        }
        if let Target::Heartbeat(feed) = target {
            return self.heartbeat(feed, request).await;
        }
        if let Target::Actions(id) = target {
            return self.act(id, request, admission.body_bytes_max).await;
        }
        if let Target::Feedback(id) = target {
            return self.feedback(id, request, admission.body_bytes_max).await;
        }
        self.ask(target, request).await
    }
}
