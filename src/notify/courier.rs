//! Delivers what is in the outbox: each notice until it is taken, or for as long as is configured.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta};
use reqwest::{StatusCode, header, redirect};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{Address, Clock, Parts, Settings};
use crate::{
    event::{EventId, Time},
    metrics::{Metrics, NoticeResult},
    store::{Attempt, Notice, Outgoing, Records, StoreError},
};

/// It is looked for work after so long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// How long a store that could not be used is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest time between two attempts, unless the receiver asks for more.
const RETRY_MAX: TimeDelta = TimeDelta::hours(1);
/// So much of an answer is read.
const ANSWER_MAX: usize = 64 << 10;
/// Why notices are given up once a receiver has answered 410.
const GONE: &str = "the receiver is gone: it answered 410";

/// The one that delivers.
#[derive(Debug)]
pub struct Courier {
    http: reqwest::Client,
    address: Address,
    settings: Settings,
    records: Arc<dyn Records>,
    metrics: Arc<Metrics>,
    posted: Arc<Notify>,
    clock: Clock,
    /// The receiver wants no more; so it stays until the program starts again.
    gone: bool,
}

/// What the receiver made of a notice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// It has it.
    Taken,
    /// It wants no more, ever.
    Gone,
    /// It has not taken it, for this reason, and may have said how long to stay away.
    Refused { why: String, away: Option<TimeDelta> },
}

impl Courier {
    /// One that delivers to this address what waits for it, and what these parts post.
    ///
    /// # Errors
    /// There is no HTTP to be had.
    pub fn new(address: Address, parts: &Parts) -> anyhow::Result<Self> {
        let patience = parts.settings.timeout.to_std().unwrap_or_default();
        let http = reqwest::Client::builder()
            // What is signed goes to the address that was configured, and nowhere else.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(patience)
            .user_agent(concat!("antecede/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self {
            http,
            address,
            settings: parts.settings.clone(),
            records: Arc::clone(&parts.records),
            metrics: Arc::clone(&parts.metrics),
            posted: Arc::clone(&parts.posted),
            clock: parts.clock,
            gone: false,
        })
    }

