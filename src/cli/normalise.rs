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
    text::say_count,
};
use crate::{
    clock,
    event::show_time,
    problem::nearest,
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
    let headers: Headers = args.headers.iter().cloned().collect();
    let received = args.received.unwrap_or_else(clock::now);
    let post = Post { headers: &headers, query: &args.query, body: &body, received };
    let told = Told::from(match own {
        Some(own) => own.normalise(&post),
        None => find(name)?.normalise(&post),
    });
    match format {
        Format::Json => print_json(&told)?,
        Format::Text => print(&page(&told))?,
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
            for source in SOURCES {
                print(&paragraph(source))?;
            }
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

fn paragraph(source: &Source) -> String {
    let Source { name, about, paths, headers, id, taken, left, .. } = source;
    let mut text = format!("{name}: {about}\n");
    let mut line = |what: &str, told: &str| {
        if !told.is_empty() {
            text.extend(["  ", &format!("{what:<11}"), told, "\n"]);
        }
    };
    line("path", &paths.join(", "));
    line("signature", &schemes(source).join(", "));
    line("headers", &headers.join(", "));
    line("id", id);
    line("taken", taken);
    line("left", left);
    text.push('\n');
    text
}

fn page(told: &Told) -> String {
    let mut text = String::new();
    let mut line = |depth: usize, line: &str| {
        text.push_str(&" ".repeat(2 * depth));
        text.push_str(line);
        text.push('\n');
    };
    for item in &told.items {
        let id = item.id.as_deref().map(|id| format!(" {id}")).unwrap_or_default();
        line(0, &format!("{}{id}", say_count(item.events.len(), "event")));
        for event in &item.events {
            line(1, &format!("at {}", show_time(event.time())));
            let fields = json!(event);
            for (name, value) in fields.as_object().into_iter().flatten() {
                line(2, &format!("{name:<12} {value}"));
            }
        }
        item.remarks.iter().for_each(|remark| line(1, &format!("note: {remark}")));
    }
    for Ending { labels, at, .. } in &told.ends {
        line(0, &format!("ends the alerts with {} at {}", json!(labels), show_time(*at)));
    }
    for Ignored { index, reason } in &told.ignored {
        line(0, &format!("ignored {index}: {reason}"));
    }
    for Rejected { index, field, reason } in &told.rejected {
        line(0, &format!("rejected {index}: {field} {reason}"));
    }
    if let Some(refused) = &told.refused {
        line(0, &format!("refused: {refused}"));
    }
    if text.is_empty() {
        "nothing\n".clone_into(&mut text);
    }
    text
}
