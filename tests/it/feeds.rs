//! Who is heard, by the whole program.

use serde_json::json;

use crate::harness::Daemon;

#[test]
fn a_daemon_that_ends_well_remembers_whom_it_heard() {
    let mut daemon = Daemon::with("[[feed]]\nname = \"terraform\"\nevery = \"1h\"\n");
    daemon.post("/api/v1/changes", &json!({"title": "api 7", "kind": "deploy"}).to_string());
    daemon.post("/api/v1/heartbeats/terraform", "");
    let before = daemon.get("/api/v1/feeds")["feeds"].clone();
    let names: Vec<_> = before.as_array().unwrap().iter().map(|feed| &feed["name"]).collect();
    assert_eq!(names, ["changes:deploy", "terraform"]);
    assert!(before[1]["last_heard"].is_string(), "{before:#}");
    assert!(daemon.stop().success());
    daemon.restart();
    assert_eq!(daemon.get("/api/v1/feeds")["feeds"], before);
}
