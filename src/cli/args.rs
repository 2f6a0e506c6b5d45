//! What can be written on the command line. The names are a contract with people's scripts.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::bail;
use chrono::TimeDelta;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    backtest,
    duration::parse_duration,
    event::{Action, Kind, Status, Time, parse_time},
    rules::Matchers,
};

/// Which change came before these alerts and caused them?
#[derive(Debug, Parser)]
#[command(
    name = "antecede",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 ok, 1 found problems or the condition is not met, \
                  2 usage or could not run, 3 undecided."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// In which form to print: svg is for timelines, markdown and html are for post-mortems
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) format: Form,
}

/// The form of what goes to stdout, where it may be a document or a picture.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Form {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// A picture
    Svg,
    /// A document
    Markdown,
    /// A document for a browser
    Html,
}

impl Form {
    /// The form, of a command that prints no picture and no document.
    pub(super) fn plain(self) -> anyhow::Result<Format> {
        match self {
            Self::Text => Ok(Format::Text),
            Self::Json => Ok(Format::Json),
            Self::Svg => bail!("only `timeline` prints svg"),
            Self::Markdown | Self::Html => bail!("only `postmortem` prints markdown and html"),
        }
    }
}

/// The form of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon
    Serve(Serve),
    /// Run the daemon on defaults, and replay the founding incident into it
    Demo(Demo),
    /// Say what a recorded incident looked like at a time, without a daemon
    Replay(Replay),
    /// Show what a payload becomes, and what of it is not understood, without a daemon
    Normalise(Normalise),
    /// Measure answers on recorded incidents, beside simpler ways to answer
    Backtest(Backtest),
    /// Find what is wrong with files
    #[command(subcommand)]
    Check(Check),
    /// Run tests
    #[command(subcommand)]
    Test(Test),
    /// Post a change
    Change(Box<PostChange>),
    /// Post a note
    Note(PostNote),
    /// Take in the past
    #[command(subcommand)]
    Import(Import),
    /// List incidents, newest first
    Incidents(Incidents),
    /// Show an incident: what caused it, and why
    Suspects(OneIncident),
    /// Tell an incident, or a range of time, line by line
    Timeline(Timeline),
    /// Begin the document of the day after: what happened, why, and what users had of it
    Postmortem(OneIncident),
    /// Say of a change that it was the cause of an incident, or was not
    Feedback(PostFeedback),
    /// Make the state anew from the log, so that what came late counts; no daemon may run
    Rebuild(Rebuild),
    /// Say whether the daemon is ready, by the exit code
    Ready(Server),
    /// Print the completions for a shell
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Run the daemon.
#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The configuration; without one, the defaults
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where to listen, instead of where the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Where to keep the data, instead of where the configuration says
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Serve other machines without asking for a token
    #[arg(long)]
    pub(super) allow_unauthenticated: bool,
    /// The file that holds the token to ask for
    #[arg(long, value_name = "FILE", env = "ANTECEDE_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) log: Log,
}

/// Make the state anew from the log.
#[derive(Args, Debug)]
pub(super) struct Rebuild {
    /// The configuration; without one, the defaults
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where the data is, instead of where the configuration says
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// How much to log: a level, or directives as in `RUST_LOG`
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = "warn")]
    pub(super) log_level: String,
}

/// What the daemon tells on stderr.
#[derive(Args, Debug)]
pub(super) struct Log {
    /// How much to log: a level, or directives as in `RUST_LOG`
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = "info")]
    pub(super) log_level: String,
    /// In which form to log
    #[arg(long, value_enum, default_value_t)]
    pub(super) log_format: Format,
}

/// Replay the founding incident into a daemon.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Where to listen; by default 127.0.0.1:8377, or a free port where that is taken
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// How many times faster than it happened; 0 is as fast as it goes
    #[arg(long, value_name = "TIMES", default_value_t = 2000)]
    pub(super) speed: u32,
    /// End after the replay instead of staying up
    #[arg(long)]
    pub(super) exit: bool,
    /// How much the daemon logs: a level, or directives as in `RUST_LOG`
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG", default_value = "warn")]
    pub(super) log_level: String,
}

/// Say what a recorded incident looked like.
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The case file
    pub(super) case: PathBuf,
    /// As of when; by default after the last event
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) until: Option<Time>,
    /// The configuration; without one, the defaults
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A directory of rules to use instead of those that are built in
    #[arg(long, value_name = "DIR", conflicts_with = "no_rules")]
    pub(super) rules: Option<PathBuf>,
    /// Use no rules
    #[arg(long)]
    pub(super) no_rules: bool,
    /// Do without the case's catalogue
    #[arg(long)]
    pub(super) no_catalog: bool,
}

