//! One incident: the answer on top, then the picture, the reasons, and everything considered.

use std::collections::BTreeMap;

use askama::Template;
use chrono::TimeDelta;

use super::{
    Frame, Link, Unwritten,
    frame::{Outer, Section},
    incidents::{hits, page_of},
    links::{encoded, href, time},
};
use crate::{
    correlate::{Answer, Impact, Incident, State, Suspect},
    duration::say_duration,
    event::{Change, ChangeId, Feedback, Time, Verdict, show_time},
    picture::{Picture, Range, Sheet, picture, svg},
    say::{
        Clock, answer, say_act, say_contributing, say_distance, say_evidence, say_place,
        say_place_of, say_probability, say_seconds, show_moment,
    },
    timeline::{Entry, EntryKind, Role, say_entry, say_kind},
};

/// What is shown of an incident.
#[derive(Debug)]
pub struct Shown<'a> {
    /// As of when.
    pub frame: Frame,
    /// The incident.
    pub incident: &'a Incident,
    /// The changes that it names.
    pub changes: &'a BTreeMap<ChangeId, Change>,
    /// Its timeline.
    pub entries: &'a [Entry],
    /// There is more than the timeline tells.
    pub truncated: bool,
    /// What people said of its changes.
    pub feedback: &'a [Feedback],
    /// The part of the timeline that the picture shows.
    pub range: Range,
}

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    outer: Outer,
    id: String,
    path: String,
    answer: &'static str,
    word: &'static str,
    title: String,
    distance: String,
    headline: String,
    facts: Vec<(&'static str, String)>,
    bars: Vec<Bar>,
    picture: Drawn,
    suspects: Vec<SuspectView>,
    cleared: Vec<[String; 3]>,
    responses: Vec<[String; 4]>,
    symptoms: Vec<[String; 4]>,
    more_symptoms: usize,
    impact: Vec<ImpactView>,
    lines: Vec<Line>,
    truncated: bool,
    more_lines: usize,
    links: Vec<Link>,
    fixed: bool,
}

/// A probability as a bar.
struct Bar {
    title: String,
    class: &'static str,
    percent: String,
    width: String,
}

/// A picture, twice: for a screen and for a phone.
pub(super) struct Drawn {
    pub(super) wide: String,
    pub(super) narrow: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) moves: Vec<Link>,
    pub(super) is_empty: bool,
}

struct SuspectView {
    change: String,
    rank: u32,
    title: String,
    url: Option<String>,
    percent: String,
    act: String,
    actor: Option<String>,
    summary: String,
    contributing: Vec<String>,
    terms: Vec<[String; 3]>,
    sum: String,
    said: Vec<String>,
}

struct ImpactView {
    place: String,
    outage: String,
    degraded: String,
    stretches: String,
    outage_width: String,
    degraded_width: String,
}

/// A line of the timeline.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) class: String,
    pub(super) at: String,
    pub(super) exact: String,
    pub(super) kind: &'static str,
    pub(super) words: String,
    pub(super) detail: Option<String>,
    pub(super) role: String,
    pub(super) url: Option<String>,
}

/// So many lines of a timeline are listed.
const LINES_MAX: usize = 400;
/// So many symptoms, cleared changes and places of impact are listed.
const ROWS_MAX: usize = 60;

/// The page of an incident.
///
/// # Errors
/// It cannot be written.
pub fn incident(shown: &Shown<'_>) -> Result<String, Unwritten> {
    let Shown { frame, incident, changes, entries, .. } = shown;
    let (word, words) = answer(incident);
    let clock = clock(incident, entries);
    let path = format!("/incidents/{}", encoded(&incident.id.0));
    let (title, distance) = match (incident.answer, incident.suspects.first()) {
        (Answer::Likely | Answer::Suspects, Some(first)) => {
            (first.title.clone(), say_distance(first.started_at, incident.started_at))
        }
        _ => (words.replace("  ", ", "), String::new()),
    };
    let most = incident.impact.iter().map(|one| one.outage_seconds + one.degraded_seconds).max();
    IncidentPage {
        outer: frame.outer(&format!("{word}: {title}"), Section::Incidents),
        id: incident.id.0.clone(),
        answer: incident.answer.word(),
        word,
        title,
        distance,
        headline: incident.headline.clone(),
        facts: facts(incident, frame.at),
        bars: bars(incident),
        picture: drawn(&path, *frame, entries, shown.range, &[]),
        suspects: incident
            .suspects
            .iter()
            .map(|one| suspect_view(one, changes, shown.feedback, clock))
            .collect(),
        cleared: incident
            .cleared
            .iter()
            .take(ROWS_MAX)
            .map(|one| [say_probability(one.probability), one.title.clone(), one.reason.clone()])
            .collect(),
        responses: incident.responses.iter().map(|id| response(id, changes, clock)).collect(),
        symptoms: symptoms(incident, clock, frame.at),
        more_symptoms: incident.more_families + incident.families.len().saturating_sub(ROWS_MAX),
        impact: incident
            .impact
            .iter()
            .take(ROWS_MAX)
            .map(|one| impact_view(one, most.unwrap_or(0), clock))
            .collect(),
        lines: lines(entries, clock),
        truncated: shown.truncated,
        more_lines: entries.len().saturating_sub(LINES_MAX),
        links: links(incident, *frame, &path),
        fixed: frame.fixed,
        path,
    }
    .render()
}

