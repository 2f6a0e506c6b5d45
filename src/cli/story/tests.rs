use super::{post::describe, watch::Watch, *};
use crate::{
    cli::demo::FOUNDING_INCIDENT,
    config::Config,
    correlate::assess,
    event::parse_time,
    replay::catalog,
    wire::case::{Case, posts},
};

fn founding() -> Case {
    Case::parse(FOUNDING_INCIDENT.as_bytes()).unwrap()
}

fn time(text: &str) -> Time {
    parse_time(&format!("2023-02-23T{text}:00Z")).unwrap()
}

#[test]
fn every_post_of_the_founding_incident_has_its_words() {
    let case = founding();
    let posts = posts(&case);
    let told: Vec<_> = posts
        .iter()
        .flat_map(|post| describe(post).unwrap().into_iter().map(|what| (post.at, what)))
        .collect();
    for (at, what) in [
        ("13:21", "started   Remove legacy node groups, node-groups (staging)"),
        ("13:58", "succeeded Remove legacy node groups, node-groups (production)"),
        ("15:06", "ALERT     KarpenterErrorLogs, karpenter (staging)"),
        ("19:35", "failed    Hotfix Karpenter provisioner, karpenter (staging)"),
        ("20:36", "note      User impact is over"),
        ("21:30", "resolved  KarpenterErrorRateHigh, karpenter (production)"),
    ] {
        assert!(told.contains(&(time(at), what.to_owned())), "{at} {what} is not in {told:#?}");
    }
    assert!(posts.iter().all(|post| !describe(post).unwrap().is_empty()));
}

#[test]
fn news_are_told_once_and_a_moved_probability_is_none() {
    let case = founding();
    let mut model = Config::default().model;
    model.catalog = catalog(&case);
    let mut watch = Watch::default();
    let mut news = |at| -> Vec<String> {
        let known = assess(&model, case.events.iter().cloned(), time(at));
        known.incidents.iter().flat_map(|incident| watch.news(incident)).collect()
    };

    assert_eq!(news("15:00"), Vec::<String>::new());
    let first = news("15:07");
    assert!(first.iter().any(|line| line.contains("Remove legacy node groups")), "{first:#?}");
    assert_eq!(news("15:08"), Vec::<String>::new());
    let later = news("19:30");
    let excused = |line: &String| line.starts_with("cleared  api 2023.2.23-2: ");
    assert!(later.iter().any(excused), "{later:#?}");
    assert!(!news("19:50").iter().any(excused));
}

#[test]
fn the_story_keeps_its_proportions_at_any_speed() {
    let (first, later) = (time("13:00"), time("14:00"));
    assert_eq!(due(later, first, 3600), Duration::from_secs(1));
    assert_eq!(due(first, first, 3600), Duration::ZERO);
    assert_eq!(due(later, first, 0), Duration::ZERO);
}
