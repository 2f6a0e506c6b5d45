use std::{fs, path::Path};

use serde::Deserialize;

use super::*;
use crate::{
    correlate::{Family, FamilyKey, Head, Incident},
    event::{Mapping, Time, parse_time},
    say::*,
    timeline,
};

/// A hand-made incident, and the changes that it names.
#[derive(Deserialize)]
struct Made {
    incident: Incident,
    changes: Vec<Change>,
}

fn made(name: &str) -> Made {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cli").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn time(text: &str) -> Time {
    parse_time(text).unwrap()
}

/// Compares with the whole file; `UPDATE=1` writes it instead.
fn assert_golden(name: &str, page: Page) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cli").join(name);
    let text = anstream::adapter::strip_str(&page.into_text()).to_string();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} differs:\n{text}\n(UPDATE=1 writes it)");
}

fn incident_page(name: &str, width: u16, as_of: &str) -> Page {
    let Made { incident: told, changes } = made(name);
    let changes = changes.into_iter().map(|change| (change.id.clone(), change)).collect();
    let hints = [(format!("antecede timeline {}", told.id), "what happened, line by line")];
    let mut page = Page::new(width);
    incident(&mut page, &told, &changes, time(as_of), &hints);
    page
}

#[test]
fn a_likely_cause_is_told_with_its_reasons() {
    assert_golden("likely.txt", incident_page("likely.json", 100, "2023-02-23T20:36:00Z"));
}

#[test]
fn a_narrow_terminal_gets_it_all() {
    assert_golden("likely-narrow.txt", incident_page("likely.json", 60, "2023-02-23T20:36:00Z"));
}

#[test]
fn several_suspects_over_midnight_to_the_second() {
    assert_golden("suspects.txt", incident_page("suspects.json", 100, "2024-01-02T01:00:00Z"));
}

#[test]
fn no_change_is_an_answer() {
    assert_golden("none.txt", incident_page("none.json", 100, "2024-01-03T00:00:00Z"));
}

#[test]
fn incidents_are_listed_with_their_answers() {
    let list = ["none.json", "suspects.json", "likely.json"].map(|name| made(name).incident);
    let mut page = Page::new(100);
    incidents(&mut page, &list);
    assert_golden("incidents.txt", page);
}

#[test]
fn a_timeline_says_when_what_and_what_for() {
    let Made { incident, changes } = made("likely.json");
    let note = serde_json::from_str(
        r#"{"at": "2023-02-23T20:10:00Z", "text": "Support says it is down", "author": "ana"}"#,
    )
    .unwrap();
    let labels = [
        ("alertname", "KarpenterErrorLogs"),
        ("severity", "warning"),
        ("service", "karpenter"),
        ("environment", "staging"),
    ];
    let labels = labels.into_iter().collect();
    let starts_at = time("2023-02-23T15:06:00Z");
    let symptom = Family {
        key: FamilyKey::of(&labels, &Mapping::default()).into(),
        head: Head {
            labels,
            summary: Some("Karpenter is logging errors".to_owned()),
            ..Head::default()
        },
        onset_from: starts_at,
        onset_to: starts_at,
        starts_at,
        ends_at: Some(time("2023-02-24T01:50:00Z")),
        expected: false,
        episodes: 1,
    };
    let entries =
        timeline::entries(&incident, &[symptom], &changes, &[note], time("2023-02-24T02:00:00Z"));
    let mut page = Page::new(100);
    timeline(&mut page, &entries);
    assert_golden("timeline.txt", page);
}

#[test]
fn nothing_that_arrived_steers_the_terminal() {
    let mut page = Page::new(80);
    page.strong("a\u{1b}[2J", "\rb");
    page.columns(0, &[Column::Left], [vec!["c\u{7}\nd".to_owned()]]);
    let text = anstream::adapter::strip_str(&page.into_text()).to_string();
    assert_eq!(text, "a [2J   b\nc  d\n");
}

#[test]
fn probabilities_are_never_rounded_to_certainty() {
    for (probability, said) in
        [(0.0, "<1 %"), (0.004, "<1 %"), (0.01, "1 %"), (0.976, "98 %"), (0.999, ">99 %")]
    {
        assert_eq!(say_probability(probability), said);
    }
}

#[test]
fn distances_say_on_which_side() {
    let first = time("2023-02-23T15:06:00Z");
    let said = |text| say_distance(time(text), first);
    assert_eq!(said("2023-02-23T13:21:00Z"), "1 h 45 min before the first alert");
    assert_eq!(said("2023-02-23T15:10:00Z"), "4 min after the first alert");
    assert_eq!(said("2023-02-23T15:06:00Z"), "with the first alert");
}
