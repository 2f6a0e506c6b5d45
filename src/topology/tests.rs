use serde_json::json;

use super::*;
use crate::event::parse_time;

fn at(time: &str) -> Time {
    parse_time(&format!("2023-02-23T{time}:00Z")).unwrap()
}

fn call(client: &str, server: &str) -> (String, String) {
    (client.to_owned(), server.to_owned())
}

fn graph(calls: &[(&str, &str, &str)]) -> Graph {
    let mut graph = Graph::of("http://prometheus:9090/".to_owned());
    for (client, server, seen_at) in calls {
        graph.calls.insert(call(client, server), at(seen_at));
    }
    graph
}

#[test]
fn a_call_counts_for_a_while_after_it_was_seen_last() {
    let mut known = graph(&[("web", "api", "12:00"), ("web", "mail", "10:00")]);
    let before = known.clone();
    known.learn(vec![call("web", "api")], at("12:05"), at("10:00"));
    assert!(known.says_as(&before), "the same calls, seen at another time");
    known.learn(vec![call("api", "db")], at("12:10"), at("10:05"));
    assert_eq!(known, graph(&[("web", "api", "12:05"), ("api", "db", "12:10")]));
    assert!(!known.says_as(&before));
}

#[test]
fn an_answer_is_of_services_and_of_nobody_else() {
    let sample = |client, server, connection_type| {
        let metric =
            json!({"client": client, "server": server, "connection_type": connection_type});
        json!({"metric": metric, "value": [1_677_164_400.0, "3"]})
    };
    let long = "s".repeat(300);
    let answer = json!({"resultType": "vector", "result": [
        sample("web", "api", ""),
        sample("api", "orders", "database"),
        sample("user", "api", ""),
        sample("user", "web", "virtual_node"),
        sample("api", "unknown", "virtual_node"),
        sample("api", "api", "messaging_system"),
        sample("", "api", ""),
        sample("api", &long, ""),
        json!({"metric": {"client": "alone"}, "value": [1, "1"]}),
    ]});
    let vector: ask::Vector = serde_json::from_value(answer).unwrap();
    assert_eq!(vector.calls(), [call("web", "api"), call("api", "orders"), call("user", "api")]);
}

#[test]
fn what_was_known_outlives_the_daemon_and_what_cannot_be_read_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Graph::load(dir.path()), Graph::default());
    let known = graph(&[("web", "api", "12:00")]);
    known.save(dir.path()).unwrap();
    assert_eq!(Graph::load(dir.path()), known);
    let file = dir.path().join("service-graph.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.trim_end_matches('}')).unwrap();
    assert_eq!(Graph::load(dir.path()), Graph::default());
}

#[test]
fn only_the_graph_of_the_prometheus_that_is_asked_counts_and_its_password_is_not_told() {
    let settings = Settings::new("http://me:hunter2@prometheus:9090".parse().unwrap());
    assert_eq!(settings.name(), "http://me@prometheus:9090/");
    assert_eq!(graph(&[("web", "api", "12:00")]).part(&settings), None);
    let own = Graph { name: settings.name(), ..graph(&[("web", "api", "12:00")]) };
    let part = own.part(&settings).unwrap();
    assert_eq!(part.origin, Origin::new(Speaker::ServiceGraph, "http://me@prometheus:9090/"));
    assert!(part.services["web"].depends_on.contains("api"), "{part:?}");
}
