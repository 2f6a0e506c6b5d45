//! Where a change is, out of a name that people gave a job, a workspace or a pipeline:
//! `deploy-checkout-prod` is `checkout` in `prod`.

/// Words that name an environment.
const ENVIRONMENTS: [&str; 17] = [
    "canary",
    "dev",
    "develop",
    "development",
    "integration",
    "live",
    "preprod",
    "preview",
    "prod",
    "production",
    "qa",
    "sandbox",
    "stage",
    "staging",
    "test",
    "testing",
    "uat",
];

/// Words that say that something is put in place, and not what.
const DEPLOYS: [&str; 14] = [
    "apply",
    "build",
    "cd",
    "ci",
    "deploy",
    "deployment",
    "job",
    "pipeline",
    "promote",
    "publish",
    "release",
    "rollback",
    "rollout",
    "to",
];

/// What a name says of where something is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) service: Option<String>,
    pub(super) environment: Option<String>,
}

impl Place {
    /// What this name says. The words for an environment are looked for from the end on.
    pub(super) fn of(name: &str) -> Self {
        let words: Vec<_> =
            name.split(['-', '_', '.', ' ']).filter(|word| !word.is_empty()).collect();
        let is = |list: &[&str], word: &str| list.contains(&word.to_lowercase().as_str());
        let environment = words.iter().rev().find(|word| is(&ENVIRONMENTS, word));
        let rest = words.iter().filter(|word| Some(*word) != environment && !is(&DEPLOYS, word));
        let service = rest.copied().collect::<Vec<_>>().join("-");
        Self {
            service: Some(service).filter(|service| !service.is_empty()),
            environment: environment.map(|word| (*word).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_service_and_where() {
        for (name, service, environment) in [
            ("deploy-checkout-prod", Some("checkout"), Some("prod")),
            ("checkout_api.Staging", Some("checkout-api"), Some("Staging")),
            ("Deploy to production", None, Some("production")),
            ("network", Some("network"), None),
            ("test-runner-prod", Some("test-runner"), Some("prod")),
            ("", None, None),
        ] {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let want = Place { service: own(service), environment: own(environment) };
            assert_eq!(Place::of(name), want, "{name}");
        }
    }
}
