//! Gaps in what was heard, and the doubt that they throw on "it was no change".

use serde::{Deserialize, Serialize};

use super::{Carries, FeedName};
use crate::{
    correlate::{Answer, Incident},
    event::Time,
};

/// A time in which nothing was heard of a feed that should have been, or of anything.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gap {
    /// The feed; `None`: the daemon itself was down, and heard nobody.
    pub feed: Option<FeedName>,
    /// What would have been heard of it.
    pub carries: Option<Carries>,
    /// When it was heard last.
    pub from: Time,
    /// When it was heard again; `None`: it is silent still.
    pub to: Option<Time>,
}

impl Gap {
    /// Whether a change may have been missed in it.
    fn hides_changes(&self) -> bool {
        self.carries != Some(Carries::Alerts)
    }

    /// `not heard from changes:deploy 14:02 to 14:09 UTC`; with dates where they are not that of
    /// `day`.
    pub fn words(&self, day: Time) -> String {
        let whom = match &self.feed {
            Some(feed) => format!("not heard from {feed}"),
            None => "not heard from anybody, this daemon was down,".to_owned(),
        };
        let clock = |time: Time| {
            let same_day = time.date_naive() == day.date_naive();
            time.format(if same_day { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
        };
        match self.to {
            Some(to) => format!("{whom} {} to {} UTC", clock(self.from), clock(to)),
            None => format!("{whom} since {} UTC", clock(self.from)),
        }
    }
}

/// The incident, of which nobody can say that it was no change when changes may have been missed:
/// `gaps` are those in the time in which its cause is looked for.
#[must_use]
pub fn doubt(mut incident: Incident, gaps: &[Gap]) -> Incident {
    let mut hiding: Vec<_> = gaps.iter().filter(|gap| gap.hides_changes()).collect();
    hiding.sort_by_key(|gap| (gap.to.is_some(), std::cmp::Reverse(gap.from), &gap.feed));
    if let (Answer::None, Some((gap, others))) = (incident.answer, hiding.split_first()) {
        let words = gap.words(incident.started_at);
        let others = match others.len() {
            0 => String::new(),
            1 => ", and 1 more gap".to_owned(),
            n => format!(", and {n} more gaps"),
        };
        incident.answer = Answer::Unknown;
        incident.headline =
            format!("unknown: no recorded change is a likely cause, but {words}{others}");
    }
    incident
}
