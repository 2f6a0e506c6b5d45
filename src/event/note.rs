//! Notes: what a person wrote into the timeline.

use serde::{Deserialize, Serialize};

use super::{Labels, Time};

/// A sentence with a time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Note {
    /// When it was so.
    pub at: Time,
    /// `at` is the time of receipt, because the source gave none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_assumed: bool,
    /// What was written.
    pub text: String,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The incident that it is about; without one it belongs to whatever went on at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl Note {
    pub(super) fn without_assumed_time(&self) -> Self {
        Self { at: Time::default(), ..self.clone() }
    }
}
