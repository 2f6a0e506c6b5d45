//! `normalise`: what a payload becomes, by the functions that the daemon runs.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::{
    args::{Format, Normalise},
    out::{Outcome, print, print_json},
    serve::load_config,
    text::{self, Column, Page},
};
use crate::{
    clock,
    event::{Event, show_time},
    problem::nearest,
    say::say_count,
    wire::{
        Ending, Ignored, Rejected,
        signature::Scheme,
        source::{Headers, Post, SOURCES, Source, Told},
    },
};

pub(super) fn normalise(args: &Normalise, format: Format) -> anyhow::Result<Outcome> {
    let (Some(name), Some(file)) = (&args.source, &args.file) else { return list(format) };
    let own = match &args.config {
        Some(config) => load_config(Some(config))?.own_sources.remove(name),
        None => None,
    };
    let body = read(file)?;
    let headers = args.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let headers: Headers<'_> = headers.collect();
    let received = args.received.unwrap_or_else(clock::now);
    let post = Post { headers: &headers, query: &args.query, body: &body, received };
    let told = Told::from(match own {
        Some(own) => own.normalise(&post),
        None => find(name)?.normalise(&post),
    });
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => {
            let mut page = Page::new(text::terminal_width());
            show(&mut page, &told);
            print(&page.into_text())?;
        }
    }
    Ok(if told.is_flawed() { Outcome::Found } else { Outcome::Fine })
}

fn find(name: &str) -> anyhow::Result<&'static Source> {
    Source::named(name).ok_or_else(|| {
        let hint = nearest(name, SOURCES.iter().map(|source| source.name))
            .map(|near| format!("did you mean {near}? "));
        let hint = hint.unwrap_or_default();
        anyhow!("there is no source {name:?}: {hint}`antecede normalise --list` names them")
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut body = Vec::new();
        io::stdin().read_to_end(&mut body).context("cannot read stdin")?;
        return Ok(body);
    }
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The table of sources.
fn list(format: Format) -> anyhow::Result<Outcome> {
    match format {
        Format::Json => print_json(&SOURCES.iter().map(described).collect::<Vec<_>>())?,
        Format::Text => {
            let mut page = Page::new(text::terminal_width());
            for source in SOURCES {
                paragraph(&mut page, source);
            }
            print(&page.into_text())?;
        }
    }
    Ok(Outcome::Fine)
}

fn schemes(source: &Source) -> Vec<String> {
    source.schemes.iter().map(Scheme::shown).collect()
}

fn described(source: &Source) -> Value {
    json!({
        "name": source.name,
        "about": source.about,
        "paths": source.paths,
        "signatures": schemes(source),
        "headers": source.headers,
        "id": source.id,
        "taken": source.taken,
        "left": source.left,
    })
}

/// One source of the table.
fn paragraph(page: &mut Page, source: &Source) {
    page.gap();
    page.strong(source.name, source.about);
    let rows = [
        ("path", source.paths.join(", ")),
        ("secrets", schemes(source).join(", ")),
        ("headers", source.headers.join(", ")),
        ("told apart", source.id.to_owned()),
        ("taken", source.taken.to_owned()),
        ("left", source.left.to_owned()),
    ];
    let said = rows.into_iter().filter(|(_, told)| !told.is_empty());
    page.columns(2, &COLUMNS, said.map(|(what, told)| vec![what.to_owned(), told]));
}

/// What is told, and the telling.
const COLUMNS: [Column; 2] = [Column::Left, Column::Wrapped];

/// What a post becomes.
fn show(page: &mut Page, told: &Told) {
    for item in &told.items {
        page.gap();
        let id = item.id.as_deref().unwrap_or_default();
        page.strong(&say_count(item.events.len(), "event"), id);
        for event in &item.events {
            event_shown(page, event);
        }
        for remark in &item.remarks {
            page.words(2, &format!("note: {remark}"));
        }
    }
    for Ending { labels, at, .. } in &told.ends {
        page.words(0, &format!("ends the alerts with {} at {}", json!(labels), show_time(*at)));
    }
    for Ignored { index, reason } in &told.ignored {
        page.words(0, &format!("ignored {index}: {reason}"));
    }
    for Rejected { index, field, reason } in &told.rejected {
        page.words(0, &format!("rejected {index}: {field} {reason}"));
    }
    if let Some(refused) = &told.refused {
        page.words(0, &format!("refused: {refused}"));
    }
}

/// One fact: when and what, then all else that it says.
fn event_shown(page: &mut Page, event: &Event) {
    let fields = json!(event);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let said = |name: &str| fields.get(name).map(text);
    let state = said("status").or_else(|| said("ends_at").map(|_| "ended".to_owned()));
    let what = said("type").unwrap_or_default();
    let what = [what, state.unwrap_or_default()].join(" ");
    page.literal(2, &format!("{}  {}", show_time(event.time()), what.trim_end()));
    let rest = fields.as_object().into_iter().flatten();
    let rest = rest.filter(|(name, _)| !["type", "status", "at", "id"].contains(&name.as_str()));
    page.columns(4, &COLUMNS, rest.map(|(name, value)| vec![name.clone(), text(value)]));
}
