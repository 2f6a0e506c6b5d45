//! Posts a recorded incident into a daemon, and prints what is posted and what the daemon makes of
//! it, as it happens.

mod post;
mod watch;

#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use self::{post::describe, watch::Watch};
use super::{
    args::{Format, Moment},
    client::Client,
    out::{print, print_json, say},
    query::{IncidentList, named_changes, understand},
    text::{self, Page},
};
use crate::{
    correlate::Told,
    event::{Time, show_time},
    wire::case::Post,
};

/// How long the daemon may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked whether it has.
const START_POLL: Duration = Duration::from_millis(20);

/// How long it may take to assess one post.
const ASSESS_TIMEOUT: &str = "30s";

/// Posts everything in its order, `speed` times faster than it happened, 0 for at once.
pub(super) async fn tell(
    client: &Client,
    posts: &[Post],
    speed: u32,
    format: Format,
) -> anyhow::Result<()> {
    wait_until_ready(client).await?;
    let (Some(first), Some(last)) = (posts.first(), posts.last()) else { return Ok(()) };
    let begin = Instant::now();
    let line = |text: &str| match format {
        Format::Text => print(&format!("{text}\n")),
        Format::Json => {
            say(text);
            Ok(())
        }
    };
    line(&format!("{}, all times UTC", first.at.format("%Y-%m-%d")))?;
    let mut watch = Watch::default();
    let mut incidents = Vec::new();
    for post in posts {
        sleep_until(begin + due(post.at, first.at, speed)).await;
        for what in describe(post)? {
            line(&format!("{}  {what}", post.at.format("%H:%M")))?;
        }
        incidents = incidents_after(client, post).await?;
        for news in incidents.iter().flat_map(|told| watch.news(&told.incident)) {
            line(&format!("       => {news}"))?;
        }
    }
    match format {
        Format::Json => print_json(&incidents),
        Format::Text => print(&summary(client, &incidents, last.at).await),
    }
}

async fn wait_until_ready(client: &Client) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while !matches!(client.ready().await, Ok((true, _))) {
        if Instant::now() > deadline {
            bail!("the daemon did not become ready within {} s", START_TIMEOUT.as_secs());
        }
        sleep(START_POLL).await;
    }
    Ok(())
}

/// How long after the first post one is due.
fn due(at: Time, first: Time, speed: u32) -> Duration {
    let passed = (at - first).to_std().unwrap_or_default();
    passed.checked_div(speed).unwrap_or_default()
}

/// Posts it, and asks for the incidents as soon as it is assessed.
async fn incidents_after(client: &Client, post: &Post) -> anyhow::Result<Vec<Told>> {
    let reply = client.post(post.path, post.body.clone()).await?;
    let seq = reply.get("seq").and_then(Value::as_u64).context("the reply lacks `seq`")?;
    let moment = Moment { at: None, wait_seq: Some(seq), timeout: ASSESS_TIMEOUT.to_owned() };
    let reply = client.ask(&["api", "v1", "incidents"], &[], &moment).await?;
    let list: IncidentList = understand(&reply)?;
    Ok(list.incidents)
}

/// The incidents at the end, and what to try now.
async fn summary(client: &Client, incidents: &[Told], as_of: Time) -> String {
    let mut page = Page::new(text::terminal_width());
    for Told { incident, .. } in incidents {
        let changes = named_changes(client, incident, &Moment::default()).await;
        page.gap();
        text::incident(&mut page, incident, &changes, as_of, &[]);
    }
    let server = client.url(&[]);
    let program = std::env::args().next().unwrap_or_else(|| "antecede".to_owned());
    let list = client.url(&["api", "v1", "incidents"]);
    let first = incidents.iter().map(|told| told.incident.started_at).min().unwrap_or(as_of);
    let at = show_time(first);
    page.heading(&format!("TRY, against {server}"));
    let rows = [
        (format!("{program} suspects --server {server}"), "what caused it, and why"),
        (format!("{program} suspects --at {at} --server {server}"), "the same at the first alert"),
        (format!("{program} timeline --server {server}"), "what happened, line by line"),
        (format!("curl {list}"), "the same for programs"),
        (server.to_string(), "the same in a browser"),
    ];
    for (command, why) in rows {
        page.words(2, why);
        page.literal(4, &command);
    }
    page.into_text()
}