    /// Delivers until it is time to stop. What is under way then is sent again at the next start.
    ///
    /// # Errors
    /// The records hold something that cannot be read.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), StoreError> {
        tokio::select! {
            ended = self.deliver() => ended,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    async fn deliver(&mut self) -> Result<(), StoreError> {
        loop {
            let rest = match self.step().await {
                Ok(rest) => rest,
                Err(damaged @ StoreError::Damaged { .. }) => return Err(damaged),
                Err(error) => {
                    tracing::error!(%error, "notices cannot be sent; it is tried again");
                    Some(RETRY_AFTER)
                }
            };
            if let Some(rest) = rest {
                // That the time is over is as good a reason to look as that something was posted.
                drop(timeout(rest.min(LOOK_AGAIN), self.posted.notified()).await);
            }
        }
    }

    /// Sends what is due; how long there is nothing more to do, if so.
    pub(super) async fn step(&mut self) -> Result<Option<Duration>, StoreError> {
        if self.gone {
            self.give_up_all().await?;
            return Ok(Some(LOOK_AGAIN));
        }
        let mailbox = self.address.mailbox();
        let look = move |records: &dyn Records| {
            Ok((records.next_outgoing(mailbox)?, records.waiting(mailbox)?))
        };
        let (due, waiting) = self.aside(look).await?;
        self.metrics.notices_wait(mailbox, waiting);
        let Some(outgoing) = due else { return Ok(Some(LOOK_AGAIN)) };
        if let Ok(early) = (outgoing.next_attempt - (self.clock)()).to_std()
            && !early.is_zero()
        {
            return Ok(Some(early));
        }
        let answer = self.send(&outgoing.notice).await;
        let attempt = next(&self.settings, &outgoing, answer.clone(), (self.clock)());
        let (id, recorded) = (outgoing.notice.id.clone(), attempt.clone());
        self.aside(move |records| records.attempted(&id, &recorded)).await?;
        self.tell(&outgoing, &attempt, answer);
        Ok(None)
    }

    /// What was made of the answer and recorded is counted, and told to who reads the log.
    fn tell(&mut self, outgoing: &Outgoing, attempt: &Attempt, answer: Answer) {
        let (notice, attempts) = (&outgoing.notice.id, outgoing.attempts + 1);
        match (attempt, answer) {
            (Attempt::Delivered { .. }, _) => {
                tracing::info!(%notice, attempts, "somebody was told");
                self.metrics.notice(self.address.mailbox(), NoticeResult::Delivered);
            }
            (Attempt::Failed { .. }, Answer::Refused { why, .. }) => {
                tracing::warn!(%notice, attempts, why, "a notice was not taken; it is sent again");
                self.metrics.notice(self.address.mailbox(), NoticeResult::Retried);
            }
            (Attempt::Failed { .. } | Attempt::GivenUp { .. }, answer) => {
                self.gone = answer == Answer::Gone;
                tracing::error!(%notice, attempts, ?answer, "a notice is given up");
                self.metrics.notice(self.address.mailbox(), NoticeResult::GivenUp);
            }
        }
    }

    async fn give_up_all(&self) -> Result<(), StoreError> {
        let now = (self.clock)();
        let mailbox = self.address.mailbox();
        let given_up = self.aside(move |records| records.give_up_all(mailbox, now, GONE)).await?;
        self.metrics.notices_given_up(mailbox, given_up);
        self.metrics.notices_wait(mailbox, 0);
        if given_up > 0 {
            tracing::error!(given_up, "notices are given up: {GONE}");
        }
        Ok(())
    }

    /// Sends it once.
    pub(super) async fn send(&self, notice: &Notice) -> Answer {
        let now = (self.clock)();
        match self.address.request(&self.http, notice, now).send().await {
            Ok(response) => {
                let away = response.headers().get(header::RETRY_AFTER);
                let away = away.and_then(|value| retry_after(value.to_str().ok()?, now));
                let status = response.status();
                let body = beginning(response).await;
                self.address.judge(status, &body, answer(status, away))
            }
            // The address may hold a secret.
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::from(error.without_url()));
                Answer::Refused { why, away: None }
            }
        }
    }

    /// Runs what blocks.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Records) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let records = Arc::clone(&self.records);
        let panicked = |_| StoreError::Unavailable("the courier's thread panicked".to_owned());
        tokio::task::spawn_blocking(move || work(records.as_ref())).await.map_err(panicked)?
    }
}

/// The beginning of what was answered: more is not waited for.
async fn beginning(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_MAX {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a status means.
pub(super) fn answer(status: StatusCode, away: Option<TimeDelta>) -> Answer {
    match status {
        StatusCode::GONE => Answer::Gone,
        taken if taken.is_success() => Answer::Taken,
        other => Answer::Refused { why: format!("it answered {other}"), away },
    }
}

/// For how long a `Retry-After` asks to stay away: seconds, or until a date.
pub(super) fn retry_after(value: &str, now: Time) -> Option<TimeDelta> {
    match value.trim().parse() {
        Ok(seconds) => TimeDelta::try_seconds(seconds),
        Err(_no_number) => Some(DateTime::parse_from_rfc2822(value.trim()).ok()?.to_utc() - now),
    }
}

/// What becomes of a notice after an attempt.
pub(super) fn next(settings: &Settings, sent: &Outgoing, answer: Answer, now: Time) -> Attempt {
    let (why, away) = match answer {
        Answer::Taken => return Attempt::Delivered { at: now },
        Answer::Gone => return Attempt::GivenUp { at: now, why: GONE.to_owned() },
        Answer::Refused { why, away } => (why, away.unwrap_or_default()),
    };
    let next_attempt = now + back_off(settings.retry, sent).max(away.min(settings.give_up));
    if next_attempt > sent.notice.made_at + settings.give_up {
        return Attempt::GivenUp { at: now, why };
    }
    Attempt::Failed { next_attempt }
}

/// Twice as long after each attempt, give or take a quarter: notices that failed together do not
/// come back together. The quarter is drawn from the notice's id, which makes it repeatable.
fn back_off(first: TimeDelta, sent: &Outgoing) -> TimeDelta {
    let doubled = first.checked_mul(1 << sent.attempts.min(16)).unwrap_or(RETRY_MAX).min(RETRY_MAX);
    let draw = EventId::of(&(&sent.notice.id.0, sent.attempts));
    let swing = i32::from(draw.0.first().copied().unwrap_or_default()) - 128;
    doubled + doubled * swing / 512
}
