//! `change` and `note`: post one thing, say under which number it is stored.

use std::io::{self, Read as _};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    args::{ChangeFlags, Format, PostChange, PostFeedback, PostNote, Said},
    client::{Client, Rejected},
    out::{Outcome, print, print_json, say},
};
use crate::event::{Labels, Time, Verdict, show_time};

/// The part of a reply to a post that people want to see.
#[derive(Debug, Deserialize)]
struct Posted {
    seq: u64,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

pub(super) async fn change(args: &PostChange, format: Format) -> anyhow::Result<Outcome> {
    let client = Client::new(&args.server)?;
    let body = match args.stdin {
        Some(_) => read_json()?,
        None => change_body(&args.change),
    };
    report(&client.post("/api/v1/changes", body.to_string()).await?, format)
}

pub(super) async fn note(args: &PostNote, format: Format) -> anyhow::Result<Outcome> {
    let client = Client::new(&args.server)?;
    report(&client.post("/api/v1/notes", note_body(args).to_string()).await?, format)
}

pub(super) async fn feedback(args: &PostFeedback, format: Format) -> anyhow::Result<Outcome> {
    let client = Client::new(&args.server)?;
    let path = ["api", "v1", "incidents", &args.incident, "feedback"];
    let body = feedback_body(args).to_string();
    report(&client.post_to(client.url(&path), body).await?, format)
}

fn read_json() -> anyhow::Result<Value> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    serde_json::from_str(&text).context("stdin is not JSON")
}

/// What the flags say; what they leave out, the body leaves out.
fn change_body(flags: &ChangeFlags) -> Value {
    let labels = labels(&flags.labels, &flags.service, &flags.environment);
    let texts = [
        ("id", &flags.id),
        ("title", &flags.title),
        ("revision", &flags.revision),
        ("change_set", &flags.change_set),
        ("actor", &flags.actor),
        ("url", &flags.url),
    ];
    let words = [
        ("kind", flags.kind.map(|kind| json!(kind))),
        ("action", flags.action.map(|action| json!(action))),
        ("status", flags.status.map(|status| json!(status))),
        ("started_at", time(flags.started_at)),
        ("finished_at", time(flags.finished_at)),
        ("labels", (!labels.is_empty()).then(|| json!(labels))),
    ];
    let texts = texts.into_iter().map(|(name, text)| (name, text.as_ref().map(|text| json!(text))));
    object(texts.chain(words))
}

fn note_body(args: &PostNote) -> Value {
    let labels = labels(&args.labels, &args.service, &args.environment);
    object([
        ("text", Some(json!(args.text))),
        ("at", time(args.at)),
        ("author", args.author.as_ref().map(|author| json!(author))),
        ("incident", args.incident.as_ref().map(|id| json!(id))),
        ("labels", (!labels.is_empty()).then(|| json!(labels))),
    ])
}

fn feedback_body(args: &PostFeedback) -> Value {
    let verdict = match args.verdict {
        Said::Cause => Verdict::Cause,
        Said::NotCause => Verdict::NotCause,
        Said::Withdrawn => Verdict::Withdrawn,
    };
    object([
        ("change", Some(json!(args.change))),
        ("verdict", Some(json!(verdict))),
        ("text", args.text.as_ref().map(|text| json!(text))),
        ("author", args.author.as_ref().map(|author| json!(author))),
    ])
}

fn labels(pairs: &[(String, String)], services: &[String], environments: &[String]) -> Labels {
    let named = |name: &'static str| move |value: &String| (name.to_owned(), value.clone());
    let services = services.iter().map(named("service"));
    let environments = environments.iter().map(named("environment"));
    pairs.iter().cloned().chain(services).chain(environments).collect()
}

fn time(time: Option<Time>) -> Option<Value> {
    time.map(|time| json!(show_time(time)))
}

fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// Says what became of it; something that was not taken is a problem found.
fn report(reply: &Value, format: Format) -> anyhow::Result<Outcome> {
    let posted = Posted::deserialize(reply).context("the daemon's reply lacks a field")?;
    match format {
        Format::Json => print_json(reply)?,
        Format::Text => {
            let ids = posted.ids.iter().map(|id| format!("  {id}"));
            print(&format!("seq {}{}\n", posted.seq, ids.collect::<String>()))?;
        }
    }
    for rejected in &posted.rejected {
        say(&format!("rejected: {}", rejected.sentence()));
    }
    Ok(if posted.rejected.is_empty() { Outcome::Fine } else { Outcome::Found })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn parse(args: &[&str]) -> Command {
        Cli::try_parse_from([&["antecede"], args].concat()).unwrap().command
    }

    fn change(args: &[&str]) -> Value {
        let Command::Change(args) = parse(args) else { panic!("{args:?} is no change") };
        change_body(&args.change)
    }

    fn note(args: &[&str]) -> Value {
        let Command::Note(args) = parse(args) else { panic!("{args:?} is no note") };
        note_body(&args)
    }

    #[test]
    fn a_change_says_what_the_flags_say_and_no_more() {
        let flags = "change --id c1 --kind infrastructure --action delete --service node-groups \
                     --environment staging --environment production --status succeeded \
                     --started-at 2023-02-23T13:21:00Z --finished-at 1677160680 \
                     --label cluster=prod-1 --change-set run-7";
        let flags: Vec<_> = flags.split_whitespace().collect();
        assert_eq!(
            change(&flags),
            json!({
                "id": "c1", "kind": "infrastructure", "action": "delete", "status": "succeeded",
                "started_at": "2023-02-23T13:21:00Z", "finished_at": "2023-02-23T13:58:00Z",
                "change_set": "run-7",
                "labels": {
                    "service": "node-groups", "environment": ["production", "staging"],
                    "cluster": "prod-1",
                },
            })
        );
        assert_eq!(change(&["change", "--title", "x"]), json!({"title": "x"}));
    }

    #[test]
    fn a_note_says_when_who_and_what_about() {
        let args =
            ["note", "user impact is over", "--at", "2023-02-23T20:36:00Z", "--author", "ana"];
        assert_eq!(
            note(&[&args[..], &["--incident", "inc_1", "--service", "api"]].concat()),
            json!({
                "text": "user impact is over", "at": "2023-02-23T20:36:00Z", "author": "ana",
                "incident": "inc_1", "labels": {"service": "api"},
            })
        );
    }
}
