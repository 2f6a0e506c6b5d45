//! Those who tell others: built from the configuration, with the secrets that it names.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{Notify, watch};

use super::Tasks;
use crate::{
    clock,
    notify::{self, Address, Annotator, Courier, Desk, Secrets, Teller},
    store::Mailbox,
};

/// Those who tell others, each as far as there is somebody to tell.
#[derive(Default)]
pub(super) struct Notifiers {
    teller: Option<Teller>,
    annotator: Option<Annotator>,
    couriers: Vec<Courier>,
    pub(super) desk: Option<Desk>,
}

impl Notifiers {
    /// Those of these parts. Each outbox has its own bell.
    pub(super) fn new(parts: &notify::Parts) -> anyhow::Result<Self> {
        let mut all = Self::default();
        let settings = &parts.settings;
        let own = || notify::Parts { posted: Arc::new(Notify::new()), ..parts.clone() };
        if let Some(receiver) = &settings.receiver {
            let (parts, secrets) = (own(), Secrets::load(&receiver.secret_file)?);
            let address = Address::Signed(Mailbox::Notices, receiver.url.clone(), secrets);
            all.couriers.push(Courier::new(address, &parts)?);
            let teller = Teller::new(parts, clock::now()).context("cannot read what was told")?;
            all.teller = Some(teller);
        }
        if let Some(grafana) = &settings.grafana {
            let (parts, address) = (own(), Address::of_grafana(&grafana.url, &grafana.token_file)?);
            all.couriers.push(Courier::new(address, &parts)?);
            all.annotator = Some(Annotator::new(parts));
        }
        let mut trackers = Vec::new();
        for tracker in &settings.trackers {
            let parts = own();
            all.couriers.push(Courier::new(Address::of(tracker)?, &parts)?);
            trackers.push((tracker.clone(), parts.posted));
        }
        if !trackers.is_empty() {
            let (records, link) = (Arc::clone(&parts.records), parts.link.clone());
            all.desk = Some(Desk { trackers, records, link, clock: clock::now });
        }
        Ok(all)
    }

    /// Lets them run, once the state holds all that was in the log at the start.
    pub(super) fn start(self, tasks: &mut Tasks, ready: watch::Receiver<bool>) {
        if let Some(teller) = self.teller {
            let ready = ready.clone();
            let run = |stop| async move { teller.run(ready, stop).await.map_err(Into::into) };
            tasks.spawn("teller", run);
        }
        if let Some(annotator) = self.annotator {
            let run = |stop| async move { annotator.run(ready, stop).await.map_err(Into::into) };
            tasks.spawn("annotator", run);
        }
        for courier in self.couriers {
            let run = |stop| async move { courier.run(stop).await.map_err(Into::into) };
            tasks.spawn("courier", run);
        }
    }
}
