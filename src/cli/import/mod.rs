//! `import`: the past, posted into a daemon as if it had been told then, in the order in which it
//! happened. What the daemon has already it does not store again, so an import may be repeated.
//! And what the configuration can learn from a Prometheus, as a file.

mod onsets;
mod posting;
mod prometheus;
mod stretches;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use serde_json::json;

use self::{
    posting::Poster,
    prometheus::{Answer, POINTS_MAX},
    stretches::{Alerts, Counts},
};
use super::{
    args::{Format, ImportCases, ImportOnsets, ImportPrometheus},
    check::files_of,
    client::Client,
    files::read_token,
    out::{Outcome, Progress, print, print_json, say},
};
use crate::{
    clock,
    event::{AlertReport, Labels, Time, micros, show_time, time_of_micros},
    prom_api::{Failed, Prometheus},
    say::say_count,
    wire::case::{Case, Post, posts},
};

/// So much of the past is asked for at once: a thousand alerts that are active all the time fill a
/// reply of some tens of MB.
const PART: TimeDelta = TimeDelta::hours(6);

/// An even grid over a range of time: what is asked for does not depend on when it is asked, so the
/// same alert is seen at the same moments by every import.
#[derive(Clone, Copy, Debug)]
struct Grid {
    first: Time,
    last: Time,
    step: TimeDelta,
}

impl Grid {
    fn new(now: Time, since: TimeDelta, step: TimeDelta) -> anyhow::Result<Self> {
        if step < TimeDelta::milliseconds(1) {
            bail!("a --step of 0 leads nowhere: the rules' evaluation interval is a good one");
        }
        if since < step {
            bail!("--since is shorter than one --step");
        }
        let size = step.num_microseconds().context("such a --step is too long")?;
        let floor = |time: Time| time_of_micros(micros(time).div_euclid(size) * size);
        let first = now.checked_sub_signed(since).context("--since is before all time")?;
        Ok(Self { first: floor(first), last: floor(now), step })
    }

    /// How many moments are asked for at once at most.
    fn points(self) -> i32 {
        let fit = PART.num_milliseconds() / self.step.num_milliseconds().max(1);
        i32::try_from(fit).unwrap_or(POINTS_MAX).clamp(1, POINTS_MAX)
    }

    /// How much of it is done once that moment is, in percent.
    fn percent(self, done: Time) -> i64 {
        let seconds = |time: Time| (time - self.first).num_seconds();
        100 * seconds(done) / seconds(self.last).max(1)
    }
}

pub(super) async fn prometheus(args: &ImportPrometheus, format: Format) -> anyhow::Result<Outcome> {
    let grid = Grid::new(clock::now(), args.since, args.step)?;
    let token = args.prometheus_token_file.as_deref().map(read_token).transpose()?;
    let prometheus = Prometheus::new(&args.url, token)?;
    let mut poster = Poster::new(Client::new(&args.server)?);
    let added = args.labels.iter().cloned().collect();
    let counts = alerts(&prometheus, grid, &added, &mut poster).await?;
    let tally = poster.finish();
    let Counts { fired, open, left_out } = counts;
    let (from, to) = (show_time(grid.first), show_time(grid.last));
    match format {
        Format::Json => {
            let alerts = json!({ "fired": fired, "open": open, "left_out": left_out });
            print_json(&json!({ "from": from, "to": to, "alerts": alerts, "events": tally }))?;
        }
        Format::Text => {
            let alerts = say_count(fired, "alert");
            print(&format!("{alerts} from {from} to {to}, {open} still firing\n{tally}\n"))?;
        }
    }
    if left_out > 0 {
        let alerts = say_count(left_out, "alert");
        say(&format!(
            "left out {alerts} that fired already at the beginning: nobody knows since when"
        ));
    }
    if counts == Counts::default() {
        say("it knows of no alerts: is it the Prometheus that evaluates your alerting rules?");
    }
    Ok(tally.report())
}

/// Reads the range part by part, and posts what is in each.
async fn alerts(
    prometheus: &Prometheus,
    grid: Grid,
    added: &Labels,
    poster: &mut Poster,
) -> anyhow::Result<Counts> {
    let Grid { first, last, step } = grid;
    let mut alerts = Alerts::new(first, step);
    let mut progress = Progress::new();
    let (mut from, mut points) = (first, grid.points());
    let mut warned = std::collections::BTreeSet::new();
    while from <= last {
        let to = last.min(from + step * (points - 1));
        let Answer { series, warnings } = match prometheus::alerts(prometheus, from, to, step).await
        {
            Ok(answer) => answer,
            Err(Failed::TooMuch(_)) if points > 1 => {
                points /= 2;
                continue;
            }
            Err(Failed::TooMuch(error) | Failed::AtAll(error)) => return Err(error),
        };
        for warning in warnings {
            if warned.insert(warning.clone()) {
                say(&format!("Prometheus warns: {warning}"));
            }
        }
        poster.alerts(alerts.take(series, to).into_iter().map(|one| with(one, added))).await?;
        progress.show(&format!("{}  {} %", show_time(to), grid.percent(to)));
        from = to + step;
    }
    let (rest, counts) = alerts.finish(last);
    poster.alerts(rest.into_iter().map(|one| with(one, added))).await?;
    Ok(counts)
}

/// As Prometheus puts its `external_labels` on what it sends: an alert's own label counts more.
fn with(mut report: AlertReport, added: &Labels) -> AlertReport {
    for (name, value) in added.iter() {
        if !report.labels.has(name) {
            report.labels.insert(name, value);
        }
    }
    report
}

/// Prints a rule file: it is no event, and read with the configuration.
pub(super) async fn onsets(args: &ImportOnsets) -> anyhow::Result<Outcome> {
    let token = args.prometheus_token_file.as_deref().map(read_token).transpose()?;
    let groups = prometheus::rules(&Prometheus::new(&args.url, token)?).await?;
    let leads = onsets::leads(&groups);
    if leads.is_empty() {
        say("it has no alerting rules: is it the Prometheus that evaluates them?");
        return Ok(Outcome::Found);
    }
    print(&onsets::rule_file(&leads))?;
    Ok(Outcome::Fine)
}

pub(super) async fn cases(args: &ImportCases, format: Format) -> anyhow::Result<Outcome> {
    let posts = read_cases(&args.paths)?;
    let mut poster = Poster::new(Client::new(&args.server)?);
    let mut progress = Progress::new();
    for (n, post) in posts.iter().enumerate() {
        poster.post(post).await?;
        progress.show(&format!("{}  {n} of {}", show_time(post.at), posts.len()));
    }
    drop(progress);
    let tally = poster.finish();
    match format {
        Format::Json => print_json(&json!({ "events": tally }))?,
        Format::Text => print(&format!("{tally}\n"))?,
    }
    Ok(tally.report())
}

/// What was posted in the course of all cases, by time; nothing is posted where one is broken.
fn read_cases(paths: &[PathBuf]) -> anyhow::Result<Vec<Post>> {
    let (files, problems) = files_of(paths, ".json");
    let mut all = Vec::new();
    let mut broken: Vec<_> = problems.iter().map(ToString::to_string).collect();
    for (name, text) in files {
        match Case::parse(text.as_bytes()) {
            Ok(case) => all.extend(posts(&case.with_own_ids())),
            Err(refused) => broken.push(format!("{name}: {refused}")),
        }
    }
    if !broken.is_empty() {
        bail!("nothing was imported\n  {}", broken.join("\n  "));
    }
    all.sort_by_key(|post| post.at);
    Ok(all)
}
