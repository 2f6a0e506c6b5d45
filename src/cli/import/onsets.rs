//! What alerting rules say of when a symptom began before its alert fired: at least the rule's `for`
//! before, at most that, an evaluation interval and the longest range that its expression looks at.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::TimeDelta;
use regex::Regex;

use super::prometheus::{AlertingRule, Group};
use crate::{
    duration::{parse_duration, show_duration},
    rules::Matcher,
};

/// The ranges of an expression: `[5m]`, and of a subquery `[1h:30s]` what stands before the colon.
static RANGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\[\s*([0-9a-z]+)\s*[\]:]").ok());

/// How long before it fires an alert's symptom begins: at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lead {
    least: TimeDelta,
    most: TimeDelta,
}

impl Lead {
    /// `interval` is the one between two evaluations, in seconds.
    fn of(rule: &AlertingRule, interval: f64) -> Self {
        let least = seconds(rule.duration);
        Self { least, most: least + seconds(interval) + longest_range(&rule.query) }
    }

    /// What holds whichever of two rules of one name fires.
    fn or(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

/// To the millisecond; what is not a time is none.
fn seconds(written: f64) -> TimeDelta {
    let seconds = std::time::Duration::try_from_secs_f64(written).unwrap_or_default();
    TimeDelta::from_std(seconds).unwrap_or_default()
}

fn longest_range(query: &str) -> TimeDelta {
    let ranges = RANGE.iter().flat_map(|range| range.captures_iter(query));
    let ranges = ranges.filter_map(|found| parse_duration(found.get(1)?.as_str()).ok());
    ranges.max().unwrap_or_default()
}

/// By the name of the alert.
pub(super) fn leads(groups: &[Group]) -> BTreeMap<&str, Lead> {
    let mut leads = BTreeMap::<&str, Lead>::new();
    let rules = groups.iter().flat_map(|group| group.rules.iter().map(move |one| (group, one)));
    for (group, rule) in rules {
        let lead = Lead::of(rule, group.interval);
        leads.entry(&rule.name).and_modify(|known| *known = known.or(lead)).or_insert(lead);
    }
    leads
}

/// A rule file that says so.
pub(super) fn rule_file(leads: &BTreeMap<&str, Lead>) -> String {
    let entries = leads.iter().map(|(name, Lead { least, most })| {
        let alert = toml::Value::from(Matcher::equal("alertname", *name).to_string());
        let (least, most) = (show_duration(*least), show_duration(*most));
        format!("\n[[onset]]\nalert = [{alert}]\nleast = {least:?}\nmost = {most:?}\n")
    });
    let head = "# How long before they fire the symptoms of these alerts begin, as the rules say by which \
                they fire.\n";
    std::iter::once(head.to_owned()).chain(entries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;

    fn rule(name: &str, query: &str, duration: f64) -> AlertingRule {
        AlertingRule { name: name.into(), query: query.into(), duration }
    }

    fn group(interval: f64, rules: impl Into<Vec<AlertingRule>>) -> Group {
        Group { interval, rules: rules.into() }
    }

    fn minutes(least: i64, most: i64) -> Lead {
        Lead { least: TimeDelta::minutes(least), most: TimeDelta::minutes(most) }
    }

    #[test]
    fn a_symptom_began_before_the_wait_and_within_what_the_expression_looks_at() {
        let cases = [
            ("up == 0", minutes(15, 16)),
            ("rate(a[5m]) > 0 and rate(a[1h]) > 1", minutes(15, 76)),
            ("max_over_time(rate(a[5m])[30m:1m]) > 0", minutes(15, 46)),
        ];
        for (query, lead) in cases {
            let groups = [group(60.0, [rule("A", query, 900.0)])];
            assert_eq!(leads(&groups).get("A"), Some(&lead), "{query}");
        }
    }

    #[test]
    fn two_rules_of_one_name_leave_open_which_of_them_fired() {
        let rules = [rule("Burn", "a[1h]", 120.0), rule("Burn", "a[6h]", 900.0)];
        assert_eq!(leads(&[group(60.0, rules)]).get("Burn"), Some(&minutes(2, 376)));
    }

    #[test]
    fn what_is_printed_is_a_rule_file_whatever_the_alerts_are_called() {
        let names = ["Disk \"full\" \\ 'soon'", "Zeile\numbruch", "Un\u{200b}seen", "Down"];
        let groups = [
            group(15.0, names.map(|name| rule(name, "a", 0.0))),
            group(-1.0, [rule("NoTime", "a", f64::NAN)]),
        ];
        let text = rule_file(&leads(&groups));
        let read = RuleSet::parse(&[("onsets.toml".to_owned(), text.clone())]).expect(&text);
        assert_eq!(read.onsets.len(), names.len() + 1, "{text}");
        for name in names.into_iter().chain(["NoTime"]) {
            let labels = [("alertname", name)].into_iter().collect();
            let held = read.onsets.iter().filter(|onset| onset.alert.matches(&labels)).count();
            assert_eq!(held, 1, "{text}");
        }
    }
}
