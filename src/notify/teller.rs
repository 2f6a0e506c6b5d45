//! Watches what is assessed, and records what is to be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use super::{
    Clock, Settings,
    judge::{Standing, Turn, news, turn},
    letter::{Occasion, write},
};
use crate::{
    correlate::{Incident, IncidentId},
    engine::Handle,
    event::{ChangeId, Time},
    hearing::Hearing,
    metrics::Metrics,
    store::{Claim, Mailbox, Page, Published, Records, Seq, StoreError},
};

/// So many incidents are read at once.
const PAGE: usize = 200;
/// It is looked again after so long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// How long a store that could not be used is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The one that decides what is told.
#[derive(Debug)]
pub struct Teller {
    parts: Parts,
    /// What was told last, by the incident that holds the alert that it was told of.
    told: BTreeMap<IncidentId, Published>,
    /// Since when there has been news of an incident.
    news_since: BTreeMap<IncidentId, Time>,
}

/// What telling needs.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What is known.
    pub engine: Handle,
    /// Who is silent.
    pub hearing: Arc<Hearing>,
    /// What was told.
    pub records: Arc<dyn Records>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Told when there is something to deliver.
    pub posted: Arc<Notify>,
    /// When to tell.
    pub settings: Settings,
    /// Where people reach the daemon.
    pub link: String,
    /// The time.
    pub clock: Clock,
}

