//! The rules that the program comes with: the files of `rules/`, compiled in.

use super::RuleSet;

/// Every rule file by its name; tests prove that none is missing and that they parse together.
pub const SHIPPED: [(&str, &str); 6] = [
    ("rules/config.toml", include_str!("../../rules/config.toml")),
    ("rules/deploy.toml", include_str!("../../rules/deploy.toml")),
    ("rules/karpenter.toml", include_str!("../../rules/karpenter.toml")),
    ("rules/node-groups.toml", include_str!("../../rules/node-groups.toml")),
    ("rules/permissions.toml", include_str!("../../rules/permissions.toml")),
    ("rules/rollback.toml", include_str!("../../rules/rollback.toml")),
];

impl RuleSet {
    /// The rules that the program comes with, from `rules/`.
    pub fn embedded() -> Self {
        let files = SHIPPED.map(|(name, text)| (name.to_owned(), text.to_owned()));
        // They are constants, and a test proves that they parse: there is nothing to recover from,
        // and without rules the model still answers.
        Self::parse(&files).unwrap_or_default()
    }
}
