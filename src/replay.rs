//! A recorded incident as of a time, told in the ids of its file.
//!
//! In: a case and what correlation knows. Out: the incidents, by the functions that the daemon runs.

use std::collections::BTreeMap;

use crate::{
    catalog::{Catalog, Service},
    correlate::{
        Assessment, Cleared, Contributing, Incident, IncidentId, Model, Suspect, Told, assess,
    },
    event::{Change, ChangeId, EpisodeId, Event, Mapping, Time},
    wire::case::Case,
};

/// What a recorded incident looked like at a time.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// By start, best suspects first.
    pub incidents: Vec<Told>,
    /// Every change by then.
    pub changes: BTreeMap<ChangeId, Change>,
}

/// What was so at `until`. Of an incident the id is ours, since the case has none.
pub fn replay(model: &Model, case: &Case, until: Time) -> Replayed {
    let assessment = assess(model, case.events.iter(), until);
    let names = Names::new(case, &model.mapping, &assessment);
    let changes = assessment.changes.into_iter();
    let changes = changes.map(|change| (names.change(&change.id), change)).collect();
    let incidents = assessment.incidents.into_iter().map(|incident| names.incident(incident));
    Replayed { incidents: incidents.collect(), changes }
}

/// When the last of its events happened.
pub fn last_event(case: &Case) -> Time {
    case.events.iter().map(Event::time).max().unwrap_or_default()
}

/// The catalogue of the case's time.
pub fn catalog(case: &Case) -> Catalog {
    let services = case.services.iter().map(|one| {
        let depends_on = one.depends_on.iter().cloned().collect();
        (one.service.clone(), Service { tier: one.tier.clone(), depends_on })
    });
    Catalog::new(services.collect())
}

/// The way back from our ids to those of the case.
struct Names<'a> {
    changes: &'a BTreeMap<ChangeId, String>,
    /// By incident, in the order in which they began.
    alerts: BTreeMap<IncidentId, Vec<EpisodeId>>,
}

impl<'a> Names<'a> {
    fn new(case: &'a Case, mapping: &Mapping, assessment: &Assessment) -> Self {
        let mut alerts: BTreeMap<IncidentId, Vec<EpisodeId>> = BTreeMap::new();
        for (episode, incident) in &assessment.episodes {
            if let Some(incident) = incident {
                let ids = case.alerts(episode, mapping).map(|id| EpisodeId(id.to_owned()));
                alerts.entry(incident.clone()).or_default().extend(ids);
            }
        }
        Self { changes: &case.changes, alerts }
    }

    fn incident(&self, incident: Incident) -> Told {
        let contributing =
            |one: Contributing| Contributing { change: self.change(&one.change), ..one };
        let suspects = incident.suspects.into_iter().map(|suspect| Suspect {
            change: self.change(&suspect.change),
            changes: self.all(&suspect.changes),
            contributing: suspect.contributing.into_iter().map(contributing).collect(),
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
