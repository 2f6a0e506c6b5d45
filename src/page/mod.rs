//! The page: what the API answers, as HTML for people. It works without JavaScript, and is better
//! with it.
//!
//! In: the same values that the API sends. Out: HTML, whose style and script are assets of the
//! program, under names that hold their hash. Pure. Whatever arrived from outside is escaped by the
//! template library.

mod assets;
mod document;
mod explore;
mod frame;
mod incident;
mod incidents;
mod links;

#[cfg(test)]
mod tests;

pub use self::{
    assets::{Asset, asset},
    document::document,
    explore::{Explored, explore},
    frame::{Frame, failure, login},
    incident::{Shown, incident},
    incidents::{Listed, incidents},
    links::{Link, encoded},
};

/// The page could not be written; the templates are checked by the compiler, so this does not happen.
pub type Unwritten = askama::Error;
