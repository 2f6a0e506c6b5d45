//! A page of plain text: headings, and columns that wrap at the width of the terminal.
//!
//! What goes in came from elsewhere, so nothing that steers a terminal gets through.

use anstyle::Style;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// How wide a page is where there is no terminal to ask.
pub(crate) const WIDTH_DEFAULT: u16 = 100;

/// Longer lines are hard to read, shorter ones cannot hold columns.
const WIDTHS: std::ops::RangeInclusive<u16> = 50..=120;

/// How wide pages on this terminal are.
pub(crate) fn terminal_width() -> u16 {
    let width = terminal_size::terminal_size().map_or(WIDTH_DEFAULT, |(width, _)| width.0);
    width.clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// How a column uses its room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// As wide as it needs.
    Left,
    /// As wide as it needs, digits under digits.
    Right,
    /// What the others leave over, in several lines where it must.
    Wrapped,
}

/// A page that is being written.
#[derive(Debug)]
pub(crate) struct Page {
    width: u16,
    text: String,
}

impl Page {
    /// An empty page.
    pub(crate) fn new(width: u16) -> Self {
        Self { width, text: String::new() }
    }

    /// What is on it.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// A line that begins a part, after an empty one where something stands above.
    pub(crate) fn heading(&mut self, words: &str) {
        self.gap();
        let bold = Style::new().bold();
        self.push_line(&format!("{bold}{}{bold:#}", printable(words)));
    }

    /// An empty line, where something stands above.
    pub(crate) fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// A line of which the first words stand out; it is not wrapped.
    pub(crate) fn strong(&mut self, words: &str, rest: &str) {
        let bold = Style::new().bold();
        let line = format!("{bold}{}{bold:#}  {}", printable(words), printable(rest));
        self.push_line(&line);
    }

    /// A line to be copied, as it is.
    pub(crate) fn literal(&mut self, indent: usize, line: &str) {
        self.push_line(&format!("{:indent$}{}", "", printable(line)));
    }

    /// Words that wrap.
    pub(crate) fn words(&mut self, indent: u16, words: &str) {
        self.columns(indent, &[Column::Wrapped], [vec![words.to_owned()]]);
    }

    /// Rows in columns, two spaces between them.
    pub(crate) fn columns(
        &mut self,
        indent: u16,
        columns: &[Column],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
        }
        for (index, kind) in columns.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((if index == 0 { indent } else { 2 }, 0));
                match kind {
                    Column::Left => drop(column.set_constraint(ColumnConstraint::ContentWidth)),
                    Column::Right => {
                        column.set_constraint(ColumnConstraint::ContentWidth);
                        column.set_cell_alignment(CellAlignment::Right);
                    }
                    Column::Wrapped => {}
                }
            }
        }
        for line in table.lines() {
            self.push_line(&line);
        }
    }

    fn push_line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// The text on one line, without anything that a terminal would obey.
fn printable(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}
