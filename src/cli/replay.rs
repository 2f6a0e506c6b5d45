//! `replay`: what a recorded incident looked like at a time, by the functions that the daemon runs.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::{
    args::{Format, Replay},
    files::read_text,
    out::{Outcome, print, print_json, say},
    serve::load_config,
    text::{self, Changes, Hint, Page},
};
use crate::{
    config::read_rule_files,
    correlate::{Incident, Model, Told},
    event::{Time, show_time},
    replay::{self, Replayed, last_event},
    rules::RuleSet,
    say::show_moment,
    wire::case::Case,
};

pub(super) fn show(args: &Replay, format: Format) -> anyhow::Result<Outcome> {
    let case = read_case(&args.case)?;
    let model = model(args, &case)?;
    let until = args.until.unwrap_or_else(|| last_event(&case));
    let Replayed { incidents, changes } = replay::replay(&model, &case, until);
    match format {
        Format::Json => {
            let (until, config) = (show_time(until), model.hash());
            print_json(&Answer { until, config, incidents: &incidents })?;
        }
        Format::Text => {
            print(&page(args, &case, &incidents, &changes, until).into_text())?;
        }
    }
    Ok(Outcome::Fine)
}

/// A case file.
pub(super) fn read_case(path: &Path) -> anyhow::Result<Case> {
    let text = read_text(path)?;
    Case::parse(text.as_bytes()).with_context(|| format!("cannot use {}", path.display()))
}

fn model(args: &Replay, case: &Case) -> anyhow::Result<Model> {
    let mut model = load_config(args.config.as_deref())?.model;
    if !args.no_catalog {
        model.catalog = replay::catalog(case);
    }
    if args.no_rules {
        model.rules = RuleSet::default();
    } else if let Some(dir) = &args.rules {
        model.rules = read_rules(dir)?;
    }
    Ok(model)
}

pub(super) fn read_rules(dir: &Path) -> anyhow::Result<RuleSet> {
    let files = read_rule_files(dir).map_err(anyhow::Error::msg)?;
    RuleSet::parse(&files).map_err(|problems| {
        for problem in &problems {
            say(&problem.to_string());
        }
        anyhow!("the rules in {} cannot be used", dir.display())
    })
}

/// What is printed for programs.
#[derive(Serialize)]
struct Answer<'a> {
    until: String,
    config: String,
    incidents: &'a [Told],
}

/// The same for people.
fn page(args: &Replay, case: &Case, incidents: &[Told], changes: &Changes, until: Time) -> Page {
    let mut page = Page::new(text::terminal_width());
    page.strong(&case.title, &format!("as of {}", show_moment(until)));
    if incidents.is_empty() {
        page.gap();
        page.words(0, "No incidents: nothing had fired.");
    }
    for Told { incident, .. } in incidents {
        page.gap();
        text::incident(&mut page, incident, changes, until, &hints(&args.case, incident));
    }
    page
}

fn hints(path: &Path, incident: &Incident) -> Vec<Hint> {
    let path = path.display();
    let first = show_time(incident.started_at);
    vec![
        (format!("antecede replay {path} --until {first}"), "what was known at the first alert"),
        (format!("antecede replay {path} --format json"), "the same for programs"),
    ]
}
