//! The verdict on one story: suspects, the cleared, responses and the answer.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    Answer, Cleared, FamilySummary, Impact, Incident, IncidentId, State, Suspect,
    candidate::{Candidate, Slot as ChangeSlot},
    family::{Family, Slot},
    feedback::Words,
    grouping::Story,
    hazard::Ground,
    impact::impact,
    kernel::{SKEW, is_rollback},
    odds::{Odds, softmax},
    scope::relation,
    words::{self, Teller},
};
use crate::event::{Change, ChangeId, EpisodeId, Feedback, Labels, Time, digest};

/// `likely` from this probability on ...
pub(super) const LIKELY: f64 = 0.8;
/// ... and this many times the next.
const LIKELY_RATIO: f64 = 3.0;
/// That somebody went back on something where the change was made, in nats: five times as often there as
/// elsewhere.
const MENDED: f64 = 1.6;

/// The suspects are the smallest set that holds this much of all that may have been ...
const SUSPECTED: f64 = 0.9;
/// ... and at most so many ...
const SUSPECTS_MAX: usize = 5;
/// ... each of which is suspected of at least so much, or where nobody is, of half as much as the first.
const SUSPECT_LEAST: f64 = 0.02;
/// From this probability on that no recorded change was the cause, that is the answer.
const NONE: f64 = 0.5;
/// One against which earlier symptoms speak so strongly, in nats, is cleared ...
const ACQUITTED: f64 = -2.0;
/// ... where it is suspected of less than this.
const REST_OF_DOUBT: f64 = 0.1;
/// Nobody reads more.
const CLEARED_MAX: usize = 50;
/// Of an incident's symptoms so many are told one by one, the first.
const TOLD_MAX: usize = 100;
/// Of what its symptoms are called and where they are, so much is kept for matchers.
const LABELS_MAX: usize = 2_000;
/// What so great a part of the symptoms came after did not answer to them: more likely the few before
/// are strays.
const MOST: f64 = 0.6;
/// So many of the first symptoms, and of the last, say what a change answered to.
const WITNESSES_MAX: usize = 256;

/// A story with all that the verdict on it needs.
pub(super) struct Case<'a> {
    ground: Ground<'a>,
    story: &'a Story,
    /// By start.
    families: Vec<(Slot, &'a Family)>,
    first: &'a Family,
    /// When the last of its alerts ends, told or expected.
    ended_at: Option<Time>,
    expected: bool,
    /// What people said of it, by time.
    said: Vec<&'a Feedback>,
    /// The changes in its course that go back on something, with the sets that they are of.
    menders: Vec<(&'a Candidate, &'a Change)>,
}

/// A candidate with its probability.
struct Ranked {
    odds: Odds,
    probability: f64,
}

/// What an incident is called whose earliest episode this is.
pub(super) fn incident_id(first: &EpisodeId) -> IncidentId {
    IncidentId(digest("inc_", first))
}

impl<'a> Case<'a> {
    pub(super) fn new(ground: Ground<'a>, story: &'a Story) -> Option<Self> {
        let families = story.families.iter();
        let families: Vec<_> =
            families.filter_map(|slot| Some((*slot, ground.families.get(*slot)?))).collect();
        let (_, first) = *families.first()?;
        let last = families.iter().max_by_key(|(_, family)| {
            family.ends_at.map_or((Time::MAX_UTC, false), |end| (end, family.expected))
        });
        let (ended_at, expected) = last.map(|(_, last)| (last.ends_at, last.expected))?;
        let said = said_of(ground, story, first);
        let menders = menders(ground, first.starts_at, ended_at);
        Some(Self { ground, story, families, first, ended_at, expected, said, menders })
    }

