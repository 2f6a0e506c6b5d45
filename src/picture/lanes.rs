//! Lanes: which marks stand in which place and row.

use std::collections::BTreeMap;

use super::{
    Sheet,
    mark::{Mark, Part, Shape},
    scale::Scale,
};
use crate::event::Time;

/// Where a mark stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The mark.
    pub mark: Mark,
    /// Its row in the lane, from 0.
    pub row: usize,
    /// Where it begins to show, in units of the drawing.
    pub onset_x: f64,
    /// Its left edge.
    pub left: f64,
    /// Its right edge.
    pub right: f64,
    /// Where its label begins.
    pub label_x: f64,
    /// How much of the label has room.
    pub label: String,
}

/// One place, and what happened there.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The place.
    pub name: String,
    /// By time.
    pub marks: Vec<Placed>,
    /// How many rows it has.
    pub rows: usize,
    /// So many marks more had no room.
    pub more: usize,
}

/// The lanes of these marks, and how many marks are in none.
pub(super) fn lanes(marks: Vec<Mark>, scale: &Scale, sheet: &Sheet) -> (Vec<Lane>, usize) {
    let mut places: BTreeMap<String, Vec<Mark>> = BTreeMap::new();
    for mark in marks {
        places.entry(mark.place.clone()).or_default().push(mark);
    }
    let mut places: Vec<_> = places.into_iter().collect();
    // The most telling lanes are kept, and stand in the order in which things happened there.
    places.sort_by_cached_key(|(name, marks)| (weight(marks), earliest(marks), name.clone()));
    let left_out = places.split_off(sheet.lanes_max.min(places.len()));
    places
        .sort_by_cached_key(|(name, marks)| (!is_suspected(marks), earliest(marks), name.clone()));
    let more = left_out.iter().map(|(_, marks)| marks.len()).sum();
    let lanes = places.into_iter().map(|(name, marks)| lane(name, marks, scale, sheet));
    (lanes.collect(), more)
}

fn weight(marks: &[Mark]) -> Option<Part> {
    marks.iter().map(|mark| mark.part).min()
}

fn earliest(marks: &[Mark]) -> Option<Time> {
    marks.iter().map(|mark| mark.from).min()
}

fn is_suspected(marks: &[Mark]) -> bool {
    marks.iter().any(|mark| matches!(mark.part, Part::FirstSuspect | Part::Suspect))
}

/// What counts most gets its room first.
fn lane(name: String, mut marks: Vec<Mark>, scale: &Scale, sheet: &Sheet) -> Lane {
    marks.sort_by(|a, b| (a.part, a.from, &a.label).cmp(&(b.part, b.from, &b.label)));
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut placed = Vec::new();
    let mut more = 0;
    for mark in marks {
        let one = place(mark, scale, sheet);
        let (from, to) = reach(&one, sheet);
        let is_free = |row: &Vec<(f64, f64)>| row.iter().all(|(a, b)| to < *a || *b < from);
        let row = match taken.iter().position(is_free) {
            Some(row) => row,
            None if taken.len() < sheet.rows_max => {
                taken.push(Vec::new());
                taken.len() - 1
            }
            None => {
                more += 1;
                continue;
            }
        };
        if let Some(spans) = taken.get_mut(row) {
            spans.push((from, to));
        }
        placed.push(Placed { row, ..one });
    }
    placed.sort_by_key(|one| (one.mark.from, one.row));
    Lane { name, marks: placed, rows: taken.len(), more }
}

/// What a mark and its label cover, with a little air.
fn reach(one: &Placed, sheet: &Sheet) -> (f64, f64) {
    let label = sheet.character * (width(&one.label) + 1.0);
    let from = one.onset_x.min(one.left).min(one.label_x);
    (from - sheet.character, one.right.max(one.label_x + label))
}

fn width(text: &str) -> f64 {
    u32::try_from(text.chars().count()).map_or(f64::MAX, f64::from)
}

/// The longest label.
const LABEL_MAX: usize = 48;

/// Beside the mark where there is room for the label, before it where there is more.
fn place(mark: Mark, scale: &Scale, sheet: &Sheet) -> Placed {
    let (start, end) = scale.edges();
    let is_point = matches!(mark.shape, Shape::Note | Shape::Feedback | Shape::PlannedChange);
    let left = scale.x(mark.from).min(end - sheet.mark);
    let right = if is_point { left } else { scale.x(mark.to) }.max(left + sheet.mark);
    let onset_x = mark.onset.map_or(left, |onset| scale.x(onset).min(left));
    let air = sheet.character;
    let (before, after) = (onset_x - start - 2.0 * air, end - right - air);
    let full = shortened(&mark.label, LABEL_MAX);
    let needs = |text: &str| width(text) * sheet.character;
    // In the bar itself, where it is long and nothing else has room.
    let inside = right - left - 2.0 * air;
    let (label_x, label) = if needs(&full) <= after {
        (right + air, full)
    } else if needs(&full) <= inside {
        (left + air, full)
    } else if needs(&full) <= before {
        (onset_x - air - needs(&full), full)
    } else if after >= before.max(inside) {
        (right + air, shortened(&full, fitting(after, sheet)))
    } else if inside >= before {
        (left + air, shortened(&full, fitting(inside, sheet)))
    } else {
        let short = shortened(&full, fitting(before, sheet));
        (onset_x - air - needs(&short), short)
    };
    Placed { mark, row: 0, onset_x, left, right, label_x, label }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a width of a drawing, cut to a small whole number"
)]
fn fitting(room: f64, sheet: &Sheet) -> usize {
    (room / sheet.character).clamp(0.0, 200.0) as usize
}

/// The beginning, with an ellipsis where something is cut.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    if most > 0 {
        short.push('…');
    }
    short
}
