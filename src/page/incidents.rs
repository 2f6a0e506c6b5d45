//! The list of incidents: what is open first, each with its answer in one line.

use std::collections::BTreeSet;

use askama::Template;

use super::{
    Frame, Unwritten,
    frame::{Outer, Section},
    links::{encoded, href},
};
use crate::{
    correlate::{Incident, State},
    duration::say_duration,
    event::show_time,
    say::{answer, say_count, say_place, show_moment},
};

/// What is listed.
#[derive(Debug)]
pub struct Listed<'a> {
    /// As of when.
    pub frame: Frame,
    /// Those of which an alert fires, newest first.
    pub open: &'a [Incident],
    /// The others, newest first.
    pub recent: &'a [Incident],
    /// Where the next page begins.
    pub next: Option<String>,
    /// Who is not heard, in words.
    pub silent: Vec<String>,
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    outer: Outer,
    open: Vec<Row>,
    recent: Vec<Row>,
    silent: Vec<String>,
    more: Option<String>,
}

struct Row {
    href: String,
    answer: &'static str,
    word: &'static str,
    words: String,
    hits: String,
    since: String,
    since_exact: String,
    lasted: String,
    state: &'static str,
    alerts: String,
}

/// The page of incidents.
///
/// # Errors
/// It cannot be written.
pub fn incidents(listed: &Listed<'_>) -> Result<String, Unwritten> {
    let frame = listed.frame;
    let rows = |incidents: &[Incident]| -> Vec<Row> {
        incidents.iter().map(|incident| row(incident, frame)).collect()
    };
    let cursor = |next: &String| href("/", &[("at", frame.kept()), ("cursor", Some(next.clone()))]);
    IncidentsPage {
        outer: frame.outer("Incidents", Section::Incidents),
        open: rows(listed.open),
        recent: rows(listed.recent),
        silent: listed.silent.clone(),
        more: listed.next.as_ref().map(cursor),
    }
    .render()
}

fn row(incident: &Incident, frame: Frame) -> Row {
    let (word, words) = answer(incident);
    let end = incident.ended_at.unwrap_or(frame.at);
    let lasted = say_duration((end - incident.started_at).max(chrono::TimeDelta::zero()));
    Row {
        href: page_of(incident, frame),
        // Its colour, too.
        answer: incident.answer.word(),
        word,
        words: words.replace("  ", " · "),
        hits: hits(incident),
        since: show_moment(incident.started_at),
        since_exact: show_time(incident.started_at),
        lasted: match incident.state {
            State::Open => format!("for {lasted}"),
            State::Quiet | State::Closed => format!("lasted {lasted}"),
        },
        state: incident.state.word(),
        alerts: say_count(incident.alert_count, "alert"),
    }
}

/// Where an incident's own page is.
pub(super) fn page_of(incident: &Incident, frame: Frame) -> String {
    href(&format!("/incidents/{}", encoded(&incident.id.0)), &[("at", frame.kept())])
}

/// So many services are named in a line.
const HITS_MAX: usize = 6;

/// The services and environments that show symptoms.
pub(super) fn hits(incident: &Incident) -> String {
    let services: BTreeSet<_> = incident.families.iter().flat_map(|one| &one.services).collect();
    let environments: BTreeSet<_> =
        incident.families.iter().flat_map(|one| &one.environments).collect();
    let list = |names: BTreeSet<&String>| {
        let more = names.len().saturating_sub(HITS_MAX);
        let mut list: Vec<_> = names.into_iter().take(HITS_MAX).cloned().collect();
        if more > 0 {
            list.push(format!("+ {more} more"));
        }
        list
    };
    say_place(&list(services), &list(environments))
}