/// The clock for all times that the page may show.
fn clock(incident: &Incident, entries: &[Entry]) -> Clock {
    Clock::new(incident.started_at, entries.iter().map(|entry| entry.at))
}

fn facts(incident: &Incident, at: Time) -> Vec<(&'static str, String)> {
    let since = incident.started_at;
    let state = match (incident.state, incident.ended_at) {
        (State::Open, _) | (_, None) => {
            format!("open for {}", say_duration((at - since).max(TimeDelta::zero())))
        }
        (state @ (State::Quiet | State::Closed), Some(ended_at)) => {
            format!("{}, lasted {}", state.word(), say_duration(ended_at - since))
        }
    };
    vec![
        ("hits", hits(incident)),
        ("since", show_moment(since)),
        ("state", state),
        ("alerts", incident.alert_count.to_string()),
    ]
}

fn bars(incident: &Incident) -> Vec<Bar> {
    let bar = |title: &str, class, probability: f64| Bar {
        title: title.to_owned(),
        class,
        percent: say_probability(probability),
        width: format!("{:.1}", probability.clamp(0.0, 1.0) * 100.0),
    };
    let suspects = incident
        .suspects
        .iter()
        .map(|one| bar(&one.title, if one.rank == 1 { "first" } else { "other" }, one.probability));
    suspects.chain([bar("no recorded change", "none", incident.none_probability)]).collect()
}

/// Draws the picture, and where to go from it; `query` is kept in the links.
pub(super) fn drawn(
    path: &str,
    frame: Frame,
    entries: &[Entry],
    range: Range,
    query: &[(&str, Option<String>)],
) -> Drawn {
    let draw = |sheet: &Sheet, name: &str| -> (Picture, String) {
        let picture = picture(entries, range, frame.at, sheet);
        let drawing = svg(&picture, sheet, name, false);
        (picture, drawing)
    };
    let (picture, wide) = draw(&Sheet::WIDE, "wide");
    let (_, narrow) = draw(&Sheet::NARROW, "narrow");
    let to = |words: &str, bounds: Option<(Time, Time)>| {
        let (from, to) = bounds.unzip();
        let mut all = vec![("at", frame.kept()), ("start", time(from)), ("end", time(to))];
        all.extend(query.iter().cloned());
        Link::new(words, href(path, &all) + "#picture")
    };
    let span = picture.to - picture.from;
    let (quarter, half) = (span / 4, span / 2);
    let moves = vec![
        to("earlier", Some((picture.from - half, picture.to - half))),
        to("zoom in", Some((picture.from + quarter, picture.to - quarter))),
        to("zoom out", Some((picture.from - half, picture.to + half))),
        to("later", Some((picture.from + half, picture.to + half))),
        to("all", None),
    ];
    Drawn {
        wide,
        narrow,
        from: show_time(picture.from),
        to: show_time(picture.to),
        moves,
        is_empty: picture.lanes.is_empty(),
    }
}

fn suspect_view(
    suspect: &Suspect,
    changes: &BTreeMap<ChangeId, Change>,
    feedback: &[Feedback],
    clock: Clock,
) -> SuspectView {
    let span = clock.show_span(suspect.started_at, suspect.finished_at);
    let main = changes.get(&suspect.change);
    SuspectView {
        change: suspect.change.0.clone(),
        rank: suspect.rank,
        title: suspect.title.clone(),
        url: main.and_then(|change| change.url.clone()).filter(|url| is_web(url)),
        percent: say_probability(suspect.probability),
        act: format!("{}, {span}", say_act(suspect, changes)),
        actor: main.and_then(|change| change.actor.clone()),
        summary: suspect.summary.clone(),
        contributing: suspect.contributing.iter().map(say_contributing).collect(),
        terms: say_evidence(&suspect.evidence),
        sum: format!("{:+.3}", suspect.log_odds),
        said: said(suspect, feedback, clock),
    }
}

/// What people said of any change of the set.
fn said(suspect: &Suspect, feedback: &[Feedback], clock: Clock) -> Vec<String> {
    let about = feedback.iter().filter(|one| suspect.changes.contains(&one.change));
    let words = about.map(|one| {
        let verdict = match one.verdict {
            Verdict::Cause => "this was it",
            Verdict::NotCause => "this was not it",
            Verdict::Withdrawn => "what was said is taken back",
        };
        let who = one.author.as_ref().map_or(String::new(), |author| format!(", {author}"));
        let why = one.text.as_ref().map_or(String::new(), |text| format!(": {text}"));
        format!("{} {verdict}{who}{why}", clock.show(one.at))
    });
    words.collect()
}

