//! The document as markdown. What arrived from outside is escaped: it is text, whatever it holds.

use std::fmt::Write as _;

use super::{Cause, PostMortem};
use crate::{
    correlate::{Answer, State},
    event::Time,
    say::{Clock, say_contributing, say_probability, say_seconds, say_term, show_moment},
    timeline::{Entry, EntryKind, Role, say_entry, say_kind},
};

/// Writes the document.
pub fn markdown(document: &PostMortem) -> String {
    let mut out = String::new();
    head(&mut out, document);
    impact(&mut out, document);
    causes(&mut out, document);
    learnings(&mut out, document);
    timeline(&mut out, document);
    form(&mut out, document);
    out
}

/// Writing to a `String` cannot fail.
fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).unwrap_or_default();
}

fn head(out: &mut String, document: &PostMortem) {
    put(out, format_args!("# {}\n\n", text(&document.title)));
    let state = match (document.state, document.ended_at) {
        (State::Open, _) | (_, None) => "goes on".to_owned(),
        (_, Some(ended_at)) => format!(
            "{} ({})",
            show_moment(ended_at),
            say_seconds((ended_at - document.started_at).num_seconds())
        ),
    };
    put(out, format_args!("- Incident: {}\n", text(&document.incident.0)));
    if let Some(severity) = &document.severity {
        put(out, format_args!("- Severity: {}\n", text(severity)));
    }
    put(out, format_args!("- First alert: {}\n", show_moment(document.started_at)));
    put(out, format_args!("- Recovered: {state}\n"));
    put(out, format_args!("\n{}\n", text(&document.summary)));
}

fn impact(out: &mut String, document: &PostMortem) {
    out.push_str("\n## Impact\n\n");
    if document.impact.is_empty() {
        out.push_str("No alert says what users had of it.\n");
        return;
    }
    out.push_str("| Service | Environment | Outage | Degraded | Out |\n|---|---|---|---|---|\n");
    let times = document.impact.iter().flat_map(|one| &one.outages);
    let clock = Clock::new(document.started_at, times.flat_map(|one| [one.from, one.to]));
    for one in &document.impact {
        let stretches: Vec<_> = one
            .outages
            .iter()
            .map(|stretch| {
                clock.show_span(stretch.from, Some(stretch.to).filter(|_| !stretch.ongoing))
            })
            .collect();
        put(
            out,
            format_args!(
                "| {} | {} | {} | {} | {} |\n",
                text(&one.service),
                text(&one.environment),
                say_seconds(one.outage_seconds),
                say_seconds(one.degraded_seconds),
                stretches.join(", ")
            ),
        );
    }
}

fn causes(out: &mut String, document: &PostMortem) {
    out.push_str("\n## Cause\n");
    match document.answer {
        Answer::Likely => {}
        Answer::Suspects => out.push_str("\nIt is not settled which of these it was.\n"),
        Answer::None => out.push_str("\nNo recorded change explains these alerts.\n"),
        Answer::Unknown => {
            out.push_str("\nToo little was heard to say whether a change caused these alerts.\n");
        }
    }
    for one in &document.causes {
        cause(out, one, document.started_at);
    }
    if !document.causes.is_empty() {
        put(
            out,
            format_args!("\nNo recorded change: {}.\n", say_probability(document.none_probability)),
        );
    }
    if !document.cleared.is_empty() {
        out.push_str("\n### Considered and cleared\n\n");
        for one in &document.cleared {
            put(out, format_args!("- {}: {}\n", text(&one.title), text(&one.reason)));
        }
    }
    if !document.responses.is_empty() {
        out.push_str("\n### What was done about it\n\n");
        for one in &document.responses {
            let place =
                if one.place.is_empty() { String::new() } else { format!(", {}", one.place) };
            put(
                out,
                format_args!(
                    "- {} {}{} ({})\n",
                    one.at.format("%H:%M"),
                    text(&one.title),
                    text(&place),
                    one.status
                ),
            );
        }
    }
}

fn cause(out: &mut String, one: &Cause, day: Time) {
    let clock = Clock::new(day, [Some(one.started_at), one.finished_at].into_iter().flatten());
    put(
        out,
        format_args!(
            "\n### {}, {}\n\n{}, {}.\n",
            text(&one.title),
            say_probability(one.probability),
            text(&one.act),
            clock.show_span(one.started_at, one.finished_at)
        ),
    );
    if let Some(url) = &one.url {
        put(out, format_args!("See {}.\n", text(url)));
    }
    for woken in &one.contributing {
        put(out, format_args!("\nIt {}.\n", text(&say_contributing(woken))));
    }
    out.push_str("\n| Nats | Evidence | Why |\n|---:|---|---|\n");
    for term in &one.evidence {
        put(
            out,
            format_args!(
                "| {:+.3} | {} | {} |\n",
                term.nats,
                say_term(term.kind),
                text(&term.text)
            ),
        );
    }
    put(
        out,
        format_args!("| {:+.3} | sum | log-odds against \"no recorded change\" |\n", one.log_odds),
    );
}

fn learnings(out: &mut String, document: &PostMortem) {
    out.push_str("\n## How long it took\n\n");
    for one in &document.learnings {
        put(out, format_args!("- {}: {}\n", sentence_case(one.what), one.words()));
    }
}

fn timeline(out: &mut String, document: &PostMortem) {
    out.push_str("\n## Timeline (UTC)\n\n| Time | | What | |\n|---|---|---|---|\n");
    let times = document.timeline.iter().map(|entry| entry.at);
    let clock = Clock::new(document.started_at, times);
    for entry in &document.timeline {
        put(
            out,
            format_args!(
                "| {} | {} | {} | {} |\n",
                clock.show(entry.at),
                say_kind(entry),
                text(&say_entry(entry)),
                role(entry)
            ),
        );
    }
}

fn role(entry: &Entry) -> String {
    match (&entry.role, entry.kind) {
        (Role::Suspect { rank: 1, probability }, _) => {
            format!("**suspect, {}**", say_probability(*probability))
        }
        (Role::Suspect { rank, probability }, _) => {
            format!("suspect {rank}, {}", say_probability(*probability))
        }
        (Role::Cleared { .. }, _) => "cleared".to_owned(),
        (Role::Response, _) => "response".to_owned(),
        (Role::Symptom | Role::Context, EntryKind::Note) => "note".to_owned(),
        (Role::Symptom | Role::Context, _) => String::new(),
    }
}

fn form(out: &mut String, document: &PostMortem) {
    out.push_str("\n## Whys\n\n");
    for (number, why) in document.whys.iter().enumerate() {
        put(out, format_args!("{}. {}\n   - \n", number + 1, text(why)));
    }
    out.push_str("\n## What went well\n\n- \n\n## What did not\n\n- \n");
    out.push_str("\n## Action items\n\n| What | Owner | Due | Ticket |\n|---|---|---|---|\n");
    out.push_str("| Prevent: | | | |\n| Notice earlier: | | | |\n| Recover faster: | | | |\n");
}

fn sentence_case(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The text on one line, with nothing in it that markdown or HTML takes for markup.
pub(super) fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
