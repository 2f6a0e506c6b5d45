//! What a suspect may have brought into effect.

use super::*;
use crate::event::{Action, Kind};

fn done(id: &str, (kind, action): (Kind, Action), place: &[(&str, &str)], start: i64) -> Changed {
    let title = format!("{id} of the test");
    Changed { id: id.to_owned(), kind, action, title, place: labels(place), start, lasts: 2 }
}

const API: &[(&str, &str)] = &[("service", "api"), ("environment", "production")];
const STAGING: &[(&str, &str)] = &[("service", "api"), ("environment", "staging")];
const RESTART: (Kind, Action) = (Kind::Other, Action::Restart);
const CONFIG: (Kind, Action) = (Kind::Config, Action::Update);

/// What is told with the restart at minute 600, after which the service is sick, beside these.
fn told_with_the_restart(others: &[Changed], alerts: &[Event]) -> Vec<String> {
    let restart = done("restart", RESTART, API, 600);
    let mut events: Vec<_> =
        [&[restart], others].concat().iter().flat_map(Changed::events).collect();
    events.extend_from_slice(alerts);
    events.extend(fired("ApiDown", "api", 606, None));
    let incidents = assess(&model(), &events, at(610)).incidents;
    let mut suspects = incidents.iter().flat_map(|incident| &incident.suspects);
    let restart = suspects.rfind(|one| one.change.0 == "restart").expect("a suspect");
    restart.contributing.iter().map(|woken| woken.change.0.clone()).collect()
}

#[test]
fn what_was_configured_before_a_restart_is_told_with_it_the_latest_first() {
    let (early, late) = (done("early", CONFIG, API, 100), done("late", CONFIG, API, 200));
    assert_eq!(told_with_the_restart(&[early, late], &[]), ["late", "early"]);
}

#[test]
fn what_an_earlier_restart_brought_into_effect_is_not() {
    let (config, restart) = (done("config", CONFIG, API, 100), done("before", RESTART, API, 300));
    assert!(told_with_the_restart(&[config, restart], &[]).is_empty());
}

#[test]
fn what_took_effect_at_once_is_not() {
    let config = done("config", CONFIG, API, 100);
    let sick = fired("ApiSlow", "api", 110, Some(20));
    assert!(told_with_the_restart(&[config], &sick).is_empty());
}

#[test]
fn what_was_done_elsewhere_or_just_now_or_is_no_setting_is_not() {
    let deploy = done("deploy", (Kind::Database, Action::Update), API, 100);
    let others = [done("staging", CONFIG, STAGING, 100), done("now", CONFIG, API, 590), deploy];
    assert!(told_with_the_restart(&others, &[]).is_empty());
}

#[test]
fn why_it_may_have_been_without_effect_is_said() {
    let changes = [done("restart", RESTART, API, 600), done("config", CONFIG, API, 480)];
    let mut events: Vec<_> = changes.iter().flat_map(Changed::events).collect();
    events.extend(fired("ApiDown", "api", 606, None));
    let incident = first_incident(&model(), &events, 610);
    let woken = &incident.suspects[0].contributing[0];
    assert_eq!(
        woken.reason,
        "made 1 h 58 min earlier, and nothing followed; api was not started anew before this"
    );
}
