//! `replay`: what a recorded incident looked like at a time, by the functions that the daemon runs.

use std::{collections::BTreeMap, path::Path};

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
    catalog::{Catalog, Service},
    config::read_rule_files,
    correlate::{Assessment, Cleared, Incident, IncidentId, Model, Suspect, Told, assess},
    event::{ChangeId, EpisodeId, Event, Mapping, Time, show_time},
    rules::RuleSet,
    wire::case::Case,
};

pub(super) fn replay(args: &Replay, format: Format) -> anyhow::Result<Outcome> {
    let case = read_case(&args.case)?;
    let model = model(args, &case)?;
    let last = case.events.iter().map(Event::time).max().unwrap_or_default();
    let until = args.until.unwrap_or(last);
    let assessment = assess(&model, case.events.iter().cloned(), until);
    let names = Names::new(&case, &model.mapping, &assessment);
    let told = assessment.incidents.iter().cloned().map(|incident| names.incident(incident));
    let incidents: Vec<_> = told.collect();
    match format {
        Format::Json => {
            let (until, config) = (show_time(until), model.hash());
            print_json(&Answer { until, config, incidents: &incidents })?;
        }
        Format::Text => {
            let changes = assessment.changes.iter().cloned();
            let changes = changes.map(|change| (names.change(&change.id), change)).collect();
            print(&page(args, &case, &incidents, &changes, until).into_text())?;
        }
    }
    Ok(Outcome::Fine)
}

/// A case file.
fn read_case(path: &Path) -> anyhow::Result<Case> {
    let text = read_text(path)?;
    Case::parse(text.as_bytes()).with_context(|| format!("cannot use {}", path.display()))
}

fn model(args: &Replay, case: &Case) -> anyhow::Result<Model> {
    let mut model = load_config(args.config.as_deref())?.model;
    if !args.no_catalog {
        model.catalog = catalog(case);
    }
    if args.no_rules {
        model.rules = RuleSet::default();
    } else if let Some(dir) = &args.rules {
        model.rules = read_rules(dir)?;
    }
    Ok(model)
}

/// The catalogue of the case's time.
pub(super) fn catalog(case: &Case) -> Catalog {
    let services = case.services.iter().map(|one| {
        let depends_on = one.depends_on.iter().cloned().collect();
        (one.service.clone(), Service { tier: one.tier.clone(), depends_on })
    });
    Catalog::new(services.collect())
}

fn read_rules(dir: &Path) -> anyhow::Result<RuleSet> {
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

/// The way back from our ids to those of the case.
struct Names<'a> {
    changes: &'a BTreeMap<ChangeId, String>,
    /// By incident, in the order in which they began.
    alerts: BTreeMap<&'a IncidentId, Vec<EpisodeId>>,
}

impl<'a> Names<'a> {
    fn new(case: &'a Case, mapping: &Mapping, assessment: &'a Assessment) -> Self {
        let mut alerts: BTreeMap<&IncidentId, Vec<EpisodeId>> = BTreeMap::new();
        for (episode, incident) in &assessment.episodes {
            if let Some(incident) = incident {
                let ids = case.alerts(episode, mapping).map(|id| EpisodeId(id.to_owned()));
                alerts.entry(incident).or_default().extend(ids);
            }
        }
        Self { changes: &case.changes, alerts }
    }

    /// The incident in the ids of the case; its own id is ours, for the case has none.
    fn incident(&self, incident: Incident) -> Told {
        let suspects = incident.suspects.into_iter().map(|suspect| Suspect {
            change: self.change(&suspect.change),
            changes: self.all(&suspect.changes),
            ..suspect
        });
        let cleared = incident.cleared.into_iter().map(|cleared| Cleared {
            change: self.change(&cleared.change),
            changes: self.all(&cleared.changes),
            ..cleared
        });
        let alerts = self.alerts.get(&incident.id).cloned().unwrap_or_default();
        let incident = Incident {
            suspects: suspects.collect(),
            cleared: cleared.collect(),
            responses: self.all(&incident.responses),
            ..incident
        };
        Told { incident, alerts }
    }

    fn change(&self, id: &ChangeId) -> ChangeId {
        self.changes.get(id).map_or_else(|| id.clone(), |name| ChangeId(name.clone()))
    }

    fn all(&self, ids: &[ChangeId]) -> Vec<ChangeId> {
        ids.iter().map(|id| self.change(id)).collect()
    }
}

/// The same for people.
fn page(args: &Replay, case: &Case, incidents: &[Told], changes: &Changes, until: Time) -> Page {
    let mut page = Page::new(text::terminal_width());
    page.strong(&case.title, &format!("as of {}", text::show_moment(until)));
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
