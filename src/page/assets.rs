//! Style, script and icon: parts of the program, each under a name that changes with its content, so
//! that browsers may keep them for ever.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::picture;

/// A file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// Where it is served, with the hash of its content.
    pub path: String,
    /// What it is.
    pub media_type: &'static str,
    /// What is in it.
    pub content: String,
}

impl Asset {
    fn new(stem: &str, ending: &str, media_type: &'static str, content: String) -> Self {
        let digest = Sha256::digest(&content);
        let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        Self { path: format!("/assets/{stem}-{hash:016x}.{ending}"), media_type, content }
    }
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let content = [include_str!("assets/page.css"), picture::STYLE].concat();
    Asset::new("page", "css", "text/css; charset=utf-8", content)
});

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("assets/page.js").to_owned();
    Asset::new("page", "js", "text/javascript; charset=utf-8", content)
});

pub(super) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("assets/icon.svg").to_owned();
    Asset::new("icon", "svg", "image/svg+xml", content)
});

/// The asset that is served at this path.
pub fn asset(path: &str) -> Option<&'static Asset> {
    [&STYLE, &SCRIPT, &ICON].into_iter().map(|asset| &**asset).find(|asset| asset.path == path)
}
