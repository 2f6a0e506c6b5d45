//! What people say moves probabilities: by a bounded term with a reason, in any order of arrival, and
//! until it is taken back.

use proptest::sample::{Index, select};

use super::*;
use crate::event::{Feedback, Verdict};

/// That somebody says this of a change and the incident that begins with this alert of production.
fn says(
    (author, verdict): (&str, Verdict),
    change: &str,
    incident: &Incident,
    minute: i64,
) -> Event {
    Event::Feedback(Feedback {
        at: at(minute),
        at_assumed: false,
        incident: incident.first_alert.0.clone(),
        labels: incident.families[0].labels(),
        change: ChangeId(change.to_owned()),
        verdict,
        text: None,
        author: Some(author.to_owned()),
    })
}

const YES: Verdict = Verdict::Cause;
const NO: Verdict = Verdict::NotCause;

/// Two deploys that may both have broken the shop.
fn doubtful() -> Vec<Event> {
    [
        Changed::deploy("api", "api", 600).events(),
        Changed::deploy("shop", "shop", 596).events(),
        fired("Errors5xx", "shop", 610, None),
    ]
    .concat()
}

/// The incident once these things were said of it, by minute.
fn judged(events: &[Event], said: &[(&str, Verdict, &str, i64)]) -> Incident {
    judged_by(&model(), events, said)
}

fn judged_by(model: &Model, events: &[Event], said: &[(&str, Verdict, &str, i64)]) -> Incident {
    let before = first_incident(model, events, 650);
    let said = said.iter().map(|(author, verdict, change, minute)| {
        says((author, *verdict), change, &before, *minute)
    });
    let events: Vec<_> = events.iter().cloned().chain(said).collect();
    first_incident(model, &events, 650)
}

/// How probable it is that it was this change, suspected or cleared.
fn probability(incident: &Incident, id: &str) -> f64 {
    let cleared = incident.cleared.iter().find(|one| one.changes.iter().any(|one| one.0 == id));
    let suspected = suspect(incident, id).map(|(_, probability)| probability);
    suspected.or(cleared.map(|one| one.probability)).unwrap_or_default()
}

fn term(incident: &Incident, id: &str, kind: Term) -> Option<(f64, String)> {
    let suspect = incident.suspects.iter().find(|one| one.change.0 == id)?;
    let term = suspect.evidence.iter().find(|term| term.kind == kind)?;
    Some((term.nats, term.text.clone()))
}

#[test]
fn who_confirms_raises_and_who_clears_lowers() {
    let before = judged(&doubtful(), &[]);
    let doubted = before.suspects[0].change.0.clone();
    let other = if doubted == "api" { "shop" } else { "api" };

    let confirmed = judged(&doubtful(), &[("ann", YES, other, 620)]);
    assert!(probability(&confirmed, other) > probability(&before, other) + 0.1, "{confirmed:#?}");
    assert_eq!(suspect(&confirmed, other).map(|(rank, _)| rank), Some(1));
    let (nats, text) = term(&confirmed, other, Term::Feedback).expect("a term");
    assert_eq!((nats, text.as_str()), (4.6, "confirmed by ann at 10:20 UTC"));
    assert!(confirmed.headline.ends_with(", confirmed by ann at 10:20 UTC"), "{confirmed:#?}");
    assert!(confirmed.suspects[0].summary.ends_with("; confirmed by ann at 10:20 UTC"));

    let acquitted = judged(&doubtful(), &[("bob", NO, &doubted, 621)]);
    assert!(probability(&acquitted, &doubted) < probability(&before, &doubted) - 0.1);
    let cleared = acquitted.cleared.iter().find(|one| one.change.0 == doubted);
    let reason = cleared.map(|one| one.reason.as_str());
    assert_eq!(reason, Some("cleared by bob at 10:21 UTC"), "{acquitted:#?}");
}

#[test]
fn a_person_is_believed_and_not_blindly() {
    // Nothing ties the blog to the shop.
    let events = [doubtful(), Changed::deploy("blog", "blog", 340).events()].concat();
    let one = judged(&events, &[("ann", YES, "blog", 620)]);
    assert!(probability(&one, "blog") < 0.8, "{one:#?}");
    let many: Vec<_> =
        ["ann", "bob", "eve", "joe", "kim"].map(|who| (who, YES, "blog", 620)).into();
    let (nats, text) = term(&judged(&events, &many), "blog", Term::Feedback).expect("a term");
    assert!((nats - 6.0).abs() < 1e-9, "{nats}");
    assert!(text.ends_with("eve at 10:20 UTC, 2 more"), "{text}");
}