    /// What people say of a change set and this incident.
    fn words_on(&self, candidate: ChangeSlot) -> Words<'a> {
        let is_member =
            |said: &&&Feedback| self.members(candidate).any(|one| one.id == said.change);
        Words::of(self.said.iter().filter(is_member).copied())
    }

    /// The incident that this story is.
    pub(super) fn incident(&self) -> Incident {
        let responses = self.responses();
        let (none_probability, ranked) = self.rank(&responses);
        let (mut suspects, mut others) = split(none_probability, ranked);
        self.fill_in(&mut suspects, &mut others, &responses);
        let acquitted =
            suspects.iter().chain(&others).filter(|one| one.odds.feedback < 0.0).count();
        let answer = self.answer(none_probability, &suspects);
        let teller =
            Teller { ground: self.ground, first: self.first_symptom(), blamed: &self.story.blamed };
        let suspects = self.suspects(&suspects, &teller);
        let cleared = self.cleared(&others, &responses, &suspects, &teller);
        Incident {
            id: incident_id(&self.first.head.id),
            state: State::Open,
            answer,
            headline: words::headline(
                answer,
                &suspects,
                (cleared.len(), acquitted),
                self.first.starts_at,
            ),
            started_at: self.first.starts_at,
            ended_at: self.ended_at.filter(|_| !self.expected),
            expected_end: self.ended_at.filter(|_| self.expected),
            closes_at: self.closes_at(),
            first_alert: self.first.head.id.clone(),
            latest_at: self
                .families
                .last()
                .map_or(self.first.starts_at, |(_, last)| last.starts_at),
            alert_count: self.families.iter().map(|(_, family)| family.episodes).sum(),
            labels: self.labels(),
            families: self.families.iter().take(TOLD_MAX).map(|(_, one)| summary(one)).collect(),
            more_families: self.families.len().saturating_sub(TOLD_MAX),
            none_probability: probability(none_probability),
            suspects,
            cleared,
            responses: self.change_ids(&responses),
            impact: self.impact(),
            frozen: false,
        }
    }

    /// Fills in the ties of those who are told.
    fn fill_in(&self, suspects: &mut [Ranked], others: &mut [Ranked], responses: &[ChangeSlot]) {
        let eligible = others
            .iter_mut()
            .filter(|one| one.odds.in_scope && !responses.contains(&one.odds.candidate));
        for one in suspects.iter_mut().chain(eligible.take(CLEARED_MAX)) {
            one.odds.fill_in(&self.story.judged, self.ground.changes);
        }
    }

    fn closes_at(&self) -> Option<Time> {
        let settings = &self.ground.model.settings;
        let span_over = self.first.onset_to + settings.span;
        Some((self.ended_at? + settings.quiet).min(span_over.max(self.ended_at?)))
    }

    fn first_symptom(&self) -> &'a Family {
        let symptoms = self.families.iter().map(|(_, family)| *family);
        symptoms.min_by_key(|family| family.onset_to).unwrap_or(self.first)
    }

    /// What matchers see of it: what its symptoms are, and where.
    fn labels(&self) -> Labels {
        let mut seen: [BTreeSet<&str>; 4] = Default::default();
        let [alertnames, environments, services, severities] = &mut seen;
        for (_, family) in &self.families {
            alertnames.insert(&family.key.alertname);
            environments.extend(family.key.environments.iter().map(String::as_str));
            services.extend(family.key.services.iter().map(String::as_str));
            severities.extend(family.labels().first("severity"));
        }
        let names = ["alertname", "environment", "service", "severity"];
        let pairs = names.into_iter().zip(seen);
        let pairs = pairs.flat_map(|(name, values)| values.into_iter().map(move |one| (name, one)));
        pairs.take(LABELS_MAX).collect()
    }

    fn impact(&self) -> Vec<Impact> {
        let families = self.ground.families;
        let fired = self.families.iter().filter_map(|(slot, family)| {
            Some((*family, families.spot(*slot)?.out, families.stretches(*slot)?))
        });
        impact(&fired.collect::<Vec<_>>())
    }

    fn members(&self, candidate: ChangeSlot) -> impl Iterator<Item = &'a Change> {
        let ground = self.ground;
        let set = ground.changes.candidate(candidate);
        let members = set.map_or(&[][..], |set| &set.members[..]);
        members.iter().filter_map(move |member| ground.changes.get(*member))
    }

    /// Candidates that began after the first symptom in scope, by more than clocks differ, and are
    /// rollbacks, or after which nothing in their scope began, nor most of what fell sick at all.
    fn responses(&self) -> Vec<ChangeSlot> {
        let until = self.ended_at.unwrap_or(Time::MAX_UTC);
        let begun = self.ground.changes.between(self.first.starts_at, until);
        // The first symptoms say what was sick before, the last what still fell sick after.
        let witnesses = self.families.iter().enumerate().filter(|(place, _)| {
            *place < WITNESSES_MAX || place + WITNESSES_MAX >= self.families.len()
        });
        let witnesses: Vec<_> = witnesses.map(|(_, (_, family))| *family).collect();
        let responses = begun.filter(|set| {
            set.started_at > self.first.starts_at + SKEW && self.is_response(set, &witnesses)
        });
        responses.map(Candidate::id).collect()
    }

    fn is_response(&self, set: &Candidate, witnesses: &[&Family]) -> bool {
        let catalog = &self.ground.model.catalog;
        let reaches = |family: &&&Family| {
            let mut members = self.members(set.id());
            members.any(|change| relation(change, family.labels(), catalog).in_scope())
        };
        let in_scope: Vec<_> = witnesses.iter().filter(reaches).collect();
        let seen_before = in_scope.iter().any(|family| family.starts_at <= set.started_at);
        let is_after = |family: &&Family| family.starts_at > set.started_at + SKEW;
        let began_after = in_scope.iter().any(|family| is_after(family));
        let after = witnesses.iter().filter(|family| is_after(family)).count();
        let before_most = super::number(after) >= MOST * super::number(witnesses.len());
        seen_before
            && (self.members(set.id()).any(is_rollback) || !began_after && !before_most)
            && !self.words_on(set.id()).confirm()
    }

    /// All candidates but the responses, the most probable first, and the probability of none.
    fn rank(&self, responses: &[ChangeSlot]) -> (f64, Vec<Ranked>) {
        let mut odds =
            self.ground.odds(&self.story.judged, self.first.onset_to, &self.story.blamed);
        odds.retain(|odds| !responses.contains(&odds.candidate));
        for odds in &mut odds {
            odds.mending = if self.mended_by(odds.candidate).is_some() { MENDED } else { 0.0 };
            odds.feedback = self.words_on(odds.candidate).nats();
        }
        let log_odds: Vec<_> = odds.iter().map(Odds::log_odds).collect();
        let (none, probabilities) = softmax(&log_odds);
        let mut ranked: Vec<_> = odds
            .into_iter()
            .zip(probabilities)
            .map(|(odds, probability)| Ranked { odds, probability })
            .collect();
        // Candidates come by start and then by what they are: a stable sort leaves that to ties.
        // The bits of what is not below zero are in the order of the numbers, and few things are moved.
        ranked.sort_by_cached_key(|one| Reverse(one.probability.to_bits()));
        (none, ranked)
    }

    /// The first change that was made later, in the course of the incident, to mend what this one had
    /// altered: it goes back on something, by its kind or by its own words, on the same service.
    pub(super) fn mended_by(&self, candidate: ChangeSlot) -> Option<&'a Change> {
        let began = self.members(candidate).map(|change| change.started_at).max()?;
        let from = self.first.starts_at.max(began) + SKEW;
        let mut later = self
            .menders
            .iter()
            .filter(|(set, _)| set.started_at >= from && set.id() != candidate)
            .peekable();
        later.peek()?;
        let changed: BTreeSet<_> =
            self.members(candidate).flat_map(|change| change.scope.services()).collect();
        let mends = |change: &&Change| {
            change.scope.services().any(|service| changed.contains(service))
                && !self.reverts_another(change, candidate)
        };
        later.map(|(_, change)| *change).find(mends)
    }

    /// Whether its title names a change of the same service to go back on, and that is not this one.
    fn reverts_another(&self, mending: &Change, candidate: ChangeSlot) -> bool {
        let names = |change: &Change| {
            !change.title.is_empty()
                && mending.title.len() > change.title.len()
                && mending.title.ends_with(&change.title)
                && change.scope.services().any(|one| mending.scope.services().any(|two| one == two))
        };
        let from = mending.started_at - self.ground.model.settings.look_back;
        let mut named = self.ground.changes.between(from, mending.started_at);
        !self.members(candidate).any(names) && named.any(|set| self.members(set.id()).any(names))
    }

    fn answer(&self, none: f64, suspects: &[Ranked]) -> Answer {
        let first = suspects.first().map_or(0.0, |suspect| suspect.probability);
        let next = suspects.get(1).map_or(0.0, |suspect| suspect.probability);
        if first >= LIKELY && first >= LIKELY_RATIO * next {
            Answer::Likely
        } else if none < NONE && !suspects.is_empty() {
            Answer::Suspects
        } else if self.heard_of_changes() {
            Answer::None
        } else {
            Answer::Unknown
        }
    }

    /// Whether any change was heard of in the time in which the cause is looked for: without one,
    /// silence says nothing.
    fn heard_of_changes(&self) -> bool {
        let since = self.first.starts_at - self.ground.model.settings.look_back;
        self.ground.changes.iter().any(|change| {
            change.finished_at.unwrap_or(change.started_at) >= since
                && self.ended_at.is_none_or(|end| change.started_at <= end)
        })
    }

    fn suspects(&self, ranked: &[Ranked], teller: &Teller<'_>) -> Vec<Suspect> {
        let first = self.first_symptom();
        let told = ranked.iter().zip(1..).filter_map(|(one, rank)| {
            let change = self.ground.changes.get(lead(&one.odds)?)?;
            let set = self.ground.changes.candidate(one.odds.candidate)?;
            Some(Suspect {
                change: change.id.clone(),
                changes: self.change_ids(&[one.odds.candidate]),
                rank,
                probability: probability(one.probability),
                log_odds: one.odds.log_odds(),
                title: change.title.clone(),
                kind: change.kind,
                action: change.action,
                started_at: self.members(one.odds.candidate).map(|c| c.started_at).min()?,
                finished_at: self
                    .members(one.odds.candidate)
                    .map(|change| change.finished_at)
                    .reduce(|one, other| Some(one?.max(other?)))?,
                summary: teller.summary(&one.odds, change, &self.words_on(one.odds.candidate)),
                evidence: teller.evidence(
                    &one.odds,
                    change,
                    self.mended_by(one.odds.candidate),
                    &self.words_on(one.odds.candidate),
                ),
                contributing: self.ground.woken_by(set, first),
            })
        });
        told.collect()
    }

    /// The others that were in scope in time, and those that came too late to have caused it.
    fn cleared(
        &self,
        ranked: &[Ranked],
        responses: &[ChangeSlot],
        suspects: &[Suspect],
        teller: &Teller<'_>,
    ) -> Vec<Cleared> {
        let eligible = ranked
            .iter()
            .filter(|one| one.odds.in_scope && !responses.contains(&one.odds.candidate));
        let told = eligible.take(CLEARED_MAX).filter_map(|one| {
            let change = self.ground.changes.get(lead(&one.odds)?)?;
            Some(Cleared {
                change: change.id.clone(),
                changes: self.change_ids(&[one.odds.candidate]),
                title: change.title.clone(),
                probability: probability(one.probability),
                reason: teller.reason(
                    &one.odds,
                    change,
                    suspects,
                    &self.words_on(one.odds.candidate),
                ),
            })
        });
        told.collect()
    }

    fn change_ids(&self, candidates: &[ChangeSlot]) -> Vec<ChangeId> {
        let members = candidates.iter().flat_map(|candidate| self.members(*candidate));
        members.map(|change| change.id.clone()).collect()
    }
}

