//! `incidents`, `suspects`, `timeline` and `ready`: ask a daemon, and show what it answers.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{
    args::{Form, Format, Incidents, Moment, OneIncident, Range, Server, Timeline},
    client::Client,
    out::{Outcome, print, print_json, say},
    text::{self, Changes, Hint, Page},
};
use crate::{
    correlate::{Incident, Told},
    event::{Change, ChangeId, Time, show_time},
    picture::{self, Sheet},
    timeline::Entry,
};

/// A page of incidents.
#[derive(Debug, Deserialize)]
pub(super) struct IncidentList {
    pub(super) incidents: Vec<Told>,
    /// Where the next page begins, when there is one.
    #[serde(default)]
    next: Option<String>,
}

/// One incident, and the time that it is as of.
#[derive(Debug, Deserialize)]
struct OneReply {
    at: Time,
    incident: Incident,
}

/// One change.
#[derive(Debug, Deserialize)]
struct ChangeReply {
    change: Change,
}

/// A timeline.
#[derive(Debug, Deserialize)]
struct EntryList {
    /// As of when.
    at: Time,
    entries: Vec<Entry>,
    /// There is more than the daemon tells at once.
    #[serde(default)]
    truncated: bool,
}

pub(super) async fn incidents(args: &Incidents, format: Format) -> anyhow::Result<Outcome> {
    let client = Client::new(&args.server)?;
    let mut query = range_query(&args.range);
    query.push(("limit", args.limit.to_string()));
    if let Some(state) = &args.state {
        query.push(("state", state.clone()));
    }
    let reply = client.ask(&["api", "v1", "incidents"], &query, &args.moment).await?;
    match format {
        Format::Json => print_json(&reply)?,
        Format::Text => {
            let list: IncidentList = understand(&reply)?;
            let mut page = Page::new(text::terminal_width());
            let incidents: Vec<_> = list.incidents.into_iter().map(|told| told.incident).collect();
            text::incidents(&mut page, &incidents);
            print(&page.into_text())?;
            if incidents.is_empty() {
                say("no incidents");
            } else if list.next.is_some() {
                say("there are more: ask with a greater --limit, or for a --start and --end");
            }
        }
    }
    Ok(Outcome::Fine)
}

pub(super) async fn suspects(args: &OneIncident, format: Format) -> anyhow::Result<Outcome> {
    let client = Client::new(&args.server)?;
    let Some(id) = id_or_newest(&client, args.id.as_ref(), &args.moment).await? else {
        return Ok(no_incident());
    };
    let path = ["api", "v1", "incidents", &id];
    match format {
        Format::Json => {
            let path = [&path[..], &["suspects"]].concat();
            print_json(&client.ask(&path, &[], &args.moment).await?)?;
        }
        Format::Text => {
            let told: OneReply = understand(&client.ask(&path, &[], &args.moment).await?)?;
            print(&incident_page(&client, &told, &args.moment).await)?;
        }
    }
    Ok(Outcome::Fine)
}

/// An incident for people, as the daemon knows it.
async fn incident_page(client: &Client, told: &OneReply, moment: &Moment) -> String {
    let OneReply { at, incident } = told;
    let changes = named_changes(client, incident, moment).await;
    let mut page = Page::new(text::terminal_width());
    text::incident(&mut page, incident, &changes, *at, &hints(incident));
    page.into_text()
}

/// The changes that the incident only names by id. What cannot be had is shown by its id.
pub(super) async fn named_changes(
    client: &Client,
    incident: &Incident,
    moment: &Moment,
) -> Changes {
    let suspects = incident.suspects.iter().flat_map(|suspect| &suspect.changes);
    let mut changes = Changes::new();
    for id in suspects.chain(&incident.responses) {
        if let Ok(change) = one_change(client, id, moment).await {
            changes.insert(id.clone(), change);
        }
    }
    changes
}

async fn one_change(client: &Client, id: &ChangeId, moment: &Moment) -> anyhow::Result<Change> {
    let reply = client.ask(&["api", "v1", "changes", &id.0], &[], moment).await?;
    understand::<ChangeReply>(&reply).map(|reply| reply.change)
}

fn hints(incident: &Incident) -> Vec<Hint> {
    let id = &incident.id;
    let first = show_time(incident.started_at);
    vec![
        (format!("antecede timeline {id}"), "what happened, line by line"),
        (format!("antecede suspects {id} --at {first}"), "what was known at the first alert"),
        (format!("antecede postmortem {id}"), "begin the document of the day after"),
        (format!("antecede note TEXT --incident {id}"), "write down what you see"),
    ]
}

