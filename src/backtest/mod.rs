//! Measures answers on recorded incidents of which the truth is known, beside simpler ways to answer.
//!
//! In: cases with their truth, and what correlation knows. Out: what each way said of each case, and
//! what that comes to. The truth never reaches what answers.

mod baseline;
mod measure;

#[cfg(test)]
mod tests;

pub use self::{
    baseline::Baseline,
    measure::{Bin, Measure, Report, courses, mcnemar},
};

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::{
    correlate::{Answer, Model, Told},
    event::{ChangeId, Time},
    replay::{Replayed, catalog, last_event, replay},
    wire::case::{Case, Truth},
};

/// A recorded incident and its truth.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// What was known at the time.
    pub case: Case,
    /// What is known now.
    pub truth: Truth,
}

/// As of when an answer is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// So long after the first alert.
    AfterFirstAlert(TimeDelta),
    /// When all is over.
    End,
}

/// A cause that lies further back than this had to be triggered by something else.
const LATENT_AFTER: TimeDelta = TimeDelta::hours(72);

impl Subject {
    /// When that is for this case.
    pub fn time_of(&self, moment: Moment) -> Time {
        match moment {
            Moment::AfterFirstAlert(lead) => self.truth.first_alert() + lead,
            Moment::End => last_event(&self.case),
        }
    }

    /// Whether its causes lay dormant for days: then what triggered them is as right.
    pub fn is_latent(&self) -> bool {
        let first = self.truth.first_alert();
        self.truth.by_change && self.truth.caused_at.iter().all(|at| first - *at > LATENT_AFTER)
    }

    /// The changes that it is right to name.
    fn guilty(&self) -> BTreeSet<ChangeId> {
        let more = self.is_latent().then_some(&self.truth.contributing).into_iter().flatten();
        self.truth.causes.iter().chain(more).map(|id| ChangeId(id.clone())).collect()
    }

    /// The class that it is counted in: the kind of its cause.
    pub fn class(&self) -> &str {
        if self.truth.by_change { &self.truth.kind } else { "no change" }
    }
}

/// What was said of one case as of one moment.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The case.
    pub name: String,
    /// The kind of its cause.
    pub class: String,
    /// A change caused it.
    pub by_change: bool,
    /// Its cause lay dormant for days.
    pub latent: bool,
    /// The guilty change's place among the suspects, from 1.
    pub rank: Option<usize>,
    /// The same for each of the simpler ways.
    pub baselines: Vec<(Baseline, Option<usize>)>,
    /// What was said of its cause.
    pub answer: Answer,
    /// The first suspect, with its probability.
    pub first: Option<(String, f64)>,
    /// Of no recorded change.
    pub none_probability: f64,
    /// The squared error of the answer over all candidates and none: 0 is perfect, 2 the worst.
    pub brier: f64,
    /// Of the incident's own alerts by then, the share that its incident holds.
    pub gathered: f64,
    /// Of the alerts that this incident holds, the share that are its own.
    pub purity: f64,
    /// The incidents that hold nothing of it, and how many of them a change was blamed for.
    pub strangers: (usize, usize),
    /// A change was blamed though its causes were taken out of the case; `None`: it had none.
    pub blamed_without_cause: Option<bool>,
}

impl Trial {
    /// Whether a change is blamed with confidence.
    pub fn is_likely(&self) -> bool {
        self.answer == Answer::Likely
    }

    /// Whether the first suspect is guilty.
    pub fn is_right(&self) -> bool {
        self.rank == Some(1)
    }
}

/// What the product and the simpler ways say of one case as of one moment.
pub fn judge(model: &Model, subject: &Subject, moment: Moment) -> Trial {
    let model = Model { catalog: catalog(&subject.case), ..model.clone() };
    let (at, guilty) = (subject.time_of(moment), subject.guilty());
    let replayed = replay(&model, &subject.case, at);
    let own = own_alerts(subject, at);
    let story = story(&replayed.incidents, &own);
    let others = replayed.incidents.iter().filter(|told| held(told, &own) == 0);
    let likely = others.clone().filter(|told| told.incident.answer == Answer::Likely);
    let suspects = story.map(|told| &told.incident.suspects[..]).unwrap_or_default();
    let none_probability = story.map_or(1.0, |told| told.incident.none_probability);
    let baselines = Baseline::ALL.iter().map(|one| {
        let ranking = one.rank(subject, &model.catalog, &replayed.changes, at);
        (*one, ranking.iter().position(|id| guilty.contains(*id)).map(|place| place + 1))
    });
    let is_guilty = |changes: &[ChangeId]| changes.iter().any(|id| guilty.contains(id));
    Trial {
        name: subject.name.clone(),
        class: subject.class().to_owned(),
        by_change: subject.truth.by_change,
        latent: subject.is_latent(),
        rank: suspects.iter().position(|one| is_guilty(&one.changes)).map(|place| place + 1),
        baselines: baselines.collect(),
        answer: story.map_or(Answer::None, |told| told.incident.answer),
        first: suspects.first().map(|one| (one.title.clone(), one.probability)),
        none_probability,
        brier: brier(story, none_probability, subject, &is_guilty),
        gathered: share(story.map_or(0, |told| held(told, &own)), own.len()),
        purity: story.map_or(0.0, |told| share(held(told, &own), told.alerts.len())),
        strangers: (others.count(), likely.count()),
        blamed_without_cause: (!guilty.is_empty() && subject.truth.by_change)
            .then(|| is_blamed_without_cause(&model, subject, moment)),
    }
}

