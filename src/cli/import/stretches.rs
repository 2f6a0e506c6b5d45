//! Joins the samples of `ALERTS` into the alerts that they are samples of.
//!
//! In: for each moment of an even grid, which alerts were pending and which fired, part by part. Out:
//! the reports that a daemon would have got, as exact as the grid is: an alert fired from the first
//! moment on at which it was seen to, and no longer at the first at which it was not.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::event::{AlertReport, Labels, Time};

/// An alert that is missing at one moment of the grid was only not looked at.
const GAP_STEPS: i32 = 2;

/// What an alert was at some moments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Series {
    /// The alert's labels, without those that Prometheus puts on each sample.
    pub(super) labels: Labels,
    /// Whether it fired then, or was only pending.
    pub(super) firing: bool,
    /// When.
    pub(super) at: Vec<Time>,
}

/// The alerts of a range of time, so far.
#[derive(Debug)]
pub(super) struct Alerts {
    first: Time,
    step: TimeDelta,
    active: BTreeMap<Labels, Active>,
    counts: Counts,
}

/// How many alerts were met.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    /// They began to fire within the range.
    pub(super) fired: usize,
    /// Of these, still firing at its end.
    pub(super) open: usize,
    /// They fired already when it began: since when, nobody can tell.
    pub(super) left_out: usize,
}

/// An alert that is active.
#[derive(Debug)]
struct Active {
    phase: Phase,
    last: Time,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It was active when the range began.
    SinceBefore {
        firing: bool,
    },
    Pending {
        since: Time,
    },
    Firing {
        since: Time,
        pending_at: Option<Time>,
    },
}

impl Alerts {
    /// The alerts of a range that begins at this moment of a grid of this step.
    pub(super) fn new(first: Time, step: TimeDelta) -> Self {
        Self { first, step, active: BTreeMap::new(), counts: Counts::default() }
    }

    /// Takes in the next part of the range, up to its last moment; what is to be reported, by time.
    pub(super) fn take(&mut self, part: Vec<Series>, last: Time) -> Vec<AlertReport> {
        let mut samples: BTreeMap<Labels, BTreeMap<Time, bool>> = BTreeMap::new();
        for Series { labels, firing, at } in part {
            let samples = samples.entry(labels).or_default();
            for at in at {
                // Where old samples are still seen beside new ones, it has gone on to fire.
                *samples.entry(at).or_default() |= firing;
            }
        }
        let mut reports = Vec::new();
        for (labels, samples) in samples {
            for (at, firing) in samples {
                self.sample(&labels, at, firing, &mut reports);
            }
        }
        let next = last + self.step;
        self.end_those(|active, gap| next - active.last > gap, &mut reports);
        sorted(reports)
    }

    /// The range is over at its last moment; what is still to be reported, and how much it was.
    pub(super) fn finish(mut self, last: Time) -> (Vec<AlertReport>, Counts) {
        let mut reports = Vec::new();
        self.end_those(|active, _gap| active.last < last, &mut reports);
        let firing = |active: &&Active| matches!(active.phase, Phase::Firing { .. });
        self.counts.open = self.active.values().filter(firing).count();
        (sorted(reports), self.counts)
    }

    fn sample(&mut self, labels: &Labels, at: Time, firing: bool, out: &mut Vec<AlertReport>) {
        let gap = self.step * GAP_STEPS;
        let held = self.active.remove(labels).filter(|held| {
            let goes_on = at - held.last <= gap;
            if !goes_on {
                out.extend(held.phase.ended(labels, held.last + self.step));
            }
            goes_on
        });
        let phase = match held {
            Some(held) => self.next(held.phase, labels, at, firing, out),
            None if at == self.first => {
                self.counts.left_out += usize::from(firing);
                Phase::SinceBefore { firing }
            }
            None => self.begin(None, labels, at, firing, out),
        };
        self.active.insert(labels.clone(), Active { phase, last: at });
    }

