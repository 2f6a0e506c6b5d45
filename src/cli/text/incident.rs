//! One incident for somebody who was just woken up: the answer first, then why, then the rest.

use std::collections::BTreeSet;

use super::{
    Changes,
    page::{Column, Page},
};
use crate::{
    correlate::{FamilySummary, Impact, Incident, State, Suspect},
    duration::say_duration,
    event::{ChangeId, Time},
    say::{
        Clock, answer, say_act, say_contributing, say_count, say_evidence, say_place, say_place_of,
        say_probability, say_seconds, show_moment,
    },
};

/// What can be run next, and what for.
pub(crate) type Hint = (String, &'static str);

/// Writes the incident onto the page.
pub(crate) fn incident(
    page: &mut Page,
    incident: &Incident,
    changes: &Changes,
    as_of: Time,
    hints: &[Hint],
) {
    let clock = clock(incident, changes);
    headline(page, incident);
    facts(page, incident, as_of);
    suspects(page, incident, changes, clock);
    cleared(page, incident);
    responses(page, incident, changes, clock);
    symptoms(page, incident, clock, as_of);
    impact(page, incident, clock);
    if !hints.is_empty() {
        page.heading("NEXT");
        let rows = hints.iter().map(|(command, why)| vec![command.clone(), (*why).to_owned()]);
        page.columns(2, &[Column::Left, Column::Wrapped], rows);
    }
}

fn headline(page: &mut Page, incident: &Incident) {
    let (word, rest) = answer(incident);
    page.strong(word, &rest);
}

/// The clock for all times that the page may show.
fn clock(incident: &Incident, changes: &Changes) -> Clock {
    let of_families = incident.families.iter().flat_map(|one| [Some(one.starts_at), one.ends_at]);
    let of_suspects =
        incident.suspects.iter().flat_map(|one| [Some(one.started_at), one.finished_at]);
    let of_responses = incident.responses.iter().filter_map(|id| changes.get(id));
    let of_responses = of_responses.flat_map(|one| [Some(one.started_at), one.finished_at]);
    let of_outages = incident.impact.iter().flat_map(|one| &one.outages);
    let of_outages = of_outages.flat_map(|one| [Some(one.from), Some(one.to)]);
    let all = of_families.chain(of_suspects).chain(of_responses).chain(of_outages);
    Clock::new(incident.started_at, all.flatten())
}

fn facts(page: &mut Page, incident: &Incident, as_of: Time) {
    let since = incident.started_at;
    let mut state = match (incident.state, incident.ended_at) {
        (State::Open, _) | (_, None) => {
            format!("open for {}", say_duration((as_of - since).max(chrono::TimeDelta::zero())))
        }
        (state @ (State::Quiet | State::Closed), Some(ended_at)) => {
            format!("{}, lasted {}", state.word(), say_duration(ended_at - since))
        }
    };
    state.push_str(", ");
    state.push_str(&say_count(incident.alert_count, "alert"));
    let services: BTreeSet<_> = incident.families.iter().flat_map(|one| &one.services).collect();
    let environments: BTreeSet<_> =
        incident.families.iter().flat_map(|one| &one.environments).collect();
    let list = |names: BTreeSet<&String>| names.into_iter().cloned().collect::<Vec<_>>();
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    page.columns(
        2,
        &[Column::Left, Column::Wrapped],
        [
            row("incident", incident.id.0.clone()),
            row("since", show_moment(since)),
            row("state", state),
            row("hits", say_place(&list(services), &list(environments))),
        ],
    );
}

fn suspects(page: &mut Page, incident: &Incident, changes: &Changes, clock: Clock) {
    if incident.suspects.is_empty() {
        return;
    }
    page.heading("SUSPECTS");
    for one in &incident.suspects {
        suspect(page, one, changes, clock);
        page.gap();
    }
    head(page, "", incident.none_probability, "no recorded change");
}

/// A candidate's line; those of one incident are aligned.
fn head(page: &mut Page, rank: &str, probability: f64, title: &str) {
    let probability = format!("{:>4}", say_probability(probability));
    let row = vec![format!("{rank:>2}"), probability, title.to_owned()];
    page.columns(2, &[Column::Left, Column::Left, Column::Wrapped], [row]);
}

fn suspect(page: &mut Page, suspect: &Suspect, changes: &Changes, clock: Clock) {
    head(page, &format!("{}.", suspect.rank), suspect.probability, &suspect.title);
    page.words(6, &act(suspect, changes, clock));
    page.words(6, &suspect.summary);
    for woken in &suspect.contributing {
        page.words(6, &say_contributing(woken));
    }
    let terms = say_evidence(&suspect.evidence).into_iter().map(Vec::from);
    let sum = vec![format!("{:+.3}", suspect.log_odds), "sum".to_owned(), SUM.to_owned()];
    page.columns(6, &[Column::Right, Column::Left, Column::Wrapped], terms.chain([sum]));
}

/// What the last row of the terms says.
const SUM: &str = "log-odds against \"no recorded change\", in nats";

/// `infrastructure delete of node-groups (production, staging), 13:21 to 13:58; c-1, c-2`.
fn act(suspect: &Suspect, changes: &Changes, clock: Clock) -> String {
    let span = clock.show_span(suspect.started_at, suspect.finished_at);
    let ids: Vec<_> = suspect.changes.iter().map(|id| id.0.as_str()).collect();
    format!("{}, {span}; {}", say_act(suspect, changes), ids.join(", "))
}

fn cleared(page: &mut Page, incident: &Incident) {
    if incident.cleared.is_empty() {
        return;
    }
    page.heading("CLEARED");
    let rows = incident
        .cleared
        .iter()
        .map(|one| vec![say_probability(one.probability), one.title.clone(), one.reason.clone()]);
    page.columns(2, &[Column::Right, Column::Wrapped, Column::Wrapped], rows);
}

fn responses(page: &mut Page, incident: &Incident, changes: &Changes, clock: Clock) {
    if incident.responses.is_empty() {
        return;
    }
    page.heading("RESPONSES");
    let row = |id: &ChangeId| match changes.get(id) {
        None => vec![String::new(), String::new(), id.0.clone(), String::new()],
        Some(change) => vec![
            clock.show(change.started_at),
            change.status.word().to_owned(),
            change.title.clone(),
            say_place_of(change.scope.labels()),
        ],
    };
    let columns = [Column::Left, Column::Left, Column::Wrapped, Column::Wrapped];
    page.columns(2, &columns, incident.responses.iter().map(row));
}

fn symptoms(page: &mut Page, incident: &Incident, clock: Clock, as_of: Time) {
    page.heading("SYMPTOMS");
    let row = |family: &FamilySummary| {
        // An end that is expected is none yet.
        let end = family.ends_at.filter(|end| !family.end_expected || *end <= as_of);
        let name = match family.episodes {
            1 => family.alertname.clone(),
            times => format!("{} ({times} times)", family.alertname),
        };
        vec![
            clock.show_span(family.starts_at, end),
            family.severity.clone().unwrap_or_default(),
            name,
            say_place(&family.services, &family.environments),
        ]
    };
    let columns = [Column::Left, Column::Left, Column::Wrapped, Column::Wrapped];
    page.columns(2, &columns, incident.families.iter().map(row));
}

fn impact(page: &mut Page, incident: &Incident, clock: Clock) {
    if incident.impact.is_empty() {
        return;
    }
    page.heading("IMPACT");
    let names = ["service", "environment", "outage", "degraded", "down from"];
    let header = names.map(str::to_owned).to_vec();
    let row = |one: &Impact| {
        let stretches: Vec<_> = one
            .outages
            .iter()
            .map(|stretch| clock.show_span(stretch.from, Some(stretch.to)))
            .collect();
        vec![
            one.service.clone(),
            one.environment.clone(),
            say_seconds(one.outage_seconds),
            say_seconds(one.degraded_seconds),
            stretches.join(", "),
        ]
    };
    let columns = [Column::Left, Column::Left, Column::Right, Column::Right, Column::Wrapped];
    page.columns(2, &columns, [header].into_iter().chain(incident.impact.iter().map(row)));
}
