//! Alert families: the same alert on the same service and environment is one symptom, however many
//! pods show it.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{model::Settings, time::Interval};
use crate::event::{CANONICAL, Episode, Labels, Time};

/// How long before an alert was seen pending its condition can have begun: Prometheus' own interval
/// between two looks.
const EVALUATION_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// A symptom that came back within this time had not gone away.
const REFIRE_GAP: TimeDelta = TimeDelta::hours(1);

/// What makes alerts one family.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct FamilyKey {
    pub(super) alertname: String,
    pub(super) services: Vec<String>,
    pub(super) environments: Vec<String>,
}

impl FamilyKey {
    fn of(episode: &Episode) -> Self {
        Self {
            alertname: episode.alertname.clone(),
            services: episode.scope.services().map(str::to_owned).collect(),
            environments: episode.scope.environments().map(str::to_owned).collect(),
        }
    }
}

/// One stretch of time over which a family fires: one symptom of one incident.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) key: FamilyKey,
    /// Where it shows: the first episode's labels, and the canonical ones of all.
    pub(super) labels: Labels,
    /// When the symptom can really have begun.
    pub(super) onset: Interval,
    pub(super) starts_at: Time,
    pub(super) ends_at: Option<Time>,
    /// Indices of its episodes, by start.
    pub(super) episodes: Vec<usize>,
}

impl Family {
    fn open(key: &FamilyKey, index: usize, episode: &Episode, settings: &Settings) -> Self {
        Self {
            key: key.clone(),
            labels: episode.scope.labels().clone(),
            onset: onset(episode, settings),
            starts_at: episode.starts_at,
            ends_at: episode.ends_at,
            episodes: vec![index],
        }
    }

    fn add(&mut self, index: usize, episode: &Episode) {
        for name in CANONICAL {
            for value in episode.scope.labels().values(name) {
                self.labels.insert(name, value);
            }
        }
        self.ends_at = match (self.ends_at, episode.ends_at) {
            (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
            _ => None,
        };
        self.episodes.push(index);
    }

    /// Whether it fired at any moment from `time` on, having begun before.
    pub(super) fn fired_since(&self, time: Time) -> bool {
        self.ends_at.is_none_or(|end| end >= time)
    }
}

/// When the symptom behind an alert can have begun: before it fired by the rule's `for`, its range
/// and its evaluation interval, as far as these are known; where it was seen pending, just before
/// that.
fn onset(episode: &Episode, settings: &Settings) -> Interval {
    if let Some(pending_at) = episode.pending_at {
        return Interval { from: pending_at - EVALUATION_INTERVAL, to: pending_at };
    }
    let hint = settings.onsets.iter().find(|hint| hint.alert.matches(episode.scope.labels()));
    let (least, most) =
        hint.map_or((TimeDelta::zero(), settings.onset_lead), |hint| (hint.least, hint.most));
    Interval { from: episode.starts_at - most, to: episode.starts_at - least }
}

/// The families that the episodes make, by start and then by key. `episodes` come by start.
pub(super) fn families(episodes: &[Episode], settings: &Settings) -> Vec<Family> {
    let mut latest: BTreeMap<FamilyKey, Family> = BTreeMap::new();
    let mut done = Vec::new();
    for (index, episode) in episodes.iter().enumerate() {
        let key = FamilyKey::of(episode);
        match latest.get_mut(&key) {
            Some(family) if family.fired_since(episode.starts_at - REFIRE_GAP) => {
                family.add(index, episode);
            }
            _ => {
                let family = Family::open(&key, index, episode, settings);
                done.extend(latest.insert(key, family));
            }
        }
    }
    done.extend(latest.into_values());
    done.sort_by(|one, other| (one.starts_at, &one.key).cmp(&(other.starts_at, &other.key)));
    done
}

/// How often each family begins by itself.
#[derive(Debug, Default)]
pub(super) struct BaseRates {
    starts: BTreeMap<FamilyKey, Vec<Time>>,
    observed_from: Option<Time>,
}

impl BaseRates {
    /// From the starts of families since `observed_from`.
    pub(super) fn new(families: &[Family], observed_from: Option<Time>) -> Self {
        let mut starts: BTreeMap<FamilyKey, Vec<Time>> = BTreeMap::new();
        for family in families {
            starts.entry(family.key.clone()).or_default().push(family.starts_at);
        }
        Self { starts, observed_from }
    }

    /// How often per hour the family begins without any cause that we could name, by the days that
    /// were over before `time`.
    ///
    /// The mean of the Gamma posterior of a Poisson rate, whose prior is worth one start in a week:
    /// a family never heard before is taken to begin once a week.
    pub(super) fn per_hour(&self, key: &FamilyKey, time: Time) -> f64 {
        let day = super::time::day(time);
        let hours = self.observed_from.map_or(0.0, |from| super::time::hours(day - from).max(0.0));
        let starts =
            self.starts.get(key).map_or(0, |starts| starts.partition_point(|start| *start < day));
        (1.0 + super::number(starts)) / (WEEK_HOURS + hours)
    }
}

const WEEK_HOURS: f64 = 168.0;
