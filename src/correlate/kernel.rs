//! How long after a change its symptoms begin: two speeds, minutes or hours.
//!
//! In 37 public incidents 65 % of the lags are within 5 minutes and nearly nothing lies between 30
//! and 100 minutes, with a second hump at 1.5 to 7 hours. One exponential would give a removal
//! 3.5 h ago no chance against a deploy of 6 minutes ago, so a fast exponential and a slow
//! log-normal are mixed.

use chrono::TimeDelta;

use super::time::{Interval, hours};
use crate::event::{Action, Change, Kind, Time};

/// A mixture of two lag densities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    /// How much of it is the fast one.
    fast: f64,
    /// Median of the slow one, in hours.
    slow_median: f64,
    /// Spread of the slow one, in the logarithm.
    slow_sigma: f64,
}

/// Mean of the fast part, in hours: failures show within minutes, and detection takes up to 9
/// minutes in 80 % of cases (`FluxRank`).
const FAST_MEAN: f64 = 10.0 / 60.0;

/// Clocks of two machines may differ by this much; a symptom that seems to begin less before the
/// change than that may have begun after it.
pub(super) const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Nothing is detected sooner, in hours; keeps the slow density finite.
const LEAST: f64 = 30.0 / 3600.0;

// The slow part is wide: fitted to the 37 lags its spread is 1.9, and they are few.
const SWITCH: Kernel = Kernel { fast: 0.70, slow_median: 3.0, slow_sigma: 1.5 };
const INFRASTRUCTURE: Kernel = Kernel { fast: 0.60, slow_median: 3.5, slow_sigma: 1.5 };
const REMOVAL: Kernel = Kernel { fast: 0.45, slow_median: 3.5, slow_sigma: 1.2 };

impl Kernel {
    /// The kernel for a kind of change.
    pub(super) const fn of(change: &Change) -> Self {
        if is_removal(change.kind, change.action) {
            return REMOVAL;
        }
        match change.kind {
            Kind::Infrastructure
            | Kind::Scaling
            | Kind::Database
            | Kind::Certificate
            | Kind::Permission
            | Kind::Secret
            | Kind::Maintenance => INFRASTRUCTURE,
            Kind::Deploy
            | Kind::Config
            | Kind::FeatureFlag
            | Kind::Network
            | Kind::Dns
            | Kind::Rollback
            | Kind::Other => SWITCH,
        }
    }

    /// Density per hour at a lag in hours.
    fn density(self, lag: f64) -> f64 {
        let lag = lag.max(LEAST);
        let fast = (-lag / FAST_MEAN).exp() / FAST_MEAN;
        let z = (lag / self.slow_median).ln() / self.slow_sigma;
        let slow = (-z * z / 2.0).exp() / (lag * self.slow_sigma * std::f64::consts::TAU.sqrt());
        self.fast * fast + (1.0 - self.fast) * slow
    }

    /// Mean density per hour over when the change took effect and when the symptom began: zero
    /// where the symptom came first.
    pub(super) fn mean_density(self, effect: Interval, onset: Interval) -> f64 {
        // Of the onset only the part after the change counts, and however short it is, it is looked
        // at as closely as a whole one: what was deployed seconds before an alert may have caused it.
        let after = Interval { from: onset.from.max(effect.from - SKEW).min(onset.to), ..onset };
        let share = if after == onset { 1.0 } else { after.hours() / onset.hours() };
        let (mut sum, mut n) = (0.0, 0.0);
        for began in after.moments(ONSET_MOMENTS) {
            let likely = onset_density(onset, began);
            for took_effect in effect.moments(EFFECT_MOMENTS) {
                n += 1.0;
                let lag = began - took_effect;
                if lag >= -SKEW {
                    sum += likely * self.density(hours(lag));
                }
            }
        }
        share * sum / n
    }
}

/// How likely a symptom began at this moment of its onset, where 1 is as likely as at any other: the
/// interval says how early it can have been at most, and few alerts wait for so long before they fire.
fn onset_density(onset: Interval, began: Time) -> f64 {
    let length = onset.hours();
    if length > 0.0 { 2.0 * hours(began - onset.from) / length } else { 1.0 }
}

const ONSET_MOMENTS: i32 = 5;
const EFFECT_MOMENTS: i32 = 5;

/// Whether something is taken away: what stood on it may fail hours later, when it next needs it.
pub(super) const fn is_removal(kind: Kind, action: Action) -> bool {
    match action {
        Action::Delete | Action::ScaleDown => true,
        Action::Disable | Action::Rotate | Action::Replace => {
            matches!(kind, Kind::Permission | Kind::Secret)
        }
        Action::Create
        | Action::Update
        | Action::ScaleUp
        | Action::Rollback
        | Action::Enable
        | Action::Restart => false,
    }
}

/// Whether it goes back on another change.
pub(super) const fn is_rollback(change: &Change) -> bool {
    matches!(change.kind, Kind::Rollback) || matches!(change.action, Action::Rollback)
}

/// The probability that one such change causes an incident.
///
/// Deploys are many and made to be safe (DORA's elite: 5 % fail, and fewer of them page); changes of
/// the ground that many stand on break more, and what takes away most; what only adds breaks less, and
/// a rollback follows symptoms and seldom causes them.
pub(super) const fn prior(change: &Change) -> f64 {
    if is_rollback(change) {
        return 0.016;
    }
    if is_removal(change.kind, change.action) {
        return 0.10;
    }
    if matches!(change.action, Action::Restart | Action::ScaleUp) {
        return 0.02;
    }
    match change.kind {
        Kind::Infrastructure
        | Kind::Database
        | Kind::Network
        | Kind::Dns
        | Kind::Maintenance
        | Kind::Certificate => 0.07,
        Kind::Deploy => 0.035,
        Kind::Config
        | Kind::FeatureFlag
        | Kind::Scaling
        | Kind::Permission
        | Kind::Secret
        | Kind::Rollback
        | Kind::Other => 0.04,
    }
}
