//! The laws of pictures: nothing is drawn over anything, nothing is lost without being counted, and
//! what is drawn is whole.

use chrono::TimeDelta;
use proptest::{collection::vec, option, prelude::*};

use super::{svg::escaped, *};
use crate::{
    event::{ChangeId, EpisodeId, Status, parse_time},
    timeline::Role,
};

fn at(minute: i64) -> Time {
    parse_time("2023-02-23T12:00:00Z").unwrap() + TimeDelta::minutes(minute)
}

fn entry(kind: EntryKind, minute: i64, title: &str, place: &str) -> Entry {
    let json = serde_json::json!({
        "at": at(minute), "kind": kind, "title": title, "role": "context",
        "services": [place], "environments": [],
    });
    serde_json::from_value(json).unwrap()
}

/// An alert or a change: where, when, for how long, and what it is called.
fn things() -> impl Strategy<Value = Vec<Entry>> {
    let thing = (any::<bool>(), 0..4_u8, 0..600_i64, option::of(0..300_i64), "[a-zA-Z ]{0,60}");
    vec(thing, 0..30).prop_map(|things| {
        let lines = things.into_iter().enumerate().flat_map(|(n, thing)| {
            let (is_alert, place, start, lasts, title) = thing;
            let place = format!("service-{place}");
            let line = |kind, minute| {
                let mut line = entry(kind, minute, &title, &place);
                if is_alert {
                    line.alert = Some(EpisodeId(format!("a{n}")));
                    line.role = Role::Symptom;
                    line.onset_from = Some(at(start - 15));
                } else {
                    line.change = Some(ChangeId(format!("c{n}")));
                    line.status = Some(Status::Succeeded);
                }
                line
            };
            let (begins, ends) = if is_alert {
                (EntryKind::AlertFiring, EntryKind::AlertResolved)
            } else {
                (EntryKind::ChangeStarted, EntryKind::ChangeFinished)
            };
            let end = lasts.map(|lasts| line(ends, start + lasts));
            [Some(line(begins, start)), end]
        });
        let mut lines: Vec<_> = lines.flatten().collect();
        lines.sort_by_key(|line| line.at);
        lines
    })
}

fn sheets() -> impl Strategy<Value = Sheet> {
    prop_oneof![Just(Sheet::WIDE), Just(Sheet::NARROW), (50..120_u16).prop_map(Sheet::columns)]
}

proptest! {
    #[test]
    fn marks_of_one_row_do_not_touch(entries in things(), sheet in sheets()) {
        let picture = picture(&entries, Range::default(), at(700), &sheet);
        for lane in &picture.lanes {
            for row in 0..lane.rows {
                let mut marks: Vec<_> = lane.marks.iter().filter(|one| one.row == row).collect();
                marks.sort_by(|a, b| a.onset_x.total_cmp(&b.onset_x));
                for pair in marks.windows(2) {
                    prop_assert!(pair[0].right <= pair[1].onset_x, "{pair:#?}");
                }
            }
            prop_assert!(lane.rows <= sheet.rows_max);
        }
        prop_assert!(picture.lanes.len() <= sheet.lanes_max);
    }

    #[test]
    fn everything_is_drawn_or_counted(entries in things(), sheet in sheets()) {
        let begun = entries.iter().filter(|entry| {
            matches!(entry.kind, EntryKind::AlertFiring | EntryKind::ChangeStarted)
        });
        let picture = picture(&entries, Range::default(), at(1_000), &sheet);
        let drawn: usize = picture.lanes.iter().map(|lane| lane.marks.len() + lane.more).sum();
        prop_assert_eq!(drawn + picture.more, begun.count());
    }

    #[test]
    fn everything_is_on_the_sheet(entries in things(), sheet in sheets()) {
        let picture = picture(&entries, Range::default(), at(700), &sheet);
        for one in picture.lanes.iter().flat_map(|lane| &lane.marks) {
            prop_assert!(sheet.gutter <= one.onset_x && one.onset_x <= one.left, "{one:#?}");
            prop_assert!(one.left < one.right && one.right <= sheet.width + 1e-9, "{one:#?}");
            let label = u32::try_from(one.label.chars().count()).unwrap();
            let end = one.label_x + f64::from(label) * sheet.character;
            prop_assert!(end <= sheet.width + sheet.character, "{one:#?}");
        }
    }

    #[test]
    fn what_is_drawn_is_well_formed(title in any::<String>(), place in any::<String>()) {
        let entries = [entry(EntryKind::Note, 5, &title, &place)];
        let picture = picture(&entries, Range::default(), at(10), &Sheet::WIDE);
        for alone in [true, false] {
            let drawn = svg(&picture, &Sheet::WIDE, "p", alone);
            assert_well_formed(&drawn);
        }
        let columns = Sheet::columns(80);
        let drawn = text(&super::picture(&entries, Range::default(), at(10), &columns), &columns);
        prop_assert!(drawn.lines().all(|line| line.chars().count() <= 90), "{drawn}");
        prop_assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'));
    }
}

