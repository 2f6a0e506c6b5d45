//! The course of a family: when any of its alerts fired, without holding each of them.
//!
//! What has ended is a union of stretches; of what fires only the earliest starts and the latest
//! expected ends are kept, and how many more there are. So a storm of a million alerts is as large
//! as one of a hundred.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::event::{EpisodeId, EventId, Firings, Stretch, Time, micros, time_of_micros};

/// One alert episode's time, as far as a course cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// The hash of the alert's identity.
    pub identity: EventId,
    /// When it began to fire.
    pub starts_at: Time,
    /// When it stopped, or is expected to; `None` while it fires without an end in sight.
    pub ends_at: Option<Time>,
    /// The end is only what the source said to expect unless it says more.
    pub expected: bool,
    /// Since when its condition held before it fired, where the source says so.
    pub pending_at: Option<Time>,
    /// The alert fired several times without a gap, here or elsewhere: what is one episode now may
    /// come apart, or end sooner, by what is told of it later.
    pub joined: bool,
}

/// An alert's episodes: of most there is one, for which no memory is asked.
pub type Spans = SmallVec<[Span; 1]>;

impl Span {
    /// The episodes of one alert, by the hash of its identity, that began at `from` or later.
    pub fn all(firings: &Firings, identity: &EventId, from: Time) -> Spans {
        let joined = firings.iter().count() > firings.stretches().count();
        let span = |stretch: Stretch| Self {
            identity: *identity,
            starts_at: stretch.starts_at,
            ends_at: stretch.outlook.end(),
            expected: stretch.outlook.is_expected(),
            pending_at: stretch.pending_at,
            joined,
        };
        firings.stretches().filter(|stretch| stretch.starts_at >= from).map(span).collect()
    }

    /// The episode's name.
    pub fn id(&self) -> EpisodeId {
        EpisodeId::new(self.starts_at, &self.identity)
    }

    fn has_ended(&self) -> Option<Time> {
        self.ends_at.filter(|_| !self.expected)
    }
}

/// From when on something fired, and until when; `None`: no end is in sight.
pub(super) type Stretched = (Time, Option<Time>);

/// An unbroken time over which at least one alert of the family fired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Covered {
    from: Time,
    to: Time,
    /// How many episodes it is made of.
    episodes: usize,
}

/// One stretch of time that is one symptom: no gap in it is longer than the one asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    pub(super) from: Time,
    pub(super) to: Option<Time>,
    /// The end is only expected.
    pub(super) expected: bool,
    pub(super) episodes: usize,
}

/// What the course cannot tell any more from what it kept: it must be told of all episodes again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Forgotten;

/// When the alerts of one family fired.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Packed", into = "Packed")]
pub(super) struct Course {
    /// What has ended: disjoint, in order.
    ended: Vec<Covered>,
    /// When what fires began.
    firing: Least<Time>,
    /// When that of it which has an expected end will end, the last first.
    expected: Least<Reverse<Time>>,
}

impl Course {
    /// Puts the new episodes of one alert in the place of its old ones.
    pub(super) fn replace(&mut self, old: &[Span], new: &[Span]) -> Result<(), Forgotten> {
        for span in old {
            self.remove(span, new)?;
        }
        for span in new {
            self.add(span);
        }
        Ok(())
    }

    fn add(&mut self, span: &Span) {
        if let Some(to) = span.has_ended() {
            self.cover(Covered { from: span.starts_at, to, episodes: 1 });
            return;
        }
        self.firing.insert(span.starts_at);
        if let Some(end) = span.ends_at {
            self.expected.insert(Reverse(end));
        }
    }

    fn cover(&mut self, mut new: Covered) {
        let from = self.ended.partition_point(|held| held.to < new.from);
        let until = self.ended.partition_point(|held| held.from <= new.to);
        for held in self.ended.drain(from..until.max(from)) {
            new.from = new.from.min(held.from);
            new.to = new.to.max(held.to);
            new.episodes += held.episodes;
        }
        self.ended.insert(from, new);
    }

