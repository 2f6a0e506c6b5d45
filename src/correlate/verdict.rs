//! The verdict on one story: suspects, the cleared, responses and the answer.

use super::{
    Answer, Cleared, FamilySummary, Incident, IncidentId, State, Suspect,
    family::Family,
    grouping::Story,
    hazard::{Ground, Odds, Tie, softmax},
    impact::impact,
    kernel::{SKEW, is_rollback},
    scope::relation,
    words::{self, Teller},
};
use crate::event::{Change, ChangeId, Episode, Time, digest};

/// `likely` from this probability on ...
pub(super) const LIKELY: f64 = 0.8;
/// ... and this many times the next.
const LIKELY_RATIO: f64 = 3.0;
/// The suspects are the smallest set that holds this much of what changes are suspected of ...
const SUSPECTED: f64 = 0.9;
/// ... and at most so many ...
const SUSPECTS_MAX: usize = 5;
/// ... each of which is suspected of at least so much.
const SUSPECT_LEAST: f64 = 0.02;
/// Nobody reads more.
const CLEARED_MAX: usize = 50;

/// A story with all that the verdict on it needs.
pub(super) struct Case<'a> {
    ground: &'a Ground<'a>,
    families: Vec<(usize, &'a Family)>,
    /// All episodes, to which the families' indices point.
    all: &'a [Episode],
    /// Its own episodes, by start.
    episodes: Vec<&'a Episode>,
    at: Time,
    started_at: Time,
    /// When the last of its episodes ends, told or expected.
    end: Option<Time>,
}