/// Whether a link may be followed: whoever posts changes must not choose what else it does.
pub(super) fn is_web(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    lower.starts_with("https://") || lower.starts_with("http://")
}

fn response(id: &ChangeId, changes: &BTreeMap<ChangeId, Change>, clock: Clock) -> [String; 4] {
    match changes.get(id) {
        None => [String::new(), String::new(), id.0.clone(), String::new()],
        Some(change) => [
            clock.show(change.started_at),
            change.status.word().to_owned(),
            change.title.clone(),
            say_place_of(change.scope.labels()),
        ],
    }
}

fn symptoms(incident: &Incident, clock: Clock, at: Time) -> Vec<[String; 4]> {
    let row = |family: &crate::correlate::FamilySummary| {
        // An end that is expected is none yet.
        let end = family.ends_at.filter(|end| !family.end_expected || *end <= at);
        let name = match family.episodes {
            1 => family.alertname.clone(),
            times => format!("{} ({times} times)", family.alertname),
        };
        [
            clock.show_span(family.starts_at, end),
            family.severity.clone().unwrap_or_default(),
            name,
            say_place(&family.services, &family.environments),
        ]
    };
    incident.families.iter().take(ROWS_MAX).map(row).collect()
}

fn impact_view(one: &Impact, most: i64, clock: Clock) -> ImpactView {
    let stretches: Vec<_> = one
        .outages
        .iter()
        .map(|stretch| clock.show_span(stretch.from, Some(stretch.to).filter(|_| !stretch.ongoing)))
        .collect();
    let share = |seconds: i64| format!("{:.1}", ratio(seconds, most) * 100.0);
    ImpactView {
        place: say_place(
            std::slice::from_ref(&one.service),
            &Some(one.environment.clone())
                .filter(|e| !e.is_empty())
                .into_iter()
                .collect::<Vec<_>>(),
        ),
        outage: say_seconds(one.outage_seconds),
        degraded: say_seconds(one.degraded_seconds),
        stretches: stretches.join(", "),
        outage_width: share(one.outage_seconds),
        degraded_width: share(one.degraded_seconds),
    }
}

fn ratio(part: i64, whole: i64) -> f64 {
    let float = |n: i64| u32::try_from(n).map_or(f64::MAX, f64::from);
    if whole <= 0 { 0.0 } else { (float(part) / float(whole)).clamp(0.0, 1.0) }
}

/// The lines of a timeline.
pub(super) fn lines(entries: &[Entry], clock: Clock) -> Vec<Line> {
    let line = |(number, entry): (usize, &Entry)| Line {
        number,
        class: format!(
            "{} {}",
            role_class(entry),
            say_kind(entry).to_lowercase().replace(' ', "-")
        ),
        at: clock.show(entry.at),
        exact: show_time(entry.at),
        kind: say_kind(entry),
        words: say_entry(entry),
        detail: entry.detail.clone(),
        role: role_words(entry),
        url: entry.url.clone().filter(|url| is_web(url)),
    };
    entries.iter().enumerate().take(LINES_MAX).map(line).collect()
}

fn role_class(entry: &Entry) -> &'static str {
    match (&entry.role, entry.kind) {
        (Role::Suspect { rank: 1, .. }, _) => "first-suspect",
        (Role::Suspect { .. }, _) => "suspect",
        (Role::Cleared { .. }, _) => "cleared",
        (Role::Response, _) => "response",
        (Role::Symptom, _) => "symptom",
        (Role::Context, EntryKind::Note | EntryKind::Feedback) => "said",
        (Role::Context, _) => "context",
    }
}

fn role_words(entry: &Entry) -> String {
    match &entry.role {
        Role::Suspect { rank, probability } => {
            format!("suspect {rank}, {}", say_probability(*probability))
        }
        Role::Cleared { .. } => "cleared".to_owned(),
        Role::Response => "response".to_owned(),
        Role::Symptom | Role::Context => String::new(),
    }
}

fn links(incident: &Incident, frame: Frame, path: &str) -> Vec<Link> {
    let api = format!("/api/v1/incidents/{}", encoded(&incident.id.0));
    let at = |time: Option<String>| [("at", time)];
    let first = time(Some(incident.started_at));
    let mut links = vec![
        Link::new("post-mortem", href(&format!("{path}/postmortem"), &at(frame.kept()))),
        Link::new("at the first alert", href(path, &at(first))),
        Link::new("as JSON", href(&api, &at(frame.kept()))),
        Link::new(
            "picture as SVG",
            href(
                &format!("{api}/timeline"),
                &[("at", frame.kept()), ("format", Some("svg".to_owned()))],
            ),
        ),
    ];
    if frame.fixed {
        links.insert(
            0,
            Link::new("as it is now", page_of(incident, Frame { fixed: false, ..frame })),
        );
    }
    links
}
