//! Pictures of a timeline: lanes for places, bars for alerts, spans and points for changes.
//!
//! In: the entries of a timeline and a range of time. Out: a [`Picture`], which knows what stands
//! in which row and nothing of ink; `svg` and `text` draw it. Pure, so page, command line and
//! post-mortem show the same.

mod lanes;
mod mark;
mod scale;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use self::{
    lanes::{Lane, Placed},
    mark::{Mark, Part, Shape},
    svg::{STYLE, svg},
    text::text,
};

use chrono::TimeDelta;

use crate::{
    event::Time,
    timeline::{Entry, EntryKind},
};

/// What a picture is drawn on: everything in units of the drawing (pixels, or columns of text).
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// From the left edge to the right one.
    pub width: f64,
    /// What is kept free at the left for the names of lanes; 0: they stand above their lanes.
    pub gutter: f64,
    /// How wide a character of a label is, on average.
    pub character: f64,
    /// The narrowest that a mark may be.
    pub mark: f64,
    /// Rows of one lane; what has no room in them is counted.
    pub rows_max: usize,
    /// Lanes; what is in others is counted.
    pub lanes_max: usize,
}

impl Sheet {
    /// For a screen.
    pub const WIDE: Self = Self {
        width: 1080.0,
        gutter: 190.0,
        character: 7.1,
        mark: 9.0,
        rows_max: 8,
        lanes_max: 24,
    };
    /// For a phone.
    pub const NARROW: Self =
        Self { width: 360.0, gutter: 0.0, character: 7.1, mark: 9.0, rows_max: 6, lanes_max: 16 };

    /// For a terminal of so many columns.
    pub fn columns(columns: u16) -> Self {
        let width = f64::from(columns);
        Self { width, gutter: 0.0, character: 1.0, mark: 1.0, rows_max: 12, lanes_max: 40 }
    }
}

/// What stands where.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The time at the left edge.
    pub from: Time,
    /// The time at the right edge.
    pub to: Time,
    /// The time that it is as of, where that is inside.
    pub now: Option<Time>,
    /// From top to bottom.
    pub lanes: Vec<Lane>,
    /// So many marks are in places that have no lane.
    pub more: usize,
    /// When somebody was not heard from, and who.
    pub gaps: Vec<(Time, Time, String)>,
}

/// What is looked at: a part of the timeline, or all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    /// The earliest time; `None`: where the first entry is.
    pub from: Option<Time>,
    /// The latest time; `None`: where the last entry is, or now where something goes on.
    pub to: Option<Time>,
}

/// The shortest time that a picture shows.
pub const RANGE_LEAST: TimeDelta = TimeDelta::minutes(1);

/// Draws up the picture of these entries as of `at`.
pub fn picture(entries: &[Entry], range: Range, at: Time, sheet: &Sheet) -> Picture {
    let marks = mark::marks(entries, at);
    let (from, to) = bounds(&marks, range, at);
    let inside = |mark: &Mark| mark.since() <= to && mark.until() >= from;
    let shown = marks.into_iter().filter(inside).collect();
    let scale = scale::Scale::new(from, to, sheet);
    let (lanes, more) = lanes::lanes(shown, &scale, sheet);
    let gaps = entries.iter().filter(|entry| entry.kind == EntryKind::Gap).map(|entry| {
        let until = entry.lasted_seconds.map_or(at, |s| entry.at + TimeDelta::seconds(s));
        (entry.at.max(from), until.min(to), entry.title.clone())
    });
    let gaps = gaps.filter(|(since, until, _)| since < until).collect();
    Picture { from, to, now: Some(at).filter(|at| from <= *at && *at <= to), lanes, more, gaps }
}

/// From the first mark to the last with a margin, or as the range says.
fn bounds(marks: &[Mark], range: Range, at: Time) -> (Time, Time) {
    let first = marks.iter().map(|mark| mark.since().max(mark.from - ONSET_SHOWN)).min();
    let last = marks.iter().map(Mark::until).max();
    let (first, last) = (first.unwrap_or(at), last.unwrap_or(at));
    let margin = ((last - first) / 24).max(TimeDelta::minutes(1));
    let from = range.from.unwrap_or(first - margin);
    // What goes on reaches to the right edge.
    let goes_on = marks.iter().any(|mark| mark.open);
    let to = range.to.unwrap_or(if goes_on { last } else { last + margin });
    (from, to.max(from + RANGE_LEAST))
}

/// So much of the time in which a symptom may have begun makes the picture wider.
const ONSET_SHOWN: TimeDelta = TimeDelta::minutes(30);
