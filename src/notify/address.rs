//! Where things are sent, and in which form each kind of receiver takes them.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, bail};
use reqwest::{Client, RequestBuilder, StatusCode, Url, header};
use serde_json::{Value, json};

use super::{Secrets, Tracker, courier::Answer};
use crate::{
    event::Time,
    store::{Mailbox, Notice, NoticeId},
};

/// A receiver, with what it lets in.
pub enum Address {
    /// Signed as Standard Webhooks.
    Signed(Mailbox, Url, Secrets),
    /// Grafana's annotations, with a service account's token.
    Grafana(Url, Token),
    /// Linear's GraphQL, with an API key.
    Linear(Url, Token),
    /// Jira's REST API: a user's name and API token.
    Jira(Url, String, Token),
}

/// A secret out of a file; it is never shown.
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Token {
    /// The first line of a file.
    ///
    /// # Errors
    /// It cannot be read, or is empty. What stands in it is not told.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the token file {}", path.display()))?;
        match text.lines().next().map(str::trim) {
            Some(token) if !token.is_empty() => Ok(Self(token.to_owned())),
            Some(_) | None => bail!("the token file {} has no token", path.display()),
        }
    }
}

impl fmt::Debug for Address {
    /// Without what may be secret: tokens, and the path of an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} at {:?})", self.mailbox().word(), self.url().host_str())
    }
}

impl Address {
    /// The address of a tracker of action items.
    ///
    /// # Errors
    /// Its token or its secrets cannot be read.
    pub fn of(tracker: &Tracker) -> anyhow::Result<Self> {
        Ok(match tracker {
            Tracker::Webhook(receiver) => Self::Signed(
                Mailbox::Webhook,
                receiver.url.clone(),
                Secrets::load(&receiver.secret_file)?,
            ),
            Tracker::Linear { url, token_file, .. } => {
                Self::Linear(url.clone(), Token::load(token_file)?)
            }
            Tracker::Jira { url, user, token_file, .. } => {
                let url = below(url, "rest/api/2/issue")?;
                Self::Jira(url, user.clone(), Token::load(token_file)?)
            }
        })
    }

    /// The address of a Grafana's annotations.
    ///
    /// # Errors
    /// Its token cannot be read.
    pub fn of_grafana(url: &Url, token_file: &Path) -> anyhow::Result<Self> {
        Ok(Self::Grafana(below(url, "api/annotations")?, Token::load(token_file)?))
    }

    /// Where what is sent here waits.
    pub fn mailbox(&self) -> Mailbox {
        match self {
            Self::Signed(mailbox, ..) => *mailbox,
            Self::Grafana(..) => Mailbox::Grafana,
            Self::Linear(..) => Mailbox::Linear,
            Self::Jira(..) => Mailbox::Jira,
        }
    }

    fn url(&self) -> &Url {
        match self {
            Self::Signed(_, url, _)
            | Self::Grafana(url, _)
            | Self::Linear(url, _)
            | Self::Jira(url, ..) => url,
        }
    }

    /// The request that sends this notice.
    pub(super) fn request(&self, http: &Client, notice: &Notice, now: Time) -> RequestBuilder {
        let request = http
            .post(self.url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(notice.body.clone());
        match self {
            Self::Signed(_, _, secrets) => {
                let NoticeId(id) = &notice.id;
                request
                    .header("webhook-id", id)
                    .header("webhook-timestamp", now.timestamp())
                    .header("webhook-signature", secrets.sign(id, now.timestamp(), &notice.body))
            }
            Self::Grafana(_, Token(token)) => request.bearer_auth(token),
            // Linear takes a personal API key as it is.
            Self::Linear(_, Token(token)) => request.header(header::AUTHORIZATION, token),
            Self::Jira(_, user, Token(token)) => request.basic_auth(user, Some(token)),
        }
    }

    /// Whether a receiver that answers so has taken it: GraphQL says so in the body alone.
    pub(super) fn judge(&self, status: StatusCode, body: &str, answer: Answer) -> Answer {
        if !matches!(self, Self::Linear(..)) || !status.is_success() {
            return answer;
        }
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        if said.pointer("/data/issueCreate/success") == Some(&json!(true)) {
            return answer;
        }
        let why = said.pointer("/errors/0/message").and_then(Value::as_str);
        let why = why.unwrap_or("it did not say that the issue was made");
        Answer::Refused { why: format!("it answered 200: {why}"), away: None }
    }
}

/// A path below an address that may have one itself.
fn below(url: &Url, path: &str) -> anyhow::Result<Url> {
    let base = format!("{}/", url.as_str().trim_end_matches('/'));
    Url::parse(&base).and_then(|base| base.join(path)).context("this address has no path")
}
