//! The parameters of queries.

use proptest::prelude::*;
use serde_json::json;
use warp::http::header;

use super::Daemon;
use crate::{
    event::time_of_micros,
    http::params::{LIST, Params, cursor},
    store::Seq,
};

#[tokio::test]
async fn a_misspelt_parameter_is_told_what_was_meant() {
    let daemon = Daemon::start();
    let reply = daemon.get("/api/v1/incidents?statee=open").await.problem(400);
    assert_eq!(reply["field"], "statee");
    assert_eq!(reply["hint"], "did you mean state?");
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let daemon = Daemon::start();
    for (query, field) in [
        ("incidents?limit=0", "limit"),
        ("incidents?limit=1001", "limit"),
        ("incidents?start=soon", "start"),
        ("incidents?start=200&end=100", "end"),
        ("incidents?state=ajar", "state"),
        ("incidents?state=open&state=quiet", "state"),
        ("incidents?match[]=a%7E%7Eb", "match[]"),
        ("incidents?cursor=zz", "cursor"),
        ("incidents?wait_seq=-1", "wait_seq"),
        ("incidents?wait_seq=1&timeout=1d", "timeout"),
        ("incidents?at=noon", "at"),
        ("alerts?firing=maybe", "firing"),
        ("changes?state=open", "state"),
        ("timeline?limit=3", "limit"),
        // It is said at once, not after the wait.
        ("incidents?wait_seq=9&timeout=60s&limit=x", "limit"),
    ] {
        let reply = daemon.get(&format!("/api/v1/{query}")).await.problem(400);
        assert_eq!(reply["field"], field, "{query}: {reply}");
    }
}

#[tokio::test]
async fn an_answer_waits_for_what_was_posted() {
    let daemon = Daemon::start();
    let late = daemon.get("/api/v1/incidents?wait_seq=7&timeout=1ms").await;
    assert!(late.headers.contains_key(header::RETRY_AFTER));
    late.problem(503);
    let asked = daemon.get("/api/v1/incidents?wait_seq=7&timeout=30s");
    let told = async { daemon.assessed.send_replace(Seq(7)) };
    let (reply, _) = tokio::join!(asked, told);
    assert_eq!(reply.ok()["incidents"], json!([]));
}

proptest! {
    #[test]
    fn a_cursor_leads_back_to_its_place(micros in any::<i64>(), id in any::<String>()) {
        let key = (time_of_micros(micros), id);
        let pairs = vec![("cursor".to_owned(), cursor(&key))];
        let page = Params::new(pairs, Some(&[&LIST])).unwrap().selection().unwrap().page;
        prop_assert_eq!(page.after, Some(key));
    }

    #[test]
    fn no_cursor_makes_it_panic(text in any::<String>()) {
        let params = Params::new(vec![("cursor".to_owned(), text)], Some(&[&LIST])).unwrap();
        drop(params.selection());
    }
}