impl Teller {
    /// One that goes on where the last one left off.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn new(parts: Parts, now: Time) -> Result<Self, StoreError> {
        let published = parts.records.published(parts.oldest(now))?;
        let told = published.into_iter().map(|one| (one.incident.clone(), one)).collect();
        Ok(Self { parts, told, news_since: BTreeMap::new() })
    }

    /// Tells what is new, until it is time to stop. It begins when the state holds all that was in
    /// the log at the start: what is half assessed would be told and taken back.
    ///
    /// # Errors
    /// A store holds something that cannot be read.
    pub async fn run(
        self,
        ready: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        tokio::select! {
            ended = self.tell(ready) => ended,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    async fn tell(mut self, mut ready: watch::Receiver<bool>) -> Result<(), StoreError> {
        if ready.wait_for(|ready| *ready).await.is_err() {
            // The engine is gone, and the program ends with it.
            return std::future::pending().await;
        }
        let engine = self.parts.engine.clone();
        loop {
            let end = engine.log().end()?;
            if !engine.wait(end, LOOK_AGAIN).await {
                continue;
            }
            let seen = engine.assessed();
            let (teller, looked) = self.look_aside().await?;
            self = teller;
            let again = match looked {
                Ok(due) => due.map_or(LOOK_AGAIN, |due| self.parts.until(due)),
                Err(damaged @ StoreError::Damaged { .. }) => return Err(damaged),
                Err(error) => {
                    tracing::error!(%error, "nobody can be told of incidents; it is tried again");
                    RETRY_AFTER
                }
            };
            // In a storm the state changes all the time: what is read of it is read now and then.
            sleep(self.parts.pause()).await;
            engine.wait(Seq(seen.0 + 1), again.min(LOOK_AGAIN)).await;
        }
    }

    /// One look, on a thread that may block.
    async fn look_aside(mut self) -> Result<(Self, Result<Option<Time>, StoreError>), StoreError> {
        let looked = tokio::task::spawn_blocking(move || {
            let due = self.look((self.parts.clock)());
            (self, due)
        });
        let panicked = |_| StoreError::Unavailable("the teller's thread panicked".to_owned());
        looked.await.map_err(panicked)
    }

    /// Tells what is due now, and gives the time at which more will be.
    pub(super) fn look(&mut self, now: Time) -> Result<Option<Time>, StoreError> {
        let incidents = self.parts.incidents(now)?;
        self.follow(&incidents, now)?;
        let mut news_since = BTreeMap::new();
        let mut next = None;
        for incident in &incidents {
            let told = self.told.get(&incident.id);
            let claim = told.map_or(&Claim::Nothing, |told| &told.claim);
            let Some(news) = news(claim, &Claim::of(incident), still_suspected(claim, incident))
            else {
                continue;
            };
            let since = self.news_since.get(&incident.id).copied().unwrap_or(now);
            let standing = Standing {
                notices: told.map_or(0, |told| told.number),
                since,
                last_alert: incident.latest_at,
            };
            match turn(&self.parts.settings, standing, now) {
                Turn::Never => {}
                Turn::At(due) => {
                    news_since.insert(incident.id.clone(), since);
                    next = Some(next.map_or(due, |next: Time| next.min(due)));
                }
                Turn::Now => {
                    let occasion = Occasion { news, told, now, link: &self.parts.link };
                    if let Some(published) = self.parts.publish(incident, occasion)? {
                        self.told.insert(incident.id.clone(), published);
                    }
                }
            }
        }
        self.news_since = news_since;
        Ok(next)
    }

    /// Finds what was told under the ids that the incidents have now: an earlier alert that came
    /// late, or another incident that turned out to be the same story, gives one a new id.
    fn follow(&mut self, incidents: &[Incident], now: Time) -> Result<(), StoreError> {
        let oldest = self.parts.oldest(now);
        self.told.retain(|_, told| told.at >= oldest);
        let present: BTreeSet<_> = incidents.iter().map(|incident| &incident.id).collect();
        let lost: Vec<_> = self.told.keys().filter(|id| !present.contains(id)).cloned().collect();
        for id in lost {
            let Some(told) = self.told.get(&id).cloned() else { continue };
            let holder = self.parts.engine.read(|view| view.incident(&told.alert.0))?.1;
            if let Some(holder) = holder.filter(|holder| holder.id != id) {
                self.told.remove(&id);
                let latest = self.told.get(&holder.id).is_none_or(|other| other.at < told.at);
                if latest {
                    self.told.insert(holder.id, told);
                }
            }
        }
        Ok(())
    }
}

impl Parts {
    /// No incident that anybody may be told of began before this.
    pub(super) fn oldest(&self, now: Time) -> Time {
        now - self.settings.fresh - self.engine.model().settings.span
    }

    /// How long until then.
    fn until(&self, due: Time) -> Duration {
        (due - (self.clock)()).to_std().unwrap_or_default()
    }

    /// How long the state is left alone after a look: a tenth of what settling takes.
    fn pause(&self) -> Duration {
        let tenth = self.settings.settle.to_std().unwrap_or_default() / 10;
        tenth.clamp(Duration::from_millis(5), Duration::from_secs(5))
    }

    /// The incidents that people may have to be told of.
    fn incidents(&self, now: Time) -> Result<Vec<Incident>, StoreError> {
        let oldest = self.oldest(now);
        let start = Some(now - self.settings.fresh);
        let mut page = Page { start, end: None, edges: false, after: None, limit: PAGE };
        let mut all = Vec::new();
        loop {
            let paged = self.engine.state().incidents(&page, &|one| one.started_at >= oldest)?;
            all.extend(paged.items);
            match paged.next {
                Some(next) if next.0 >= oldest => page.after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// Records that it is told, and puts the notice into the outbox.
    fn publish(
        &self,
        incident: &Incident,
        occasion: Occasion<'_>,
    ) -> Result<Option<Published>, StoreError> {
        let look_back = self.engine.model().settings.look_back;
        let told = self.hearing.doubted(incident.clone(), look_back, occasion.now)?;
        let Some((published, notice)) = write(&told, occasion) else { return Ok(None) };
        let crowded_out = self.records.publish(&published, &notice)?;
        self.posted.notify_one();
        let (news, notice) = (occasion.news.word(), notice.id);
        tracing::info!(incident = %incident.id, news, %notice, "somebody is to be told");
        if crowded_out > 0 {
            tracing::error!(crowded_out, "too many notices wait: the oldest are given up");
            self.metrics.notices_given_up(Mailbox::Notices, crowded_out);
        }
        Ok(Some(published))
    }
}

/// Whether the change set that was told is among those that are suspected.
fn still_suspected(told: &Claim, incident: &Incident) -> bool {
    let Some(told) = told.changes() else { return false };
    let suspected = |id: &ChangeId| told.contains(id);
    incident.suspects.iter().any(|suspect| suspect.changes.iter().any(suspected))
}
