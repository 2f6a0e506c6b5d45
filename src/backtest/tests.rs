use chrono::TimeDelta;

use super::*;
use crate::{rules::RuleSet, wire::case::Case};

/// A service falls sick minutes after its deploy, and another change is nearer in time.
const TEXT: &str = r#"{
  "id": "shop", "class": "change",
  "catalog": [{"service": "shop", "tier": "service", "depends_on": []},
              {"service": "mail", "tier": "service", "depends_on": []}],
  "events": [
    {"type": "change", "id": "deploy", "started_at": "2024-05-14T10:00:00Z", "finished_at": "2024-05-14T10:02:00Z",
     "kind": "deploy", "action": "update", "service": "shop", "environment": "production", "title": "shop 2.0"},
    {"type": "change", "id": "mail", "started_at": "2024-05-14T10:05:00Z", "finished_at": "2024-05-14T10:06:00Z",
     "kind": "config", "action": "update", "service": "mail", "environment": "production", "title": "longer retries"},
    {"type": "alert", "id": "a1", "alertname": "ShopErrorRateHigh", "service": "shop", "environment": "production",
     "severity": "critical", "starts_at": "2024-05-14T10:08:00Z", "ends_at": "2024-05-14T10:30:00Z"},
    {"type": "alert", "id": "b1", "alertname": "DiskFull", "service": "mail", "environment": "production",
     "severity": "warning", "starts_at": "2024-05-14T04:00:00Z", "ends_at": "2024-05-14T04:10:00Z",
     "evidence": "background"}
  ],
  "truth": {"causes": ["deploy"]}
}"#;

fn subject(text: &str) -> Subject {
    let case = Case::parse(text.as_bytes()).unwrap();
    let truth = Truth::parse(text.as_bytes()).unwrap();
    Subject { name: case.id.clone(), case, truth }
}

fn model() -> Model {
    Model { rules: RuleSet::embedded(), ..Model::default() }
}

#[test]
fn the_guilty_change_is_ranked_for_the_product_and_for_each_simpler_way() {
    let trial = judge(&model(), &subject(TEXT), Moment::End);
    assert_eq!((trial.class.as_str(), trial.by_change, trial.latent), ("deploy", true, false));
    assert_eq!(trial.rank, Some(1));
    let ranks: Vec<_> = trial.baselines.iter().map(|(one, rank)| (one.word(), *rank)).collect();
    assert_eq!(ranks[0], ("most recent", Some(2)));
    assert_eq!(ranks[1], ("same service", Some(1)));
    assert_eq!((trial.gathered, trial.purity), (1.0, 1.0));
    assert_eq!(trial.strangers.0, 1, "the other alert is an incident of the noise");
    assert_eq!(trial.blamed_without_cause, Some(false));
}

#[test]
fn without_the_guilty_change_nobody_is_right_and_the_brier_score_says_so() {
    let innocent = TEXT.replace(r#"{"causes": ["deploy"]}"#, r#"{"causes": ["mail"]}"#);
    let (right, wrong) = (
        judge(&model(), &subject(TEXT), Moment::End),
        judge(&model(), &subject(&innocent), Moment::End),
    );
    assert_ne!(wrong.rank, Some(1));
    assert!(wrong.brier > right.brier + 0.5, "{} {}", wrong.brier, right.brier);
}

#[test]
fn a_cause_of_days_ago_is_latent_and_its_trigger_is_as_right() {
    let text = TEXT
        .replace(r#"{"causes": ["deploy"]}"#, r#"{"causes": ["mail"], "contributing": ["deploy"]}"#)
        .replace("2024-05-14T10:05:00Z", "2024-05-10T10:05:00Z")
        .replace("2024-05-14T10:06:00Z", "2024-05-10T10:06:00Z");
    let trial = judge(&model(), &subject(&text), Moment::AfterFirstAlert(TimeDelta::minutes(5)));
    assert!(trial.latent);
    assert_eq!(trial.rank, Some(1));
}

#[test]
fn a_truth_that_names_no_change_of_the_case_is_refused_by_name() {
    let text = TEXT.replace(r#"{"causes": ["deploy"]}"#, r#"{"causes": ["nothing"]}"#);
    let refused = Truth::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("truth.causes") && refused.contains("nothing"), "{refused}");
}

#[test]
fn the_test_of_pairs_is_exact() {
    // Of 5 pairs all 5 the same way: one in 32; of none nothing can be said.
    assert!((mcnemar(5, 0) - 1.0 / 32.0).abs() < 1e-12);
    assert!((mcnemar(3, 2) - 0.5).abs() < 1e-12);
    assert!((mcnemar(0, 0) - 1.0).abs() < 1e-12);
}

#[test]
fn a_report_counts_each_kind_of_blame_apart() {
    let caused = judge(&model(), &subject(TEXT), Moment::End);
    let free = TEXT.replace(r#""class": "change""#, r#""class": "no_change""#);
    let free = free.replace(r#"{"causes": ["deploy"]}"#, r#"{"causes": []}"#);
    let free = judge(&model(), &subject(&free), Moment::End);
    let report = Report::of(&[caused.clone(), free.clone()]);
    assert_eq!((report.product.count, report.product.first), (1, 1.0));
    assert_eq!(report.blamed_no_change, (1, usize::from(free.is_likely())));
    assert_eq!(report.blamed_without_cause.0, 1);
    assert_eq!(report.blamed_strangers.0, 2);
    assert_eq!(report.likely, (usize::from(caused.is_likely()), usize::from(caused.is_likely())));
}
