//! Reads what the commands are pointed at; every error names the file.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};

/// The text of a file.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The token in a file, less the newline that editors put after it.
pub(super) fn read_token(path: &Path) -> anyhow::Result<String> {
    let token = read_text(path)?.trim().to_owned();
    if token.is_empty() {
        bail!("{} holds no token", path.display());
    }
    Ok(token)
}
