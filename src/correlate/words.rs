//! The reasons in words: what a sceptic at 3 a.m. can check.

use std::collections::BTreeSet;

use super::{
    Answer, Evidence, Suspect, Term,
    family::{Family, FamilyKey},
    feedback::{Taught, Words},
    hazard::{Ground, Tie},
    kernel,
    odds::{Blamed, Odds, nats},
    scope::{Way, relation},
    vocabulary,
};
use chrono::TimeDelta;

use crate::{
    duration::say_duration,
    event::{Change, Scope, Time},
};

/// Tells about the candidates of one incident.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    pub(super) ground: Ground<'a>,
    /// The incident's symptom that began first, which need not be the one that fired first.
    pub(super) first: &'a Family,
    /// What the incidents beside it are put down to.
    pub(super) blamed: &'a [Blamed],
}

/// Of the terms those that count, and each rule that holds, once: what rules say of one story is
/// counted by the one that says most, and whoever wrote another wants to see that it was met.
fn without_what_says_nothing(evidence: Vec<Evidence>) -> Vec<Evidence> {
    let is_rule = |term: &&Evidence| term.kind == Term::Rule;
    let counted = evidence.iter().filter(is_rule).filter(|rule| rule.nats != 0.0);
    let mut told: BTreeSet<_> = counted.map(|rule| rule.text.clone()).collect();
    let kept = evidence.into_iter().filter(|term| {
        term.nats != 0.0 || term.kind == Term::Rule && told.insert(term.text.clone())
    });
    kept.collect()
}

/// The answer in one line. Of the considered so many are `cleared` or suspects; people say of so many,
/// `acquitted`, that they were not it.
pub(super) fn headline(
    answer: Answer,
    suspects: &[Suspect],
    (cleared, acquitted): (usize, usize),
    started_at: Time,
) -> String {
    let before = |suspect: &Suspect| {
        if suspect.started_at <= started_at {
            format!("{} before the first alert", say_duration(started_at - suspect.started_at))
        } else {
            format!("{} after the first alert", say_duration(suspect.started_at - started_at))
        }
    };
    let told = match (answer, suspects) {
        (Answer::Likely, [first, ..]) => format!("likely: {}, {}", first.title, before(first)),
        (Answer::Suspects, [first]) => format!("suspected: {}, {}", first.title, before(first)),
        (Answer::Suspects, [first, others @ ..]) => {
            let n = others.len();
            let others = if n == 1 { "another".to_owned() } else { format!("{n} others") };
            format!("suspected: {}, {}, or {others}", first.title, before(first))
        }
        (Answer::Unknown, _) => "unknown: no change was heard of, from any source".to_owned(),
        _ => match cleared + suspects.len() {
            0 => "no recorded change is a likely cause".to_owned(),
            1 => "no recorded change is a likely cause; 1 was considered".to_owned(),
            n => format!("no recorded change is a likely cause; {n} were considered"),
        },
    };
    let is_named = matches!(answer, Answer::Likely | Answer::Suspects);
    let said = suspects.first().filter(|_| is_named).and_then(|first| {
        first.evidence.iter().find(|term| term.kind == Term::Feedback && term.nats > 0.0)
    });
    match (said, acquitted) {
        (Some(said), _) => format!("{told}, {}", said.text),
        (None, 0) => told,
        (None, n) => format!("{told}, {n} cleared by people"),
    }
}