/// Show what a payload becomes.
#[derive(Args, Debug)]
pub(super) struct Normalise {
    /// List the sources and what becomes of what they send
    #[arg(long, conflicts_with_all = ["source", "file"])]
    pub(super) list: bool,
    /// Whose payload it is
    #[arg(long, value_name = "SOURCE", required_unless_present = "list")]
    pub(super) source: Option<String>,
    /// The payload; `-` is stdin
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(super) file: Option<PathBuf>,
    /// A header that it comes with, as 'X-GitHub-Event: push'; as often as there are more
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,
    /// What stands behind the `?` of the address, as environment=production; as often as there are
    /// more
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) query: Vec<(String, String)>,
    /// When it comes, instead of now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) received: Option<Time>,
    /// The configuration, for a source that it describes as [[source]]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Measure answers on recorded incidents.
#[derive(Args, Debug)]
pub(super) struct Backtest {
    /// Case files, or directories of them
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// As of when: `end`, or so long after the first alert, as `first-alert+5m`; by default both
    #[arg(long, value_name = "MOMENT")]
    at: Vec<At>,
    /// The configuration; without one, the defaults
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A directory of rules to use instead of those that are built in
    #[arg(long, value_name = "DIR")]
    pub(super) rules: Option<PathBuf>,
    /// A directory of rules to compare with, case by case
    #[arg(long, value_name = "DIR")]
    pub(super) compare: Option<PathBuf>,
    /// Also follow each answer from the first alert to the last
    #[arg(long)]
    pub(super) course: bool,
    /// Also show each case
    #[arg(long)]
    pub(super) cases: bool,
}

/// A moment and what it is called.
#[derive(Clone, Debug)]
pub(super) struct At(pub(super) String, pub(super) backtest::Moment);

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let moment = match text.strip_prefix("first-alert") {
            _ if text == "end" => backtest::Moment::End,
            Some("") => backtest::Moment::AfterFirstAlert(TimeDelta::zero()),
            Some(rest) if rest.starts_with('+') => {
                backtest::Moment::AfterFirstAlert(parse_duration(rest.trim_start_matches('+'))?)
            }
            _ => return Err(format!("{text:?} is neither \"end\" nor as \"first-alert+5m\"")),
        };
        Ok(Self(text.to_owned(), moment))
    }
}

impl Backtest {
    /// The moments to judge answers at.
    pub(super) fn moments(&self) -> Vec<At> {
        if !self.at.is_empty() {
            return self.at.clone();
        }
        let early = backtest::Moment::AfterFirstAlert(TimeDelta::minutes(5));
        vec![At("first-alert+5m".to_owned(), early), At("end".to_owned(), backtest::Moment::End)]
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Check {
    /// Check configuration files
    Config(Files),
    /// Check rule files
    Rules(Files),
}

#[derive(Debug, Subcommand)]
pub(super) enum Test {
    /// Run the tests of rules
    Rules(Files),
}

/// Files to look at.
#[derive(Args, Debug)]
pub(super) struct Files {
    /// Files, or directories of them
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Post the alerts of the past that a Prometheus knows of
    Prometheus(Box<ImportPrometheus>),
    /// Print a rule file of how long alerts wait before they fire, by a Prometheus' rules
    Onsets(ImportOnsets),
    /// Post the events of recorded incidents
    Cases(ImportCases),
}

/// Post the alerts of the past.
#[derive(Args, Debug)]
pub(super) struct ImportPrometheus {
    /// Where Prometheus is, or what answers its API
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// How far back to go
    #[arg(long, value_name = "DURATION", default_value = "15d", value_parser = parse_duration)]
    pub(super) since: TimeDelta,
    /// How closely to look: starts and ends are as exact as this
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) step: TimeDelta,
    /// A label that Prometheus adds to what it sends (its `external_labels`), as often as there are
    /// more
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// The file that holds the token for Prometheus
    #[arg(long, value_name = "FILE")]
    pub(super) prometheus_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) server: Server,
}

/// Print a rule file of how long alerts wait before they fire.
#[derive(Args, Debug)]
pub(super) struct ImportOnsets {
    /// Where Prometheus is, or what answers its API
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// The file that holds the token for Prometheus
    #[arg(long, value_name = "FILE")]
    pub(super) prometheus_token_file: Option<PathBuf>,
}

/// Post the events of recorded incidents.
#[derive(Args, Debug)]
pub(super) struct ImportCases {
    /// Case files, or directories of them
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) server: Server,
}

/// Which daemon to talk to.
#[derive(Args, Clone, Debug)]
pub(super) struct Server {
    /// Where the daemon is
    #[arg(long, value_name = "URL", env = "ANTECEDE_URL", default_value = "http://127.0.0.1:8377")]
    pub(super) server: String,
    /// The file that holds the token
    #[arg(long, value_name = "FILE", env = "ANTECEDE_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
}

/// Which moment to ask about.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Moment {
    /// The answer as of then, instead of now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) at: Option<Time>,
    /// Wait until so much of the log is assessed: the `seq` of a reply to a post
    #[arg(long, value_name = "SEQ")]
    pub(super) wait_seq: Option<u64>,
    /// How long to wait for it
    #[arg(long, value_name = "DURATION", default_value = "10s", requires = "wait_seq")]
    pub(super) timeout: String,
}

