//! The two ways out: stdout is data, stderr is talk.

use std::{
    io,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

/// How a command ended, when it could be run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// As it should.
    Fine,
    /// It found problems, or a condition is not met.
    Found,
    /// It cannot be said yet.
    Undecided,
}

/// The exit code of what could not be run, wrong usage included.
pub(super) const COULD_NOT_RUN: u8 = 2;

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Fine => 0,
            Outcome::Found => 1,
            Outcome::Undecided => 3,
        })
    }
}

/// Prints data; colours only reach a terminal.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to stdout")
}

/// Prints data for programs.
pub(super) fn print_json<T: Serialize>(thing: &T) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(thing).context("cannot write JSON")?;
    text.push('\n');
    print(&text)
}

/// Says something to whoever watches; nobody may.
pub(super) fn say(text: &str) {
    let mut err = anstream::stderr().lock();
    // Where stderr is closed, nobody is there to be told that it is.
    writeln!(err, "{text}").unwrap_or_default();
}

/// How far a long command is, on a line of stderr that is written over; only a terminal shows it.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }

    /// Writes over what was shown before.
    pub(super) fn show(&mut self, text: &str) {
        if self.shown {
            let mut err = anstream::stderr().lock();
            // Where stderr is closed, nobody is there to be told that it is.
            write!(err, "\r\u{1b}[K{text}").and_then(|()| err.flush()).unwrap_or_default();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}

/// Whether it went wrong because the reader had read enough, as `head` does.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
