//! A picture as SVG. Everything that arrived from outside is escaped on its way in.

use std::fmt::Write as _;

use super::{
    Picture, Sheet,
    lanes::{Lane, Placed},
    mark::{Part, Shape},
    scale::Scale,
};
use crate::say::Clock;

/// The classes of a picture. The page has them in its own sheet; a picture that stands alone brings
/// them along.
pub const STYLE: &str = include_str!("picture.css");

/// The height of a row, of the axis, and of a lane's name where that stands above it.
const ROW: f64 = 24.0;
const AXIS: f64 = 26.0;
const NAME: f64 = 20.0;
/// Above and below the rows of a lane.
const PAD: f64 = 5.0;
/// Between two times that are named along the edge.
const TICKS_APART: f64 = 74.0;

/// Draws the picture. `name` tells it from others on one page: of letters and digits. `alone` is for
/// a file of its own, which brings its style along and links nowhere.
pub fn svg(picture: &Picture, sheet: &Sheet, name: &str, alone: bool) -> String {
    let drawing = Drawing::new(picture, sheet, name, alone);
    drawing.draw()
}

struct Drawing<'a> {
    picture: &'a Picture,
    sheet: &'a Sheet,
    scale: Scale,
    name: &'a str,
    alone: bool,
    /// Where each lane begins, and after them the end.
    tops: Vec<f64>,
    height: f64,
}

impl<'a> Drawing<'a> {
    fn new(picture: &'a Picture, sheet: &'a Sheet, name: &'a str, alone: bool) -> Self {
        let scale = Scale::new(picture.from, picture.to, sheet);
        let mut tops = Vec::with_capacity(picture.lanes.len());
        let mut y = AXIS;
        for lane in &picture.lanes {
            tops.push(y);
            y += head(sheet, lane) + 2.0 * PAD + ROW * float(lane.rows.max(1));
        }
        let height = y + if picture.more > 0 { ROW } else { 4.0 };
        Self { picture, sheet, scale, name, alone, tops, height }
    }