impl Teller<'_> {
    /// One line that a sceptic accepts.
    pub(super) fn summary(&self, odds: &Odds, change: &Change, said: &Words<'_>) -> String {
        let tie = &odds.anchor;
        let Some(family) = self.ground.families.get(tie.family) else { return what(change) };
        let others = match odds.ties.len() {
            0 | 1 => String::new(),
            2 => " and one more symptom".to_owned(),
            n => format!(" and {} more symptoms", n - 1),
        };
        let mut parts = vec![
            format!("{}, {}{others}", what(change), self.lead_time(tie, family)),
            self.relation(change, family),
        ];
        let applied = tie.rule.filter(|applied| applied.strength > 1.0);
        if let Some(rule) = applied.and_then(|applied| self.ground.rule(&applied)) {
            parts.push(format!("rule {}", rule.name));
        }
        parts.push(format!("that alert {}", self.by_itself(tie)));
        parts.extend(Some(self.said(said)).filter(|said| !said.is_empty()));
        parts.join("; ")
    }

    /// Every term of the log-odds, in the order in which it is added.
    pub(super) fn evidence(
        &self,
        odds: &Odds,
        lead: &Change,
        mended: Option<&Change>,
        said: &Words<'_>,
    ) -> Vec<Evidence> {
        let mut evidence = vec![Evidence {
            kind: Term::Prior,
            nats: odds.prior,
            text: format!(
                "about {} in 100 changes like this ({} {}) break something",
                (kernel::prior(lead) * 100.0).round(),
                lead.kind,
                lead.action
            ),
        }];
        evidence.push(Evidence { kind: Term::Blamed, nats: odds.blamed, text: self.blamed(odds) });
        if let Some(family) = self.ground.families.get(odds.anchor.family) {
            evidence.push(Evidence {
                kind: Term::Lag,
                nats: odds.lag,
                text: format!(
                    "{}; it {}",
                    self.lag(&odds.anchor, family),
                    self.by_itself(&odds.anchor)
                ),
            });
        }
        evidence.extend(self.ties(odds));
        evidence.push(Evidence {
            kind: Term::Words,
            nats: odds.words,
            text: self.shared_words(odds),
        });
        evidence.push(Evidence {
            kind: Term::Repeat,
            nats: odds.repeats,
            text: self.repeats(odds),
        });
        evidence.push(Evidence {
            kind: Term::Learned,
            nats: odds.learned,
            text: self.learned(odds),
        });
        evidence.push(Evidence {
            kind: Term::Taught,
            nats: nats(odds.taught.nats()),
            text: self.taught(odds.taught),
        });
        evidence.push(Evidence {
            kind: Term::Direct,
            nats: odds.mending,
            text: mended.map_or_else(String::new, |by| {
                let at = clock(by.started_at, self.first.starts_at);
                format!("where it was made somebody went back on something at {at}: {}", by.title)
            }),
        });
        evidence.push(Evidence {
            kind: Term::Exoneration,
            nats: odds.exoneration,
            text: self.earlier(lead),
        });
        evidence.push(Evidence {
            kind: Term::Calibration,
            nats: odds.calibration(),
            text: "reasons that hang together say less than their sum".to_owned(),
        });
        evidence.push(Evidence {
            kind: Term::Feedback,
            nats: odds.feedback,
            text: self.said(said),
        });
        without_what_says_nothing(evidence)
    }

    /// What relations and rules say of each symptom.
    fn ties(&self, odds: &Odds) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for (tie, scope, rule) in &odds.ties {
            let Some(family) = self.ground.families.get(tie.family) else { continue };
            let Some(change) = self.ground.changes.get(tie.member) else { continue };
            let text = format!("{}: {}", symptom(family), self.relation(change, family));
            evidence.push(Evidence { kind: Term::Scope, nats: *scope, text });
            if let Some(applied) = tie.rule.and_then(|applied| self.ground.rule(&applied)) {
                evidence.push(Evidence {
                    kind: Term::Rule,
                    nats: *rule,
                    text: format!("rule {}: {}", applied.name, applied.because),
                });
            }
        }
        evidence
    }

    /// What followed the same change before.
    fn learned(&self, odds: &Odds) -> String {
        let set = self.ground.changes.candidate(odds.candidate);
        let before =
            set.and_then(|set| self.ground.coincidence(set, &odds.anchor, self.first.onset_to));
        before.map_or_else(String::new, |before| {
            format!(
                "the same was done {} times before, and this alert followed {} times within 1 h; at \
                 that time of day it began on {} of {} other days",
                before.times, before.followed, before.anyway, before.days
            )
        })
    }

    /// What people said of changes like it in earlier incidents.
    fn taught(&self, taught: Taught) -> String {
        let family = taught.family.and_then(|slot| self.ground.families.get(slot));
        family.map_or_else(String::new, |family| {
            let times = |n| if n == 1 { "1 time".to_owned() } else { format!("{n} times") };
            format!(
                "people judged such changes in earlier incidents that began with {}: the cause {}, \
                 not the cause {}",
                family.key.alertname,
                times(taught.confirmed),
                times(taught.cleared)
            )
        })
    }

    /// Who says what of it.
    fn said(&self, said: &Words<'_>) -> String {
        said.say(|at| clock(at, self.first.starts_at))
    }

    /// Which incident beside this one is put down to it.
    fn blamed(&self, odds: &Odds) -> String {
        let blamed = self.blamed.iter().find(|blamed| blamed.candidate == odds.candidate);
        let told = blamed.and_then(|one| Some((one, self.ground.families.get(one.first)?)));
        told.map_or_else(String::new, |(blamed, family)| {
            let sure = (blamed.sure * 100.0).round();
            format!(
                "the incident of {}, too, is put down to it first ({sure} in 100)",
                symptom(family)
            )
        })
    }

    /// Why a candidate is not a suspect.
    pub(super) fn reason(
        &self,
        odds: &Odds,
        change: &Change,
        suspects: &[Suspect],
        said: &Words<'_>,
    ) -> String {
        if odds.feedback < 0.0 {
            return self.said(said);
        }
        if odds.exoneration < 0.0 || change.started_at > self.first.onset_to {
            return self.earlier(change);
        }
        let tie = &odds.anchor;
        let Some(family) = self.ground.families.get(tie.family) else { return String::new() };
        let mut parts = vec![self.lag(tie, family), self.relation(change, family)];
        if tie.elsewhere() {
            parts.push("it was made in another environment".to_owned());
        } else if let Some(first) = suspects.first() {
            parts.push(format!("{:?} fits better", first.title));
        }
        parts.join("; ")
    }

    /// How long before the change the incident's first symptom was there.
    fn earlier(&self, change: &Change) -> String {
        format!(
            "the symptoms of this incident began {} before it: {} at {}",
            say_duration(change.started_at - self.first.onset_to),
            symptom(self.first),
            clock(self.first.onset_to, change.started_at),
        )
    }

    /// How the change lies in time to the symptom.
    fn lead_time(&self, tie: &Tie, family: &Family) -> String {
        let Some(change) = self.ground.changes.get(tie.member) else { return String::new() };
        let (lead, symptom) = (family.starts_at - change.started_at, symptom(family));
        if lead < TimeDelta::zero() {
            format!("{} after {symptom}", say_duration(-lead))
        } else {
            format!("{} before {symptom}", say_duration(lead))
        }
    }

    /// How the symptom lies in time to the change.
    fn lag(&self, tie: &Tie, family: &Family) -> String {
        let Some(change) = self.ground.changes.get(tie.member) else { return String::new() };
        let lag = family.starts_at - change.started_at;
        match change.finished_at {
            Some(finished_at)
                if finished_at > change.started_at && finished_at < family.starts_at =>
            {
                format!(
                    "{} fired {} after it began and {} after it ended",
                    symptom(family),
                    say_duration(lag),
                    say_duration(family.starts_at - finished_at)
                )
            }
            Some(finished_at) if finished_at > change.started_at => {
                format!("{} fired while it went on, {} in", symptom(family), say_duration(lag))
            }
            None => format!("{} fired {} after it began", symptom(family), say_duration(lag)),
            Some(_) => format!("{} fired {} after it", symptom(family), say_duration(lag)),
        }
    }

    /// The rare words that change and symptoms share.
    fn shared_words(&self, odds: &Odds) -> String {
        let ties = odds.ties.iter();
        let families = ties.filter_map(|(tie, ..)| self.ground.families.get(tie.family));
        let said: BTreeSet<String> = families.flat_map(Family::text).collect();
        let set = self.ground.changes.candidate(odds.candidate);
        let members = set.into_iter().flat_map(|set| &set.members);
        let titles = members.filter_map(|slot| Some(&self.ground.changes.get(*slot)?.title));
        let shared: BTreeSet<String> = titles
            .flat_map(|title| vocabulary::words(title))
            .filter(|word| said.contains(word))
            .collect();
        let shared: Vec<_> = shared.into_iter().map(|word| format!("{word:?}")).collect();
        format!("change and symptoms both say {}", shared.join(", "))
    }

    /// That the same was done before.
    fn repeats(&self, odds: &Odds) -> String {
        let set = self.ground.changes.candidate(odds.candidate);
        let count = set.map_or(0, |set| self.ground.harmless_repeats(set, self.first.onset_to));
        let times = if count > 1 { "more than once" } else { "once" };
        format!("the same was done {times} in the days before, and nothing fell sick")
    }

    /// How what was changed stands to what is sick.
    fn relation(&self, change: &Change, family: &Family) -> String {
        match &relation(change, family.labels(), &self.ground.model.catalog).way {
            Way::Same { service } => format!("it changed {service} itself"),
            Way::Below { user, used, hops: 1 } => format!("{user} depends on {used}"),
            Way::Below { user, used, hops } => {
                format!("{user} depends on {used}, {hops} dependencies away")
            }
            Way::Above { user, used, hops: 1 } => format!("{user}, which it changed, uses {used}"),
            Way::Above { user, used, hops } => {
                format!("{user}, which it changed, uses {used}, {hops} dependencies away")
            }
            Way::Place { name, value } => format!("both are in {name} {value}"),
            Way::Unknown => {
                let services: Vec<_> = change.scope.services().collect();
                let sick = if family.key.services.is_empty() {
                    family.key.alertname.clone()
                } else {
                    family.key.services.join(", ")
                };
                format!("nothing recorded ties {} to {sick}", services.join(", "))
            }
        }
    }

    /// How often the alert begins without a cause.
    fn by_itself(&self, tie: &Tie) -> String {
        let rate = self.ground.families.per_hour(tie.family, self.first.onset_to);
        let minutes = (60.0 / rate).round();
        format!("fires by itself about once in {}", super::time::say_minutes(minutes))
    }
}

