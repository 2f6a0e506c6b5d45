//! Rule files: `[[rule]]` and `[[onset]]` tables, and every problem of them at once.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use toml::Spanned;

use super::{Matchers, Onset, Rule, RuleSet, expression::NOBODYS};
use crate::{
    document::{Document, Section},
    duration::say_duration,
    event::{Action, Kind, Labels, Status},
    problem::{Problem, nearest},
};

/// A symptom that begins later than this after a change is not looked at: the look-back's default.
const WINDOW_MAX: TimeDelta = TimeDelta::hours(72);

/// No rule is worth more than a good reason, and none rules a change out.
const STRENGTHS: std::ops::RangeInclusive<f64> = 0.2..=5.0;

impl RuleSet {
    /// Rules from the texts of files, given as (name, text).
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn parse(files: &[(String, String)]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let (mut rules, mut onsets) = (Vec::new(), Vec::new());
        // By rule name, the file that has it.
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        for (file, text) in files {
            let document = Document::new(file, text);
            let mut root = document.root();
            for mut section in root.sections("rule") {
                if let Some(name) = section.need("name", Section::text) {
                    check_name(&document, &name, &names);
                    names.entry(name.get_ref().clone()).or_insert(file);
                    rules.extend(read_rule(&mut section, name.into_inner()));
                } else {
                    // For its other problems.
                    drop(read_rule(&mut section, String::new()));
                }
                section.finish();
            }
            onsets.extend(root.sections("onset").into_iter().filter_map(read_onset));
            root.finish();
            problems.extend(document.problems());
        }
        if problems.is_empty() { Ok(Self { rules: rules.into(), onsets }) } else { Err(problems) }
    }
}

fn check_name(document: &Document<'_>, name: &Spanned<String>, taken: &BTreeMap<String, &str>) {
    let text = name.get_ref();
    if text.trim().is_empty() {
        document.wrong(name.span(), "a rule's name is empty", "say in a few words what it knows");
    } else if let Some(file) = taken.get(text) {
        let what = format!("the rule {text:?} is there twice: {file} has it too");
        document.wrong(name.span(), what, "rename one of them, or leave it out");
    }
}

/// The rule, if nothing is missing in it; problems go to the document.
fn read_rule(section: &mut Section<'_>, name: String) -> Option<Rule> {
    let change = section.need("change", |section, key| read_checked(section, key, check_words));
    let alert = section.need("alert", read_matchers);
    let same = section.texts("same");
    let window = section.need("window", Section::duration);
    let strength = section.need("strength", Section::number);
    let because = section.need("because", Section::text);

    let document = section.document();
    // A rule that makes a change unlikely may speak of all alerts: that a rollback is a remedy.
    let convicts = strength.as_ref().is_none_or(|strength| *strength.get_ref() >= 1.0);
    if let Some(alert) = alert.as_ref().filter(|_| convicts) {
        check_breadth(document, alert);
    }
    if let Some(window) = &window {
        check_window(document, window);
    }
    if let Some(strength) = &strength
        && !STRENGTHS.contains(strength.get_ref())
    {
        document.wrong(
            strength.span(),
            format!("a strength of {} is out of bounds", strength.get_ref()),
            "write a factor from 0.2 (makes it unlikely) to 5 (makes it likely)",
        );
    }
    if let Some(because) = &because {
        check_sentence(document, because);
    }
    for label in same.iter().flat_map(Spanned::get_ref) {
        if label.get_ref().is_empty() {
            document.wrong(label.span(), "`same` has an empty label name", "leave it out");
        }
    }
    Some(Rule {
        name,
        change: change?.into_inner(),
        alert: alert?.into_inner(),
        same: same.map(plain).unwrap_or_default(),
        window: window?.into_inner(),
        strength: strength?.into_inner(),
        because: because?.into_inner(),
    })
}

/// How long before they fire certain alerts' symptoms began.
pub fn read_onset(mut section: Section<'_>) -> Option<Onset> {
    let alert = section.need("alert", read_matchers);
    let least = section.need("least", Section::duration);
    let most = section.need("most", Section::duration);
    if let (Some(least), Some(most)) = (&least, &most)
        && least.get_ref() > most.get_ref()
    {
        section.document().wrong(most.span(), "`most` is less than `least`", "exchange them");
    }
    section.finish();
    Some(Onset { alert: alert?.into_inner(), least: least?.into_inner(), most: most?.into_inner() })
}

