//! Who may come in: those who send one of the tokens that a file lists.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use warp::http::{HeaderMap, header};

use super::{forms::COOKIE, reply::ApiError, route::Id};

/// What a request does, and a token may allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Tells of alerts, changes, notes and feedback.
    Ingest,
    /// Asks.
    Read,
    /// Steers the daemon.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Ingest, Self::Read, Self::Admin];

    const fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// A token that is let in, as its hash: what is compared has one length, in one time, and what is
/// held tells nobody a token.
struct Token {
    hash: [u8; 32],
    roles: Vec<Role>,
}

/// The tokens that are let in.
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// The tokens of a file, one a line; several while one is replaced by another. Before a token
    /// may stand what it is good for: `ingest,read 3f6c...`; one that stands alone is good for all.
    ///
    /// # Errors
    /// It cannot be read, has no token (then nobody could come in, or everybody), or gives one a role
    /// that there is not.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the token file {name}"))?;
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        let tokens = lines.map(|(number, line)| {
            token(line).with_context(|| format!("{name}, line {}", number + 1))
        });
        let tokens: Vec<_> = tokens.collect::<Result<_, _>>()?;
        if tokens.is_empty() {
            bail!("the token file {name} has no token");
        }
        Ok(Self(tokens))
    }

    /// Lets in a request that carries one of them, as programs do or as a page does, if that is good
    /// for what it does.
    pub(super) fn admit(&self, headers: &HeaderMap, role: Role) -> Result<(), ApiError> {
        let sent = match headers.get(header::AUTHORIZATION) {
            Some(value) => bearer(value.as_bytes()).map(str::to_owned),
            None => match cookie(headers) {
                Some(token) => Some(token),
                None => return Err(ApiError::unauthorized("a bearer token is needed")),
            },
        };
        let Some(roles) = sent.and_then(|token| self.roles(&token)) else {
            return Err(ApiError::unauthorized("the token is not one that is let in"));
        };
        if roles.contains(&role) {
            return Ok(());
        }
        let detail = format!("the token is let in, and lacks the role {}", role.word());
        Err(ApiError::forbidden(&detail))
    }

    /// What this token is good for; `None`: it is not one of them.
    pub(super) fn roles(&self, token: &str) -> Option<&[Role]> {
        let sent = hash(token);
        // All are looked at, so that time tells nothing of which it is.
        self.0.iter().fold(None, |found, one| {
            if one.hash.ct_eq(&sent).into() { Some(one.roles.as_slice()) } else { found }
        })
    }
}

/// A line of a token file.
fn token(line: &str) -> anyhow::Result<Token> {
    let Some((roles, token)) = line.split_once(char::is_whitespace) else {
        return Ok(Token { hash: hash(line), roles: Role::ALL.to_vec() });
    };
    let role = |word: &str| {
        let known = Role::ALL.into_iter().find(|role| role.word() == word);
        known.with_context(|| {
            let all = Role::ALL.map(Role::word).join(", ");
            format!("what stands before the token is to be some of {all}, with commas between")
        })
    };
    let roles = roles.split(',').map(role).collect::<Result<_, _>>()?;
    Ok(Token { hash: hash(token.trim()), roles })
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