/// The changes between these times that go back on something, by their kind or by their own words.
fn menders(ground: Ground<'_>, from: Time, until: Option<Time>) -> Vec<(&Candidate, &Change)> {
    let sets = ground.changes.between(from, until.unwrap_or(Time::MAX_UTC));
    let members = sets.flat_map(|set| {
        let changes = set.members.iter().filter_map(|member| ground.changes.get(*member));
        changes.map(move |change| (set, change))
    });
    members.filter(|(_, change)| is_rollback(change) || words::mends(&change.title)).collect()
}

/// What people said of this story's incident, by time: once it had begun, and before it was frozen.
fn said_of<'a>(ground: Ground<'a>, story: &Story, first: &Family) -> Vec<&'a Feedback> {
    let settings = &ground.model.settings;
    let mut said =
        if settings.learn { ground.said.about(ground.families, story) } else { Vec::new() };
    said.retain(|one| {
        one.at >= first.starts_at && first.starts_at >= settings.frozen_before(one.at)
    });
    said
}

fn summary(family: &Family) -> FamilySummary {
    FamilySummary {
        alertname: family.key.alertname.clone(),
        services: family.key.services.clone(),
        environments: family.key.environments.clone(),
        severity: family.labels().first("severity").map(str::to_owned),
        onset_from: family.onset_from,
        onset_to: family.onset_to,
        starts_at: family.starts_at,
        ends_at: family.ends_at,
        end_expected: family.expected,
        episodes: family.episodes,
        summary: family.head.summary.clone(),
    }
}

