//! Notices what is new in what a daemon says of incidents.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    correlate::{Incident, IncidentId},
    event::ChangeId,
    say::answer,
};

/// What was said of each incident so far.
#[derive(Debug, Default)]
pub(super) struct Watch(BTreeMap<IncidentId, Said>);

#[derive(Debug, Default)]
struct Said {
    /// The answer's word and whom it names.
    answer: String,
    cleared: BTreeSet<ChangeId>,
    responses: BTreeSet<ChangeId>,
}

impl Watch {
    /// What is new about an incident: another answer, a change cleared, a change seen as response.
    /// That a probability moved is no news.
    pub(super) fn news(&mut self, incident: &Incident) -> Vec<String> {
        let said = self.0.entry(incident.id.clone()).or_default();
        let mut news = Vec::new();
        let suspects: Vec<_> = incident.suspects.iter().map(|one| one.title.as_str()).collect();
        let now = format!("{} {}", incident.answer.word(), suspects.join("\n"));
        if said.answer != now {
            let (word, rest) = answer(incident);
            news.push(format!("{word}  {rest}"));
            said.answer = now;
        }
        for one in &incident.cleared {
            if said.cleared.insert(one.change.clone()) {
                news.push(format!("cleared  {}: {}", one.title, one.reason));
            }
        }
        for id in &incident.responses {
            if said.responses.insert(id.clone()) {
                news.push(format!("response  {id}"));
            }
        }
        news
    }
}