pub(super) async fn timeline(args: &Timeline, form: Form) -> anyhow::Result<Outcome> {
    let format = if form == Form::Svg { Format::Text } else { form.plain()? };
    let client = Client::new(&args.server)?;
    let query = range_query(&args.range);
    let reply = if query.is_empty() {
        let Some(id) = id_or_newest(&client, args.id.as_ref(), &args.moment).await? else {
            return Ok(no_incident());
        };
        client.ask(&["api", "v1", "incidents", &id, "timeline"], &[], &args.moment).await?
    } else {
        client.ask(&["api", "v1", "timeline"], &query, &args.moment).await?
    };
    if format == Format::Json {
        print_json(&reply)?;
        return Ok(Outcome::Fine);
    }
    let list: EntryList = understand(&reply)?;
    let range = picture::Range { from: args.range.start, to: args.range.end };
    if form == Form::Svg {
        let sheet = Sheet::WIDE;
        let drawn = picture::picture(&list.entries, range, list.at, &sheet);
        print(&format!("{}\n", picture::svg(&drawn, &sheet, "p", true)))?;
    } else {
        print(&drawn_and_told(&list, range))?;
    }
    if list.truncated {
        say("there is more: ask for a shorter time with --start and --end");
    }
    Ok(Outcome::Fine)
}

/// The picture, then the lines.
fn drawn_and_told(list: &EntryList, range: picture::Range) -> String {
    let width = text::terminal_width();
    let mut page = Page::new(width);
    if !list.entries.is_empty() {
        let sheet = Sheet::columns(width);
        let drawn = picture::picture(&list.entries, range, list.at, &sheet);
        for line in picture::text(&drawn, &sheet).lines() {
            page.literal(0, line);
        }
        page.gap();
    }
    text::timeline(&mut page, &list.entries);
    page.into_text()
}

pub(super) async fn postmortem(args: &OneIncident, form: Form) -> anyhow::Result<Outcome> {
    let word = match form {
        Form::Text | Form::Markdown => "markdown",
        Form::Html => "html",
        Form::Json => "json",
        Form::Svg => bail!("a post-mortem is no picture: ask `timeline` for svg"),
    };
    let client = Client::new(&args.server)?;
    let Some(id) = id_or_newest(&client, args.id.as_ref(), &args.moment).await? else {
        return Ok(no_incident());
    };
    let path = ["api", "v1", "incidents", &id, "postmortem"];
    let query = [("format", word.to_owned())];
    if form == Form::Json {
        print_json(&client.ask(&path, &query, &args.moment).await?)?;
    } else {
        print(&client.ask_text(&path, &query, &args.moment).await?)?;
    }
    Ok(Outcome::Fine)
}

pub(super) async fn ready(args: &Server, format: Format) -> anyhow::Result<Outcome> {
    let (ready, words) = Client::new(args)?.ready().await?;
    match format {
        Format::Json => print_json(&serde_json::json!({ "ready": ready, "detail": words.trim() }))?,
        Format::Text if ready => print("ready\n")?,
        Format::Text => say(&format!("not ready: {}", words.trim())),
    }
    Ok(if ready { Outcome::Fine } else { Outcome::Found })
}

async fn id_or_newest(
    client: &Client,
    id: Option<&String>,
    moment: &Moment,
) -> anyhow::Result<Option<String>> {
    if let Some(id) = id {
        return Ok(Some(id.clone()));
    }
    let query = [("limit", "1".to_owned())];
    let reply = client.ask(&["api", "v1", "incidents"], &query, moment).await?;
    let list: IncidentList = understand(&reply)?;
    Ok(list.incidents.into_iter().next().map(|told| told.incident.id.0))
}

fn no_incident() -> Outcome {
    say("no incidents");
    Outcome::Found
}

fn range_query(range: &Range) -> Vec<(&'static str, String)> {
    let start = range.start.map(|start| ("start", show_time(start)));
    let end = range.end.map(|end| ("end", show_time(end)));
    let matchers = range.matchers.iter().map(|matchers| ("match[]", matchers.clone()));
    start.into_iter().chain(end).chain(matchers).collect()
}

/// Reads a reply; one that cannot be read comes from a daemon of another version.
pub(super) fn understand<'a, T: Deserialize<'a>>(reply: &'a Value) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(reply)
        .context("cannot understand the daemon's answer; is it of this version?")
}
