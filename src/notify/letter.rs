//! Writes a notice: what a person needs at night, and no more bytes than receivers take. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::judge::News;
use crate::{
    correlate::{Answer, Cleared, Incident, IncidentId, Suspect},
    event::{ChangeId, Time, digest},
    store::{Claim, Notice, NoticeId, Published},
};

/// So many bytes a notice has at most: what Standard Webhooks asks receivers to take.
pub(super) const BYTES_MAX: usize = 20_000;
/// A text is cut off after so many characters.
const TEXT_MAX: usize = 300;
/// So many things of each list are told, the fewer the longer they are.
const LISTED: [usize; 5] = [16, 8, 4, 2, 0];

/// A notice, as it is sent.
#[derive(Serialize)]
struct Letter<'a> {
    r#type: &'static str,
    timestamp: Time,
    data: Data<'a>,
}

/// The names are those of the API's answers.
#[derive(Serialize)]
struct Data<'a> {
    incident: &'a IncidentId,
    /// The how manieth notice of this incident it is: retries may overtake one another.
    number: u32,
    answer: Answer,
    headline: String,
    started_at: Time,
    alertnames: Vec<&'a str>,
    services: Vec<&'a str>,
    environments: Vec<&'a str>,
    none_probability: f64,
    suspect: Option<Suspect>,
    other_suspects: Vec<Other<'a>>,
    cleared: Vec<Cleared>,
    told_before: Option<ToldBefore<'a>>,
    link: String,
}

#[derive(Serialize)]
struct Other<'a> {
    change: &'a ChangeId,
    title: String,
    probability: f64,
}

#[derive(Serialize)]
struct ToldBefore<'a> {
    at: Time,
    #[serde(flatten)]
    claim: &'a Claim,
}

/// What a notice says beside its incident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occasion<'a> {
    pub(super) news: News,
    /// What was told of it last.
    pub(super) told: Option<&'a Published>,
    pub(super) now: Time,
    /// Where people reach the daemon.
    pub(super) link: &'a str,
}

/// The notice of an incident, and the record of it; `None`: it has no alert to be known by.
pub(super) fn write(incident: &Incident, occasion: Occasion<'_>) -> Option<(Published, Notice)> {
    let Occasion { told, now, .. } = occasion;
    let published = Published {
        incident: incident.id.clone(),
        alert: incident.first_alert.clone(),
        claim: Claim::of(incident),
        number: told.map_or(0, |told| told.number).saturating_add(1),
        at: now,
    };
    let id = NoticeId(digest("msg_", &(&published.incident, published.number, now)));
    let bodies = LISTED.iter().map(|listed| body(incident, &published, occasion, *listed));
    let mut short = bodies.skip_while(|body| body.len() > BYTES_MAX);
    Some((published.clone(), Notice { id, made_at: now, body: short.next()? }))
}

fn body(
    incident: &Incident,
    published: &Published,
    occasion: Occasion<'_>,
    listed: usize,
) -> String {
    let Occasion { news, told, now, link } = occasion;
    let families = &incident.families;
    let letter = Letter {
        r#type: news.word(),
        timestamp: now,
        data: Data {
            incident: &incident.id,
            number: published.number,
            answer: incident.answer,
            headline: shortened(&incident.headline),
            started_at: incident.started_at,
            alertnames: distinct(families.iter().map(|one| &one.alertname), listed),
            services: distinct(families.iter().flat_map(|one| &one.services), listed),
            environments: distinct(families.iter().flat_map(|one| &one.environments), listed),
            none_probability: incident.none_probability,
            suspect: incident.suspects.first().map(|first| brief_suspect(first, listed)),
            other_suspects: incident.suspects.iter().skip(1).take(listed).map(other).collect(),
            cleared: incident.cleared.iter().take(listed).map(|one| brief(one, listed)).collect(),
            told_before: told
                .filter(|_| listed > 0)
                .map(|told| ToldBefore { at: told.at, claim: &told.claim }),
            link: format!("{}/incidents/{}", link.trim_end_matches('/'), incident.id),
        },
    };
    // Strings, numbers and lists: JSON can say all of them.
    serde_json::to_string(&letter).unwrap_or_default()
}

fn distinct<'a>(words: impl Iterator<Item = &'a String>, listed: usize) -> Vec<&'a str> {
    let words: BTreeSet<_> = words.map(String::as_str).collect();
    words.into_iter().take(listed).collect()
}

fn brief_suspect(suspect: &Suspect, listed: usize) -> Suspect {
    let mut brief = suspect.clone();
    brief.title = shortened(&brief.title);
    brief.summary = shortened(&brief.summary);
    brief.changes.truncate(listed);
    brief.evidence.truncate(listed);
    for term in &mut brief.evidence {
        term.text = shortened(&term.text);
    }
    for woken in &mut brief.contributing {
        woken.title = shortened(&woken.title);
    }
    brief
}

fn other(suspect: &Suspect) -> Other<'_> {
    let Suspect { change, title, probability, .. } = suspect;
    Other { change, title: shortened(title), probability: *probability }
}

fn brief(cleared: &Cleared, listed: usize) -> Cleared {
    let mut brief = cleared.clone();
    brief.title = shortened(&brief.title);
    brief.reason = shortened(&brief.reason);
    brief.changes.truncate(listed);
    brief
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
