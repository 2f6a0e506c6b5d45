//! How answers, times, chances and lists are written for people: on the page, in pictures, on the
//! command line and in the post-mortem alike.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::{
    correlate::{Answer, Contributing, Evidence, Incident, Suspect, Term},
    duration::say_duration,
    event::{Change, ChangeId, Labels, Time},
};

/// The answer in a word, and what there is to say to it in one line.
pub fn answer(incident: &Incident) -> (&'static str, String) {
    let first = incident.suspects.first().map(|suspect| {
        let probability = say_probability(suspect.probability);
        let distance = say_distance(suspect.started_at, incident.started_at);
        format!("{}  {probability}  {distance}", suspect.title)
    });
    match (incident.answer, first) {
        (Answer::Likely, Some(first)) => ("LIKELY", first),
        (Answer::Suspects, Some(first)) => match incident.suspects.len() - 1 {
            0 => ("SUSPECT", first),
            more => ("SUSPECTS", format!("{first}, and {more} more")),
        },
        (Answer::None, _) => {
            let probability = say_probability(incident.none_probability);
            ("NO CHANGE", format!("no recorded change explains these alerts  {probability}"))
        }
        (Answer::Unknown | Answer::Likely | Answer::Suspects, _) => (
            "UNKNOWN",
            "too little was heard to say whether a change caused these alerts".to_owned(),
        ),
    }
}

/// What a suspect did where: `infrastructure delete of node-groups (production, staging)`.
pub fn say_act(suspect: &Suspect, changes: &BTreeMap<ChangeId, Change>) -> String {
    let mut place = Labels::default();
    for change in suspect.changes.iter().filter_map(|id| changes.get(id)) {
        place.extend(change.scope.labels());
    }
    match say_place_of(&place) {
        place if place.is_empty() => format!("{} {}", suspect.kind, suspect.action),
        place => format!("{} {} of {place}", suspect.kind, suspect.action),
    }
}

/// The terms of a suspect's evidence as rows: nats, which term it is, and why. What is said again,
/// as by a rule of each symptom that it is about, is not written again.
pub fn say_evidence(evidence: &[Evidence]) -> Vec<[String; 3]> {
    let mut said = BTreeSet::new();
    let row = |term: &Evidence| {
        let text = if said.insert(term.text.clone()) { term.text.as_str() } else { "(the same)" };
        [format!("{:+.3}", term.nats), say_term(term.kind).to_owned(), text.to_owned()]
    };
    evidence.iter().map(row).collect()
}

/// What a suspect may have brought into effect: `may have brought into effect: Raise limits (…)`.
pub fn say_contributing(woken: &Contributing) -> String {
    format!("may have brought into effect: {} ({})", woken.title, woken.reason)
}

/// What a term of evidence is about, in a word.
pub const fn say_term(term: Term) -> &'static str {
    match term {
        Term::Prior => "prior",
        Term::Lag => "lag",
        Term::Scope => "scope",
        Term::Rule => "rule",
        Term::Words => "words",
        Term::Blamed => "blamed",
        Term::Repeat => "repeat",
        Term::Learned => "learned",
        Term::Exoneration => "exoneration",
        Term::Taught => "taught",
        Term::Direct => "direct",
        Term::Calibration => "calibration",
        Term::Feedback => "feedback",
    }
}

/// Writes the times of one story: the day only where it is another one than the story's first, and
/// seconds only where some time of the story has any.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    day: NaiveDate,
    seconds: bool,
}

impl Clock {
    /// The clock for a story that begins on the day of `first` and has these times.
    pub fn new(first: Time, times: impl IntoIterator<Item = Time>) -> Self {
        let seconds = times.into_iter().chain([first]).any(|time| time.timestamp() % 60 != 0);
        Self { day: first.date_naive(), seconds }
    }

    /// `15:06`, `15:06:12`, or `02-24 15:06` on another day.
    pub fn show(self, time: Time) -> String {
        let clock = if self.seconds { "%H:%M:%S" } else { "%H:%M" };
        if time.date_naive() == self.day {
            time.format(clock).to_string()
        } else {
            time.format(&format!("%m-%d {clock}")).to_string()
        }
    }

    /// `13:21 to 13:58`, `13:21` for a moment, `since 13:21` for what goes on.
    pub fn show_span(self, from: Time, to: Option<Time>) -> String {
        match to {
            None => format!("since {}", self.show(from)),
            Some(to) if to == from => self.show(from),
            Some(to) => format!("{} to {}", self.show(from), self.show(to)),
        }
    }
}

/// `2023-02-23 15:06 UTC`.
pub fn show_moment(time: Time) -> String {
    let form =
        if time.timestamp() % 60 == 0 { "%Y-%m-%d %H:%M UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    time.format(form).to_string()
}

/// `1 h 45 min before the first alert`.
pub fn say_distance(change: Time, first_alert: Time) -> String {
    let before = first_alert - change;
    if before.num_seconds() == 0 {
        "with the first alert".to_owned()
    } else if before > chrono::TimeDelta::zero() {
        format!("{} before the first alert", say_duration(before))
    } else {
        format!("{} after the first alert", say_duration(-before))
    }
}

/// `98 %`; what is nearly nothing or nearly all is not rounded to it.
pub fn say_probability(probability: f64) -> String {
    let percent = (probability * 100.0).round();
    if percent < 1.0 {
        "<1 %".to_owned()
    } else if percent > 99.0 {
        ">99 %".to_owned()
    } else {
        format!("{percent} %")
    }
}

/// `14 min`, or a dash for none at all.
pub fn say_seconds(seconds: i64) -> String {
    if seconds == 0 { "-".to_owned() } else { say_duration(chrono::TimeDelta::seconds(seconds)) }
}

/// `node-groups (production, staging)`: where something is, as far as it is known.
pub fn say_place(services: &[String], environments: &[String]) -> String {
    match (services.join(", "), environments.join(", ")) {
        (services, environments) if environments.is_empty() => services,
        (services, environments) if services.is_empty() => environments,
        (services, environments) => format!("{services} ({environments})"),
    }
}

/// The same of labels.
pub fn say_place_of(labels: &Labels) -> String {
    let values = |name| labels.values(name).map(str::to_owned).collect::<Vec<_>>();
    say_place(&values("service"), &values("environment"))
}

/// `1 alert`, `2 alerts`.
pub fn say_count(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