#[test]
fn the_last_word_of_each_person_counts() {
    let twice = [("ann", NO, "api", 620), ("ann", YES, "api", 630)];
    let once = judged(&doubtful(), &twice[1..]);
    assert_eq!(judged(&doubtful(), &twice), once);
    let [first, last] = twice;
    assert_eq!(judged(&doubtful(), &[last, first]), once, "the order of arrival decides nothing");
    let apart = judged(&doubtful(), &[("ann", NO, "api", 620), ("bob", YES, "api", 630)]);
    let nobody = judged(&doubtful(), &[]);
    assert_eq!(suspects(&apart), suspects(&nobody), "as many say the one as say the other");
}

#[test]
fn what_is_taken_back_was_never_said() {
    let back = [("ann", YES, "api", 620), ("ann", Verdict::Withdrawn, "api", 630)];
    assert_eq!(judged(&doubtful(), &back), judged(&doubtful(), &[]));
}

#[test]
fn one_setting_turns_it_off() {
    let mut model = model();
    model.settings.learn = false;
    let said = [("ann", YES, "api", 620)];
    assert_eq!(judged_by(&model, &doubtful(), &said), judged_by(&model, &doubtful(), &[]));
}

#[test]
fn what_somebody_confirms_is_no_response() {
    let events = [
        Changed::deploy("shop", "shop", 600).events(),
        fired("Errors5xx", "shop", 610, None),
        Changed::deploy("late", "shop", 620).events(),
    ]
    .concat();
    assert_eq!(judged(&events, &[]).responses, [ChangeId("late".to_owned())]);
    assert_eq!(judged(&events, &[("ann", YES, "late", 640)]).responses, []);
}

#[test]
fn an_earlier_alert_of_the_same_symptom_does_not_lose_what_was_said() {
    let events = doubtful();
    let said = says(("ann", YES), "api", &first_incident(&model(), &events, 650), 620);
    let earlier = fired_with(
        labels(&[
            ("alertname", "Errors5xx"),
            ("service", "shop"),
            ("environment", "production"),
            ("pod", "first"),
        ]),
        608,
        None,
    );
    let incident = first_incident(&model(), &[events, earlier, vec![said]].concat(), 650);
    assert!(term(&incident, "api", Term::Feedback).is_some(), "{incident:#?}");
}

#[test]
fn only_the_incident_that_it_is_said_of_is_decided_again() {
    let model = model();
    let events = [doubtful(), fired("Down", "blog", 400, Some(20))].concat();
    let mut window = Window::new(Time::MIN_UTC);
    for event in &events {
        window.absorb(&model, event.id(), event.clone());
    }
    let incidents = window.advance(&model).incidents;
    assert_eq!(incidents.len(), 2);
    let said = says(("ann", YES), "api", &incidents[1], 620);
    window.absorb(&model, said.id(), said.clone());
    let news = window.advance(&model);
    let told: Vec<_> = news.incidents.iter().map(|one| &one.id).collect();
    assert_eq!(told, [&incidents[1].id]);
    // Heard again it is not new.
    window.absorb(&model, said.id(), said);
    assert!(window.advance(&model).incidents.is_empty());
}

/// The same deploys broke the shop two days in a row; of the first day's somebody said this.
fn next_day(said: &[(&str, Verdict)]) -> Incident {
    let day = 24 * 60;
    let second = [
        Changed::deploy("api-2", "api", day + 600).events(),
        Changed::deploy("shop-2", "shop", day + 596).events(),
        fired("Errors5xx", "shop", day + 610, None),
    ];
    let first = [
        Changed::deploy("api", "api", 600).events(),
        Changed::deploy("shop", "shop", 596).events(),
        fired("Errors5xx", "shop", 610, Some(30)),
    ];
    let events = [first.concat(), second.concat()].concat();
    let before = first_incident(&model(), &events, 700);
    let said = said.iter().map(|(who, verdict)| says((who, *verdict), "api", &before, 690));
    let events: Vec<_> = events.iter().cloned().chain(said).collect();
    assess(&model(), &events, at(day + 650)).incidents.pop().expect("an incident")
}