/// The suspects, and the others. Where some change was it, and so many may have been that none of them
/// stands out, the first are named all the same: to say that it was none would be wrong.
fn split(none: f64, ranked: Vec<Ranked>) -> (Vec<Ranked>, Vec<Ranked>) {
    let (mut held, mut suspects) = (0.0, 0);
    let first = ranked.first().map_or(0.0, |one| one.probability);
    let least = if none < NONE { SUSPECT_LEAST.min(first / 2.0) } else { SUSPECT_LEAST };
    ranked.into_iter().partition(|one| {
        let is_suspect = suspects < SUSPECTS_MAX
            && held < SUSPECTED
            && one.probability >= least
            && !one.is_acquitted();
        if is_suspect {
            held += one.probability;
            suspects += 1;
        }
        is_suspect
    })
}

impl Ranked {
    /// Whether what was sick before it, or whoever cleared it, leaves it no more than the rest of a doubt.
    fn is_acquitted(&self) -> bool {
        self.odds.exoneration.min(self.odds.feedback) <= ACQUITTED
            && self.probability < REST_OF_DOUBT
    }
}

/// The member with the most evidence: the one that explains most of the families best.
fn lead(odds: &Odds) -> Option<ChangeSlot> {
    let mut by_member = std::collections::BTreeMap::<usize, f64>::new();
    for (tie, scope, rule) in &odds.ties {
        *by_member.entry(tie.member).or_default() += scope + rule;
    }
    // Of equals the first.
    by_member
        .into_iter()
        .max_by(|(one_place, one), (other_place, other)| {
            one.total_cmp(other).then(other_place.cmp(one_place))
        })
        .map(|(member, _)| member)
}

/// To the ten-thousandth: more digits would claim a precision that there is not.
fn probability(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
