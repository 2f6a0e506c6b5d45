//! The Grafana dashboards: of the shape that Grafana imports, with queries that Prometheus and the
//! daemon understand, of metrics and fields that there are.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::{Daemon, find_program};

fn dashboard(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

fn targets(dashboard: &Value) -> impl Iterator<Item = &Value> {
    panels(dashboard).iter().flat_map(|panel| panel["targets"].as_array().unwrap())
}

#[test]
fn dashboards_are_of_the_shape_that_grafana_imports() {
    for name in ["antecede.json", "incidents.json"] {
        let dashboard = dashboard(name);
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36, "{name}");
        assert!(dashboard["uid"].as_str().unwrap().len() <= 40, "{name}");
        assert!(dashboard.get("id").is_none(), "{name}: an id is of one Grafana alone");
        let variables: BTreeSet<_> = dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("${{{}}}", one["name"].as_str().unwrap()))
            .collect();
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
            assert!(x + w <= 24, "{title} is wider than the grid");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{title} lies over another at {cell:?}");
            }
            let uid = panel["datasource"]["uid"].as_str().unwrap().to_owned();
            assert!(variables.contains(&uid), "{title}: {uid} is no variable");
        }
    }
}

#[test]
fn the_daemons_dashboard_asks_what_prometheus_understands_of_metrics_that_there_are() {
    let dashboard = dashboard("antecede.json");
    let expressions: Vec<String> = targets(&dashboard)
        .map(|target| {
            let expression = target["expr"].as_str().unwrap();
            expression.replace("$__rate_interval", "5m").replace("$job", "antecede")
        })
        .collect();
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(n, expr)| json!({"record": format!("panel:{n}"), "expr": expr}))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.json");
    // JSON is YAML.
    let groups = json!({"groups": [{"name": "panels", "rules": rules}]});
    fs::write(&file, groups.to_string()).unwrap();
    let checked =
        Command::new(find_program(&["promtool"])).arg("check").arg("rules").arg(&file).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let told = told(&fed());
    let metric = Regex::new(r"\b(antecede|process)_[a-z_]+").unwrap();
    let asked: BTreeSet<_> = expressions
        .iter()
        .flat_map(|expression| metric.find_iter(expression).map(|found| found.as_str()))
        .collect();
    let missing: Vec<_> =
        asked.iter().filter(|name| !told.contains(&format!("\n{name}"))).collect();
    assert!(missing.is_empty(), "no metric is called {missing:?}");
    assert!(asked.len() > 12, "{asked:?}");
}

/// A daemon that has something to tell.
fn fed() -> Daemon {
    let daemon = Daemon::with("[[feed]]\nname = \"terraform\"\nevery = \"1h\"\n");
    let change = json!({"id": "c", "title": "checkout 2", "kind": "deploy", "service": "checkout",
        "status": "succeeded", "started_at": "2023-02-23T15:00:00Z"});
    daemon.post("/api/v1/changes", &change.to_string());
    let alert = json!({"alertname": "Down", "service": "checkout", "severity": "page",
        "starts_at": "2023-02-23T15:04:00Z", "ends_at": "2023-02-23T15:14:00Z"});
    let seq = daemon.post("/api/v1/alerts", &alert.to_string())["seq"].clone();
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
    daemon.post("/api/v1/heartbeats/terraform", "");
    daemon
}

fn told(daemon: &Daemon) -> String {
    format!("\n{}", daemon.try_get("/metrics").unwrap().body)
}

#[test]
fn the_incidents_dashboard_asks_what_the_api_answers() {
    let daemon = fed();
    for target in targets(&dashboard("incidents.json")) {
        let url = target["url"].as_str().unwrap();
        let path = url
            .strip_prefix("${url}")
            .unwrap()
            .replace("${__from:date:iso}", "2023-02-23T12:00:00.000Z")
            .replace("${__to:date:iso}", "2023-02-23T18:00:00.000Z")
            .replace("state=open", "state=closed");
        let answer = daemon.get(&path);
        let rows = answer[target["root_selector"].as_str().unwrap()].as_array().unwrap();
        assert!(!rows.is_empty(), "{path} has nothing to show");
        for column in target["columns"].as_array().unwrap() {
            let selector = column["selector"].as_str().unwrap();
            let known = rows.iter().any(|row| row.get(selector).is_some());
            assert!(known, "no row of {path} has {selector}: {}", rows[0]);
        }
    }
}