    fn draw(&self) -> String {
        let (width, height) = (self.sheet.width, self.height);
        let mut out = String::with_capacity(16 << 10);
        let space = if self.alone { r#" xmlns="http://www.w3.org/2000/svg""# } else { "" };
        put(
            &mut out,
            format_args!(
                r#"<svg{space} class="picture" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="group" aria-label="Timeline picture">"#
            ),
        );
        if self.alone {
            put(&mut out, format_args!("<style>{STYLE}</style>"));
            put(
                &mut out,
                format_args!(r#"<rect class="sheet" width="{width:.0}" height="{height:.0}"/>"#),
            );
        }
        self.patterns(&mut out);
        self.bands(&mut out);
        self.axis(&mut out);
        self.gaps(&mut out);
        self.links(&mut out);
        for (lane, top) in self.picture.lanes.iter().zip(&self.tops) {
            self.lane(&mut out, lane, *top);
        }
        self.now(&mut out);
        if self.picture.more > 0 {
            let y = self.height - 8.0;
            put(
                &mut out,
                format_args!(
                    r#"<text class="more" x="6" y="{y:.0}">+ {} more in other places</text>"#,
                    self.picture.more
                ),
            );
        }
        out.push_str("</svg>");
        out
    }

    fn patterns(&self, out: &mut String) {
        let name = self.name;
        put(
            out,
            format_args!(
                r#"<defs><pattern id="{name}-onset" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="onset-ink" width="2" height="5"/></pattern><pattern id="{name}-gap" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect class="gap-ink" width="2" height="8"/></pattern></defs>"#
            ),
        );
    }

    fn bands(&self, out: &mut String) {
        let ends = self.tops.iter().skip(1).copied().chain([self.bottom()]);
        for (n, (top, end)) in self.tops.iter().zip(ends).enumerate() {
            let class = if n % 2 == 0 { "band even" } else { "band odd" };
            let (width, height) = (self.sheet.width, end - top);
            put(
                out,
                format_args!(
                    r#"<rect class="{class}" x="0" y="{top:.0}" width="{width:.0}" height="{height:.0}"/>"#
                ),
            );
        }
    }

    /// Where the last lane ends.
    fn bottom(&self) -> f64 {
        self.height - if self.picture.more > 0 { ROW } else { 4.0 }
    }

    fn axis(&self, out: &mut String) {
        let ticks = self.scale.ticks(TICKS_APART);
        let day = ticks.first().copied().unwrap_or(self.picture.from);
        let clock = Clock::new(day, ticks.iter().copied());
        let bottom = self.bottom();
        let (start, end) = self.scale.edges();
        for tick in ticks {
            let x = self.scale.x(tick);
            put(
                out,
                format_args!(
                    r#"<line class="tick" x1="{x:.1}" y1="{AXIS}" x2="{x:.1}" y2="{bottom:.0}"/>"#
                ),
            );
            if x > start + 16.0 && x < end - 16.0 {
                let words = clock.show(tick);
                put(out, format_args!(r#"<text class="time" x="{x:.1}" y="16">{words}</text>"#));
            }
        }
    }

    fn gaps(&self, out: &mut String) {
        for (from, to, words) in &self.picture.gaps {
            let (x, end) = (self.scale.x(*from), self.scale.x(*to));
            let (width, height) = ((end - x).max(1.0), self.bottom() - AXIS);
            put(
                out,
                format_args!(
                    r#"<rect class="gap" x="{x:.1}" y="{AXIS}" width="{width:.1}" height="{height:.0}" fill="url(#{}-gap)"><title>{}</title></rect>"#,
                    self.name,
                    escaped(words)
                ),
            );
        }
    }

    /// From the first suspect to the first symptom after it in each lane.
    fn links(&self, out: &mut String) {
        // On a narrow sheet they would run through all that is written.
        if self.sheet.gutter <= 0.0 {
            return;
        }
        let all = self.picture.lanes.iter().zip(&self.tops);
        let placed = |(lane, top): (&'a Lane, &f64)| {
            let base = top + head(self.sheet, lane) + PAD;
            lane.marks.iter().map(move |one| (one, base + ROW * float(one.row) + ROW / 2.0))
        };
        let causes: Vec<_> = all
            .clone()
            .flat_map(placed)
            .filter(|(one, _)| one.mark.part == Part::FirstSuspect)
            .collect();
        let Some((cause, cause_y)) = causes.iter().min_by_key(|(one, _)| one.mark.from) else {
            return;
        };
        for (lane, top) in all {
            let symptoms = placed((lane, top)).filter(|(one, _)| {
                one.mark.shape == Shape::Alert && one.mark.from >= cause.mark.from
            });
            let Some((symptom, y)) = symptoms.min_by_key(|(one, _)| one.mark.from) else {
                continue;
            };
            let (x1, x2) = (cause.left + self.sheet.mark / 2.0, symptom.left);
            let bend = ((x2 - x1) / 2.0).clamp(12.0, 90.0);
            put(
                out,
                format_args!(
                    r#"<path class="link" d="M{x1:.1} {cause_y:.1} C{x1:.1} {y:.1} {:.1} {y:.1} {x2:.1} {y:.1}"/>"#,
                    x2 - bend
                ),
            );
        }
    }

    fn lane(&self, out: &mut String, lane: &Lane, top: f64) {
        let name = super::lanes::shortened(&lane.name, self.name_room());
        let y = top + PAD + 15.0;
        put(
            out,
            format_args!(
                r#"<text class="lane" x="6" y="{y:.1}">{}<title>{}</title></text>"#,
                escaped(&name),
                escaped(&lane.name)
            ),
        );
        if lane.more > 0 {
            let (x, y) = if self.sheet.gutter > 0.0 {
                (6.0, y + 16.0)
            } else {
                (self.sheet.width - 70.0, y)
            };
            let more = lane.more;
            put(
                out,
                format_args!(r#"<text class="more" x="{x:.0}" y="{y:.1}">+ {more} more</text>"#),
            );
        }
        let base = top + head(self.sheet, lane) + PAD;
        for one in &lane.marks {
            self.mark(out, one, base + ROW * float(one.row));
        }
    }

    /// Characters for a lane's name.
    fn name_room(&self) -> usize {
        if self.sheet.gutter > 0.0 { 26 } else { 40 }
    }

    fn mark(&self, out: &mut String, one: &Placed, top: f64) {
        let Placed { mark, label, label_x, left, right, .. } = one;
        let middle = top + ROW / 2.0;
        let class = format!("mark {} {}", mark.part.word(), shape_word(mark.shape));
        let detail = escaped(&mark.detail);
        // What is heard begins with what is seen.
        let name = if label.is_empty() || *label == mark.label {
            detail.clone()
        } else {
            format!("{}: {detail}", escaped(label))
        };
        if self.alone {
            put(out, format_args!(r#"<g class="{class}"><title>{detail}</title>"#));
        } else {
            put(
                out,
                format_args!(
                    r##"<a class="{class}" href="#entry-{}" aria-label="{name}" data-detail="{detail}">"##,
                    mark.entry
                ),
            );
        }
        match mark.shape {
            Shape::Alert => self.alert(out, one, middle),
            Shape::Change | Shape::FailedChange | Shape::PlannedChange => {
                change(out, one, self.sheet.mark, middle);
            }
            Shape::Note | Shape::Feedback => put(
                out,
                format_args!(
                    r#"<path d="M{left:.1} {:.1} V{:.1} M{left:.1} {:.1} l11 4 l-11 4 Z"/>"#,
                    middle + 8.0,
                    middle - 8.0,
                    middle - 8.0
                ),
            ),
        }
        if !label.is_empty() {
            let inside = label_x > left && label_x < right && mark.shape == Shape::Alert;
            let class = if inside { "label inside" } else { "label" };
            let y = middle + 4.0;
            put(
                out,
                format_args!(
                    r#"<text class="{class}" x="{label_x:.1}" y="{y:.1}">{}</text>"#,
                    escaped(label)
                ),
            );
        }
        out.push_str(if self.alone { "</g>" } else { "</a>" });
    }

    fn alert(&self, out: &mut String, one: &Placed, middle: f64) {
        let Placed { mark, onset_x, left, right, .. } = one;
        let (y, height) = (middle - 7.0, 14.0);
        if onset_x < left {
            put(
                out,
                format_args!(
                    r#"<rect class="onset" x="{onset_x:.1}" y="{y:.1}" width="{:.1}" height="{height}" fill="url(#{}-onset)"/>"#,
                    left - onset_x,
                    self.name
                ),
            );
        }
        let class = if mark.open { "bar open" } else { "bar" };
        put(
            out,
            format_args!(
                r#"<rect class="{class}" x="{left:.1}" y="{y:.1}" width="{:.1}" height="{height}" rx="2"/>"#,
                right - left
            ),
        );
    }

    fn now(&self, out: &mut String) {
        let goes_on =
            self.picture.lanes.iter().flat_map(|lane| &lane.marks).any(|one| one.mark.open);
        let Some(now) = self.picture.now.filter(|_| goes_on) else { return };
        let (x, bottom) = (self.scale.x(now) - 0.5, self.bottom());
        put(
            out,
            format_args!(
                r#"<line class="now" x1="{x:.1}" y1="{AXIS}" x2="{x:.1}" y2="{bottom:.0}"/>"#
            ),
        );
    }
}

/// A diamond where it began, and a line for as long as it took.
fn change(out: &mut String, one: &Placed, size: f64, middle: f64) {
    let Placed { mark, left, right, .. } = one;
    let half = size / 2.0 + 1.5;
    let centre = left + size / 2.0;
    if right - left > size + 1.0 {
        put(
            out,
            format_args!(
                r#"<rect class="span" x="{centre:.1}" y="{:.1}" width="{:.1}" height="5" rx="2"/>"#,
                middle - 2.5,
                right - centre
            ),
        );
    }
    put(
        out,
        format_args!(
            r#"<path class="diamond" d="M{centre:.1} {:.1} l{half} {half} l-{half} {half} l-{half} -{half} Z"/>"#,
            middle - half
        ),
    );
    if mark.shape == Shape::FailedChange {
        put(
            out,
            format_args!(
                r#"<path class="cross" d="M{:.1} {:.1} l5 5 m0 -5 l-5 5"/>"#,
                centre - 2.5,
                middle - 2.5
            ),
        );
    }
}

/// What a lane needs above its rows.
fn head(sheet: &Sheet, lane: &Lane) -> f64 {
    match (sheet.gutter > 0.0, lane.more > 0 && lane.rows < 2) {
        (true, false) => 0.0,
        (true, true) => ROW / 2.0,
        (false, _) => NAME,
    }
}

const fn shape_word(shape: Shape) -> &'static str {
    match shape {
        Shape::Change => "change",
        Shape::FailedChange => "change failed",
        Shape::PlannedChange => "change planned",
        Shape::Alert => "alert",
        Shape::Note => "note",
        Shape::Feedback => "feedback",
    }
}

/// Writing to a `String` cannot fail.
fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).unwrap_or_default();
}

/// The text as XML may hold it: nothing in it is markup, and nothing a control character.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
