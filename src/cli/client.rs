//! Talks to a daemon over HTTP. In: what to ask or post. Out: the reply's JSON, or one sentence on
//! why there is none that names the daemon, the field and what to do.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, RequestBuilder, StatusCode, Url, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;

use super::{
    args::{Moment, Server},
    files::read_token,
};
use crate::{duration::parse_duration, event::show_time};

/// How long a daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a reply may take, on top of what it was asked to wait for.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// The daemon has not assessed so far yet: there is no answer, and nothing is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotYet(String);

/// One daemon, with the token for it.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client for the daemon that the arguments name.
    pub(super) fn new(server: &Server) -> anyhow::Result<Self> {
        let token = server.token_file.as_deref().map(read_token).transpose()?;
        let base = Url::parse(&server.server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .with_context(|| {
                format!("{:?} is not a server: want a URL as http://127.0.0.1:8377", server.server)
            })?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("antecede/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, base, token })
    }

    /// The address of a path, whose parts may hold any characters.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only a URL that cannot be a base has no segments, and `new` lets none in.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Asks for something, as of a moment.
    pub(super) async fn ask(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        moment: &Moment,
    ) -> anyhow::Result<Value> {
        let (status, body) = self.ask_whole(path, query, moment).await?;
        self.read(status, &body)
    }

    /// The same of what is not JSON.
    pub(super) async fn ask_text(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        moment: &Moment,
    ) -> anyhow::Result<String> {
        let (status, body) = self.ask_whole(path, query, moment).await?;
        if !status.is_success() {
            bail!("{}", refusal(status, &body));
        }
        Ok(body)
    }

    async fn ask_whole(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        moment: &Moment,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut url = self.url(path);
        let (asked, wait) = moment_query(moment)?;
        let pairs = query.iter().chain(&asked);
        url.query_pairs_mut().extend_pairs(pairs.map(|(name, value)| (*name, value.as_str())));
        if url.query() == Some("") {
            url.set_query(None);
        }
        let request = self.request(Method::GET, url).timeout(REPLY_TIMEOUT + wait);
        let (status, body) = self.send(request).await?;
        if status == StatusCode::SERVICE_UNAVAILABLE && moment.wait_seq.is_some() {
            return Err(NotYet(refusal(status, &body)).into());
        }
        Ok((status, body))
    }

    /// Posts JSON.
    pub(super) async fn post(&self, path: &str, body: String) -> anyhow::Result<Value> {
        let (status, body) = self.send_json(path, body).await?;
        self.read(status, &body)
    }

    /// Posts JSON of which any part, or each, may be rejected: the reply lists those.
    pub(super) async fn post_parts(&self, path: &str, body: String) -> anyhow::Result<Value> {
        let (status, body) = self.send_json(path, body).await?;
        if status == StatusCode::BAD_REQUEST
            && let Ok(reply) = serde_json::from_str::<Value>(&body)
            && reply.get("rejected").is_some()
        {
            return Ok(reply);
        }
        self.read(status, &body)
    }

    /// Posts JSON to a URL of the daemon's.
    pub(super) async fn post_to(&self, url: Url, body: String) -> anyhow::Result<Value> {
        let (status, body) = self.send_json_to(url, body).await?;
        self.read(status, &body)
    }

    async fn send_json(&self, path: &str, body: String) -> anyhow::Result<(StatusCode, String)> {
        let path: Vec<_> = path.trim_start_matches('/').split('/').collect();
        self.send_json_to(self.url(&path), body).await
    }

    async fn send_json_to(&self, url: Url, body: String) -> anyhow::Result<(StatusCode, String)> {
        let request = self
            .request(Method::POST, url)
            .timeout(REPLY_TIMEOUT)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        self.send(request).await
    }

    /// Whether the daemon is ready, and what it says.
    pub(super) async fn ready(&self) -> anyhow::Result<(bool, String)> {
        let request = self.request(Method::GET, self.url(&["-", "ready"])).timeout(CONNECT_TIMEOUT);
        let (status, body) = self.send(request).await?;
        Ok((status.is_success(), body))
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn read(&self, status: StatusCode, body: &str) -> anyhow::Result<Value> {
        if !status.is_success() {
            bail!("{}", refusal(status, body));
        }
        serde_json::from_str(body)
            .with_context(|| format!("{} answered something else than JSON", self.base))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<(StatusCode, String)> {
        let reply = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = reply.status();
        let body = reply.text().await.map_err(|error| self.unreachable(error))?;
        Ok((status, body))
    }

    /// Why there is no reply: of the layers that report it, the lowest knows.
    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let base = &self.base;
        if error.is_timeout() {
            return anyhow!("got no answer from antecede at {base} in time");
        }
        let error = anyhow!(error);
        let cause = error.root_cause().to_string();
        anyhow!(cause).context(format!(
            "cannot reach antecede at {base} (does it run? name it with --server or ANTECEDE_URL)"
        ))
    }
}

/// The query of a moment, and how long it may keep the daemon waiting.
fn moment_query(moment: &Moment) -> anyhow::Result<(Vec<(&'static str, String)>, Duration)> {
    let mut query = Vec::new();
    let mut wait = Duration::ZERO;
    if let Some(at) = moment.at {
        query.push(("at", show_time(at)));
    }
    if let Some(seq) = moment.wait_seq {
        let timeout = parse_duration(&moment.timeout).map_err(anyhow::Error::msg);
        wait = timeout.and_then(|timeout| timeout.to_std().context("cannot wait for so long"))?;
        query.push(("wait_seq", seq.to_string()));
        query.push(("timeout", moment.timeout.clone()));
    }
    Ok((query, wait))
}

/// What a daemon says that it did not do, and why: RFC 9457.
#[derive(Debug, Default, Deserialize)]
struct ProblemReply {
    title: Option<String>,
    detail: Option<String>,
    field: Option<String>,
    hint: Option<String>,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

/// One item of a post that was not taken.
#[derive(Debug, Deserialize)]
pub(super) struct Rejected {
    index: Option<u64>,
    field: Option<String>,
    reason: String,
}

impl Rejected {
    /// `2: started_at: want a time`.
    pub(super) fn sentence(&self) -> String {
        let index = self.index.map(|index| index.to_string());
        let parts = [index.as_deref(), self.field.as_deref(), Some(self.reason.as_str())];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

/// What was wrong, in the words of the daemon.
fn refusal(status: StatusCode, body: &str) -> String {
    let Ok(problem) = serde_json::from_str::<ProblemReply>(body) else {
        return format!("the daemon answered {status}: {}", body.trim());
    };
    let parts = [problem.title, problem.field, problem.detail];
    let mut text: String = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    if text.is_empty() {
        text = format!("the daemon answered {status}");
    }
    for rejected in &problem.rejected {
        text.push_str("\n  ");
        text.push_str(&rejected.sentence());
    }
    if let Some(hint) = problem.hint {
        text.push_str("\n  hint: ");
        text.push_str(&hint);
    }
    text
}
