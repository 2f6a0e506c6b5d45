//! Who may post as a source: signatures and tokens, each as its vendor makes them.
//!
//! In: a post as it came, the secrets that are configured, and the time of receipt. Out: whether one
//! of the secrets vouches for it. Secrets are compared in constant time, several count at once so that
//! one can take another's place, and none is ever shown. Nothing here reads a file or a clock, and
//! nothing of a body is understood before it is vouched for, but for a key that stands in the body.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac as Authenticator};
use serde::Deserialize;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use super::source::Post;
use crate::event::Time;

/// A signature with a time in it counts for so long before and after that time: who recorded a post
/// cannot send it again tomorrow.
pub const WINDOW: TimeDelta = TimeDelta::minutes(5);

/// What the secrets of Standard Webhooks begin with.
const WEBHOOK_SECRET: &str = "whsec_";

/// The header of Grafana's signature, and that of its time where one is configured there.
const GRAFANA: [&str; 2] = ["x-grafana-alerting-signature", "x-grafana-alerting-timestamp"];

/// How a source says that a post is its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// An HMAC over the body, in hex, in a header.
    Hmac {
        /// The header, in small letters.
        header: Cow<'static, str>,
        /// By which hash.
        hash: Hash,
    },
    /// <https://www.standardwebhooks.com>: an HMAC over id, time and body.
    StandardWebhooks,
    /// `X-Buildkite-Signature`: an HMAC over time and body.
    Buildkite,
    /// Grafana Alerting's HMAC, over the body or over time and body.
    Grafana,
    /// The secret itself in a header.
    Token(Cow<'static, str>),
    /// The secret itself in a parameter of the query.
    Query(&'static str),
    /// The secret itself in the body's `routing_key`.
    RoutingKey,
    /// `Authorization: Bearer` and the secret.
    Bearer,
    /// `Authorization: Basic` with the secret as password, whatever the user is called.
    Basic,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// The one that the value begins with, as in `sha256=...`.
    Named,
}

impl Scheme {
    /// `X-Hub-Signature-256`, as GitHub, Gitea and Forgejo sign.
    pub const GITHUB: Self = Self::hmac("x-hub-signature-256", Hash::Sha256);
    /// Flux' `generic-hmac`.
    pub const FLUX: Self = Self::hmac("x-signature", Hash::Named);
    /// HCP Terraform.
    pub const HCP_TERRAFORM: Self = Self::hmac("x-tfe-notification-signature", Hash::Sha512);
    /// LaunchDarkly.
    pub const LAUNCHDARKLY: Self = Self::hmac("x-ld-signature", Hash::Sha256);
    /// GitLab's older secret token.
    pub const GITLAB_TOKEN: Self = Self::token("x-gitlab-token");

    /// An HMAC over the body in this header.
    pub const fn hmac(header: &'static str, hash: Hash) -> Self {
        Self::Hmac { header: Cow::Borrowed(header), hash }
    }

    /// The secret itself in this header.
    pub const fn token(header: &'static str) -> Self {
        Self::Token(Cow::Borrowed(header))
    }

    /// The words for schemes in a configuration.
    pub const WORDS: [&'static str; 14] = [
        "github",
        "gitlab",
        "flux",
        "hcp_terraform",
        "launchdarkly",
        "standard_webhooks",
        "grafana",
        "buildkite",
        "routing_key",
        "bearer",
        "basic",
        "hmac_sha256",
        "hmac_sha512",
        "token",
    ];

    /// The scheme that a word stands for; `header` is where the last three of them are.
    pub fn parse(word: &str, header: Option<&str>) -> Option<Self> {
        let own = |hash| {
            header.map(|header| Self::Hmac { header: header.to_ascii_lowercase().into(), hash })
        };
        Some(match word {
            "hmac_sha256" => own(Hash::Sha256)?,
            "hmac_sha512" => own(Hash::Sha512)?,
            "token" => Self::Token(header?.to_ascii_lowercase().into()),
            "github" => Self::GITHUB,
            "gitlab" => Self::GITLAB_TOKEN,
            "flux" => Self::FLUX,
            "hcp_terraform" => Self::HCP_TERRAFORM,
            "launchdarkly" => Self::LAUNCHDARKLY,
            "standard_webhooks" => Self::StandardWebhooks,
            "grafana" => Self::Grafana,
            "buildkite" => Self::Buildkite,
            "routing_key" => Self::RoutingKey,
            "bearer" => Self::Bearer,
            "basic" => Self::Basic,
            _ => return None,
        })
    }

    /// What people look for at the sender, as a header's name.
    pub fn shown(&self) -> String {
        match self {
            Self::Hmac { header, .. } | Self::Token(header) => format!("`{header}`"),
            Self::StandardWebhooks => "`webhook-signature`".to_owned(),
            Self::Buildkite => "`x-buildkite-signature`".to_owned(),
            Self::Grafana => format!("`{}`", GRAFANA[0]),
            Self::Query(name) => format!("`?{name}=`"),
            Self::RoutingKey => "`routing_key` in the body".to_owned(),
            Self::Bearer => "a bearer token".to_owned(),
            Self::Basic => "a password (basic)".to_owned(),
        }
    }

    /// Whether the post carries anything of the kind.
    fn is_tried(&self, post: &Post<'_>) -> bool {
        let has = |name: &str| post.headers.get(name).is_some();
        match self {
            Self::Hmac { header, .. } | Self::Token(header) => has(header),
            Self::StandardWebhooks => has("webhook-signature"),
            Self::Buildkite => has("x-buildkite-signature"),
            Self::Grafana => has(GRAFANA[0]),
            Self::Query(name) => post.asks(name).is_some(),
            Self::RoutingKey => true,
            Self::Bearer => authorization(post, "bearer").is_some(),
            Self::Basic => authorization(post, "basic").is_some(),
        }
    }

    /// Whether it takes the body to tell whether the post is its own.
    const fn reads_body(&self) -> bool {
        match self {
            Self::Hmac { .. }
            | Self::StandardWebhooks
            | Self::Buildkite
            | Self::Grafana
            | Self::RoutingKey => true,
            Self::Token(_) | Self::Query(_) | Self::Bearer | Self::Basic => false,
        }
    }

    /// What comes of it with these secrets.
    fn judge(&self, post: &Post<'_>, secrets: &Secrets) -> Verdict {
        match self {
            Self::Hmac { header, hash } => match post.headers.get(header) {
                Some(sent) => signed(*hash, sent, &[post.body], secrets),
                None => Verdict::Absent,
            },
            Self::StandardWebhooks => standard_webhooks(post, secrets),
            Self::Buildkite => buildkite(post, secrets),
            Self::Grafana => grafana(post, secrets),
            Self::Token(header) => match post.headers.get(header) {
                Some(sent) if secrets.hold(sent) => Verdict::Good,
                Some(_) => Verdict::Wrong("the token is not one that is let in"),
                None => Verdict::Absent,
            },
            // What follows may be meant for the daemon itself, so that it is not wrong yet.
            Self::Query(name) => secrets.known(post.asks(name)),
            // PagerDuty's clients try by an empty body whether this is PagerDuty, and want it refused
            // for what it lacks: nothing is let in by it.
            Self::RoutingKey if post.body.is_empty() => Verdict::Good,
            Self::RoutingKey => secrets.known(routing_key(post.body).as_deref()),
            Self::Bearer => secrets.known(authorization(post, "bearer")),
            Self::Basic => {
                secrets.known(authorization(post, "basic").and_then(password).as_deref())
            }
        }
    }
}

/// What comes of a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// One of the secrets vouches for it.
    Good,
    /// There is none.
    Absent,
    /// There is one, and it is wrong.
    Wrong(&'static str),
}

/// The secrets of one source and how it uses them.
#[derive(Clone, Debug)]
pub struct Verifier {
    schemes: Vec<Scheme>,
    secrets: Secrets,
}

impl Verifier {
    /// One of these schemes with one of these secrets.
    pub fn new(schemes: Vec<Scheme>, secrets: Secrets) -> Self {
        Self { schemes, secrets }
    }

    /// Whether the post carries anything that could vouch for it. Its body does not matter yet, so
    /// that one that carries nothing costs nothing.
    pub fn is_tried(&self, post: &Post<'_>) -> bool {
        self.schemes.iter().any(|scheme| scheme.is_tried(post))
    }

    /// Whether it can only be judged with its body.
    pub fn awaits_body(&self, post: &Post<'_>) -> bool {
        self.schemes.iter().any(|scheme| scheme.reads_body() && scheme.is_tried(post))
    }

    /// What comes of it: good if one scheme says so, else wrong if one does.
    pub fn judge(&self, post: &Post<'_>) -> Verdict {
        let mut told = Verdict::Absent;
        for scheme in &self.schemes {
            match scheme.judge(post, &self.secrets) {
                Verdict::Good => return Verdict::Good,
                wrong @ Verdict::Wrong(_) => told = wrong,
                Verdict::Absent => {}
            }
        }
        told
    }

    /// What a post needs to carry.
    pub fn wanted(&self) -> String {
        let all: Vec<_> = self.schemes.iter().map(Scheme::shown).collect();
        all.join(" or ")
    }
}

/// Secrets that count at once.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Takes in the secrets of a text, one a line; whether there was any.
    pub fn add(&mut self, text: &str) -> bool {
        let before = self.0.len();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        self.0.extend(lines.map(|line| line.as_bytes().to_vec()));
        self.0.len() > before
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is one of them. Hashes are compared, so that no length is told.
    fn hold(&self, sent: &str) -> bool {
        let sent = Sha256::digest(sent.as_bytes());
        let known = |one: &Vec<u8>| Sha256::digest(one).as_slice().ct_eq(sent.as_slice());
        self.0.iter().fold(0, |held, one| held | known(one).unwrap_u8()) == 1
    }

    fn known(&self, sent: Option<&str>) -> Verdict {
        if sent.is_some_and(|sent| self.hold(sent)) { Verdict::Good } else { Verdict::Absent }
    }

    /// Whether one of them, as `key` reads it, signed the parts so.
    fn sign(
        &self,
        hash: Hash,
        sent: &[u8],
        parts: &[&[u8]],
        key: fn(&[u8]) -> Cow<'_, [u8]>,
    ) -> bool {
        let holds = match (hash, sent.len()) {
            (Hash::Sha256, _) | (Hash::Named, 32) => holds::<Hmac<Sha256>>,
            (Hash::Sha512, _) | (Hash::Named, 64) => holds::<Hmac<Sha512>>,
            (Hash::Named, 28) => holds::<Hmac<Sha224>>,
            (Hash::Named, 48) => holds::<Hmac<Sha384>>,
            (Hash::Named, _) => return false,
        };
        self.0.iter().fold(false, |held, one| held | holds(&key(one), parts, sent))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn holds<M: Authenticator + KeyInit>(key: &[u8], parts: &[&[u8]], sent: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(sent).is_ok()
}

fn as_is(secret: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(secret)
}

const WRONG: Verdict = Verdict::Wrong("the signature is not one that a secret of ours makes");
const STALE: Verdict = Verdict::Wrong("the signature's time is more than 5 min from ours");

/// A signature in hex, whose name before `=` says the hash.
fn signed(hash: Hash, sent: &str, parts: &[&[u8]], secrets: &Secrets) -> Verdict {
    let digits = sent.split_once('=').map_or(sent, |(_, digits)| digits);
    let good = unhex(digits).is_some_and(|mac| secrets.sign(hash, &mac, parts, as_is));
    if good { Verdict::Good } else { WRONG }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.trim().as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks_exact(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

fn standard_webhooks(post: &Post<'_>, secrets: &Secrets) -> Verdict {
    let header = |name| post.headers.get(name);
    let Some(sent) = header("webhook-signature") else { return Verdict::Absent };
    let (Some(id), Some(seconds)) = (header("webhook-id"), header("webhook-timestamp")) else {
        return Verdict::Wrong("`webhook-id` and `webhook-timestamp` are needed too");
    };
    if !is_fresh(seconds, post.received) {
        return STALE;
    }
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", seconds.as_bytes(), b".", post.body];
    // Several signatures while the sender's secret changes; those of other versions are not ours.
    let macs = sent.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
    let good =
        macs.fold(false, |good, mac| good | secrets.sign(Hash::Sha256, &mac, &parts, webhook_key));
    if good { Verdict::Good } else { WRONG }
}

/// The key that a secret of Standard Webhooks stands for; one of another form stands for itself.
fn webhook_key(secret: &[u8]) -> Cow<'_, [u8]> {
    let decoded =
        secret.strip_prefix(WEBHOOK_SECRET.as_bytes()).and_then(|text| STANDARD.decode(text).ok());
    decoded.map_or(Cow::Borrowed(secret), Cow::Owned)
}

/// `timestamp=...,signature=...`
fn buildkite(post: &Post<'_>, secrets: &Secrets) -> Verdict {
    let Some(sent) = post.headers.get("x-buildkite-signature") else { return Verdict::Absent };
    let part = |name| sent.split(',').find_map(|part| part.trim().strip_prefix(name));
    let (Some(seconds), Some(mac)) = (part("timestamp="), part("signature=")) else {
        return Verdict::Wrong("the signature is not as \"timestamp=...,signature=...\"");
    };
    if !is_fresh(seconds, post.received) {
        return STALE;
    }
    signed(Hash::Sha256, mac, &[seconds.as_bytes(), b".", post.body], secrets)
}

fn grafana(post: &Post<'_>, secrets: &Secrets) -> Verdict {
    let [signature, timestamp] = GRAFANA.map(|name| post.headers.get(name));
    let Some(sent) = signature else { return Verdict::Absent };
    let Some(seconds) = timestamp else {
        return signed(Hash::Sha256, sent, &[post.body], secrets);
    };
    if !is_fresh(seconds, post.received) {
        return STALE;
    }
    signed(Hash::Sha256, sent, &[seconds.as_bytes(), b":", post.body], secrets)
}

fn is_fresh(seconds: &str, received: Time) -> bool {
    let Ok(seconds) = seconds.trim().parse::<i64>() else { return false };
    received.timestamp().abs_diff(seconds) <= WINDOW.num_seconds().unsigned_abs()
}

fn authorization<'p>(post: &Post<'p>, scheme: &str) -> Option<&'p str> {
    let (word, rest) = post.headers.get("authorization")?.split_once(' ')?;
    word.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// All of a body that is understood before it is vouched for.
#[derive(Deserialize)]
struct Keyed {
    routing_key: String,
}

fn routing_key(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|Keyed { routing_key }| routing_key)
}
