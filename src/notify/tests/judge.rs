use proptest::prelude::*;

use super::{
    super::{
        Settings,
        judge::{News, Standing, Turn, news, turn},
    },
    *,
};

#[test]
fn a_person_is_told_of_a_first_suspect_and_of_what_changes_about_it() {
    let nothing = || Claim::Nothing;
    for (told, now, still, expected) in [
        (nothing(), nothing(), false, None),
        (nothing(), suspected(&["a"]), false, Some(News::Suspected)),
        (nothing(), likely(&["a"]), false, Some(News::Likely)),
        (suspected(&["a"]), likely(&["a"]), true, Some(News::Likely)),
        (suspected(&["a"]), likely(&["b"]), false, Some(News::Likely)),
        (suspected(&["a"]), suspected(&["a"]), true, None),
        // Second place is still suspected: that the order changed wakes nobody.
        (suspected(&["a"]), suspected(&["b"]), true, None),
        (suspected(&["a"]), suspected(&["b"]), false, Some(News::Changed)),
        (suspected(&["a"]), nothing(), false, Some(News::Cleared)),
        (likely(&["a"]), likely(&["a"]), true, None),
        // The set has grown by the other environment's half.
        (likely(&["a"]), likely(&["a", "b"]), true, None),
        (likely(&["a"]), likely(&["b"]), true, Some(News::Changed)),
        (likely(&["a"]), suspected(&["b"]), true, Some(News::Doubted)),
        (likely(&["a"]), suspected(&["b"]), false, Some(News::Changed)),
        (likely(&["a"]), nothing(), false, Some(News::Cleared)),
    ] {
        assert_eq!(news(&told, &now, still), expected, "{told:?} -> {now:?}, {still}");
    }
}

fn standing(notices: u32, since: i64, last_alert: i64) -> Standing {
    Standing { notices, since: at(since), last_alert: at(last_alert) }
}

#[test]
fn news_settles_first_and_longer_each_time() {
    let settings = Settings::default();
    assert_eq!(turn(&settings, standing(0, 0, 0), at(29)), Turn::At(at(30)));
    assert_eq!(turn(&settings, standing(0, 0, 0), at(30)), Turn::Now);
    assert_eq!(turn(&settings, standing(3, 100, 0), at(339)), Turn::At(at(340)));
    assert_eq!(turn(&settings, standing(3, 100, 0), at(340)), Turn::Now);
    let day = Turn::At(at(86_400));
    assert_eq!(turn(&settings, standing(u32::MAX, 0, 0), at(30)), day);
}

#[test]
fn an_incident_whose_last_alert_is_old_is_no_news() {
    let settings = Settings::default();
    assert_eq!(turn(&settings, standing(0, 0, 0), at(3600)), Turn::Now);
    assert_eq!(turn(&settings, standing(0, 0, 0), at(3601)), Turn::Never);
    assert_eq!(turn(&settings, standing(0, 3601, 0), at(3601)), Turn::Never);
}

fn claims() -> impl Strategy<Value = Claim> {
    let changes = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        Just(Claim::Nothing),
        changes.clone().prop_map(|change| suspected(&[change])),
        changes.prop_map(|change| likely(&[change])),
    ]
}

/// Whether both name one change set.
fn same(one: &Claim, other: &Claim) -> bool {
    one.changes().is_some() && one.changes() == other.changes()
}

/// What people were told, and when, of an incident that says each of these for a minute.
fn told_of(said: &[Claim], settings: &Settings) -> Vec<(i64, Claim)> {
    let mut told: Vec<(i64, Claim)> = Vec::new();
    let mut since = None;
    for (second, claim) in (0..).zip(said.iter().flat_map(|claim| [claim; 60])) {
        let last = told.last().map_or(&Claim::Nothing, |(_, last)| last);
        if news(last, claim, same(last, claim)).is_none() {
            since = None;
            continue;
        }
        let since = *since.get_or_insert(second);
        let notices = u32::try_from(told.len()).unwrap();
        if turn(settings, standing(notices, since, second), at(second)) == Turn::Now {
            told.push((second, claim.clone()));
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_answer_that_swings_is_told_a_dozen_times_a_day_at_most(
        said in prop::collection::vec(claims(), 0..1440),
    ) {
        let told = told_of(&said, &Settings::default());
        prop_assert!(told.len() <= 12, "{told:#?}");
        for pair in told.windows(2) {
            prop_assert_ne!(&pair[0].1, &pair[1].1);
        }
    }

    #[test]
    fn what_stays_is_told_in_the_end(said in prop::collection::vec(claims(), 0..6), last in claims()) {
        let mut said = said;
        said.extend(std::iter::repeat_n(last.clone(), 120));
        let told = told_of(&said, &Settings::default());
        let known = told.last().map_or(&Claim::Nothing, |(_, claim)| claim);
        prop_assert_eq!(news(known, &last, same(known, &last)), None);
    }
}
