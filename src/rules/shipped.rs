//! The rules that the program comes with: the files of `rules/`, compiled in.

use super::RuleSet;

/// Every rule file by its name; tests prove that none is missing and that they parse together.
pub const SHIPPED: [(&str, &str); 27] = [
    ("rules/admission.toml", include_str!("../../rules/admission.toml")),
    ("rules/caches.toml", include_str!("../../rules/caches.toml")),
    ("rules/certificates.toml", include_str!("../../rules/certificates.toml")),
    ("rules/cni.toml", include_str!("../../rules/cni.toml")),
    ("rules/config.toml", include_str!("../../rules/config.toml")),
    ("rules/databases.toml", include_str!("../../rules/databases.toml")),
    ("rules/deploy.toml", include_str!("../../rules/deploy.toml")),
    ("rules/dns.toml", include_str!("../../rules/dns.toml")),
    ("rules/edge.toml", include_str!("../../rules/edge.toml")),
    ("rules/feature-flags.toml", include_str!("../../rules/feature-flags.toml")),
    ("rules/inert.toml", include_str!("../../rules/inert.toml")),
    ("rules/ingress.toml", include_str!("../../rules/ingress.toml")),
    ("rules/karpenter.toml", include_str!("../../rules/karpenter.toml")),
    ("rules/load.toml", include_str!("../../rules/load.toml")),
    ("rules/monitoring.toml", include_str!("../../rules/monitoring.toml")),
    ("rules/network.toml", include_str!("../../rules/network.toml")),
    ("rules/node-groups.toml", include_str!("../../rules/node-groups.toml")),
    ("rules/nodes.toml", include_str!("../../rules/nodes.toml")),
    ("rules/onsets.toml", include_str!("../../rules/onsets.toml")),
    ("rules/permissions.toml", include_str!("../../rules/permissions.toml")),
    ("rules/platform.toml", include_str!("../../rules/platform.toml")),
    ("rules/queues.toml", include_str!("../../rules/queues.toml")),
    ("rules/quotas.toml", include_str!("../../rules/quotas.toml")),
    ("rules/removals.toml", include_str!("../../rules/removals.toml")),
    ("rules/rollback.toml", include_str!("../../rules/rollback.toml")),
    ("rules/storage.toml", include_str!("../../rules/storage.toml")),
    ("rules/workloads.toml", include_str!("../../rules/workloads.toml")),
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
