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

const DEPLOY: (Kind, Action) = (Kind::Deploy, Action::Update);
const DAY: i64 = 24 * 60;

/// What is told with this change, after which the service is sick, beside these.
fn told_with(change: &Changed, sick: &str, others: &[Changed], alerts: &[Event]) -> Vec<String> {
    let mut events: Vec<_> =
        others.iter().chain([change]).flat_map(Changed::events).chain(alerts.to_vec()).collect();
    events.extend(fired("Down", sick, change.start + 6, None));
    let incidents = assess(&model(), &events, at(change.start + 10)).incidents;
    let mut suspects = incidents.iter().flat_map(|incident| &incident.suspects);
    let suspect = suspects.rfind(|one| one.change.0 == change.id).expect("a suspect");
    suspect.contributing.iter().map(|woken| woken.change.0.clone()).collect()
}

/// What is told with a restart of the service, after which it is sick, beside these.
fn told_with_the_restart(others: &[Changed], alerts: &[Event]) -> Vec<String> {
    told_with(&done("restart", RESTART, API, 600), "api", others, alerts)
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

#[test]
fn what_was_configured_weeks_before_a_restart_is_told_with_it_up_to_a_bound() {
    let days = |id: &str, days: i64| done(id, CONFIG, API, 600 - days * DAY);
    let others = [days("last week", 7), days("last month", 30), days("too long ago", 46)];
    assert_eq!(told_with_the_restart(&others, &[]), ["last week", "last month"]);
    let woken = done("woken", RESTART, API, 600 - 20 * DAY);
    let others = [&others[..], &[woken]].concat();
    assert_eq!(told_with_the_restart(&others, &[]), ["last week"]);
}

#[test]
fn what_was_begun_weeks_before_and_ended_lately_is_told_once() {
    let config = Changed { lasts: 15 * DAY, ..done("config", CONFIG, API, 600 - 20 * DAY) };
    assert_eq!(told_with_the_restart(&[config], &[]), ["config"]);
}

#[test]
fn a_certificate_that_is_replaced_starts_nothing_anew() {
    let certificate =
        done("certificate", (Kind::Certificate, Action::Replace), API, 600 - 20 * DAY);
    let config = done("config", CONFIG, API, 600 - 25 * DAY);
    let told = told_with_the_restart(&[certificate, config], &[]);
    assert_eq!(told, ["certificate", "config"]);
}

#[test]
fn of_what_was_long_ago_nobody_knows_what_followed() {
    let changes = [done("restart", RESTART, API, 600), done("config", CONFIG, API, 600 - 20 * DAY)];
    let mut events: Vec<_> = changes.iter().flat_map(Changed::events).collect();
    events.extend(fired("Down", "api", 606, None));
    let incident = first_incident(&model(), &events, 610);
    let reason = &incident.suspects[0].contributing[0].reason;
    assert_eq!(reason, "made 19 d 23 h earlier; api was not started anew before this");
}

#[test]
fn the_last_release_is_told_with_the_first_setting_that_it_met() {
    let config = done("config", CONFIG, API, 600);
    let releases = [
        done("replaced", DEPLOY, API, 600 - 20 * DAY),
        done("release", DEPLOY, API, 600 - 14 * DAY),
    ];
    assert_eq!(told_with(&config, "api", &releases, &[]), ["release"]);
    let weighed = [done("weighed", DEPLOY, API, 600 - 2 * DAY)];
    assert!(told_with(&config, "api", &weighed, &[]).is_empty(), "it may be suspected itself");
    let met = done("met", CONFIG, API, 600 - 13 * DAY);
    let others = [&releases[..], &[met]].concat();
    assert!(told_with(&config, "api", &others, &[]).is_empty());
}

#[test]
fn the_first_setting_may_be_of_what_the_sick_service_reads() {
    let config = done("config", CONFIG, API, 600);
    let shop = &[("service", "shop"), ("environment", "production")];
    let release = [done("release", DEPLOY, shop, 600 - 14 * DAY)];
    assert_eq!(told_with(&config, "shop", &release, &[]), ["release"]);
    assert!(told_with(&config, "api", &release, &[]).is_empty(), "the shop is well");
}

#[test]
fn what_is_sick_and_stands_on_what_was_replaced_was_started_anew_by_it() {
    const CLUSTER: &[(&str, &str)] = &[("service", "cluster"), ("environment", "production")];
    let nodes = (Kind::Infrastructure, Action::Replace);
    let replaced = |start| done("nodes", nodes, CLUSTER, start);
    let blog = &[("service", "blog"), ("environment", "production")];
    let others = [
        done("config", CONFIG, API, 600 - 20 * DAY),
        done("elsewhere", CONFIG, STAGING, 600 - 20 * DAY),
        done("beside", CONFIG, blog, 600 - 20 * DAY),
    ];
    for sick in ["api", "shop"] {
        assert_eq!(told_with(&replaced(600), sick, &others, &[]), ["config"], "{sick} is sick");
    }
    let weighed = [done("weighed", CONFIG, API, 100)];
    assert!(
        told_with(&replaced(600), "api", &weighed, &[]).is_empty(),
        "it may be suspected itself"
    );
    let before = Changed { id: "before".to_owned(), ..replaced(600 - 15 * DAY) };
    let others = [&others[..], &[before]].concat();
    assert!(told_with(&replaced(600), "api", &others, &[]).is_empty(), "woken by the one before");
}

#[test]
fn what_goes_on_into_the_window_is_what_it_was_when_it_began() {
    let month = Changed { lasts: 20 * DAY, ..done("month", CONFIG, API, 600 - 20 * DAY) };
    let mut events = month.events();
    if let Some(Event::Change(end)) = events.last_mut() {
        (end.title, end.kind, end.labels) = (None, None, labels(&[]));
    }
    let changes = assess(&model(), &events, at(610)).changes;
    let whole = (month.title, Kind::Config, at(600 - 20 * DAY), Some(at(600)));
    let told =
        changes.into_iter().map(|one| (one.title, one.kind, one.started_at, one.finished_at));
    assert_eq!(told.collect::<Vec<_>>(), [whole]);
}

prop_compose! {
    /// Changes of the last weeks, and some of the last hours with an alert after them.
    fn long_worlds()(
        long_ago in vec((changes(), -40 * DAY..-11 * DAY), 0..12),
        changes in vec(changes(), 1..8),
        alerts in vec(alerts(), 1..4),
    ) -> (Vec<Event>, Vec<Event>) {
        let long_ago = long_ago.into_iter().enumerate().map(|(n, (change, start))| {
            Changed { id: format!("old{n}"), title: format!("old {n}"), start, ..change }
        });
        let near = changes.iter().flat_map(Changed::events).chain(alerts.concat());
        (long_ago.flat_map(|change| change.events()).collect(), near.collect())
    }
}

/// What is told with each suspect of each incident.
type Woken = BTreeMap<(IncidentId, ChangeId), Vec<Contributing>>;

/// That, and the incidents without it.
fn told_apart(assessment: Assessment) -> (Woken, Vec<Incident>) {
    let (mut incidents, mut woken) = (assessment.incidents, Woken::new());
    for incident in &mut incidents {
        for suspect in &mut incident.suspects {
            let of = (incident.id.clone(), suspect.change.clone());
            woken.insert(of, std::mem::take(&mut suspect.contributing));
        }
    }
    (woken, incidents)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_long_ago_alters_nothing_but_what_is_told_with_a_suspect(
        (long_ago, near) in long_worlds(),
    ) {
        let all = [long_ago, near.clone()].concat();
        let model = model();
        let (_, incidents) = told_apart(assess(&model, &all, at(2_200)));
        prop_assert_eq!(incidents, told_apart(assess(&model, &near, at(2_200))).1);
    }

    /// Whether a change is before the window or in it is a matter of what is kept in memory.
    #[test]
    fn where_the_window_begins_decides_nothing_of_what_is_told_with_a_suspect(
        (long_ago, near) in long_worlds(),
    ) {
        let all = [long_ago, near].concat();
        let short = model();
        let mut long = model();
        long.settings.horizon = TimeDelta::days(60);
        let told = |model| told_apart(assess(model, &all, at(2_200))).0;
        // With more changes in the window others may be suspected.
        let (mut short, long) = (told(&short), told(&long));
        short.retain(|of, _| long.contains_key(of));
        let both = long.into_iter().filter(|(of, _)| short.contains_key(of)).collect();
        prop_assert_eq!(short, both);
    }

    #[test]
    fn order_and_repetition_of_what_was_long_ago_change_nothing(
        (long_ago, near) in long_worlds(),
        seed in any::<prop::sample::Index>(),
    ) {
        let all = [near, long_ago].concat();
        let mut turned = [all.clone(), all.clone()].concat();
        turned.rotate_left(seed.index(all.len()));
        prop_assert_eq!(assess(&model(), &turned, at(2_200)), assess(&model(), &all, at(2_200)));
    }
}
