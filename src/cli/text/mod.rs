//! What the program prints for people: pages of aligned columns, UTC, readable without colour.
//!
//! In: the same values that `--format json` prints. Out: text, with the few styles that are taken
//! off again where no terminal reads it. Nothing here asks or computes anything.

mod incident;
mod lines;
mod page;
mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use self::{
    incident::{Hint, answer, incident},
    lines::{incidents, timeline},
    page::{Column, Page, terminal_width},
    words::{say_count, say_place, show_moment},
};
use crate::event::{Change, ChangeId};

/// Changes by id, to be named where only the id is told.
pub(crate) type Changes = BTreeMap<ChangeId, Change>;
