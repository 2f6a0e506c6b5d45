//! What a batch takes in besides what the fold tells: what people wrote, and what came too late to
//! alter an answer and is shown all the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    correlate::FamilyRef,
    event::{
        AlertReport, Change, ChangeHistory, ChangeId, ChangeReport, EventId, Feedback, Firing,
        Mapping, Note, Time,
    },
    store::{FiringRow, State, StateBatch, StoreError},
};

#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) notes: Vec<(EventId, Note)>,
    pub(super) feedback: Vec<(EventId, Feedback)>,
    late_changes: BTreeMap<ChangeId, ChangeHistory>,
    late_firings: BTreeMap<(Time, EventId), FiringRow>,
}

impl Taken {
    /// Takes in a report on a change that came too late.
    pub(super) fn late_change(&mut self, report: &ChangeReport, id: EventId) {
        self.late_changes.entry(report.id.clone()).or_default().absorb(report, id);
    }

    /// Takes in a report on an alert that came too late.
    pub(super) fn late_firing(&mut self, report: &AlertReport, id: EventId, mapping: &Mapping) {
        let identity = mapping.identity_id(&report.labels);
        let new = Firing::of(report, id);
        let late = self.late_firings.entry((report.starts_at, identity));
        let row = late.or_insert_with(|| FiringRow {
            identity,
            family: FamilyRef::NONE,
            starts_at: report.starts_at,
            firing: new,
            episode: None,
        });
        row.firing.join(&new);
    }

    /// What is to be written, with what the fold tells.
    pub(super) fn with(
        self,
        told: StateBatch,
        state: &dyn State,
        mapping: &Mapping,
    ) -> Result<StateBatch, StoreError> {
        let Self { notes, feedback, late_changes, late_firings } = self;
        let changes = joined(told.changes, late_changes, state, mapping)?;
        let mut firings = told.firings;
        firings.extend(beside(late_firings, &firings, state)?);
        Ok(StateBatch { changes, firings, notes, feedback, ..told })
    }
}

/// The changes that differ from what the state has of them. It may have reports that the fold has not,
/// since they came too late: what is written is all that was said of a change.
fn joined(
    told: Vec<(Change, ChangeHistory)>,
    mut late: BTreeMap<ChangeId, ChangeHistory>,
    state: &dyn State,
    mapping: &Mapping,
) -> Result<Vec<(Change, ChangeHistory)>, StoreError> {
    for (change, history) in told {
        late.entry(change.id).or_default().merge(&history);
    }
    let mut differing = Vec::new();
    for (id, mut history) in late {
        let held = state.history(&id)?;
        if let Some(held) = &held {
            history.merge(held);
        }
        if held.as_ref() != Some(&history) {
            let change = history.change(&id, mapping);
            differing.extend(change.map(|change| (change, history)));
        }
    }
    Ok(differing)
}

/// The late firings, but for those that are a part of a family already, here or in the state.
fn beside(
    late: BTreeMap<(Time, EventId), FiringRow>,
    told: &[FiringRow],
    state: &dyn State,
) -> Result<Vec<FiringRow>, StoreError> {
    if late.is_empty() {
        return Ok(Vec::new());
    }
    let told: BTreeSet<_> = told.iter().map(|row| (row.starts_at, row.identity)).collect();
    let mut beside = Vec::new();
    for mut row in late.into_values().filter(|row| !told.contains(&(row.starts_at, row.identity))) {
        let held = state.firing(&row.id())?;
        if held.as_ref().is_some_and(|held| held.family != FamilyRef::NONE) {
            continue;
        }
        if let Some(held) = held {
            row.firing.join(&held.firing);
        }
        row.episode = Some(row.firing.outlook);
        beside.push(row);
    }
    Ok(beside)
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::{
        event::{Labels, Outlook, time_of_micros},
        store::SqliteState,
    };

    const FIRES: EventId = EventId([1; 16]);
    const ENDED: EventId = EventId([0; 16]);

    fn report(ends_at: Option<Time>) -> AlertReport {
        AlertReport {
            labels: Labels::from_iter([("alertname", "Down")]),
            starts_at: time_of_micros(0),
            ends_at,
            expires_at: None,
            pending_at: None,
            summary: None,
            url: None,
        }
    }

    fn taken() -> Taken {
        let (mut taken, mapping) = (Taken::default(), Mapping::default());
        taken.late_firing(&report(None), FIRES, &mapping);
        taken.late_firing(&report(Some(time_of_micros(60))), ENDED, &mapping);
        taken
    }

    fn firings(taken: Taken, told: Vec<FiringRow>) -> Vec<FiringRow> {
        let dir = tempdir().unwrap();
        let state = SqliteState::open(dir.path()).unwrap();
        let told = StateBatch { firings: told, ..StateBatch::default() };
        taken.with(told, &state, &Mapping::default()).unwrap().firings
    }

    #[test]
    fn late_reports_of_one_firing_are_one_row() {
        let rows = firings(taken(), Vec::new());
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0].firing.outlook, Outlook::Ended(time_of_micros(60)));
        assert_eq!(rows[0].firing.told, FIRES);
        assert_eq!(rows[0].episode, Some(rows[0].firing.outlook));
    }

    #[test]
    fn a_late_report_takes_no_firing_out_of_its_family() {
        let late = firings(taken(), Vec::new());
        let told: Vec<_> =
            late.into_iter().map(|row| FiringRow { family: FamilyRef(7), ..row }).collect();
        assert_eq!(firings(taken(), told.clone()), told);
    }
}
