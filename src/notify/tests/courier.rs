use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::{StatusCode, Url};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Notify};
use warp::Filter as _;

use super::{
    super::{
        Address, Courier, Receiver, Secrets, Settings, Tracker,
        courier::{Answer, answer, next, retry_after},
        tests::teller::parts,
    },
    *,
};
use crate::{
    correlate::IncidentId,
    store::{
        Attempt, Mailbox, Notice, NoticeId, Outgoing, Published, Records, SqliteRecords,
        SqliteState,
    },
};

fn outgoing(id: &str, attempts: u32) -> Outgoing {
    let notice = Notice { id: NoticeId(id.to_owned()), made_at: at(0), body: String::new() };
    Outgoing { notice, attempts, next_attempt: at(0) }
}

fn refused(away: Option<i64>) -> Answer {
    Answer::Refused { why: "it answered 500".to_owned(), away: away.map(TimeDelta::seconds) }
}

/// After how many seconds it is tried again.
fn delay(sent: &Outgoing, answer: Answer) -> f64 {
    match next(&Settings::default(), sent, answer, at(0)) {
        Attempt::Failed { next_attempt } => (next_attempt - at(0)).to_std().unwrap().as_secs_f64(),
        other @ (Attempt::Delivered { .. } | Attempt::GivenUp { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn only_2xx_is_taken_and_only_410_is_for_good() {
    for code in [200, 201, 202, 204, 299] {
        assert_eq!(answer(StatusCode::from_u16(code).unwrap(), None), Answer::Taken, "{code}");
    }
    assert_eq!(answer(StatusCode::GONE, None), Answer::Gone);
    for code in [301, 307, 400, 401, 404, 409, 429, 500, 503] {
        let answer = answer(StatusCode::from_u16(code).unwrap(), None);
        let told =
            matches!(&answer, Answer::Refused { why, .. } if why.contains(&code.to_string()));
        assert!(told, "{answer:?}");
    }
}

#[test]
fn each_failure_doubles_the_wait_up_to_an_hour_give_or_take_a_quarter() {
    let expected = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600];
    for (attempts, expected) in (0..).zip(expected) {
        for id in ["msg_1", "msg_2", "msg_3"] {
            let share = delay(&outgoing(id, attempts), refused(None)) / f64::from(expected);
            assert!((0.75..1.25).contains(&share), "{attempts}: {share}");
        }
    }
    let waits: Vec<_> =
        (0..50).map(|n| delay(&outgoing(&format!("msg_{n}"), 4), refused(None))).collect();
    let spread = waits.iter().fold(0.0_f64, |max, one| max.max(*one))
        - waits.iter().fold(f64::INFINITY, |min, one| min.min(*one));
    assert!(spread > 30.0, "they come back together: {waits:?}");
    assert!(delay(&outgoing("msg_1", u32::MAX), refused(None)) < 4500.0);
}

#[test]
fn a_receiver_that_says_when_to_come_again_is_left_alone_until_then() {
    assert!((delay(&outgoing("msg_1", 0), refused(Some(600))) - 600.0).abs() < 1e-6);
    assert!(delay(&outgoing("msg_1", 0), refused(Some(1))) > 3.0, "it may not ask for more often");
    assert_eq!(retry_after("120", at(0)), Some(TimeDelta::seconds(120)));
    let date = at(90).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    assert_eq!(retry_after(&date, at(0)), Some(TimeDelta::seconds(90)));
    for nonsense in ["soon", "", "-", "99999999999999999999"] {
        assert_eq!(retry_after(nonsense, at(0)), None, "{nonsense}");
    }
    // As long as it may be asked for, no longer: whoever answers so has no say over the outbox.
    let far =
        next(&Settings::default(), &outgoing("msg_1", 0), refused(Some(i64::MAX / 1000)), at(0));
    assert_eq!(far, Attempt::Failed { next_attempt: at(86_400) });
}

#[test]
fn a_notice_is_given_up_after_a_day_or_by_a_410() {
    let day_after = at(86_390);
    let tried = next(&Settings::default(), &outgoing("msg_1", 20), refused(None), day_after);
    assert_eq!(tried, Attempt::GivenUp { at: day_after, why: "it answered 500".to_owned() });
    let gone = next(&Settings::default(), &outgoing("msg_1", 0), Answer::Gone, at(1));
    assert!(matches!(gone, Attempt::GivenUp { .. }), "{gone:?}");
    let taken = next(&Settings::default(), &outgoing("msg_1", 20), Answer::Taken, day_after);
    assert_eq!(taken, Attempt::Delivered { at: day_after });
}

#[test]
fn the_path_of_the_address_is_not_shown() {
    let url = Url::parse("https://user:hunter2@example.com/hunter2?key=hunter2").unwrap();
    let receiver = Receiver { url, secret_file: "secret".into() };
    let shown = format!("{receiver:?}");
    assert!(shown.contains("example.com") && !shown.contains("hunter2"), "{shown}");
}

/// A courier for this address, whose outbox holds two notices.
fn courier(address: SocketAddr) -> (Courier, Arc<SqliteRecords>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let records = Arc::new(SqliteRecords::open(dir.path()).unwrap());
    for number in 1..=2 {
        let published = Published {
            incident: IncidentId("inc_1".to_owned()),
            alert: EpisodeId("alt_1".to_owned()),
            claim: Claim::Nothing,
            number,
            at: at(0),
        };
        let Outgoing { notice, .. } = outgoing(&format!("msg_{number}"), 0);
        records.publish(&published, &notice).unwrap();
    }
    let url = Url::parse(&format!("http://{address}/hunter2")).unwrap();
    let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let state = Arc::new(SqliteState::open(dir.path()).unwrap());
    let mut parts = parts(dir.path(), &state, &records);
    parts.clock = || at(0);
    parts.posted = Arc::new(Notify::new());
    let address = Address::Signed(Mailbox::Notices, url, secrets);
    (Courier::new(address, &parts).unwrap(), records, dir)
}

/// Lets a courier take two steps while this is what it meets; how often it came there.
async fn two_steps(courier: &mut Courier, listener: TcpListener, status: StatusCode) -> usize {
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    let taken = warp::path!("elsewhere").map(|| warp::reply::with_status("", StatusCode::OK));
    let refused = warp::path!("hunter2").map(move || {
        count.fetch_add(1, Ordering::SeqCst);
        warp::reply::with_status("", status)
    });
    let route = refused
        .or(taken)
        .unify()
        .map(|reply| warp::reply::with_header(reply, "location", "/elsewhere"));
    tokio::select! {
        () = warp::serve(route).incoming(listener).run() => {}
        () = async {
            courier.step().await.unwrap();
            courier.step().await.unwrap();
        } => {}
    }
    came.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone_and_nothing_waits_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut courier, records, _dir) = courier(listener.local_addr().unwrap());
    assert_eq!(two_steps(&mut courier, listener, StatusCode::GONE).await, 1);
    assert_eq!(records.waiting(Mailbox::Notices).unwrap(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut courier, records, _dir) = courier(listener.local_addr().unwrap());
    assert_eq!(two_steps(&mut courier, listener, StatusCode::TEMPORARY_REDIRECT).await, 2);
    assert_eq!(records.waiting(Mailbox::Notices).unwrap(), 2);
}

#[tokio::test]
async fn why_a_notice_did_not_arrive_is_said_without_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (courier, _records, _dir) = courier(listener.local_addr().unwrap());
    drop(listener);
    let answer = courier.send(&outgoing("msg_1", 0).notice).await;
    let Answer::Refused { why, away: None } = &answer else { panic!("{answer:?}") };
    assert!(why.contains("refused") && !why.contains("hunter2"), "{why}");
    assert!(!format!("{courier:?}").contains("hunter2"));
}

#[test]
fn graphql_says_in_its_body_whether_it_did_what_it_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "hunter2\n").unwrap();
    let url = Url::parse("https://example.com/graphql").unwrap();
    let tracker = Tracker::Linear { url, team: "team".to_owned(), token_file };
    let address = Address::of(&tracker).unwrap();
    let judged = |body: &str| address.judge(StatusCode::OK, body, Answer::Taken);
    assert_eq!(judged(r#"{"data": {"issueCreate": {"success": true}}}"#), Answer::Taken);
    for (body, words) in [
        (r#"{"errors": [{"message": "no such team"}]}"#, "no such team"),
        (r#"{"data": {"issueCreate": {"success": false}}}"#, "did not say"),
        ("", "did not say"),
    ] {
        let answer = judged(body);
        let told = matches!(&answer, Answer::Refused { why, .. } if why.contains(words));
        assert!(told, "{body}: {answer:?}");
    }
    assert!(!format!("{address:?}").contains("hunter2"));
}