/// Each tag that is opened is closed, in order; nothing between them is markup.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for piece in xml.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap_or_else(|| panic!("no > in {piece}"));
        assert!(!rest.contains('>') || rest.starts_with('\n') || rest.contains('{'), "{piece}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "{xml}"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap().to_owned()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_beginning_and_its_end_are_one_mark() {
    let mut fires = entry(EntryKind::AlertFiring, 0, "Down", "api");
    fires.alert = Some(EpisodeId("a".to_owned()));
    let ends = Entry { kind: EntryKind::AlertResolved, at: at(30), ..fires.clone() };
    let whole = picture(&[fires.clone(), ends], Range::default(), at(60), &Sheet::WIDE);
    let mark = &whole.lanes[0].marks[0].mark;
    assert_eq!((mark.from, mark.to, mark.open), (at(0), at(30), false));
    let running = picture(&[fires], Range::default(), at(60), &Sheet::WIDE);
    let mark = &running.lanes[0].marks[0].mark;
    assert_eq!((mark.from, mark.to, mark.open), (at(0), at(60), true));
    assert_eq!(running.to, at(60), "what goes on reaches to the edge");
}

#[test]
fn a_range_shows_what_reaches_into_it() {
    let note = |minute: i64| entry(EntryKind::Note, minute, "seen", "api");
    let entries = [note(0), note(10), note(20)];
    let range = Range { from: Some(at(5)), to: Some(at(15)) };
    let part = picture(&entries, range, at(60), &Sheet::WIDE);
    assert_eq!(part.lanes[0].marks.len(), 1);
    assert_eq!((part.from, part.to), (at(5), at(15)));
}

#[test]
fn times_along_the_edge_are_those_of_a_clock() {
    let entries = [entry(EntryKind::Note, 0, "a", "api"), entry(EntryKind::Note, 600, "b", "api")];
    let drawn =
        svg(&picture(&entries, Range::default(), at(600), &Sheet::WIDE), &Sheet::WIDE, "p", false);
    for hour in ["12:00", "15:00", "21:00"] {
        assert!(drawn.contains(&format!(">{hour}</text>")), "{hour}: {drawn}");
    }
}

#[test]
fn times_along_the_edge_do_not_run_into_each_other_however_long_it_is() {
    for days in [1, 10, 100, 1_000, 5_000] {
        let entries = [
            entry(EntryKind::Note, 0, "a", "api"),
            entry(EntryKind::Note, days * 1_440, "b", "api"),
        ];
        let whole = picture(&entries, Range::default(), at(days * 1_440), &Sheet::WIDE);
        let drawn = svg(&whole, &Sheet::WIDE, "p", false);
        let named = drawn.matches(r#"class="time""#).count();
        assert!((1..=13).contains(&named), "{days} days: {named} times");
    }
}

#[test]
fn a_gap_is_drawn_over_its_time() {
    let gap = |lasted| {
        let mut gap = entry(EntryKind::Gap, 10, "not heard from terraform", "");
        gap.lasted_seconds = lasted;
        [entry(EntryKind::Note, 0, "a", "api"), gap, entry(EntryKind::Note, 60, "b", "api")]
    };
    let drawn = |lasted| picture(&gap(lasted), Range::default(), at(60), &Sheet::WIDE);
    let over = drawn(Some(600));
    assert_eq!(over.gaps, [(at(10), at(20), "not heard from terraform".to_owned())]);
    assert_eq!(drawn(None).gaps[0].1, at(60), "one that lasts reaches to now");
    let ink = svg(&over, &Sheet::WIDE, "p", false);
    assert!(ink.contains(r#"<rect class="gap""#), "{ink}");
    assert!(ink.contains("<title>not heard from terraform</title>"), "{ink}");
}

#[test]
fn no_character_is_markup() {
    assert_eq!(escaped("<a b='\"'>&\u{1}"), "&lt;a b=&#39;&quot;&#39;&gt;&amp; ");
}
