//! A post-mortem as a page that prints well.

use askama::Template;

use super::{
    Frame, Link, Unwritten,
    frame::{Outer, Section},
    incident::{Drawn, Line, drawn, lines},
    links::{encoded, href},
};
use crate::{
    picture::Range,
    postmortem::PostMortem,
    say::{Clock, say_contributing, say_probability, say_seconds, say_term, show_moment},
};

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage {
    outer: Outer,
    title: String,
    facts: Vec<(&'static str, String)>,
    summary: String,
    impact: Vec<[String; 5]>,
    causes: Vec<CauseView>,
    none: String,
    cleared: Vec<[String; 2]>,
    responses: Vec<[String; 4]>,
    learnings: Vec<[String; 2]>,
    picture: Drawn,
    lines: Vec<Line>,
    more_lines: usize,
    truncated: bool,
    whys: Vec<String>,
    links: Vec<Link>,
    trackers: Vec<&'static str>,
    sent: Option<String>,
    actions: String,
}

struct CauseView {
    title: String,
    percent: String,
    act: String,
    contributing: Vec<String>,
    terms: Vec<[String; 3]>,
    sum: String,
}

/// The page of a post-mortem, with a form for what is to be done, where that can be sent somewhere;
/// `sent` says where something just was.
///
/// # Errors
/// It cannot be written.
pub fn document(
    frame: Frame,
    document: &PostMortem,
    range: Range,
    trackers: &[&'static str],
    sent: Option<&str>,
) -> Result<String, Unwritten> {
    let times = document.timeline.iter().map(|entry| entry.at);
    let clock = Clock::new(document.started_at, times);
    let id = encoded(&document.incident.0);
    let path = format!("/incidents/{id}/postmortem");
    let api = format!("/api/v1/incidents/{id}/postmortem");
    let form =
        |format: &str| href(&api, &[("at", frame.kept()), ("format", Some(format.to_owned()))]);
    let lines = lines(&document.timeline, clock);
    DocumentPage {
        outer: Frame { fixed: true, ..frame }.outer(&document.title, Section::Incidents),
        title: document.title.clone(),
        facts: facts(document),
        summary: document.summary.clone(),
        impact: impact(document, clock),
        causes: document.causes.iter().map(|one| cause(one, clock)).collect(),
        none: say_probability(document.none_probability),
        cleared: document
            .cleared
            .iter()
            .map(|one| [one.title.clone(), one.reason.clone()])
            .collect(),
        responses: document
            .responses
            .iter()
            .map(|one| {
                [clock.show(one.at), one.title.clone(), one.place.clone(), one.status.to_owned()]
            })
            .collect(),
        learnings: document
            .learnings
            .iter()
            .map(|one| [one.what.to_owned(), one.words()])
            .collect(),
        picture: drawn(&path, frame, &document.timeline, range, &[]),
        more_lines: document.timeline.len() - lines.len(),
        lines,
        truncated: false,
        whys: document.whys.clone(),
        trackers: trackers.to_vec(),
        sent: sent.map(str::to_owned),
        actions: format!("/incidents/{id}/actions"),
        links: vec![
            Link::new("the incident", href(&format!("/incidents/{id}"), &[("at", frame.kept())])),
            Link::new("as markdown", form("markdown")),
            Link::new("as JSON", form("json")),
        ],
    }
    .render()
}

fn facts(document: &PostMortem) -> Vec<(&'static str, String)> {
    let recovered = document.ended_at.map_or("goes on".to_owned(), show_moment);
    let mut facts =
        vec![("first alert", show_moment(document.started_at)), ("recovered", recovered)];
    if let Some(severity) = &document.severity {
        facts.push(("severity", severity.clone()));
    }
    facts.push(("incident", document.incident.0.clone()));
    facts
}

fn impact(document: &PostMortem, clock: Clock) -> Vec<[String; 5]> {
    let row = |one: &crate::correlate::Impact| {
        let stretches: Vec<_> = one
            .outages
            .iter()
            .map(|span| clock.show_span(span.from, Some(span.to).filter(|_| !span.ongoing)))
            .collect();
        [
            one.service.clone(),
            one.environment.clone(),
            say_seconds(one.outage_seconds),
            say_seconds(one.degraded_seconds),
            stretches.join(", "),
        ]
    };
    document.impact.iter().map(row).collect()
}

fn cause(one: &crate::postmortem::Cause, clock: Clock) -> CauseView {
    let span = clock.show_span(one.started_at, one.finished_at);
    CauseView {
        title: one.title.clone(),
        percent: say_probability(one.probability),
        act: format!("{}, {span}", one.act),
        contributing: one.contributing.iter().map(say_contributing).collect(),
        terms: one
            .evidence
            .iter()
            .map(|term| {
                [format!("{:+.3}", term.nats), say_term(term.kind).to_owned(), term.text.clone()]
            })
            .collect(),
        sum: format!("{:+.3}", one.log_odds),
    }
}
