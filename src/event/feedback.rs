//! Feedback: what a person says of a change and an incident, once they know.

use serde::{Deserialize, Serialize};

use super::{ChangeId, Labels, Time};

/// Whether a change was the cause.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Cause,
    /// It was not.
    NotCause,
    /// What the same person said of it before is taken back.
    Withdrawn,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cause, Self::NotCause, Self::Withdrawn];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::NotCause => "not_cause",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// That a change was, or was not, the cause of an incident.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Feedback {
    /// When it was said.
    pub at: Time,
    /// `at` is the time of receipt, because the source gave none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_assumed: bool,
    /// The incident, by its id or by that of one of its alerts.
    pub incident: String,
    /// What that alert is called and where it is, so that its symptom is found when others turn out
    /// to belong to it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The change that it is about.
    pub change: ChangeId,
    /// What is said of it.
    pub verdict: Verdict,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

impl Feedback {
    pub(super) fn without_assumed_time(&self) -> Self {
        Self { at: Time::default(), ..self.clone() }
    }
}