fn own_alerts(subject: &Subject, at: Time) -> BTreeSet<&str> {
    let own = subject.truth.own_alerts().filter(|alert| alert.starts_at <= at);
    own.map(|alert| alert.id.as_str()).collect()
}

/// How many of these alerts an incident holds.
fn held(told: &Told, own: &BTreeSet<&str>) -> usize {
    told.alerts.iter().filter(|id| own.contains(id.0.as_str())).count()
}

/// The incident that is the case's: that which holds most of its alerts, of equals the first.
fn story<'a>(incidents: &'a [Told], own: &BTreeSet<&str>) -> Option<&'a Told> {
    let told = incidents.iter().filter(|told| held(told, own) > 0);
    told.rev().max_by_key(|told| held(told, own))
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { measure::number(part) / measure::number(whole) }
}

/// The squared error over all candidates that are told of, and none.
fn brier(
    story: Option<&Told>,
    none: f64,
    subject: &Subject,
    is_guilty: &dyn Fn(&[ChangeId]) -> bool,
) -> f64 {
    let truth = |yes: bool| if yes { 1.0 } else { 0.0 };
    let suspects = story.into_iter().flat_map(|told| {
        let suspects = told.incident.suspects.iter().map(|one| (one.probability, &one.changes));
        let cleared = told.incident.cleared.iter().map(|one| (one.probability, &one.changes));
        suspects.chain(cleared)
    });
    let (mut sum, mut found) = ((none - truth(!subject.truth.by_change)).powi(2), false);
    for (probability, changes) in suspects {
        let guilty = !found && is_guilty(changes);
        found |= guilty;
        sum += (probability - truth(guilty)).powi(2);
    }
    // A cause that is not even told of was given nothing.
    sum + truth(subject.truth.by_change && !found)
}

fn is_blamed_without_cause(model: &Model, subject: &Subject, moment: Moment) -> bool {
    let truth = &subject.truth;
    let gone: BTreeSet<_> = truth.causes.union(&truth.contributing).cloned().collect();
    let at = subject.time_of(moment);
    let Replayed { incidents, .. } =
        replay(model, &subject.case.clone().without_changes(&gone), at);
    story(&incidents, &own_alerts(subject, at))
        .is_some_and(|told| told.incident.answer == Answer::Likely)
}

/// How the first suspect came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Course {
    /// How often the first suspect became another.
    pub flips: usize,
    /// Minutes from the first alert until the guilty change was first for good; `None`: never.
    pub minutes: Option<i64>,
}

/// Follows the answer from the first alert to the end, looking at it with each of its own alerts and
/// each hour.
pub fn follow(model: &Model, subject: &Subject) -> Course {
    let model = Model { catalog: catalog(&subject.case), ..model.clone() };
    let guilty = subject.guilty();
    let (first, end) = (subject.truth.first_alert(), last_event(&subject.case));
    let mut times: BTreeSet<_> = subject.truth.own_alerts().map(|alert| alert.starts_at).collect();
    times.insert(end);
    let (mut course, mut named) = (Course::default(), None);
    for at in times {
        let Replayed { incidents, .. } = replay(&model, &subject.case, at);
        let story = story(&incidents, &own_alerts(subject, at));
        let suspect = story.and_then(|told| told.incident.suspects.first());
        let is_right = suspect.is_some_and(|one| one.changes.iter().any(|id| guilty.contains(id)));
        let now = suspect.map(|one| one.change.clone());
        course.flips += usize::from(named.as_ref().is_some_and(|before| *before != now));
        named = Some(now);
        course.minutes = course.minutes.filter(|_| is_right);
        if is_right && course.minutes.is_none() {
            course.minutes = Some((at - first).num_minutes());
        }
    }
    course
}
