//! Signs as Standard Webhooks does: HMAC-SHA256 over id, time and body. What is held here is never
//! shown.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has at least, and at most.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets that notices are signed with: several while one is replaced by another.
pub struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    /// The secrets of a file, one a line.
    ///
    /// # Errors
    /// It cannot be read, has no secret, or has something else. What stands in it is not told.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let file = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the secret file {file}"))?;
        Self::parse(&text).with_context(|| format!("the secret file {file} cannot be used"))
    }

    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
        let secrets: Vec<_> = lines
            .map(|(line, number)| {
                secret(line).with_context(|| {
                    format!(
                        "line {number} is not a secret: want \"{PREFIX}\" and {} to {} bytes in \
                         base64",
                        BYTES.start(),
                        BYTES.end()
                    )
                })
            })
            .collect::<anyhow::Result<_>>()?;
        if secrets.is_empty() {
            bail!("it has no secret");
        }
        Ok(Self(secrets))
    }

    /// The value of `webhook-signature`: a signature with each secret.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let signatures = self.0.iter().map(|secret| {
            let mut mac = secret.clone();
            mac.update(format!("{id}.{seconds}.{body}").as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn secret(line: &str) -> Option<Hmac<Sha256>> {
    let bytes = STANDARD.decode(line.strip_prefix(PREFIX)?).ok()?;
    if !BYTES.contains(&bytes.len()) {
        return None;
    }
    Hmac::new_from_slice(&bytes).ok()
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}