/// List incidents.
#[derive(Args, Debug)]
pub(super) struct Incidents {
    /// Only those in this state: open, quiet or closed
    #[arg(long)]
    pub(super) state: Option<String>,
    #[command(flatten)]
    pub(super) range: Range,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) moment: Moment,
    #[command(flatten)]
    pub(super) server: Server,
}

/// Which part of the past.
#[derive(Args, Debug)]
pub(super) struct Range {
    /// What had not ended before then
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) start: Option<Time>,
    /// What had begun by then
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) end: Option<Time>,
    /// What these label matchers hold for, as in service="api"; each of them
    #[arg(long = "match", value_name = "MATCHERS", value_parser = matchers)]
    pub(super) matchers: Vec<String>,
}

/// One incident.
#[derive(Args, Debug)]
pub(super) struct OneIncident {
    /// The incident, or one of its alerts; by default the newest incident
    pub(super) id: Option<String>,
    #[command(flatten)]
    pub(super) moment: Moment,
    #[command(flatten)]
    pub(super) server: Server,
}

/// A timeline.
#[derive(Args, Debug)]
pub(super) struct Timeline {
    /// The incident, or one of its alerts; by default the newest incident
    #[arg(conflicts_with_all = ["start", "end", "matchers"])]
    pub(super) id: Option<String>,
    #[command(flatten)]
    pub(super) range: Range,
    #[command(flatten)]
    pub(super) moment: Moment,
    #[command(flatten)]
    pub(super) server: Server,
}

/// Post a change.
#[derive(Args, Debug)]
pub(super) struct PostChange {
    /// Read it from stdin, as JSON: one change, or an array of them
    #[arg(value_name = "-", value_parser = ["-"], conflicts_with = "ChangeFlags")]
    pub(super) stdin: Option<String>,
    #[command(flatten)]
    pub(super) change: ChangeFlags,
    #[command(flatten)]
    pub(super) server: Server,
}

/// What is said of a change.
#[derive(Args, Debug)]
pub(super) struct ChangeFlags {
    /// Its name; reports with one name are of one change
    #[arg(long)]
    pub(super) id: Option<String>,
    /// What sort of thing was altered: deploy, config, infrastructure, database, network, ...
    #[arg(long)]
    pub(super) kind: Option<Kind>,
    /// What was done to it: create, update, delete, replace, rotate, restart, ...
    #[arg(long)]
    pub(super) action: Option<Action>,
    /// The service that was changed; as often as there are several
    #[arg(long)]
    pub(super) service: Vec<String>,
    /// Where; as often as there are several
    #[arg(long)]
    pub(super) environment: Vec<String>,
    /// One line, as a commit subject says it
    #[arg(long)]
    pub(super) title: Option<String>,
    /// How far it has come: planned, started, succeeded, failed or canceled
    #[arg(long)]
    pub(super) status: Option<Status>,
    /// When it began
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) started_at: Option<Time>,
    /// When it ended
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) finished_at: Option<Time>,
    /// Another label, as often as there are more
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// The commit or version that it put in place
    #[arg(long)]
    pub(super) revision: Option<String>,
    /// The key that all changes of one act share
    #[arg(long, value_name = "KEY")]
    pub(super) change_set: Option<String>,
    /// Who or what did it
    #[arg(long)]
    pub(super) actor: Option<String>,
    /// Where people read more
    #[arg(long)]
    pub(super) url: Option<String>,
}

/// Post a note.
#[derive(Args, Debug)]
pub(super) struct PostNote {
    /// What to write into the timeline
    pub(super) text: String,
    /// When it was so, instead of now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) at: Option<Time>,
    /// Who writes it
    #[arg(long, env = "USER")]
    pub(super) author: Option<String>,
    /// The incident that it is about
    #[arg(long, value_name = "ID")]
    pub(super) incident: Option<String>,
    /// The service that it is about; as often as there are several
    #[arg(long)]
    pub(super) service: Vec<String>,
    /// Where; as often as there are several
    #[arg(long)]
    pub(super) environment: Vec<String>,
    /// Another label, as often as there are more
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) server: Server,
}

/// Say of a change that it was the cause, or was not.
#[derive(Args, Debug)]
pub(super) struct PostFeedback {
    /// The incident, or one of its alerts
    pub(super) incident: String,
    /// The change
    pub(super) change: String,
    /// What to say of it
    #[arg(value_enum)]
    pub(super) verdict: Said,
    /// Why
    #[arg(long)]
    pub(super) text: Option<String>,
    /// Who says it
    #[arg(long, env = "USER")]
    pub(super) author: Option<String>,
    #[command(flatten)]
    pub(super) server: Server,
}

/// What is said of a change.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Said {
    /// It was the cause
    Cause,
    /// It was not
    NotCause,
    /// What you said of it is taken back
    Withdrawn,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("{text:?} is not a header: want 'NAME: VALUE'")),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(format!("{text:?} is not a label: want NAME=VALUE, as in cluster=prod-1")),
    }
}

/// The matchers as they were written; the daemon reads them again.
fn matchers(text: &str) -> Result<String, String> {
    Matchers::parse(text).map(|_| text.to_owned())
}