    /// What an active alert is at its next sample.
    fn next(
        &mut self,
        phase: Phase,
        labels: &Labels,
        at: Time,
        firing: bool,
        out: &mut Vec<AlertReport>,
    ) -> Phase {
        match (phase, firing) {
            (Phase::SinceBefore { firing: false }, true) => {
                self.counts.left_out += 1;
                Phase::SinceBefore { firing: true }
            }
            (Phase::SinceBefore { firing: true } | Phase::Firing { .. }, false) => {
                // It was over in between, and is pending anew.
                out.extend(phase.ended(labels, at));
                Phase::Pending { since: at }
            }
            (Phase::Pending { since }, true) => self.begin(Some(since), labels, at, true, out),
            (Phase::SinceBefore { .. } | Phase::Pending { .. } | Phase::Firing { .. }, _) => phase,
        }
    }

    /// What an alert is that begins, or begins to fire.
    fn begin(
        &mut self,
        pending_at: Option<Time>,
        labels: &Labels,
        at: Time,
        firing: bool,
        out: &mut Vec<AlertReport>,
    ) -> Phase {
        if !firing {
            return Phase::Pending { since: at };
        }
        self.counts.fired += 1;
        out.push(report(labels, at, pending_at, None));
        Phase::Firing { since: at, pending_at }
    }

    /// Ends the alerts for which it holds, one step after they were last seen.
    fn end_those(&mut self, ends: impl Fn(&Active, TimeDelta) -> bool, out: &mut Vec<AlertReport>) {
        let (step, gap) = (self.step, self.step * GAP_STEPS);
        self.active.retain(|labels, active| {
            let over = ends(active, gap);
            if over {
                out.extend(active.phase.ended(labels, active.last + step));
            }
            !over
        });
    }
}

impl Phase {
    /// The report of the end, if there was one of the start: the whole of it, for the daemon to know
    /// what it is the end of.
    fn ended(self, labels: &Labels, at: Time) -> Option<AlertReport> {
        match self {
            Self::Firing { since, pending_at } => Some(report(labels, since, pending_at, Some(at))),
            Self::SinceBefore { .. } | Self::Pending { .. } => None,
        }
    }
}

fn report(
    labels: &Labels,
    starts_at: Time,
    pending_at: Option<Time>,
    ends_at: Option<Time>,
) -> AlertReport {
    let labels = labels.clone();
    AlertReport {
        labels,
        starts_at,
        ends_at,
        expires_at: None,
        pending_at,
        summary: None,
        url: None,
    }
}

