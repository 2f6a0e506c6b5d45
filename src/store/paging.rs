//! The one law of pages: what belongs on a list, in which order, and where a page ends.

use super::{Page, Paged};
use crate::event::Time;

/// So many things are looked at for one page. The bound is on the work of one call: what `keep`
/// turns away is read and parsed like what it lets through.
pub const EXAMINED_MAX: usize = 5_000;

/// A thing's place in its list: its start, then its id.
pub(super) type Key = (Time, String);

impl Page {
    /// Whether something that began by its end is wanted in its range.
    pub(super) fn wants(&self, start: Time, end: Option<Time>) -> bool {
        let not_over = end.zip(self.start).is_none_or(|(end, page_start)| page_start <= end);
        let starts_within = self.start.is_none_or(|page_start| page_start <= start);
        let ends_within = end.is_some_and(|end| self.end.is_none_or(|page_end| end <= page_end));
        not_over && (!self.edges || starts_within || ends_within)
    }

    /// Whether something of this start, end and id is in the page's range and after its key.
    pub(super) fn holds(&self, start: Time, end: Option<Time>, id: &str) -> bool {
        let begun = self.end.is_none_or(|page_end| start <= page_end);
        let follows = self
            .after
            .as_ref()
            .is_none_or(|(after, after_id)| (start, id) < (*after, after_id.as_str()));
        begun && follows && self.wants(start, end)
    }
}

/// Fills a page from what is in its range, in the list's order.
pub(super) fn fill<T, E>(
    limit: usize,
    candidates: impl Iterator<Item = Result<(Key, T), E>>,
    keep: impl Fn(&T) -> bool,
) -> Result<Paged<T>, E> {
    let mut items = Vec::new();
    let mut last = None;
    for (examined, candidate) in candidates.enumerate() {
        let (key, item) = candidate?;
        if items.len() == limit || examined == EXAMINED_MAX {
            return Ok(Paged { items, next: last });
        }
        if keep(&item) {
            items.push(item);
        }
        last = Some(key);
    }
    Ok(Paged { items, next: None })
}
