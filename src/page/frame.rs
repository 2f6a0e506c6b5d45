//! What stands around every page.

use askama::Template;

use super::{
    Unwritten,
    assets::{ICON, SCRIPT, STYLE},
    links::{href, time},
};
use crate::{event::Time, say::show_moment};

/// What a page is shown as of.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The time of the answer.
    pub at: Time,
    /// It was asked for: the page does not move on by itself, and links keep to it.
    pub fixed: bool,
}

impl Frame {
    /// The time, where links are to keep it.
    pub(super) fn kept(&self) -> Option<String> {
        time(Some(self.at).filter(|_| self.fixed))
    }

    /// What the templates need.
    pub(super) fn outer(&self, title: &str, section: Section) -> Outer {
        let at = self.kept();
        Outer {
            title: title.to_owned(),
            style: &STYLE.path,
            script: &SCRIPT.path,
            icon: &ICON.path,
            live: !self.fixed,
            moment: show_moment(self.at),
            home: href("/", &[("at", at.clone())]),
            explore: href("/explore", &[("at", at)]),
            section,
        }
    }
}

/// Which part of the page is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    Incidents,
    Explore,
    Other,
}

/// What every template is given.
#[derive(Debug)]
pub(super) struct Outer {
    pub(super) title: String,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
    pub(super) live: bool,
    pub(super) moment: String,
    pub(super) home: String,
    pub(super) explore: String,
    pub(super) section: Section,
}

impl Outer {
    /// The value of `aria-current`.
    pub(super) fn current(&self, incidents: bool) -> &'static str {
        let here = if incidents { Section::Incidents } else { Section::Explore };
        if self.section == here { "page" } else { "false" }
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    outer: Outer,
    status: u16,
    words: String,
    hint: Option<String>,
}

/// The page of an error.
///
/// # Errors
/// It cannot be written.
pub fn failure(
    at: Time,
    status: u16,
    words: &str,
    hint: Option<&str>,
) -> Result<String, Unwritten> {
    let outer = Frame { at, fixed: true }.outer(&format!("{status}"), Section::Other);
    FailurePage { outer, status, words: words.to_owned(), hint: hint.map(str::to_owned) }.render()
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    outer: Outer,
    next: String,
    wrong: bool,
}

/// The page that asks for the token, and leads on to `next`.
///
/// # Errors
/// It cannot be written.
pub fn login(at: Time, next: &str, wrong: bool) -> Result<String, Unwritten> {
    let outer = Frame { at, fixed: true }.outer("Log in", Section::Other);
    LoginPage { outer, next: next.to_owned(), wrong }.render()
}
