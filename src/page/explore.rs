//! Everything over a range of time, whatever it belongs to.

use askama::Template;

use super::{
    Frame, Unwritten,
    frame::{Outer, Section},
    incident::{Drawn, Line, drawn, lines},
};
use crate::{
    event::{Time, show_time},
    picture::Range,
    say::Clock,
    timeline::Entry,
};

/// What is looked at.
#[derive(Debug)]
pub struct Explored<'a> {
    /// As of when.
    pub frame: Frame,
    /// From when.
    pub start: Time,
    /// Until when.
    pub end: Time,
    /// The label matchers, as they were written.
    pub matchers: &'a [String],
    /// What happened.
    pub entries: &'a [Entry],
    /// There is more.
    pub truncated: bool,
}

#[derive(Template)]
#[template(path = "explore.html")]
struct ExplorePage {
    outer: Outer,
    start: String,
    end: String,
    at: Option<String>,
    matchers: String,
    picture: Drawn,
    lines: Vec<Line>,
    more_lines: usize,
    truncated: bool,
}

/// The page of a range of time.
///
/// # Errors
/// It cannot be written.
pub fn explore(explored: &Explored<'_>) -> Result<String, Unwritten> {
    let Explored { frame, start, end, matchers, entries, truncated } = explored;
    let clock = Clock::new(*start, entries.iter().map(|entry| entry.at));
    let lines = lines(entries, clock);
    let range = Range { from: Some(*start), to: Some(*end) };
    let kept: Vec<_> = matchers.iter().map(|one| ("match[]", Some(one.clone()))).collect();
    ExplorePage {
        outer: frame.outer("Explore", Section::Explore),
        start: show_time(*start),
        end: show_time(*end),
        at: frame.kept(),
        matchers: matchers.first().cloned().unwrap_or_default(),
        picture: drawn("/explore", *frame, entries, range, &kept),
        more_lines: entries.len() - lines.len(),
        lines,
        truncated: *truncated,
    }
    .render()
}
