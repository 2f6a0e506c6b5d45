//! A picture in characters, for a terminal.

use super::{
    Picture, Sheet,
    lanes::{Lane, Placed},
    mark::{Mark, Shape},
    scale::Scale,
};
use crate::say::Clock;

/// Columns between two times that are named along the edge.
const TICKS_APART: f64 = 14.0;

/// Draws the picture: the hours on top, then each place with its rows.
pub fn text(picture: &Picture, sheet: &Sheet) -> String {
    let scale = Scale::new(picture.from, picture.to, sheet);
    let mut lines = vec![axis(&scale, picture, sheet)];
    for lane in &picture.lanes {
        lines.push(name(lane));
        lines.extend((0..lane.rows).map(|row| line(lane, row, sheet)));
    }
    if picture.more > 0 {
        lines.push(format!("+ {} more in other places", picture.more));
    }
    for (_, _, words) in &picture.gaps {
        lines.push(format!("! {}", visible(words)));
    }
    lines.push(LEGEND.to_owned());
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

const LEGEND: &str =
    "◆━ change  ◇ planned or cleared  ✖ failed  ░ may have begun  █ alert  ⚑ note  ? suspect";

fn name(lane: &Lane) -> String {
    match lane.more {
        0 => visible(&lane.name),
        more => format!("{} (+ {more} more)", visible(&lane.name)),
    }
}

fn axis(scale: &Scale, picture: &Picture, sheet: &Sheet) -> String {
    let ticks = scale.ticks(TICKS_APART);
    let day = ticks.first().copied().unwrap_or(picture.from);
    let clock = Clock::new(day, ticks.iter().copied());
    let mut row = Row::new(sheet);
    for tick in ticks {
        row.write(scale.x(tick), &format!("╷{}", clock.show(tick)));
    }
    row.into_text()
}

fn line(lane: &Lane, number: usize, sheet: &Sheet) -> String {
    let mut row = Row::new(sheet);
    for one in lane.marks.iter().filter(|one| one.row == number) {
        draw(&mut row, one);
    }
    row.into_text()
}

fn draw(row: &mut Row, one: &Placed) {
    let Placed { mark, onset_x, left, right, label_x, label, .. } = one;
    match mark.shape {
        Shape::Alert => {
            row.fill(*onset_x, *left, '░');
            row.fill(*left, *right, '█');
        }
        Shape::Change | Shape::FailedChange | Shape::PlannedChange => {
            row.fill(*left, *right, '━');
            row.fill(*left, left + 1.0, head(mark));
        }
        Shape::Note | Shape::Feedback => row.fill(*left, left + 1.0, '⚑'),
    }
    row.write(*label_x, label);
}

fn head(mark: &Mark) -> char {
    use super::mark::Part;
    match (mark.shape, mark.part) {
        (Shape::FailedChange, _) => '✖',
        (Shape::PlannedChange, _) | (_, Part::Cleared) => '◇',
        (_, Part::FirstSuspect | Part::Suspect) => '?',
        _ => '◆',
    }
}

/// One line, character by character.
struct Row(Vec<char>);

impl Row {
    fn new(sheet: &Sheet) -> Self {
        Self(vec![' '; column(sheet.width)])
    }

    fn fill(&mut self, from: f64, to: f64, with: char) {
        let (from, to) = (column(from), column(to));
        for cell in self.0.iter_mut().take(to).skip(from) {
            *cell = with;
        }
    }

    fn write(&mut self, at: f64, words: &str) {
        let cells = self.0.iter_mut().skip(column(at));
        for (cell, c) in cells.zip(visible(words).chars()) {
            *cell = c;
        }
    }

    fn into_text(self) -> String {
        self.0.into_iter().collect()
    }
}

/// Nothing that a terminal would obey.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on a line, rounded and cut to it"
)]
fn column(x: f64) -> usize {
    x.round().clamp(0.0, 10_000.0) as usize
}
