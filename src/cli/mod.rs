//! The command line: reads arguments, calls the rest, prints what comes out.
//!
//! In: arguments, stdin and the environment. Out: data on stdout, talk on stderr, an exit code.
//! Only this module prints, and only here do errors of different kinds become one.

mod args;
mod backtest;
pub mod check;
mod client;
mod demo;
mod files;
mod import;
mod normalise;
mod out;
mod post;
mod problems;
mod query;
mod rebuild;
mod replay;
mod serve;
mod story;
pub mod test_rules;
mod text;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use self::{
    args::{Check, Cli, Command, Files, Format, Import, Test},
    client::NotYet,
    out::{COULD_NOT_RUN, Outcome, is_broken_pipe, print, say},
};

/// Runs the program on the arguments that it was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return show_usage(&usage),
    };
    match dispatch(cli) {
        Ok(outcome) => outcome.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            if error.is::<NotYet>() {
                Outcome::Undecided.into()
            } else {
                ExitCode::from(COULD_NOT_RUN)
            }
        }
    }
}

/// Help that was asked for is data and success; help that was not is neither.
fn show_usage(usage: &clap::Error) -> ExitCode {
    match usage.print() {
        Ok(()) if !usage.use_stderr() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::from(COULD_NOT_RUN),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Outcome> {
    let form = cli.format;
    // Of some there are more forms.
    let has_forms = matches!(&cli.command, Command::Timeline(_) | Command::Postmortem(_));
    let format = if has_forms { Format::Text } else { form.plain()? };
    match cli.command {
        Command::Timeline(args) => wait_for(query::timeline(&args, form)),
        Command::Postmortem(args) => wait_for(query::postmortem(&args, form)),
        Command::Change(args) => wait_for(post::change(&args, format)),
        Command::Note(args) => wait_for(post::note(&args, format)),
        Command::Import(Import::Prometheus(args)) => wait_for(import::prometheus(&args, format)),
        Command::Import(Import::Onsets(args)) => wait_for(import::onsets(&args)),
        Command::Import(Import::Cases(args)) => wait_for(import::cases(&args, format)),
        Command::Incidents(args) => wait_for(query::incidents(&args, format)),
        Command::Suspects(args) => wait_for(query::suspects(&args, format)),
        Command::Feedback(args) => wait_for(post::feedback(&args, format)),
        Command::Ready(args) => wait_for(query::ready(&args, format)),
        Command::Completions { shell } => completions(shell),
        Command::Serve(args) => serve::serve(args),
        Command::Rebuild(args) => rebuild::rebuild(&args, format),
        Command::Demo(args) => demo::demo(&args, format),
        Command::Replay(args) => replay::show(&args, format),
        Command::Normalise(args) => normalise::normalise(&args, format),
        Command::Backtest(args) => backtest::backtest(&args, format),
        Command::Check(Check::Config(Files { files })) => {
            problems::report(&check::check_config(&files), format)
        }
        Command::Check(Check::Rules(Files { files })) => {
            problems::report(&check::check_rules(&files), format)
        }
        Command::Test(Test::Rules(Files { files })) => {
            problems::report_tests(test_rules::test_rules(&files), format)
        }
    }
}

/// Runs a client's command; one thread is enough for it.
fn wait_for(command: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(command)
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "antecede", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Fine)
}
