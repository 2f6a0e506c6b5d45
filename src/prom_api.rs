//! Asks a Prometheus, or what answers its API. In: a path below `/api/v1` and what to ask. Out: the
//! data of its answer, or one sentence on why not that names the address and no password.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::{StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};

/// Longer replies are not read: the range is asked for in smaller parts.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// How long Prometheus may take to accept a connection, ...
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// ... and to answer: as long as it lets a query run.
const REPLY_TIMEOUT: Duration = Duration::from_mins(2);

/// So much is shown of a reply that is not understood.
const SHOWN_BYTES_MAX: usize = 200;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// It would be too long: ask for less.
    TooMuch(anyhow::Error),
    /// It would be the same for less.
    AtAll(anyhow::Error),
}

/// One Prometheus, with the token for it.
#[derive(Clone, Debug)]
pub struct Prometheus {
    http: reqwest::Client,
    url: Url,
    token: Option<String>,
}

impl From<Failed> for anyhow::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::TooMuch(error) | Failed::AtAll(error) => error,
        }
    }
}

impl Prometheus {
    /// The one at this address, which may have a path.
    ///
    /// # Errors
    /// It is no address of HTTP, or there is no HTTP to be had.
    pub fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let parsed = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .with_context(|| {
                format!("{url:?} is not a Prometheus: want a URL as http://127.0.0.1:9090")
            })?;
        Self::at(parsed, token)
    }

    /// The same, of an address that is known to be one of HTTP.
    ///
    /// # Errors
    /// There is no HTTP to be had.
    pub fn at(mut url: Url, token: Option<String>) -> anyhow::Result<Self> {
        url.set_query(None);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REPLY_TIMEOUT)
            .user_agent(concat!("antecede/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { http, url, token })
    }

    /// What it answers to a question, with its warnings.
    ///
    /// # Errors
    /// It does not answer, or not with this.
    pub async fn ask<D: DeserializeOwned>(
        &self,
        what: &str,
        asked: &[(&str, &str)],
    ) -> Result<(D, Vec<String>), Failed> {
        let mut url = self.url.clone();
        // Only a URL that cannot be a base has no segments, and that was let out.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", what]);
        }
        let at = url.clone();
        url.query_pairs_mut().extend_pairs(asked);
        let (status, body) = self.get(url, &at).await?;
        let reply: Reply<D> = serde_json::from_slice(&body).map_err(|error| {
            let shown = body.get(..SHOWN_BYTES_MAX.min(body.len())).unwrap_or_default();
            let shown = String::from_utf8_lossy(shown);
            let why = format!("answered {status}, and not as Prometheus does ({error}): {shown}");
            Failed::AtAll(failure(&at, &why))
        })?;
        match (reply.data, reply.error) {
            (Some(data), None) => Ok((data, reply.warnings)),
            (_, error) => {
                let kind = reply.error_type.unwrap_or_default();
                let error = error.unwrap_or_default();
                let why = failure(&at, &format!("answered {status}: {kind}: {error}"));
                let too_much = kind == "timeout" || error.contains("too many samples");
                Err(if too_much { Failed::TooMuch(why) } else { Failed::AtAll(why) })
            }
        }
    }

    async fn get(&self, url: Url, at: &Url) -> Result<(StatusCode, Vec<u8>), Failed> {
        let mut request = self.http.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let unreachable = |error| unreachable(at, error);
        let mut reply = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > REPLY_BYTES_MAX {
                let why = format!("answered with more than {REPLY_BYTES_MAX} bytes");
                return Err(Failed::TooMuch(failure(at, &why)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((reply.status(), body))
    }
}

/// Why there is no reply: of the layers that report it, the lowest knows.
fn unreachable(at: &Url, error: reqwest::Error) -> Failed {
    if error.is_timeout() && !error.is_connect() {
        return Failed::TooMuch(failure(at, "did not answer in time"));
    }
    let error = anyhow!(error.without_url());
    Failed::AtAll(failure(at, &format!("cannot be reached: {}", error.root_cause())))
}

fn failure(at: &Url, what: &str) -> anyhow::Error {
    anyhow!("{} {what}", shown(at))
}

/// An address as it may be shown: whoever reads it need not know the password in it.
pub fn shown(url: &Url) -> Url {
    let mut shown = url.clone();
    // Only a URL that cannot have one keeps it.
    shown.set_password(None).unwrap_or_default();
    shown
}

/// What every path under `/api/v1` answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "D: DeserializeOwned")]
struct Reply<D> {
    data: Option<D>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}
