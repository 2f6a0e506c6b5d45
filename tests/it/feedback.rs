//! What people say of changes through HTTP: it moves the answer, is told with its author, teaches later
//! incidents, and is the same as of any time, after a restart and after a rebuild.

use antecede::{
    correlate::{Incident, Suspect, Term},
    event::show_time,
};
use serde_json::{Value, json};

use crate::{
    days::moment,
    harness::{Daemon, antecede},
};

/// Each day two deploys may have broken the shop.
fn happens_on(daemon: &Daemon, day: i64) -> u64 {
    let deploy = |service: &str, minute| {
        json!({"id": format!("{service}-{day}"), "kind": "deploy", "action": "update",
            "title": format!("{service} build {day}"), "service": service,
            "environment": "production", "status": "succeeded",
            "started_at": show_time(moment(day, minute)),
            "finished_at": show_time(moment(day, minute + 3))})
    };
    let changes = json!([deploy("api", 600), deploy("shop", 596)]);
    daemon.post("/api/v1/changes", &changes.to_string());
    let alert = json!({"alertname": "Errors5xx", "service": "shop", "environment": "production",
        "starts_at": show_time(moment(day, 610)), "ends_at": show_time(moment(day, 640))});
    seq(&daemon.post("/api/v1/alerts", &alert.to_string()))
}

fn seq(reply: &Value) -> u64 {
    assert_eq!(reply["rejected"], json!([]), "{reply}");
    reply["seq"].as_u64().unwrap()
}

fn ready() -> Daemon {
    let services = "[[service]]\nname = \"shop\"\ndepends_on = [\"api\"]\n\
                    [[service]]\nname = \"api\"\n";
    Daemon::with_files("[catalog]\nfiles = [\"catalog.toml\"]\n", &[("catalog.toml", services)])
}

/// The incident of a day.
fn incident(daemon: &Daemon, day: i64, query: &str) -> Incident {
    let list = daemon.get(&format!("/api/v1/incidents?limit=1000&timeout=60s{query}"));
    let incidents: Vec<Incident> = serde_json::from_value(list["incidents"].clone()).unwrap();
    let began = moment(day, 610);
    let mut incidents = incidents.into_iter();
    incidents.find(|one| one.started_at == began).expect("an incident")
}

/// Says of a change of a day's incident what it was, by the clock of that day.
fn say(daemon: &Daemon, day: i64, change: &str, verdict: &str, minute: i64) -> u64 {
    let id = incident(daemon, day, "").id;
    let said = json!({"change": change, "verdict": verdict, "author": "ann",
        "at": show_time(moment(day, minute))});
    seq(&daemon.post(&format!("/api/v1/incidents/{id}/feedback"), &said.to_string()))
}

fn suspect<'a>(incident: &'a Incident, change: &str) -> &'a Suspect {
    let mut suspects = incident.suspects.iter();
    suspects.find(|one| one.change.0 == change).expect("a suspect")
}

fn term(suspect: &Suspect, kind: Term) -> Option<&str> {
    let mut evidence = suspect.evidence.iter();
    evidence.find(|term| term.kind == kind).map(|term| term.text.as_str())
}

#[test]
fn what_people_say_moves_the_answer_and_teaches_the_next() {
    let mut daemon = ready();
    let told = happens_on(&daemon, 0);
    let before = incident(&daemon, 0, &format!("&wait_seq={told}"));
    let probability = suspect(&before, "api-0").probability;

    let told = say(&daemon, 0, "api-0", "cause", 650);
    let confirmed = incident(&daemon, 0, &format!("&wait_seq={told}"));
    let named = suspect(&confirmed, "api-0");
    assert!(named.rank == 1 && named.probability > probability, "{confirmed:#?}");
    assert_eq!(term(named, Term::Feedback), Some("confirmed by ann at 10:50 UTC"));
    assert!(confirmed.headline.ends_with("confirmed by ann at 10:50 UTC"), "{confirmed:#?}");

    let told = say(&daemon, 0, "api-0", "not_cause", 660);
    let cleared = incident(&daemon, 0, &format!("&wait_seq={told}"));
    let mut reasons = cleared.cleared.iter().filter(|one| one.change.0 == "api-0");
    let acquitted = reasons.next().expect("it is cleared");
    assert!(acquitted.probability < probability, "{cleared:#?}");
    assert_eq!(acquitted.reason, "cleared by ann at 11:00 UTC");

    let told = say(&daemon, 0, "api-0", "withdrawn", 670);
    let withdrawn = incident(&daemon, 0, &format!("&wait_seq={told}"));
    assert_eq!(withdrawn.suspects, before.suspects);
    let told = say(&daemon, 0, "api-0", "cause", 680);
    let again = incident(&daemon, 0, &format!("&wait_seq={told}"));
    let probability = suspect(&again, "api-0").probability;
    assert_eq!(probability.to_bits(), named.probability.to_bits());

    let told = happens_on(&daemon, 1);
    let next = incident(&daemon, 1, &format!("&wait_seq={told}"));
    let taught = term(suspect(&next, "api-1"), Term::Taught).expect("it is taught");
    assert!(taught.contains("Errors5xx: the cause 1 time, not the cause 0 times"), "{taught}");
    assert_eq!(term(suspect(&next, "shop-1"), Term::Taught), None);

    // As of then it is what was said by then ...
    let then = |day, minute| format!("&at={}", show_time(moment(day, minute)));
    for (minute, expected) in [(649, &before), (655, &confirmed), (665, &cleared)] {
        let folded = incident(&daemon, 0, &then(0, minute));
        assert_eq!(
            (&folded.suspects, &folded.cleared),
            (&expected.suspects, &expected.cleared),
            "{minute}"
        );
    }
    // ... as of now what is told now, also after a restart, and of a state that is made anew.
    let now = |daemon: &Daemon| [0, 1].map(|day| incident(daemon, day, ""));
    let told = now(&daemon);
    assert_eq!([0, 1].map(|day| incident(&daemon, day, &then(3, 0))), told);
    daemon.kill();
    daemon.restart();
    assert_eq!(now(&daemon), told);
    assert!(daemon.stop().success());
    rebuild(&daemon);
    daemon.restart();
    assert_eq!(now(&daemon), told);
}

/// The incident of which it is said is frozen by then, so it is the next one that it could move.
#[test]
fn what_is_said_too_late_counts_after_a_rebuild() {
    let mut daemon = ready();
    for day in [0, 2, 8] {
        let told = happens_on(&daemon, day);
        daemon.get(&format!("/api/v1/incidents?limit=1&wait_seq={told}"));
    }
    let before = incident(&daemon, 2, "");
    let told = say(&daemon, 0, "api-0", "cause", 650);
    assert_eq!(incident(&daemon, 2, &format!("&wait_seq={told}")), before);
    assert!(daemon.stop().success());
    daemon.restart();
    assert_eq!(incident(&daemon, 2, ""), before, "a restart does not let it in");
    assert!(daemon.stop().success());
    rebuild(&daemon);
    daemon.restart();
    let after = incident(&daemon, 2, "");
    assert!(term(suspect(&after, "api-2"), Term::Taught).is_some(), "{after:#?}");
}

fn rebuild(daemon: &Daemon) {
    let mut command = antecede();
    command.arg("rebuild").arg("--data-dir").arg(daemon.dir().join("data"));
    let output = command.arg("--config").arg(daemon.dir().join("antecede.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