    /// Takes a span out. What had ended stays covered, so it must be part of what replaces it.
    fn remove(&mut self, span: &Span, new: &[Span]) -> Result<(), Forgotten> {
        let Some(end) = span.has_ended() else {
            if span.joined && self.outlasts(span, new) {
                return Err(Forgotten);
            }
            self.firing.remove(span.starts_at)?;
            return span.ends_at.map_or(Ok(()), |end| self.expected.remove(Reverse(end)));
        };
        let covers = |new: &Span| {
            new.starts_at <= span.starts_at && new.has_ended().is_none_or(|to| end <= to)
        };
        if !new.iter().any(covers) {
            return Err(Forgotten);
        }
        let place = self.ended.partition_point(|held| held.to < span.starts_at);
        let held = self.ended.get_mut(place).ok_or(Forgotten)?;
        held.episodes = held.episodes.checked_sub(1).ok_or(Forgotten)?;
        Ok(())
    }

    /// Whether something is covered from before the end of what replaces a span that fired to after
    /// it: that may be of an episode which seemed to end there, before the span fired on.
    fn outlasts(&self, span: &Span, new: &[Span]) -> bool {
        let goes_on = new.iter().rfind(|new| new.starts_at <= span.starts_at);
        // Without anything in its place all that it covered would be left over.
        let Some(goes_on) = goes_on else { return true };
        let Some(end) = goes_on.ends_at else { return false };
        let place = self.ended.partition_point(|held| held.to <= end);
        self.ended.get(place).is_some_and(|held| held.from <= end)
    }

    /// From when on something fires, and until when it is expected to.
    fn firing(&self) -> Option<Stretched> {
        let from = *self.firing.first()?;
        let all_expected = self.expected.len() == self.firing.len();
        Some((from, self.expected.first().filter(|_| all_expected).map(|end| end.0)))
    }

    /// Its runs, in order, with no gap longer than `gap` in any.
    pub(super) fn runs(&self, gap: chrono::TimeDelta) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut firing = self.firing().map(|(from, to)| Run {
            from,
            to,
            expected: to.is_some(),
            episodes: self.firing.len(),
        });
        let ended = self.ended.iter().map(|stretch| Run {
            from: stretch.from,
            to: Some(stretch.to),
            expected: false,
            episodes: stretch.episodes,
        });
        let mut next = |run: Run| match runs.last_mut() {
            Some(last) if last.to.is_none_or(|to| run.from <= to + gap) => last.join(run),
            _ => runs.push(run),
        };
        for run in ended {
            if let Some(firing) = firing.take_if(|firing| firing.from <= run.from) {
                next(firing);
            }
            next(run);
        }
        firing.into_iter().for_each(next);
        runs
    }

    /// When anything fired in a run: from when and until when, `None` while no end is in sight.
    pub(super) fn stretches(&self, run: Run) -> impl Iterator<Item = Stretched> + Clone {
        let ended = self.ended.iter().map(|stretch| (stretch.from, Some(stretch.to)));
        let within = run.within();
        ended.chain(self.firing()).filter(move |(from, _)| within(*from))
    }

    /// The part of it that lies in a run, to be kept with it.
    pub(super) fn part(&self, run: &Run) -> Self {
        let within = run.within();
        let last = self.firing().is_some_and(|(from, _)| within(from));
        Self {
            ended: self.ended.iter().filter(|stretch| within(stretch.from)).copied().collect(),
            firing: if last { self.firing.clone() } else { Least::default() },
            expected: if last { self.expected.clone() } else { Least::default() },
        }
    }

    /// Takes in a part that was kept with a later run.
    pub(super) fn append(&mut self, part: Self) {
        self.ended.extend(part.ended);
        if part.firing.len() > 0 {
            self.firing = part.firing;
            self.expected = part.expected;
        }
    }
}

