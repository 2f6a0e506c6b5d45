use proptest::prelude::*;

use super::*;
use crate::event::{Action, ChangeHistory, ChangeId, ChangeReport, EventId, Kind, Mapping, Status};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

#[track_caller]
fn matchers(text: &str) -> Matchers {
    Matchers::parse(text).unwrap()
}

#[track_caller]
fn refused(text: &str) -> String {
    Matchers::parse(text).unwrap_err()
}

fn problems(files: &[(&str, &str)]) -> String {
    let files: Vec<_> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let problems = RuleSet::parse(&files).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn rule(lines: &str) -> String {
    let mut text =
        "[[rule]]\nname = \"a\"\nchange = 'kind=\"deploy\"'\nalert = 'alertname=\"A\"'\n\
                    window = \"1h\"\nstrength = 2\nbecause = \"It is so.\"\n"
            .to_owned();
    for line in lines.lines() {
        let key = line.split(' ').next().unwrap();
        let old = text.lines().find(|old| old.starts_with(key)).map(str::to_owned);
        match old {
            Some(old) => text = text.replace(&old, line),
            None => text.push_str(line),
        }
    }
    text
}

#[test]
fn all_four_operators_compare_as_alertmanagers_do() {
    let api = labels(&[("service", "api")]);
    for (text, want) in [
        ("service=api", true),
        ("service=\"ap\"", false),
        ("service!=api", false),
        ("service!=web", true),
        ("service=~\"a.*\"", true),
        ("service=~\"p\"", false),
        ("service=~web|api", true),
        ("service!~\"web|a.i\"", false),
        ("service!~\"a\"", true),
    ] {
        assert_eq!(matchers(text).matches(&api), want, "{text}");
    }
}

#[test]
fn expressions_match_the_whole_value_and_a_dot_no_line_end() {
    let two_lines = labels(&[("a", "x\ny")]);
    assert!(!matchers(r#"a=~"x""#).matches(&two_lines));
    assert!(!matchers(r#"a=~"x.y""#).matches(&two_lines));
    assert!(matchers(r#"a=~"(?s)x.y""#).matches(&two_lines));
    assert!(!matchers(r#"a=~"x|y+""#).matches(&labels(&[("a", "xyyy")])));
}

#[test]
fn an_absent_label_is_the_empty_string() {
    let none = Labels::default();
    for (text, want) in [
        ("a=\"\"", true),
        ("a!=\"\"", false),
        ("a=x", false),
        ("a!=x", true),
        ("a=~\"x?\"", true),
        ("a=~\"x|\"", true),
        ("a=~\".+\"", false),
        ("a!~\".+\"", true),
    ] {
        assert_eq!(matchers(text).matches(&none), want, "{text}");
    }
}

#[test]
fn of_several_values_any_meets_a_positive_matcher_and_none_may_meet_a_negative_one() {
    let both = labels(&[("environment", "staging"), ("environment", "production")]);
    for (text, want) in [
        ("environment=production", true),
        ("environment!=production", false),
        ("environment!=qa", true),
        ("environment=~\"prod.*\"", true),
        ("environment!~\"prod.*\"", false),
        ("environment=staging,environment=production", true),
    ] {
        assert_eq!(matchers(text).matches(&both), want, "{text}");
    }
}

#[test]
fn matchers_are_read_in_every_form_of_alertmanager() {
    let want = matchers(r#"{a="b",c=~"d|e"}"#);
    for text in ["a=b,c=~d|e", " { a = b , c =~ \"d|e\" , } ", "{\"a\"=b,c=~d|e}", "a=b,c=~d|e,"] {
        assert_eq!(matchers(text), want, "{text}");
    }
    for text in ["", "{}", " { } "] {
        assert_eq!(matchers(text), Matchers::default(), "{text:?}");
    }
    let escapes = r#"a="\a\b\f\n\r\t\v\\\"\x41\101\u00e4\U0001f600\xc3\xa4""#;
    let value = "\u{7}\u{8}\u{c}\n\r\t\u{b}\\\"AAä😀ä";
    assert_eq!(matchers(escapes), Matchers(vec![Matcher::new("a", Op::Equal, value).unwrap()]));
    assert!(matchers(r#""größe.x"=ü"#).matches(&labels(&[("größe.x", "ü")])));
}

#[test]
fn matchers_are_printed_so_that_a_terminal_shows_them() {
    let odd = Matcher::new("a b", Op::NotEqual, "\u{1b}\t\"x\\").unwrap();
    assert_eq!(odd.to_string(), r#""a b"!="\u001b\t\"x\\""#);
    assert_eq!(matchers("{ a=b , c=~d }").to_string(), r#"{a="b",c=~"d"}"#);
}

#[test]
fn what_is_no_matcher_is_refused_with_its_text_and_place() {
    for (text, want) in [
        ("a", "expected one of `=`, `!=`, `=~`, `!~` after its last character"),
        ("a=", "expected a value (\"\" for the empty one) after its last character"),
        ("=b", "expected a label name at character 1, found `=`"),
        ("a==b", "expected a value (\"\" for the empty one) at character 3, found `=`"),
        ("{a=b", "expected `,` or the closing `}` after its last character"),
        ("a=b}", "expected `,` or the end at character 4, found `}`"),
        ("{a=b} c", "expected nothing after the closing `}` at character 7, found `c`"),
        ("{,}", "expected a label name at character 2, found `,`"),
        ("a=b,,", "expected a label name at character 5, found `,`"),
        ("a=b c=d", "expected `,` or the end at character 5, found `c`"),
        ("a=\"b", "the quote is not closed at character 3, found `\"`"),
        (r#"a="\d""#, "the quote holds an unknown escape at character 3, found `\"`"),
        (r#"a="\xff""#, "the quote does not hold UTF-8 at character 3, found `\"`"),
        (r#"a="\ud800""#, "the quote holds an unknown escape at character 3, found `\"`"),
        ("a=\"b\nc\"", "a line ends within quotes (write `\\n`) at character 3, found `\"`"),
        ("\"\"=b", "a label name may not be empty at character 3, found `=`"),
        ("a=~\"(b\"", "\"(b\" is not a regular expression: unclosed group"),
        ("a=~\"b)|(c\"", "\"b)|(c\" is not a regular expression: unopened group"),
    ] {
        assert_eq!(refused(text), format!("{text:?}: {want}"));
    }
}

#[test]
fn an_expression_that_would_eat_the_memory_is_refused() {
    let error = refused(r#"a=~"((((x{200}){200}){200}){200})""#);
    assert!(error.contains("is too big: compiled it takes more than 1048576 bytes"), "{error}");
}

#[test]
fn a_matcher_tells_the_values_that_an_index_can_hold() {
    let only = |text: &str| {
        matchers(text).only("a").map(|values| values.iter().cloned().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(only("a=b").as_deref(), Some("b"));
    assert_eq!(only("x=y,a=~b|c").as_deref(), Some("b c"));
    assert_eq!(only("a=~\"b.*\""), None);
    assert_eq!(only("a!=b"), None);
    assert_eq!(only("a=~b|"), None, "it holds for an absent label too");
    assert_eq!(only("c=b"), None);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,8}", "[a-z{}!=~,\\\\\"'` \n\t|]{0,8}"]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(parts in proptest::collection::vec(
        (any_text().prop_filter("a name", |name| !name.is_empty()), 0..4_usize, any_text()), 0..4,
    )) {
        let ops = [Op::Equal, Op::NotEqual, Op::Like, Op::NotLike];
        let matchers: Vec<_> = parts
            .into_iter()
            .filter_map(|(name, op, value)| Matcher::new(name, ops[op], value).ok())
            .collect();
        let matchers = Matchers(matchers);
        prop_assert_eq!(Matchers::parse(&matchers.to_string()), Ok(matchers));
    }

    #[test]
    fn any_text_is_read_or_refused(text in any_text()) {
        if let Ok(read) = Matchers::parse(&text) {
            prop_assert_eq!(Matchers::parse(&read.to_string()), Ok(read));
        }
    }

    #[test]
    fn a_negative_matcher_is_the_negation_of_the_positive_one(
        value in "[ab|.]{0,4}",
        values in proptest::collection::vec("[ab]{0,2}", 0..3),
    ) {
        let labels: Labels = values.into_iter().map(|value| ("x", value)).collect();
        for (positive, negative) in [(Op::Equal, Op::NotEqual), (Op::Like, Op::NotLike)] {
            let ask = |op| Matcher::new("x", op, &value).unwrap().matches(&labels);
            prop_assert_ne!(ask(positive), ask(negative));
        }
    }

    /// Lists of names take a short cut past the regular expression; it must not show.
    #[test]
    fn a_list_of_names_is_asked_as_an_expression_would_be(
        list in "[ab|]{0,6}",
        value in "[ab]{0,3}",
    ) {
        let labels = labels(&[("x", &value)]);
        let short_cut = Matcher::new("x", Op::Like, list.clone()).unwrap();
        let expression = Matcher::new("x", Op::Like, format!("(?:{list})")).unwrap();
        prop_assert_eq!(short_cut.matches(&labels), expression.matches(&labels));
    }
}

/// A rule of these two sides.
fn rule_of(change: Matchers, alert: Matchers) -> Rule {
    let (window, strength) = (TimeDelta::hours(1), 2.0);
    let (name, because) = (String::new(), String::new());
    Rule { name, change, alert, same: Vec::new(), window, strength, because }
}

/// What an index may take for a matcher that an absent label cannot meet, and what it may not.
const VALUES: [&str; 20] = [
    "", "a", "b", "ab", "a|b", "a|", "|", "a.*", ".*", ".+", ".?b", "(?i)A.?", "(a|b)+", "b?",
    "[ab]{2}", "a.*|", "(?s).*b", "a$", "^", "a\\b",
];

prop_compose! {
    fn any_matchers()(
        parts in proptest::collection::vec(
            (
                proptest::sample::select(&["x", "y", "z"][..]),
                proptest::sample::select(&[Op::Equal, Op::NotEqual, Op::Like, Op::NotLike, Op::Like][..]),
                proptest::sample::select(&VALUES[..]),
            ),
            0..4,
        ),
    ) -> Matchers {
        let parts = parts.into_iter();
        Matchers(parts.map(|(name, op, value)| Matcher::new(name, op, value).unwrap()).collect())
    }
}

/// The places of the rules of which a side matches, each asked.
fn met_one_by_one(rules: &Rules, side: fn(&Rule) -> &Matchers, labels: &Labels) -> Vec<usize> {
    let asked = rules.iter().enumerate();
    asked.filter(|(_, rule)| side(rule).matches(labels)).map(|(place, _)| place).collect()
}

proptest! {
    #[test]
    fn the_index_picks_what_trying_every_rule_would(
        sides in proptest::collection::vec((any_matchers(), any_matchers()), 0..40),
        pairs in proptest::collection::vec(
            (proptest::sample::select(&["x", "y", "w"][..]), "[abA\n]{0,3}"), 0..6,
        ),
    ) {
        let rules: Vec<_> =
            sides.into_iter().map(|(change, alert)| rule_of(change, alert)).collect();
        let rules = Rules::from(rules);
        let labels: Labels = pairs.into_iter().collect();
        prop_assert_eq!(
            rules.of_change(&labels),
            met_one_by_one(&rules, |rule| &rule.change, &labels)
        );
        prop_assert_eq!(
            rules.of_alert(&labels),
            met_one_by_one(&rules, |rule| &rule.alert, &labels)
        );
    }
}

#[test]
fn of_many_rules_only_those_are_tried_that_can_hold() {
    let rules = (0..200).map(|n| {
        let change = matchers(&format!(r#"kind="deploy",about=~"(?i).*part-{n}(-.*)?""#));
        rule_of(
            change,
            matchers(&format!(r#"severity!="info",alertname=~"Part{n}Down|Part{n}Slow""#)),
        )
    });
    let rules = Rules::from(rules.collect::<Vec<_>>());
    let change = labels(&[("kind", "deploy"), ("about", "Part-100"), ("about", "part-19-a")]);
    assert_eq!(rules.of_change(&change), [19, 100]);
    assert_eq!(rules.by_change.candidates(&change), [19, 100]);
    let alert = labels(&[("severity", "critical"), ("alertname", "Part1Slow")]);
    assert_eq!(rules.by_alert.candidates(&alert), [1]);
}

#[test]
fn expressions_that_are_too_big_for_one_set_are_asked_in_several_or_one_by_one() {
    // What is tried for labels that no rule asks for, and what for a value of this length.
    let tried = |letters: usize| {
        let sides =
            [1, 2, 3].map(|n| matchers(&format!(r#"x=~"(?:[a-z]{{{letters}}}){{{n}00}}""#)));
        let rules = sides.map(|change| rule_of(change, Matchers::default()));
        let rules = Rules::from(rules.to_vec());
        let value = "a".repeat(letters * 200);
        let labels = labels(&[("x", &value)]);
        assert_eq!(rules.of_change(&labels), [1]);
        [Labels::default(), labels].map(|labels| rules.by_change.candidates(&labels))
    };
    assert_eq!(tried(2), [vec![], vec![1]], "all in one set");
    assert_eq!(tried(9), [vec![], vec![1]], "in several");
    assert_eq!(tried(30), [vec![1, 2], vec![1, 2]], "two of them in none");
}

#[test]
fn a_rule_is_read_as_written() {
    let text = rule("same = [\"environment\", \"cluster\"]\nwindow = \"1h30m\"\nstrength = 0.5");
    let rules = RuleSet::parse(&[("a.toml".to_owned(), text)]).unwrap().rules;
    assert_eq!(rules.len(), 1);
    let rule = &rules[0];
    assert_eq!(rule.name, "a");
    assert_eq!(rule.change.to_string(), "{kind=\"deploy\"}");
    assert_eq!(rule.alert.to_string(), "{alertname=\"A\"}");
    assert_eq!(rule.same, ["environment", "cluster"]);
    assert_eq!(rule.window, TimeDelta::minutes(90));
    assert!((rule.strength - 0.5).abs() < f64::EPSILON);
    assert_eq!(rule.because, "It is so.");
}

#[test]
fn a_rule_name_is_taken_once_among_all_files() {
    assert_eq!(
        problems(&[("a.toml", &rule("")), ("b.toml", &rule(""))]),
        "b.toml:2:8: the rule \"a\" is there twice: a.toml has it too\n  \
         hint: rename one of them, or leave it out"
    );
}

#[test]
fn kinds_actions_and_statuses_that_do_not_exist_are_told() {
    for (matcher, want) in [
        (
            "kind=\"infra\"",
            "\"infra\" in kind=\"infra\" is no kind of a change\n  hint: it is one of deploy,",
        ),
        (
            "kind=~\"deploy|confg\"",
            "\"confg\" in kind=~\"deploy|confg\" is no kind of a change\n  hint: did you mean \"config\"?",
        ),
        (
            "action!=\"remove\"",
            "\"remove\" in action!=\"remove\" is no action of a change\n  hint: it is one of create,",
        ),
        (
            "status=\"success\"",
            "\"success\" in status=\"success\" is no status of a change\n  hint: it is one of planned,",
        ),
    ] {
        let told = problems(&[("a.toml", &rule(&format!("change = '{matcher}'")))]);
        assert!(told.starts_with(&format!("a.toml:3:10: {want}")), "{told}");
    }
    let known = rule("change = ['kind=~\"deploy|config\"', 'action!~\"dele.*\"']");
    RuleSet::parse(&[("a.toml".to_owned(), known)]).unwrap();
}

#[test]
fn a_rule_may_speak_of_every_alert_only_to_acquit() {
    for alert in ["alertname=~\".+\"", "alertname!=\"Watchdog\"", "severity!=\"info\""] {
        let told = problems(&[("a.toml", &rule(&format!("alert = '{alert}'")))]);
        assert!(told.contains("holds for alerts of any name"), "{told}");
        let acquits = rule(&format!("alert = '{alert}'\nstrength = 0.5"));
        RuleSet::parse(&[("a.toml".to_owned(), acquits)]).unwrap();
    }
}

#[test]
fn windows_strengths_and_reasons_have_bounds() {
    for (line, want) in [
        ("window = \"0s\"", "a window of 0 holds nothing"),
        ("window = \"73h\"", "a window of 3 d 1 h is longer than causes are looked for, 3 d"),
        ("window = 5", "`window` is a number"),
        ("window = \"1 hour\"", "\"1 hour\" is not a duration"),
        ("strength = 0.1", "a strength of 0.1 is out of bounds"),
        ("strength = 5.5", "a strength of 5.5 is out of bounds"),
        ("strength = nan", "a strength of NaN is out of bounds"),
        ("because = \"deploys break things.\"", "`because` is not a sentence"),
        ("because = \"Deploys break things\"", "`because` is not a sentence"),
        ("change = []", "`change` has no matchers"),
        ("alert = \"{}\"", "`alert` has no matchers"),
        ("same = [\"\"]", "`same` has an empty label name"),
    ] {
        let told = problems(&[("a.toml", &rule(line))]);
        assert!(told.contains(want), "{line}: {told}");
        assert_eq!(told.matches("hint: ").count(), 1, "{told}");
    }
    for line in ["window = \"3d\"", "strength = 0.2", "strength = 5"] {
        RuleSet::parse(&[("a.toml".to_owned(), rule(line))]).unwrap();
    }
}

#[test]
fn what_is_missing_is_told_key_by_key() {
    let told = problems(&[("a.toml", "[[rule]]\n")]);
    for key in ["name", "change", "alert", "window", "strength", "because"] {
        assert!(told.contains(&format!("a.toml:1:1: [[rule]] has no `{key}`")), "{told}");
    }
}

#[test]
fn matchers_see_what_a_change_says_of_itself() {
    let id = ChangeId("c".to_owned());
    let mut report = ChangeReport::new(id.clone(), Status::Started, crate::event::Time::default());
    report.kind = Some(Kind::Infrastructure);
    report.action = Some(Action::Delete);
    report.title = Some("Remove legacy node groups".to_owned());
    report.actor = Some("crossplane".to_owned());
    // A label of the name of a field does not hide the field.
    report.labels = labels(&[("app", "nodes"), ("kind", "Deployment"), ("resource_types", "eks")]);
    let mut history = ChangeHistory::default();
    history.absorb(&report, EventId([0; 16]));
    let seen = change_labels(&history.change(&id, &Mapping::default()).unwrap());
    for text in [
        "kind=infrastructure",
        "kind!=Deployment",
        "action=delete",
        "status=started",
        "title=~\"Remove .*\"",
        "actor=crossplane",
        "revision=\"\"",
        "service=nodes",
        "about=eks",
        "about=nodes",
        "about=~\"(?i).*node.?group.*\"",
    ] {
        assert!(matchers(text).matches(&seen), "{text} against {seen:?}");
    }
}

#[test]
fn alerts_that_mean_outage_are_told_from_those_that_sound_alike() {
    let outage = default_outage();
    assert_eq!(outage.len(), OUTAGE.len(), "each of them parses");
    let means = |name: &str| {
        let labels = labels(&[("alertname", name)]);
        outage.iter().any(|matchers| matchers.matches(&labels))
    };
    for name in [
        "ProbeFailed",
        "BlackboxProbeFailed",
        "BlackboxProbeHttpFailure",
        "probe_failed",
        "SyntheticTestFailed",
        "HealthCheckFailing",
        "MetricsAbsent",
        "ApiAbsentCritical",
        "DashboardUnavailable",
        "ApiUnavailable503High",
        "DashboardAvailabilityLow",
        "SiteUnreachable",
        "SiteDown",
        "PingdomCheckDown",
        "InstanceDown",
        "instance_down",
        "Site is down",
        "KubeAPIDown",
        "TargetDown",
        "DNSDownCritical",
    ] {
        assert!(means(name), "{name}");
    }
    for name in [
        "KubeDeploymentReplicasUnavailable",
        "KubeDeploymentReplicasMismatch",
        "KubePodNotReady",
        "DownloadErrorRateHigh",
        "DownstreamTimeoutsHigh",
        "SlowdownDetected",
        "SlowDown",
        "ScaleDownBlocked",
        "KarpenterScaleDown",
        "CooldownActive",
        "KafkaExporterDown",
        "LivenessProbeFailed",
        "BlackboxSlowProbe",
        "AvailabilityZoneImbalance",
        "KubeNodeUnreachable",
        "ApiErrorRateHigh",
        "KubeNodeNotReady",
        "Markdown",
        "shutdown_slow",
        "NodePowerDown",
    ] {
        assert!(!means(name), "{name}");
    }
    assert!(outage.iter().any(|one| one.matches(&labels(&[("impact", "outage")]))));
    assert!(!outage.iter().any(|one| one.matches(&Labels::default())));
}

#[test]
fn the_shipped_rules_parse() {
    let files = SHIPPED.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let rules = RuleSet::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(RuleSet::embedded().rules.len(), rules.rules.len());
    assert!(rules.rules.len() >= SHIPPED.len());
}