fn plain(list: Spanned<Vec<Spanned<String>>>) -> Vec<String> {
    list.into_inner().into_iter().map(Spanned::into_inner).collect()
}

/// A list of matchers that must all hold, or one string of them; never an empty list.
pub fn read_matchers(section: &mut Section<'_>, key: &'static str) -> Option<Spanned<Matchers>> {
    read_checked(section, key, |_, _| {})
}

/// The same, each string of it shown to `check` even where another cannot be read.
fn read_checked(
    section: &mut Section<'_>,
    key: &'static str,
    check: fn(&Document<'_>, &Spanned<Matchers>),
) -> Option<Spanned<Matchers>> {
    let list = section.texts(key)?;
    let place = list.span();
    let document = section.document();
    let parsed: Vec<Option<_>> = list
        .get_ref()
        .iter()
        .map(|text| section.parsed(text, Matchers::parse, "write them as 'service=~\"api|web\"'"))
        .collect();
    parsed.iter().flatten().for_each(|matchers| check(document, matchers));
    let parsed: Option<Vec<_>> = parsed.into_iter().collect();
    let matchers: Vec<_> = parsed?.into_iter().flat_map(|one| one.into_inner().0).collect();
    if matchers.is_empty() {
        let what = format!("`{key}` has no matchers");
        document.wrong(place, what, "write at least one: none would match everything");
        return None;
    }
    Some(Spanned::new(place, Matchers(matchers)))
}

/// Kinds, actions and statuses that do not exist would make a rule that never holds.
fn check_words(document: &Document<'_>, change: &Spanned<Matchers>) {
    for matcher in &change.get_ref().0 {
        let known: Vec<&str> = match matcher.name() {
            "kind" => Kind::ALL.iter().map(|kind| kind.word()).collect(),
            "action" => Action::ALL.iter().map(|action| action.word()).collect(),
            "status" => Status::ALL.iter().map(|status| status.word()).collect(),
            _ => continue,
        };
        let named = matcher.named().into_iter().flatten();
        for word in named.filter(|word| !known.contains(&word.as_str())) {
            let hint = match nearest(word, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("it is one of {}", known.join(", ")),
            };
            let what = format!("{word:?} in {matcher} is no {} of a change", matcher.name());
            document.wrong(change.span(), what, hint);
        }
    }
}

/// Alert matchers that hold for an alert of a name that nobody uses and of no other labels hold for
/// nearly every alert.
fn check_breadth(document: &Document<'_>, alert: &Spanned<Matchers>) {
    let nobodys: Labels = [("alertname", NOBODYS)].into_iter().collect();
    if alert.get_ref().matches(&nobodys) {
        document.wrong(
            alert.span(),
            format!("{} holds for alerts of any name", alert.get_ref()),
            "name the alerts, as 'alertname=~\"KubeNode.*\"', or a label that only they have",
        );
    }
}

fn check_window(document: &Document<'_>, window: &Spanned<TimeDelta>) {
    let place = window.span();
    if *window.get_ref() <= TimeDelta::zero() {
        document.wrong(
            place,
            "a window of 0 holds nothing",
            "write how long it may take, as \"6h\"",
        );
    } else if *window.get_ref() > WINDOW_MAX {
        let what = format!(
            "a window of {} is longer than causes are looked for, {}",
            say_duration(*window.get_ref()),
            say_duration(WINDOW_MAX),
        );
        document.wrong(place, what, "write \"72h\" at most");
    }
}

fn check_sentence(document: &Document<'_>, because: &Spanned<String>) {
    let text = because.get_ref();
    let begins = text.chars().next().is_some_and(|first| !first.is_lowercase());
    let is_sentence = begins && text.ends_with('.') && text.split_whitespace().count() >= 3;
    if !is_sentence {
        document.wrong(
            because.span(),
            format!("`because` is not a sentence: {text:?}"),
            "say why the change causes the alert, as you would to a colleague, with a full stop",
        );
    }
}
