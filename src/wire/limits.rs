//! How much of what a source sends is taken. What is over is rejected with its field's name, but
//! for words that are only shown to people: those are cut.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Flaw, moment::Moment};
use crate::event::{Labels, Time, show_time};

/// Things in one body. A reply lists each that was rejected, so their number is bounded too.
pub const ITEMS_MAX: usize = 50_000;
/// Label names on one thing. Prometheus' own default is no limit; real alerts have five to thirty.
pub const LABELS_MAX: usize = 64;
/// Bytes of a label's name, and of an id.
pub const LABEL_NAME_MAX: usize = 256;
/// Bytes of one value of a label.
pub const LABEL_VALUE_MAX: usize = 4 << 10;
/// Values of one label: a change of a whole platform names its services.
pub const LABEL_VALUES_MAX: usize = 256;
/// Bytes of a summary or a title, which are cut, and of an actor, a revision or a change set.
pub const TEXT_MAX: usize = 1 << 10;
/// Bytes of a link. A longer one is left out: part of a link leads nowhere, and the thing that it
/// belongs to matters more.
pub const URL_MAX: usize = 8 << 10;
/// Bytes of a note.
pub const NOTE_TEXT_MAX: usize = 16 << 10;
/// Resources of one change.
pub const RESOURCES_MAX: usize = 1_000;
/// How far a source's clock may be ahead of ours before its times are not believed.
pub const AHEAD_MAX: TimeDelta = TimeDelta::days(1);
/// How far ahead a change may be planned.
pub const PLANNED_AHEAD_MAX: TimeDelta = TimeDelta::days(366);

/// 2000-01-01: an earlier time is a field that was never set, or a unit that was mistaken.
const EARLIEST_SECONDS: i64 = 946_684_800;

/// The time that the field says, if it says one and it can be so.
pub(super) fn time(
    field: &str,
    written: Moment,
    received: Time,
    ahead: TimeDelta,
) -> Result<Option<Time>, Flaw> {
    let Some(time) = written.0 else { return Ok(None) };
    let latest = received.checked_add_signed(ahead).unwrap_or(DateTime::<Utc>::MAX_UTC);
    if time.timestamp() < EARLIEST_SECONDS {
        return Err(Flaw::new(field, format!("{} is before the year 2000", show_time(time))));
    }
    if time > latest {
        let days = ahead.num_days();
        let reason = format!(
            "{} is more than {days} d after its receipt, {}",
            show_time(time),
            show_time(received)
        );
        return Err(Flaw::new(field, reason));
    }
    Ok(Some(time))
}

/// Whether the labels are within the limits.
pub(super) fn labels(labels: &Labels) -> Result<(), Flaw> {
    let mut names = 0;
    for (name, values) in labels.by_name() {
        names += 1;
        if name.len() > LABEL_NAME_MAX {
            let reason =
                format!("a name of {} bytes; at most {LABEL_NAME_MAX} are taken", name.len());
            return Err(Flaw::new("labels", reason));
        }
        let field = || format!("labels.{name}");
        if values.len() > LABEL_VALUES_MAX {
            let reason = format!("{} values; at most {LABEL_VALUES_MAX} are taken", values.len());
            return Err(Flaw::new(field(), reason));
        }
        if let Some(value) = values.into_iter().find(|value| value.len() > LABEL_VALUE_MAX) {
            let reason =
                format!("a value of {} bytes; at most {LABEL_VALUE_MAX} are taken", value.len());
            return Err(Flaw::new(field(), reason));
        }
    }
    if names > LABELS_MAX {
        let reason = format!("{names} labels; at most {LABELS_MAX} are taken");
        return Err(Flaw::new("labels", reason));
    }
    Ok(())
}

/// The text of a field that means something; an empty one says nothing.
pub(super) fn text(
    field: &str,
    written: Option<String>,
    max: usize,
) -> Result<Option<String>, Flaw> {
    match written.filter(|text| !text.is_empty()) {
        Some(text) if text.len() > max => {
            let reason = format!("{} bytes; at most {max} are taken", text.len());
            Err(Flaw::new(field, reason))
        }
        text => Ok(text),
    }
}

/// The text of a field that people read, cut to [`TEXT_MAX`].
pub(super) fn words(written: Option<String>) -> Option<String> {
    let mut text = written.filter(|text| !text.trim().is_empty())?;
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    Some(text)
}

/// A link, unless it is too long to be one.
pub(super) fn url(written: Option<String>) -> Option<String> {
    written.filter(|url| !url.is_empty() && url.len() <= URL_MAX)
}
