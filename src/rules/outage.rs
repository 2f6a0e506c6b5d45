//! Which alerts mean that users could not use a service, where nobody says otherwise: alerts of
//! probes, of absence, of availability and of things that are down.

use super::Matchers;

/// Any of these means outage. What is slow, or is short of some of its copies, is degraded, and not
/// out: so `ReplicasUnavailable` is left out. So are words that only sound alike (`Download`,
/// `Slowdown`, `ScaleDown`), the probes by which Kubernetes restarts a container, and exporters,
/// which watch a service and are not it.
pub const OUTAGE: [&str; 5] = [
    r#"impact="outage""#,
    r#"alertname=~"(?i).*(probe|synthetic|uptime.?check|health.?check).*(fail|down|unsuccessful).*", alertname!~"(?i).*(liveness|readiness|startup).*""#,
    r#"alertname=~"(?i:.*absent)([^a-z].*)?""#,
    r#"alertname=~"(?i:.*(unavailable|unreachable))([^a-z].*)?|(?i:.*availability.?(low|lost|drop|breach|below|critical|burn).*)", alertname!~"(?i).*(replica|pod|node|target|instance|host|member|worker|broker|backend|endpoint)s?.?(unavailable|unreachable).*""#,
    r#"alertname=~".*Down([^a-z].*)?|(.*[^A-Za-z])?down([^A-Za-z].*)?", alertname!~"(?i).*(scaled?|scaling|slow|cool|count|shut|spin|wind|power|draw|break|exporter).?down.*""#,
];

/// [`OUTAGE`], ready to be asked.
pub fn default_outage() -> Vec<Matchers> {
    // A test proves that each of them parses.
    OUTAGE.iter().filter_map(|text| Matchers::parse(text).ok()).collect()
}
