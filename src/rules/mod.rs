//! Rules: what an operator knows about which change breaks what. Pure: callers read the files.
//!
//! In: the texts of `rules/*.toml`. Out: a [`RuleSet`], or every problem of every file with its
//! place. A rule file is a list of
//!
//! ```toml
//! [[rule]]
//! name = "node-groups-removed"
//! change = ['kind="infrastructure"', 'action="delete"', 'about=~"(?i).*node.?group.*"']
//! alert = ['alertname=~"KubeNode.*|Karpenter.*"']
//! same = ["environment", "cluster"]
//! window = "24h"
//! strength = 3
//! because = "Pods that lose their nodes must find room elsewhere, hours later."
//! ```
//!
//! where the matchers of a list must all hold. What they see of a change says [`change_labels`].
//! Beside its rules a file may say how long before they fire certain alerts' symptoms begin:
//!
//! ```toml
//! [[onset]]
//! alert = ['alertname="KubeNodeNotReady"']
//! least = "15m"
//! most = "20m"
//! ```

mod expression;
mod index;
mod lexer;
mod matcher;
mod outage;
mod parse;
mod shipped;
pub mod testfile;

#[cfg(test)]
mod tests;

pub use self::{
    matcher::{Matcher, Matchers, Op},
    outage::{OUTAGE, default_outage},
    parse::{read_matchers, read_onset},
    shipped::SHIPPED,
};

use std::ops::Deref;

use chrono::TimeDelta;

use self::index::Index;
use crate::event::{Change, Labels};

/// A kind of change, a kind of alert, and how much more likely the one makes the other.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, unique among all rules.
    pub name: String,
    /// Which changes; asked of [`change_labels`].
    pub change: Matchers,
    /// Which alerts; asked of an alert's scope, `alertname` and `severity` among its labels.
    pub alert: Matchers,
    /// Labels whose values must intersect where both sides have them.
    pub same: Vec<String>,
    /// How long after the change began the symptom may begin.
    pub window: TimeDelta,
    /// How many times likelier the symptom is after such a change; 0.2 to 5.
    pub strength: f64,
    /// Why, in a sentence.
    pub because: String,
}

/// How long before they fire certain alerts' symptoms began.
#[derive(Clone, Debug)]
pub struct Onset {
    /// Which alerts.
    pub alert: Matchers,
    /// At least so long: the alerting rule's `for`.
    pub least: TimeDelta,
    /// At most so long: with its evaluation interval and range.
    pub most: TimeDelta,
}

/// All rules that are in force.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// In the order of files and of rules in them.
    pub rules: Rules,
    /// What is known of onsets; the first that matches counts.
    pub onsets: Vec<Onset>,
}

/// Rules that are called by their places, with an index of each side.
///
/// It is a slice of rules that nobody can write to, so that the index is never out of step.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    list: Vec<Rule>,
    by_change: Index,
    by_alert: Index,
}

impl From<Vec<Rule>> for Rules {
    fn from(list: Vec<Rule>) -> Self {
        let sides =
            |side: fn(&Rule) -> &Matchers| Index::new(&list.iter().map(side).collect::<Vec<_>>());
        let (by_change, by_alert) = (sides(|rule| &rule.change), sides(|rule| &rule.alert));
        Self { list, by_change, by_alert }
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.list
    }
}

impl Rules {
    /// The places of the rules whose change side these labels meet, in order.
    pub fn of_change(&self, labels: &Labels) -> Vec<usize> {
        self.met(self.by_change.candidates(labels), |rule| rule.change.matches(labels))
    }

    /// The places of the rules whose alert side these labels meet, in order.
    pub fn of_alert(&self, labels: &Labels) -> Vec<usize> {
        self.met(self.by_alert.candidates(labels), |rule| rule.alert.matches(labels))
    }

    fn met(&self, mut picked: Vec<usize>, is_met: impl Fn(&Rule) -> bool) -> Vec<usize> {
        picked.retain(|place| self.list.get(*place).is_some_and(&is_met));
        picked
    }
}

/// What matchers see of a change: the labels of its scope, and `kind`, `action`, `status`, `title`,
/// `actor` and `revision`.
///
/// `about` has as its values everything that says what was changed: the title, the services, and
/// the types and names of resources. A rule that asks `about=~"(?i).*karpenter.*"` need not know
/// which of them a pipeline fills in.
pub fn change_labels(change: &Change) -> Labels {
    let mut labels = change.scope.labels().clone();
    let mut say = |name: &str, value: &str| {
        labels.remove(name);
        labels.insert(name, value);
    };
    say("kind", change.kind.word());
    say("action", change.action.word());
    say("status", change.status.word());
    say("title", &change.title);
    say("actor", change.actor.as_deref().unwrap_or_default());
    say("revision", change.revision.as_deref().unwrap_or_default());
    say("about", &change.title);
    for label in ["service", "resource_types"] {
        for value in change.scope.labels().values(label) {
            labels.insert("about", value);
        }
    }
    for resource in &change.resources {
        labels.insert("about", resource.type_name.as_str());
        labels.insert("about", resource.name.as_deref().unwrap_or_default());
    }
    labels
}
