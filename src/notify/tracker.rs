//! Action items, sent on to where work is kept: a webhook, Linear, Jira.

use std::{path::PathBuf, sync::Arc};

use reqwest::Url;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Clock, Receiver};
use crate::{
    event::{Time, digest, show_time},
    store::{Mailbox, Notice, NoticeId, Records, StoreError},
};

/// Where action items may be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tracker {
    /// Whatever takes a signed webhook.
    Webhook(Receiver),
    /// Linear: an issue of one team.
    Linear {
        /// Its GraphQL endpoint.
        url: Url,
        /// The id of the team.
        team: String,
        /// The file of an API key.
        token_file: PathBuf,
    },
    /// Jira: an issue of one project.
    Jira {
        /// Where it is, as people open it.
        url: Url,
        /// Who makes the issues.
        user: String,
        /// The file of that user's API token.
        token_file: PathBuf,
        /// The key of the project.
        project: String,
        /// What sort of issue is made.
        issue_type: String,
    },
}

/// Something to be done after an incident.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActionItem {
    /// The incident.
    pub incident: String,
    /// What is to be done, in a line.
    pub title: String,
    /// What else there is to say.
    pub description: String,
}

impl Tracker {
    /// What it is called in requests and on pages.
    pub const fn word(&self) -> &'static str {
        self.mailbox().word()
    }

    /// Where its items wait.
    pub const fn mailbox(&self) -> Mailbox {
        match self {
            Self::Webhook(_) => Mailbox::Webhook,
            Self::Linear { .. } => Mailbox::Linear,
            Self::Jira { .. } => Mailbox::Jira,
        }
    }

    /// The item in the form that it takes.
    fn body(&self, item: &ActionItem, link: &str, now: Time) -> Value {
        let ActionItem { incident, title, description } = item;
        let link = format!("{}/incidents/{incident}", link.trim_end_matches('/'));
        let text = format!("{description}\n\nIncident: {link}").trim_start().to_owned();
        match self {
            Self::Webhook(_) => json!({
                "type": "action_item.created",
                "timestamp": show_time(now),
                "data": {
                    "incident": incident, "title": title, "description": description, "link": link,
                },
            }),
            Self::Linear { team, .. } => json!({
                "query": "mutation($input: IssueCreateInput!) { issueCreate(input: $input) \
                          { success issue { identifier url } } }",
                "variables": {"input": {"teamId": team, "title": title, "description": text}},
            }),
            Self::Jira { project, issue_type, .. } => json!({
                "fields": {
                    "project": {"key": project},
                    "issuetype": {"name": issue_type},
                    "summary": title,
                    "description": text,
                },
            }),
        }
    }
}

/// Takes action items, and puts them where couriers find them.
#[derive(Clone, Debug)]
pub struct Desk {
    /// What there is to send to, each with what its courier waits for.
    pub trackers: Vec<(Tracker, Arc<Notify>)>,
    /// What was sent.
    pub records: Arc<dyn Records>,
    /// Where people reach the daemon.
    pub link: String,
    /// The time.
    pub clock: Clock,
}

impl Desk {
    /// What there is to send to.
    pub fn words(&self) -> Vec<&'static str> {
        self.trackers.iter().map(|(tracker, _)| tracker.word()).collect()
    }

    /// Puts the item into the outbox, under its id: the same item within a minute is one, so that a
    /// button that is pressed twice makes no two. `None`: there is no such tracker. Blocks.
    ///
    /// # Errors
    /// The records cannot be written.
    pub fn take(&self, to: &str, item: &ActionItem) -> Result<Option<NoticeId>, StoreError> {
        let Some((tracker, posted)) = self.trackers.iter().find(|(one, _)| one.word() == to) else {
            return Ok(None);
        };
        let now = (self.clock)();
        let ActionItem { incident, title, description } = item;
        let minute = now.timestamp().div_euclid(60);
        let id = NoticeId(digest("act_", &(to, incident, title, description, minute)));
        let body = tracker.body(item, &self.link, now).to_string();
        let notice = Notice { id: id.clone(), made_at: now, body };
        self.records.post(tracker.mailbox(), &[notice])?;
        posted.notify_one();
        Ok(Some(id))
    }
}
