//! Posts to a daemon what is imported, in bounded bodies, and counts what became of it.

use std::fmt;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        client::{Client, Rejected},
        out::{Outcome, say},
    },
    event::AlertReport,
    say::say_count,
    wire::case::Post,
};

/// Where alerts are posted.
const ALERTS: &str = "/api/v1/alerts";

/// A body holds no more alerts than this, ...
const BATCH_MAX: usize = 1_000;

/// ... and is sent once it has so many bytes: well below what a daemon takes.
const BATCH_BYTES: usize = 1 << 20;

/// So many reasons for rejections are told; all are counted.
const REASONS_MAX: usize = 10;

/// Posts, one after the other.
#[derive(Debug)]
pub(super) struct Poster {
    client: Client,
    tally: Tally,
    reasons: usize,
}

/// What became of what was posted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Tally {
    /// The daemon's log reaches so far.
    seq: u64,
    stored: u64,
    known: u64,
    late: u64,
    rejected: u64,
}

/// The daemon's reply.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Receipt {
    seq: u64,
    accepted: u64,
    duplicates: u64,
    late: u64,
    rejected: Vec<Rejected>,
}

impl Poster {
    pub(super) fn new(client: Client) -> Self {
        Self { client, tally: Tally::default(), reasons: 0 }
    }

    /// Posts alerts in their order.
    pub(super) async fn alerts(
        &mut self,
        reports: impl IntoIterator<Item = AlertReport>,
    ) -> anyhow::Result<()> {
        let (mut body, mut count) = (String::new(), 0);
        for report in reports {
            let report = serde_json::to_string(&report).context("cannot write an alert")?;
            body.push(if count == 0 { '[' } else { ',' });
            body.push_str(&report);
            count += 1;
            if count == BATCH_MAX || body.len() >= BATCH_BYTES {
                self.send(ALERTS, std::mem::take(&mut body) + "]").await?;
                count = 0;
            }
        }
        if count > 0 {
            self.send(ALERTS, body + "]").await?;
        }
        Ok(())
    }

    /// Posts what a tool would have posted.
    pub(super) async fn post(&mut self, post: &Post) -> anyhow::Result<()> {
        self.send(post.path, post.body.clone()).await
    }

    async fn send(&mut self, path: &str, body: String) -> anyhow::Result<()> {
        let reply = self
            .client
            .post_parts(path, body)
            .await
            .context("the import broke off; repeated, it stores nothing twice")?;
        let receipt =
            Receipt::deserialize(reply).context("the daemon's reply is not understood")?;
        let tally = &mut self.tally;
        tally.seq = tally.seq.max(receipt.seq);
        tally.stored += receipt.accepted;
        tally.known += receipt.duplicates;
        tally.late += receipt.late;
        for rejected in receipt.rejected {
            tally.rejected += 1;
            self.reasons += 1;
            if self.reasons <= REASONS_MAX {
                say(&format!("rejected: {}", rejected.sentence()));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Tally {
        self.tally
    }
}

impl Tally {
    /// Says what people may have to do about it; what was not taken is a problem found.
    pub(super) fn report(self) -> Outcome {
        if self.late > 0 {
            let events = say_count(usize::try_from(self.late).unwrap_or(usize::MAX), "event");
            say(&format!(
                "{events} came too late to count: the daemon had newer ones by more than its \
                 horizon. They are shown; run `antecede rebuild` to let them count"
            ));
        }
        if self.rejected == 0 { Outcome::Fine } else { Outcome::Found }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, stored, known, late: _, rejected } = self;
        write!(f, "seq {seq}  {stored} stored, {known} known already, {rejected} rejected")
    }
}