/// What people call it when they go back on something, or take back what hurts.
const MENDS: [&str; 17] = [
    "disable",
    "emergency",
    "fix",
    "hotfix",
    "mitigate",
    "mitigation",
    "readd",
    "recover",
    "reenable",
    "reinstate",
    "restore",
    "revert",
    "rollback",
    "undo",
    "unblock",
    "withdraw",
    "workaround",
];

/// Whether a title says that it mends something.
pub(super) fn mends(title: &str) -> bool {
    let title = title.to_lowercase().replace("roll back", "rollback").replace("re-", "re");
    let mut words = title.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| MENDS.binary_search(&word).is_ok())
}

/// `infrastructure delete of node-groups in production, staging`.
fn what(change: &Change) -> String {
    let named = |word: &str, names: String| {
        if names.is_empty() { names } else { format!(" {word} {names}") }
    };
    let services: Vec<_> = change.scope.services().collect();
    let (services, place) = (named("of", services.join(", ")), named("in", place(&change.scope)));
    format!("{} {}{services}{place}", change.kind, change.action)
}

fn place(scope: &Scope) -> String {
    let environments: Vec<_> = scope.environments().collect();
    environments.join(", ")
}

/// `KarpenterErrorLogs on karpenter (staging)`.
fn symptom(family: &Family) -> String {
    let FamilyKey { alertname, services, environments } = &*family.key;
    let services = match services.as_slice() {
        [] => String::new(),
        services => format!(" on {}", services.join(", ")),
    };
    match environments.as_slice() {
        [] => format!("{alertname}{services}"),
        environments => format!("{alertname}{services} ({})", environments.join(", ")),
    }
}

/// The time of day, with the date where it is not of the same day as what it is told of.
fn clock(time: Time, of: Time) -> String {
    if time.date_naive() == of.date_naive() {
        time.format("%H:%M UTC").to_string()
    } else {
        time.format("%Y-%m-%d %H:%M UTC").to_string()
    }
}
