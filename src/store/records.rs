//! Records: what the daemon did. They are not made from the log, so nothing brings them back; they
//! outlive the state, and what they hold is never reckoned anew.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Page, Paged, Size, StoreError};
use crate::{
    correlate::{Answer, FamilyKey, Incident, IncidentId, Told},
    event::{ChangeId, EpisodeId, Time},
    feed::{FeedName, Gap, Heard},
};

/// What is said of an incident's cause, as far as people are told of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "says", content = "changes", rename_all = "snake_case")]
pub enum Claim {
    /// That no change is suspected.
    Nothing,
    /// That it may have been this change set, before all others.
    Suspected(BTreeSet<ChangeId>),
    /// That it was this change set, as far as anybody can tell.
    Likely(BTreeSet<ChangeId>),
}

impl Claim {
    /// What the incident says.
    pub fn of(incident: &Incident) -> Self {
        let changes = incident.suspects.first().map(|first| first.changes.iter().cloned());
        match (incident.answer, changes) {
            (Answer::Likely, Some(changes)) => Self::Likely(changes.collect()),
            (Answer::Suspects, Some(changes)) => Self::Suspected(changes.collect()),
            (Answer::None | Answer::Unknown, _) | (_, None) => Self::Nothing,
        }
    }

    /// The change set that it names.
    pub fn changes(&self) -> Option<&BTreeSet<ChangeId>> {
        match self {
            Self::Nothing => None,
            Self::Suspected(changes) | Self::Likely(changes) => Some(changes),
        }
    }
}

/// What was told of an incident, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Published {
    /// The incident, by the id that it had then.
    pub incident: IncidentId,
    /// Its earliest alert then: should the incident get another id, this is still in it.
    pub alert: EpisodeId,
    /// What was told.
    pub claim: Claim,
    /// The how manieth notice of this incident it was, from 1.
    pub number: u32,
    /// When.
    pub at: Time,
}

/// Names a notice to its receiver, however often it is sent.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NoticeId(pub String);

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whom something is to be sent to: each receiver's outbox is its own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mailbox {
    /// Who is told of suspects.
    Notices,
    /// Grafana's annotations.
    Grafana,
    /// Who takes action items as signed webhooks.
    Webhook,
    /// Who takes them as Linear's issues.
    Linear,
    /// Who takes them as Jira's issues.
    Jira,
}

impl Mailbox {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Notices, Self::Grafana, Self::Webhook, Self::Linear, Self::Jira];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Notices => "notices",
            Self::Grafana => "grafana",
            Self::Webhook => "webhook",
            Self::Linear => "linear",
            Self::Jira => "jira",
        }
    }
}

/// What is to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Its name.
    pub id: NoticeId,
    /// When it was made.
    pub made_at: Time,
    /// The bytes that are sent, the same each time.
    pub body: String,
}

/// A notice that is not delivered yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// What is to be sent.
    pub notice: Notice,
    /// How often that was tried.
    pub attempts: u32,
    /// When it is to be tried next.
    pub next_attempt: Time,
}

/// What came of an attempt to send a notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered {
        /// Since when.
        at: Time,
    },
    /// It is to be tried again.
    Failed {
        /// When.
        next_attempt: Time,
    },
    /// It is not tried again.
    GivenUp {
        /// Since when.
        at: Time,
        /// Why not.
        why: String,
    },
}

/// A feed, and when it was heard.
pub type Feed = (FeedName, Heard);

/// A stretch of time in which the daemon was awake, and could hear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Awake {
    /// From when on.
    pub since: Time,
    /// Until when it is known to have been.
    pub until: Time,
}

/// How often one family fired on one day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Daily {
    /// The day's start.
    pub day: Time,
    /// The family's key.
    pub family: FamilyKey,
    /// So many of its symptoms began then, ...
    pub symptoms: u64,
    /// ... and they held so many alerts.
    pub alerts: u64,
}

/// The records: appended, and kept when the state goes.
pub trait Records: fmt::Debug + Send + Sync {
    /// What was told since then, oldest first.
    fn published(&self, since: Time) -> Result<Vec<Published>, StoreError>;

    /// Records that something was told, and puts its notice into the outbox, both or neither; how
    /// many older notices were given up for want of room there.
    fn publish(&self, published: &Published, notice: &Notice) -> Result<usize, StoreError>;

    /// Puts these into an outbox; what was put there before under the same id stays as it is. How
    /// many were new.
    fn post(&self, mailbox: Mailbox, notices: &[Notice]) -> Result<usize, StoreError>;

    /// The notice of an outbox whose turn comes first.
    fn next_outgoing(&self, mailbox: Mailbox) -> Result<Option<Outgoing>, StoreError>;

    /// Records what came of an attempt; what was settled before stays as it was.
    fn attempted(&self, id: &NoticeId, attempt: &Attempt) -> Result<(), StoreError>;

    /// Gives up all that waits in an outbox; how many notices that were.
    fn give_up_all(&self, mailbox: Mailbox, at: Time, why: &str) -> Result<usize, StoreError>;

    /// How many notices wait in an outbox.
    fn waiting(&self, mailbox: Mailbox) -> Result<usize, StoreError>;

    /// When each feed was heard, and the stretch in which the daemon was awake last.
    fn feeds(&self) -> Result<(Vec<Feed>, Option<Awake>), StoreError>;

    /// Records what was heard, which gaps are over, and that the daemon is awake: all or nothing.
    fn hear(&self, heard: &[Feed], gaps: &[Gap], awake: Awake) -> Result<(), StoreError>;

    /// The recorded gaps that reach into a time, by start.
    fn gaps(&self, from: Time, to: Time) -> Result<Vec<Gap>, StoreError>;

    /// Keeps incidents as they are now, with their alerts; with `before`, these were the last of all
    /// that began before that. One that is kept already stays as it was.
    fn freeze(&self, incidents: &[Told], before: Option<Time>) -> Result<(), StoreError>;

    /// All incidents that began before this are kept here, if any are.
    fn frozen_before(&self) -> Result<Option<Time>, StoreError>;

    /// The incident that is kept under this id, or the one that one of its alerts is in.
    fn frozen(&self, id: &str) -> Result<Option<Told>, StoreError>;

    /// As [`View::incidents`](super::View::incidents), of those that are kept.
    fn frozen_incidents(
        &self,
        page: &Page,
        keep: &dyn Fn(&Incident) -> bool,
    ) -> Result<Paged<Incident>, StoreError>;

    /// Keeps daily counts; what was counted of a family and a day stays.
    fn count(&self, counts: &[Daily]) -> Result<(), StoreError>;

    /// The counts of days that began in a time, by day.
    fn counts(&self, from: Time, to: Time) -> Result<Vec<Daily>, StoreError>;

    /// How much it holds.
    fn size(&self) -> Result<Size, StoreError>;
}
