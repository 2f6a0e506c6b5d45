//! Ends of alerts that are only named: what ends is looked up among what fires.
//!
//! Somebody who resolves an alert may say its name and nothing else, and the log wants to know which
//! alert of which labels ended, and when it had begun. The state knows, once it is as far as the log:
//! a resolve follows its trigger, and so waits for it to be assessed.

use std::time::Duration;

use super::{Api, reply::ApiError};
use crate::{
    event::Episode,
    store::{Page, Paged, View},
    wire::{Ending, Ignored, Item},
};

/// How long the state may take to know what the log knows.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// What fires is looked through in pages of this size, ...
const PAGE: usize = 500;
/// ... of which there are at most so many: a storm of 50 000 alerts.
const PAGES_MAX: usize = 100;

impl Api {
    /// The ends of the alerts that are named, and the names that nothing has that fires.
    pub(super) async fn ends(
        &self,
        endings: Vec<Ending>,
    ) -> Result<(Vec<Item>, Vec<Ignored>), ApiError> {
        let engine = &self.parts.engine;
        let end = *engine.log().tail().borrow();
        if !engine.wait(end, KNOWN_WITHIN).await {
            return Err(ApiError::not_yet("which alert ends is not known yet"));
        }
        let engine = engine.clone();
        let found = tokio::task::spawn_blocking(move || {
            engine.read(|view| look_up(view, &endings)).map(|(_, found)| found)
        });
        found.await.unwrap_or_else(|error| {
            tracing::error!(%error, "looking for alerts failed");
            Err(ApiError::internal())
        })
    }
}

fn look_up(view: &dyn View, endings: &[Ending]) -> Result<(Vec<Item>, Vec<Ignored>), ApiError> {
    let firing = firing(view, endings)?;
    let (mut items, mut unknown) = (Vec::new(), Vec::new());
    for (index, ending) in endings.iter().enumerate() {
        let ends = |one: &&Episode| ending.is_of(&one.labels, one.starts_at);
        let ended: Vec<_> = firing.iter().filter(ends).collect();
        if ended.is_empty() {
            let reason = "no alert of that name fires".to_owned();
            unknown.push(Ignored { index, reason });
        }
        items.extend(ended.iter().map(|one| ending.end(one.labels.clone(), one.starts_at)));
    }
    Ok((items, unknown))
}

/// All that fire and are named.
fn firing(view: &dyn View, endings: &[Ending]) -> Result<Vec<Episode>, ApiError> {
    let mut firing = Vec::new();
    let start = endings.iter().map(|ending| ending.at).min();
    let mut page = Page { end: None, start, edges: false, after: None, limit: PAGE };
    for _ in 0..PAGES_MAX {
        let Paged { items, next } = view.episodes(&page, &|episode| {
            endings.iter().any(|ending| ending.is_of(&episode.labels, episode.starts_at))
        })?;
        firing.extend(items.into_iter().map(|(episode, _)| episode));
        let Some(next) = next else { break };
        page.after = Some(next);
    }
    Ok(firing)
}