fn sorted(mut reports: Vec<AlertReport>) -> Vec<AlertReport> {
    reports.sort_by_cached_key(|report| (report.time(), report.labels.clone()));
    reports
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::time_of_micros;

    const STEP: TimeDelta = TimeDelta::seconds(30);

    fn at(moment: i32) -> Time {
        time_of_micros(1_677_150_000_000_000) + STEP * moment
    }

    fn labels(name: &str) -> Labels {
        [("alertname", name)].into_iter().collect()
    }

    /// A letter for each moment: pending, firing, both, or neither.
    fn series(name: &str, states: &str, from: usize, to: usize) -> Vec<Series> {
        let one = |firing: bool, letters: &str| {
            let moments = (0..).zip(states.chars()).take(to).skip(from);
            let at = moments.filter(|(_, state)| letters.contains(*state)).map(|(n, _)| at(n));
            Series { labels: labels(name), firing, at: at.collect() }
        };
        [one(false, "pb"), one(true, "fb")].into_iter().filter(|one| !one.at.is_empty()).collect()
    }

    /// Start, pending and end of a report.
    type Told = (i32, Option<i32>, Option<i32>);

    /// The reports of the alert, in moments.
    fn told(states: &str) -> (Vec<Told>, Counts) {
        let last = i32::try_from(states.len()).unwrap() - 1;
        let mut alerts = Alerts::new(at(0), STEP);
        let mut reports = alerts.take(series("A", states, 0, states.len()), at(last));
        let (more, counts) = alerts.finish(at(last));
        reports.extend(more);
        let moment = |time: Time| {
            let steps = (time - at(0)).num_seconds() / STEP.num_seconds();
            i32::try_from(steps).unwrap()
        };
        let told = |one: &AlertReport| {
            (moment(one.starts_at), one.pending_at.map(moment), one.ends_at.map(moment))
        };
        (reports.iter().map(told).collect(), counts)
    }

    #[test]
    fn an_alert_fires_from_its_first_sample_to_the_first_moment_without_one() {
        let (reports, counts) = told("..ppfff...");
        assert_eq!(reports, [(4, Some(2), None), (4, Some(2), Some(7))]);
        assert_eq!(counts, Counts { fired: 1, open: 0, left_out: 0 });
        assert_eq!(told("..fff...").0, [(2, None, None), (2, None, Some(5))]);
        assert_eq!(told("..bbf...").0, [(2, None, None), (2, None, Some(5))]);
        assert_eq!(told("..ppp...").0, []);
    }

    #[test]
    fn one_missing_sample_is_no_end_and_two_are() {
        assert_eq!(told(".ff.ff...").0, [(1, None, None), (1, None, Some(6))]);
        assert_eq!(told(".p.pf.f..").0, [(4, Some(1), None), (4, Some(1), Some(7))]);
        let two = [(1, None, None), (1, None, Some(3)), (5, None, None), (5, None, Some(7))];
        assert_eq!(told(".ff..ff..").0, two);
    }

    #[test]
    fn what_is_pending_again_is_another_alert() {
        let two = [(1, None, None), (1, None, Some(3)), (4, Some(3), None), (4, Some(3), Some(6))];
        assert_eq!(told(".ffpff..").0, two);
    }

    #[test]
    fn what_fires_at_the_last_moment_is_open() {
        let (reports, counts) = told("..pfff");
        assert_eq!(reports, [(3, Some(2), None)]);
        assert_eq!(counts, Counts { fired: 1, open: 1, left_out: 0 });
        assert_eq!(told("..fff.").0, [(2, None, None), (2, None, Some(5))]);
    }

    #[test]
    fn what_was_active_when_the_range_began_has_no_start_that_could_be_told() {
        let (reports, counts) = told("fff...fff...");
        assert_eq!(reports, [(6, None, None), (6, None, Some(9))]);
        assert_eq!(counts, Counts { fired: 1, open: 0, left_out: 1 });
        assert_eq!(told("pff...").1, Counts { fired: 0, open: 0, left_out: 1 });
        assert_eq!(told("ppp...").1, Counts::default());
        let anew = told("ffpff...");
        assert_eq!(anew.0, [(3, Some(2), None), (3, Some(2), Some(5))]);
        assert_eq!(anew.1.left_out, 1);
    }

    proptest! {
        #[test]
        fn the_parts_in_which_a_range_comes_change_nothing(
            one in "[.fffpb]{40}",
            other in "[.fffpb]{40}",
            cuts in proptest::collection::btree_set(1_usize..40, 0..6),
        ) {
            let in_parts = |cuts: &mut dyn Iterator<Item = usize>| {
                let mut alerts = Alerts::new(at(0), STEP);
                let (mut from, mut reports) = (0, Vec::new());
                for to in cuts.chain([40]) {
                    let part = [series("A", &one, from, to), series("B", &other, from, to)];
                    let last = at(i32::try_from(to).unwrap() - 1);
                    reports.extend(alerts.take(part.concat(), last));
                    from = to;
                }
                let (more, counts) = alerts.finish(at(39));
                reports.extend(more);
                (sorted(reports), counts)
            };
            prop_assert_eq!(in_parts(&mut cuts.into_iter()), in_parts(&mut std::iter::empty()));
        }
    }
}
