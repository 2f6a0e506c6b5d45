//! What the program prints for people: pages of aligned columns, UTC, readable without colour.
//!
//! In: the same values that `--format json` prints. Out: text, with the few styles that are taken
//! off again where no terminal reads it. Nothing here asks or computes anything.

mod incident;
mod lines;
mod page;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use self::{
    incident::{Hint, incident},
    lines::{incidents, timeline},
    page::{Column, Page, terminal_width},
};
use crate::event::{Change, ChangeId};

/// Changes by id, to be named where only the id is told.
pub(crate) type Changes = BTreeMap<ChangeId, Change>;
