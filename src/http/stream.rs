//! Server-sent events: whoever has a page open is told when more is assessed, and asks again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use warp::{Reply as _, reply::Response, sse};

use super::{Api, reply::ApiError};
use crate::store::Seq;

/// Streams at once; each is one open page, and costs a connection.
pub(super) const STREAMS_MAX: usize = 256;
/// What comes within this is told at once: in a storm a page is not drawn anew for each batch.
const GATHER: Duration = Duration::from_millis(200);
/// How often something is said where nothing happens, so that nobody between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is told: the log is assessed as far as this.
#[derive(Serialize)]
struct Assessed {
    seq: u64,
}

/// One open stream.
struct Open {
    assessed: watch::Receiver<Seq>,
    closing: watch::Receiver<bool>,
    told: Option<Seq>,
    _slot: OwnedSemaphorePermit,
}

impl Api {
    /// Tells how far the log is assessed, at once and each time that it moves.
    pub(super) fn stream(&self) -> Result<Response, ApiError> {
        let slot = Arc::clone(&self.streams).try_acquire_owned();
        let Ok(slot) = slot else { return Err(ApiError::busy()) };
        let open = Open {
            assessed: self.parts.engine.watch(),
            closing: self.closing.subscribe(),
            told: None,
            _slot: slot,
        };
        let events = stream::unfold(open, |mut open| async move {
            let seq = open.next().await?;
            let event = sse::Event::default().event("assessed").json_data(Assessed { seq: seq.0 });
            Some((Ok::<_, Infallible>(event.unwrap_or_default()), open))
        });
        Ok(sse::reply(sse::keep_alive().interval(KEEP_ALIVE).stream(events)).into_response())
    }

    /// Ends all streams: the program stops, and they never would by themselves.
    pub(super) fn close_streams(&self) {
        self.closing.send_replace(true);
    }
}

impl Open {
    /// How far it is assessed, once that is news; `None` when there will be no more.
    async fn next(&mut self) -> Option<Seq> {
        if self.told.is_some() {
            tokio::select! {
                changed = self.assessed.changed() => changed.ok()?,
                _closing = self.closing.wait_for(|closing| *closing) => return None,
            }
            tokio::time::sleep(GATHER).await;
        }
        let seq = *self.assessed.borrow_and_update();
        self.told = Some(seq);
        Some(seq)
    }
}