#[test]
fn later_incidents_are_taught_by_what_was_said_of_earlier_ones() {
    let before = next_day(&[]);
    assert_eq!(term(&before, "api-2", Term::Taught), None);
    let confirmed = next_day(&[("ann", YES)]);
    let (nats, text) = term(&confirmed, "api-2", Term::Taught).expect("a term");
    assert!((nats - 0.693).abs() < 1e-9, "one more than the one that is assumed: {nats}");
    assert_eq!(
        text,
        "people judged such changes in earlier incidents that began with Errors5xx: the cause 1 \
         time, not the cause 0 times"
    );
    assert!(probability(&confirmed, "api-2") > probability(&before, "api-2"));
    assert_eq!(term(&confirmed, "shop-2", Term::Taught), None, "nobody spoke of it");
    assert_eq!(term(&confirmed, "api-2", Term::Feedback), None, "it was said of another incident");

    assert_eq!(next_day(&[("ann", YES), ("bob", YES)]), confirmed, "it was one incident");
    assert!(probability(&next_day(&[("ann", NO)]), "api-2") < probability(&before, "api-2"));
    let back = [("ann", YES), ("ann", Verdict::Withdrawn)];
    assert!([before.clone(), confirmed].contains(&next_day(&back)));
    assert_eq!(next_day(&[("ann", YES), ("bob", NO)]), before, "as many say the one as the other");
}

prop_compose! {
    /// Something that is said at some time after the first alert of some incident.
    fn words()(
        author in select(&["ann", "bob"][..]),
        verdict in select(&Verdict::ALL[..]),
        incident in any::<Index>(),
        change in 0..40_u32,
        minutes in 0..600_i64,
    ) -> (&'static str, Verdict, Index, u32, i64) {
        (author, verdict, incident, change, minutes)
    }
}

/// The same as events, of the incidents that there are without them.
fn spoken(events: &[Event], words: &[(&str, Verdict, Index, u32, i64)]) -> Vec<Event> {
    let incidents = assess(&model(), events, at(2_800)).incidents;
    let spoken = words.iter().map(|(author, verdict, incident, change, minutes)| {
        let incident = incident.get(&incidents);
        let minute = (incident.started_at - at(0)).num_minutes() + minutes;
        says((author, *verdict), &format!("c{change}"), incident, minute)
    });
    spoken.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_is_said_comes_in_any_order_and_batches(
        (events, shuffled) in worlds(),
        words in vec(words(), 1..12),
        places in vec(any::<Index>(), 12),
        cuts in proptest::collection::btree_set(0..60_usize, 0..12),
    ) {
        let model = model();
        let spoken = spoken(&events, &words);
        let ordered = [events.clone(), spoken.clone()].concat();
        let mut mixed = shuffled;
        for (said, place) in spoken.into_iter().zip(&places) {
            mixed.insert(place.index(mixed.len() + 1), said);
        }
        prop_assert_eq!(
            told_in_batches(&model, &mixed, &cuts),
            told_in_batches(&model, &ordered, &BTreeSet::new())
        );
        prop_assert_eq!(
            assess(&model, &mixed, at(2_800)),
            assess(&model, &ordered, at(2_800))
        );
    }

    #[test]
    fn what_is_taken_back_leaves_nothing(
        (events, _) in worlds(),
        words in vec(words(), 1..12),
    ) {
        let spoken = spoken(&events, &words);
        // All of it within a minute, so that nothing is decided in between.
        let back = spoken.iter().cloned().filter_map(|event| match event {
            Event::Feedback(said) => Some(Event::Feedback(Feedback {
                verdict: Verdict::Withdrawn,
                at: said.at + TimeDelta::microseconds(1),
                ..said
            })),
            Event::Change(_) | Event::Alert(_) | Event::Note(_) => None,
        });
        let all: Vec<_> = events.iter().cloned().chain(spoken.iter().cloned()).chain(back).collect();
        let model = model();
        prop_assert_eq!(
            assess(&model, &all, at(2_800)).incidents,
            assess(&model, &events, at(2_800)).incidents
        );
    }

    #[test]
    fn whatever_is_said_numbers_have_reasons_that_add_up(
        (events, _) in worlds(),
        words in vec(words(), 1..12),
    ) {
        let events = [events.clone(), spoken(&events, &words)].concat();
        for suspect in assess(&model(), &events, at(2_800)).incidents.iter().flat_map(|one| &one.suspects) {
            let sum: f64 = suspect.evidence.iter().map(|term| term.nats).sum();
            prop_assert!((sum - suspect.log_odds).abs() < 1e-9, "{:?}", suspect);
            let said = suspect.evidence.iter().filter(|term| term.kind == Term::Feedback);
            prop_assert!(said.map(|term| term.nats.abs()).sum::<f64>() <= 6.0);
        }
    }
}
