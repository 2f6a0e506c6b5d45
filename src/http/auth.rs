//! Who may come in: those who send one of the tokens that a file lists.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use warp::http::{HeaderMap, header};

use super::{forms::COOKIE, reply::ApiError, route::Id};

/// The tokens that are let in, as hashes: what is compared has one length, in one time, and what is
/// held tells nobody a token.
pub struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// The tokens of a file, one a line; several while one is replaced by another.
    ///
    /// # Errors
    /// It cannot be read, or has no token: then nobody could come in, or everybody.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the token file {}", path.display()))?;
        let tokens: Vec<_> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(hash).collect();
        if tokens.is_empty() {
            bail!("the token file {} has no token", path.display());
        }
        Ok(Self(tokens))
    }

    /// Lets in a request that carries one of them, as programs do or as a page does.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let sent = match headers.get(header::AUTHORIZATION) {
            Some(value) => bearer(value.as_bytes()).map(str::to_owned),
            None => match cookie(headers) {
                Some(token) => Some(token),
                None => return Err(ApiError::unauthorized("a bearer token is needed")),
            },
        };
        if sent.is_some_and(|token| self.know(&token)) {
            return Ok(());
        }
        Err(ApiError::unauthorized("the token is not one that is let in"))
    }

    /// Whether this is one of them.
    pub(super) fn know(&self, token: &str) -> bool {
        let sent = hash(token);
        self.0.iter().fold(0, |known, one| known | one.ct_eq(&sent).unwrap_u8()) == 1
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token that a page's reader gave when they logged in.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|one| one.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Some(value.trim().parse::<Id>().ok()?.0)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