/// A candidate with its probability.
struct Ranked<'a> {
    odds: Odds<'a>,
    probability: f64,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        ground: &'a Ground<'a>,
        story: &Story,
        episodes: &'a [Episode],
        at: Time,
    ) -> Option<Self> {
        let families: Vec<_> = story
            .families
            .iter()
            .filter_map(|index| Some((*index, ground.families.get(*index)?)))
            .collect();
        let mut members: Vec<_> = families
            .iter()
            .flat_map(|(_, family)| &family.episodes)
            .filter_map(|index| episodes.get(*index))
            .collect();
        members.sort_by_key(|episode| (episode.starts_at, &episode.id));
        let started_at = members.first()?.starts_at;
        let ends: Option<Vec<_>> = members.iter().map(|episode| episode.ends_at).collect();
        let end = ends.and_then(|ends| ends.into_iter().max());
        Some(Self { ground, families, all: episodes, episodes: members, at, started_at, end })
    }

    /// When it was over; `None` while a member fires.
    fn ended_at(&self) -> Option<Time> {
        self.end.filter(|end| *end <= self.at)
    }

    /// The incident that this story is, by the ties of all families.
    pub(super) fn incident(&self, ties: &'a [Vec<Tie<'a>>]) -> Option<Incident> {
        let earliest = self.episodes.first()?;
        let responses = self.responses();
        let (none_probability, ranked) = self.rank(ties, &responses);
        let (suspects, others) = split(&ranked);
        let answer = self.answer(none_probability, suspects);
        let teller = Teller { ground: self.ground, first: self.first_symptom()? };
        let suspects = self.suspects(suspects, &teller);
        let cleared = self.cleared(others, &responses, &suspects, &teller);
        let mut incident = Incident {
            id: IncidentId(digest("inc_", &earliest.id)),
            state: State::Open,
            answer,
            headline: words::headline(answer, &suspects, cleared.len(), self.started_at),
            started_at: self.started_at,
            ended_at: self.ended_at(),
            expected_end: self.end.filter(|end| *end > self.at),
            closes_at: self.closes_at(),
            alerts: self.episodes.iter().map(|episode| episode.id.clone()).collect(),
            families: self.families.iter().map(|(_, family)| self.summary(family)).collect(),
            none_probability: probability(none_probability),
            suspects,
            cleared,
            responses: self.change_ids(&responses),
            impact: impact(&self.episodes, &self.ground.model.settings, self.at),
        };
        incident = incident.at(self.at);
        Some(incident)
    }

    fn closes_at(&self) -> Option<Time> {
        let settings = &self.ground.model.settings;
        let span_over = self.families.first()?.1.onset.to + settings.span;
        Some((self.end? + settings.quiet).min(span_over.max(self.end?)))
    }

    fn first_symptom(&self) -> Option<&'a Family> {
        self.families.iter().map(|(_, family)| *family).min_by_key(|family| family.onset.to)
    }

    fn members(&self, candidate: usize) -> impl Iterator<Item = &'a Change> {
        let ground = self.ground;
        let members = ground.candidates.get(candidate).map_or(&[][..], |set| &set.members[..]);
        members.iter().filter_map(move |member| ground.changes.get(*member))
    }

    /// Candidates that began after the first symptom in scope, by more than clocks differ, and are
    /// rollbacks, or after which nothing in their scope began.
    fn responses(&self) -> Vec<usize> {
        let until = self.ended_at().unwrap_or(self.at);
        let sets =
            self.ground.candidates.iter().enumerate().filter(|(_, set)| {
                set.started_at > self.started_at + SKEW && set.started_at <= until
            });
        let responses = sets.filter(|(candidate, set)| {
            let in_scope: Vec<_> = self
                .families
                .iter()
                .filter(|(_, family)| {
                    self.members(*candidate).any(|change| {
                        let catalog = &self.ground.model.catalog;
                        relation(change, &family.labels, catalog).in_scope()
                    })
                })
                .collect();
            let seen_before = in_scope.iter().any(|(_, family)| family.starts_at <= set.started_at);
            let began_after =
                in_scope.iter().any(|(_, family)| family.starts_at > set.started_at + SKEW);
            let rollback = self.members(*candidate).any(is_rollback);
            seen_before && (rollback || !began_after)
        });
        responses.map(|(candidate, _)| candidate).collect()
    }

    /// All candidates but the responses, the most probable first, and the probability of none.
    fn rank(&self, ties: &'a [Vec<Tie<'a>>], responses: &[usize]) -> (f64, Vec<Ranked<'a>>) {
        let families: Vec<_> = self.families.iter().map(|(index, _)| *index).collect();
        let onset = self.families.first().map_or(self.started_at, |(_, family)| family.onset.to);
        let mut odds = self.ground.odds(&families, ties, onset);
        odds.retain(|odds| !responses.contains(&odds.candidate));
        let log_odds: Vec<_> = odds.iter().map(Odds::log_odds).collect();
        let (none, probabilities) = softmax(&log_odds);
        let mut ranked: Vec<_> = odds
            .into_iter()
            .zip(probabilities)
            .map(|(odds, probability)| Ranked { odds, probability })
            .collect();
        // Candidates come by start and then by what they are: a stable sort leaves that to ties.
        ranked.sort_by(|one, other| other.probability.total_cmp(&one.probability));
        (none, ranked)
    }

    fn answer(&self, none: f64, suspects: &[Ranked<'_>]) -> Answer {
        let first = suspects.first().map_or(0.0, |suspect| suspect.probability);
        let next = suspects.get(1).map_or(0.0, |suspect| suspect.probability);
        if first >= LIKELY && first >= LIKELY_RATIO * next {
            Answer::Likely
        } else if none < 0.5 && !suspects.is_empty() {
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
        let since = self.started_at - self.ground.model.settings.look_back;
        self.ground.changes.iter().any(|change| {
            change.finished_at.unwrap_or(change.started_at) >= since
                && change.started_at <= self.ended_at().unwrap_or(self.at)
        })
    }

    fn suspects(&self, ranked: &[Ranked<'a>], teller: &Teller<'_>) -> Vec<Suspect> {
        let told = ranked.iter().zip(1..).filter_map(|(one, rank)| {
            let change = self.ground.changes.get(lead(&one.odds)?)?;
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
                summary: teller.summary(&one.odds, change),
                evidence: teller.evidence(&one.odds, change),
            })
        });
        told.collect()
    }

    /// The others that were in scope in time, and those that came too late to have caused it.
    fn cleared(
        &self,
        ranked: &[Ranked<'a>],
        responses: &[usize],
        suspects: &[Suspect],
        teller: &Teller<'_>,
    ) -> Vec<Cleared> {
        let eligible = ranked
            .iter()
            .filter(|one| one.odds.ties.iter().any(|(tie, ..)| tie.relation.in_scope()))
            .filter(|one| !responses.contains(&one.odds.candidate));
        let told = eligible.take(CLEARED_MAX).filter_map(|one| {
            let change = self.ground.changes.get(lead(&one.odds)?)?;
            Some(Cleared {
                change: change.id.clone(),
                changes: self.change_ids(&[one.odds.candidate]),
                title: change.title.clone(),
                probability: probability(one.probability),
                reason: teller.reason(&one.odds, change, suspects),
            })
        });
        told.collect()
    }

    fn change_ids(&self, candidates: &[usize]) -> Vec<ChangeId> {
        let members = candidates.iter().flat_map(|candidate| self.members(*candidate));
        members.map(|change| change.id.clone()).collect()
    }

    fn summary(&self, family: &Family) -> FamilySummary {
        let mut episodes = family.episodes.iter().filter_map(|index| self.all.get(*index));
        let mut last = episodes.clone().filter(|episode| episode.ends_at == family.ends_at);
        FamilySummary {
            alertname: family.key.alertname.clone(),
            services: family.key.services.clone(),
            environments: family.key.environments.clone(),
            severity: family.labels.first("severity").map(str::to_owned),
            onset_from: family.onset.from,
            onset_to: family.onset.to,
            starts_at: family.starts_at,
            ends_at: family.ends_at,
            end_expected: last.all(|episode| episode.end_expected),
            episodes: family.episodes.len(),
            summary: episodes.find_map(|episode| episode.summary.clone()),
        }
    }
}

/// The suspects, and the others.
fn split<'r, 'a>(ranked: &'r [Ranked<'a>]) -> (&'r [Ranked<'a>], &'r [Ranked<'a>]) {
    let all: f64 = ranked.iter().map(|one| one.probability).sum();
    let mut held = 0.0;
    let mut suspects = 0;
    for one in ranked.iter().take(SUSPECTS_MAX) {
        if held >= SUSPECTED * all || one.probability < SUSPECT_LEAST {
            break;
        }
        held += one.probability;
        suspects += 1;
    }
    ranked.split_at(suspects)
}

/// The member with the most evidence: the one that explains most of the families best.
fn lead(odds: &Odds<'_>) -> Option<usize> {
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