impl Run {
    /// Whether what begins then is a part of it.
    fn within(&self) -> impl Fn(Time) -> bool + Copy + use<> {
        let Self { from, to, .. } = *self;
        move |time| time >= from && to.is_none_or(|to| time <= to)
    }

    fn join(&mut self, next: Self) {
        self.episodes += next.episodes;
        (self.to, self.expected) = match (self.to, next.to) {
            (Some(mine), Some(theirs)) if theirs > mine => (Some(theirs), next.expected),
            (Some(mine), Some(_)) => (Some(mine), self.expected),
            _ => (None, false),
        };
    }
}

/// How many of the least values are kept; few in the tests, so that these run out of them.
const KEPT_MAX: usize = if cfg!(test) { 2 } else { 16 };

/// A course as it is kept: what ended, and what fires and what of it has an expected end, with how many
/// more there are of either. A storm keeps thousands with each batch, so it is short: it has no names, and
/// each time is the distance from the one before it, in microseconds, the first since 1970.
#[derive(Deserialize, Serialize)]
struct Packed(Vec<(i64, i64, usize)>, (Vec<i64>, usize), (Vec<i64>, usize));

impl From<Course> for Packed {
    fn from(course: Course) -> Self {
        let mut apart = apart();
        let ended = course.ended.iter().map(|one| (apart(one.from), apart(one.to), one.episodes));
        Self(
            ended.collect(),
            course.firing.packed(|time| time),
            course.expected.packed(|Reverse(time)| time),
        )
    }
}

impl From<Packed> for Course {
    fn from(Packed(ended, firing, expected): Packed) -> Self {
        let mut time = joined();
        let covered = |(from, to, episodes)| Covered { from: time(from), to: time(to), episodes };
        Self {
            ended: ended.into_iter().map(covered).collect(),
            firing: Least::unpacked(firing, |time| time),
            expected: Least::unpacked(expected, Reverse),
        }
    }
}

/// Gives of each time how far it is from the one before it.
fn apart() -> impl FnMut(Time) -> i64 {
    let mut before = 0;
    move |time| micros(time).wrapping_sub(std::mem::replace(&mut before, micros(time)))
}

/// Undoes [`apart`].
fn joined() -> impl FnMut(i64) -> Time {
    let mut before = 0_i64;
    move |distance| {
        before = before.wrapping_add(distance);
        time_of_micros(before)
    }
}

/// The least of many values, and how many more there are.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Least<T> {
    kept: Vec<T>,
    more: usize,
}

impl<T> Default for Least<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), more: 0 }
    }
}

impl<T: Copy> Least<T> {
    fn packed(self, time: impl Fn(T) -> Time) -> (Vec<i64>, usize) {
        (self.kept.into_iter().map(time).map(apart()).collect(), self.more)
    }

    fn unpacked((kept, more): (Vec<i64>, usize), value: impl Fn(Time) -> T) -> Self {
        Self { kept: kept.into_iter().map(joined()).map(value).collect(), more }
    }
}

impl<T: Copy + Ord> Least<T> {
    fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    fn first(&self) -> Option<&T> {
        self.kept.first()
    }

    fn insert(&mut self, value: T) {
        let is_kept = if self.more == 0 { true } else { self.kept.last() > Some(&value) };
        if !is_kept {
            self.more += 1;
            return;
        }
        let place = self.kept.partition_point(|held| *held <= value);
        self.kept.insert(place, value);
        if self.kept.len() > KEPT_MAX {
            self.kept.pop();
            self.more += 1;
        }
    }

    /// Takes one out; the last that is kept goes only when there are no more.
    fn remove(&mut self, value: T) -> Result<(), Forgotten> {
        if let Ok(place) = self.kept.binary_search(&value) {
            self.kept.remove(place);
            return if self.kept.is_empty() && self.more > 0 { Err(Forgotten) } else { Ok(()) };
        }
        self.more = self.more.checked_sub(1).ok_or(Forgotten)?;
        Ok(())
    }
}
