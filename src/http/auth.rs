//! Who may come in: those who send one of the tokens that a file lists.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use warp::http::{HeaderMap, header};

use super::reply::ApiError;

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

    /// Lets in a request that carries one of them.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(token) = headers.get(header::AUTHORIZATION).map(|value| bearer(value.as_bytes()))
        else {
            return Err(ApiError::unauthorized("a bearer token is needed"));
        };
        let sent = hash(token.unwrap_or_default());
        let known = self.0.iter().fold(0, |known, one| known | one.ct_eq(&sent).unwrap_u8());
        if token.is_some() && known == 1 {
            return Ok(());
        }
        Err(ApiError::unauthorized("the token is not one that is let in"))
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

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
