use std::fs;

use chrono::TimeDelta;

use super::*;
use crate::{
    event::Labels,
    feed::{Carries, Expected, FeedName},
};

/// Loads a configuration of this text, in a directory with these other files.
fn load(text: &str, others: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in others {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = dir.path().join("antecede.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path)).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(&format!("{}/", dir.path().display()), "")
    })
}

const RULE: &str = "[[rule]]\nname = \"own\"\nchange = 'kind=\"deploy\"'\n\
                    alert = 'alertname=\"A\"'\nwindow = \"1h\"\nstrength = 2\n\
                    because = \"It is so.\"\n";

#[test]
fn an_empty_file_is_the_default() {
    let (empty, default) = (load("", &[]).unwrap(), Config::default());
    assert_eq!(empty.server, default.server);
    assert_eq!(empty.store, default.store);
    assert_eq!(empty.model.mapping, default.model.mapping);
    assert_eq!(empty.model.rules.rules.len(), default.model.rules.rules.len());
}

#[test]
fn the_shipped_configuration_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/antecede.toml");
    let shipped = Config::load(Some(&path)).unwrap();
    // Debug shows every field there is, so that a new one cannot be forgotten here.
    let (shipped, default) = (format!("{shipped:#?}"), format!("{:#?}", Config::default()));
    for (shipped, default) in shipped.lines().zip(default.lines()) {
        assert_eq!(shipped, default);
    }
    assert_eq!(shipped.lines().count(), default.lines().count());
}

#[test]
fn a_retention_that_is_shorter_than_what_answers_need_is_a_problem_at_its_place() {
    let problem = load("[correlation]\nhorizon = \"14d\"\n[store]\nretention = \"15d\"\n", &[]);
    assert_eq!(
        problem.unwrap_err(),
        "antecede.toml:4:13: `retention` is 15d, and answers need the events of `look_back` and \
         `horizon` together\n  hint: write at least \"17d\", or \"0\" to keep all"
    );
}

#[test]
fn what_lies_dormant_is_looked_for_no_further_than_events_are_held() {
    let dormant = |text| load(text, &[]).unwrap().model.settings.dormant;
    assert_eq!(dormant(""), TimeDelta::days(45));
    assert_eq!(dormant("[store]\nretention = \"30d\"\n"), TimeDelta::days(23));
    assert_eq!(dormant("[store]\nretention = \"10d\"\n"), TimeDelta::days(3));
    let long = "[correlation]\ndormant = \"200d\"\n";
    assert_eq!(dormant(long), TimeDelta::days(83));
    let kept = format!("{long}[store]\nretention = \"0\"\n");
    assert_eq!(load(&kept, &[]).unwrap().model.settings.dormant, TimeDelta::days(200));
}

#[test]
fn retention_is_a_quarter_or_what_answers_need_or_for_ever() {
    let retention = |text| load(text, &[]).unwrap().store.retention;
    assert_eq!(retention(""), Some(TimeDelta::days(90)));
    assert_eq!(retention("[correlation]\nhorizon = \"100d\"\n"), Some(TimeDelta::days(103)));
    assert_eq!(retention("[store]\nretention = \"10d\"\n"), Some(TimeDelta::days(10)));
    assert_eq!(retention("[store]\nretention = \"0\"\n"), None);
}

#[test]
fn every_option_is_read() {
    let config = load(
        r#"
        [server]
        listen = "0.0.0.0:80"
        token_file = "token"
        allow_unauthenticated = true
        body_bytes_max = 1_000
        [store]
        dir = "/var/lib/antecede"
        retention = "30d"
        [labels]
        service = "team_service"
        not_services = []
        drop_labels = ["pod"]
        [correlation]
        look_back = "24h"
        horizon = "3d"
        quiet = "30m"
        span = "12h"
        onset_lead = "5m"
        [[onset]]
        alert = 'alertname="Slow"'
        least = "10m"
        most = "12m"
        [impact]
        outage = 'severity="page"'
        [rules]
        embedded = false
        dir = "mine"
        files = ["more/b.toml"]
        [catalog]
        files = "services.toml"
        "#,
        &[
            ("mine/a.toml", RULE),
            ("mine/a.test.toml", "this is no rule file"),
            ("more/b.toml", &RULE.replace("own", "other")),
            ("services.toml", "[[service]]\nname = \"web\"\ndepends_on = \"api\"\n"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, "0.0.0.0:80".parse().unwrap());
    assert!(config.server.token_file.unwrap().ends_with("token"));
    assert!(config.server.allow_unauthenticated);
    assert_eq!(config.server.body_bytes_max, 1_000);
    assert_eq!(config.store.dir, Path::new("/var/lib/antecede"));
    let Model { mapping, rules, catalog, settings } = config.model;
    assert_eq!(mapping.names["service"], ["team_service"]);
    assert_eq!(mapping.names["region"].len(), 4, "what is left out keeps its default");
    assert!(mapping.not_services.is_empty());
    assert!(mapping.drop_labels.contains("pod"));
    assert_eq!(settings.look_back, TimeDelta::hours(24));
    assert_eq!(settings.horizon, TimeDelta::days(3));
    assert_eq!(settings.quiet, TimeDelta::minutes(30));
    assert_eq!(settings.span, TimeDelta::hours(12));
    assert_eq!(settings.onset_lead, TimeDelta::minutes(5));
    assert_eq!(settings.onsets.len(), 1);
    assert_eq!(settings.onsets[0].least, TimeDelta::minutes(10));
    assert_eq!(settings.onsets[0].most, TimeDelta::minutes(12));
    let page: Labels = [("severity", "page")].into_iter().collect();
    assert!(settings.outage.len() == 1 && settings.outage[0].matches(&page));
    assert_eq!(
        rules.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(),
        ["own", "other"]
    );
    assert_eq!(catalog.hops("web", "api"), Some(1));
}

#[test]
fn every_option_of_notices_is_read() {
    let config = load(
        r#"
        [notify]
        url = "https://example.com/hooks/1"
        secret_file = "notify.secret"
        link = "https://antecede.example.com"
        settle = "0s"
        fresh = "2h"
        timeout = "20s"
        retry = "1m"
        give_up = "3d"
        "#,
        &[],
    )
    .unwrap();
    let notify = config.notify;
    let receiver = notify.receiver.unwrap();
    assert_eq!(receiver.url.as_str(), "https://example.com/hooks/1");
    assert!(receiver.secret_file.ends_with("notify.secret"));
    assert_eq!(notify.link.unwrap(), "https://antecede.example.com");
    let hours = [notify.fresh, notify.give_up].map(|time| time.num_hours());
    assert_eq!((hours, notify.settle), ([2, 72], TimeDelta::zero()));
    let seconds = [notify.timeout, notify.retry].map(|time| time.num_seconds());
    assert_eq!(seconds, [20, 60]);
}

#[test]
fn a_receiver_needs_an_address_and_a_secret_and_neither_is_told() {
    for (text, want) in [
        ("url = \"https://hunter2.com\"", "2:7: notices are signed, and there is no `secret_file`"),
        ("secret_file = \"s\"", "2:15: there is no `url` to post to"),
        (
            "url = \"ftp://hunter2.com\"\nsecret_file = \"s\"",
            "2:7: this is not an address of http or https",
        ),
        ("retry = \"0s\"", "2:9: `retry` is 0"),
    ] {
        let told = load(&format!("[notify]\n{text}\n"), &[]).unwrap_err();
        assert!(told.contains(&format!("antecede.toml:{want}")), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn own_rules_stand_beside_the_shipped_ones() {
    let files = [("own.toml", RULE)];
    let both = load("[rules]\nfiles = \"own.toml\"", &files).unwrap().model.rules.rules.len();
    assert_eq!(both, RuleSet::embedded().rules.len() + 1);
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let told = load(
        "[server]\nlisten = \"8377\"\nbody_bytes_max = 0\ntokenfile = \"x\"\n\
         [correlation]\nquiet = \"1 hour\"\nspan = \"0s\"\n\
         [[onset]]\nalert = 'a=b'\nleast = \"2m\"\nmost = \"1m\"\n\
         [impact]\noutage = ['alertname=~\"(\"']\n\
         [labels]\nservice = []\n\
         [rules]\nfiles = [\"own.toml\", \"away.toml\"]\n\
         [catalog]\nfiles = \"services.toml\"\n[storage]\n",
        &[("own.toml", "[[rule]]\nnam = 1\n"), ("services.toml", "[[service]]\n")],
    )
    .unwrap_err();
    for want in [
        "antecede.toml:2:10: \"8377\" is not an address to listen on",
        "antecede.toml:3:18: 0 would refuse everything",
        "antecede.toml:4:1: [server] has no key `tokenfile`\n  hint: did you mean `token_file`?",
        "antecede.toml:6:9: \"1 hour\" is not a duration",
        "antecede.toml:7:8: `span` is 0",
        "antecede.toml:11:8: `most` is less than `least`",
        "antecede.toml:13:11: \"alertname=~\\\"(\\\"\": \"(\" is not a regular expression",
        "antecede.toml:15:11: nothing would ever be the service",
        "antecede.toml:17:22: away.toml cannot be read: No such file",
        "antecede.toml:20:2: the file has no key `storage`\n  hint: did you mean `store`?",
        "own.toml:2:1: [[rule]] has no key `nam`\n  hint: did you mean `name`?",
        "services.toml:1:1: [[service]] has no `name`",
    ] {
        assert!(told.contains(want), "{want}\nis not in\n{told}");
    }
}

#[test]
fn an_address_that_others_reach_needs_a_token_or_a_word() {
    let listen = "[server]\nlisten = \"0.0.0.0:8377\"\n";
    let told = load(listen, &[]).unwrap_err();
    assert_eq!(
        told,
        format!(
            "antecede.toml:2:10: 0.0.0.0:8377 can be reached from other machines, and no token is \
             asked for\n  hint: {REFUSAL_HINT}"
        )
    );
    for allowed in ["token_file = \"token\"", "allow_unauthenticated = true"] {
        load(&format!("{listen}{allowed}"), &[]).unwrap();
    }
    load("[server]\nlisten = \"[::1]:80\"", &[]).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_that_names_it() {
    let problems = Config::load(Some(Path::new("no/such.toml"))).unwrap_err();
    assert!(problems[0].to_string().starts_with("no/such.toml:1:1: cannot be read: No such file"));
}

#[test]
fn feeds_are_read_and_what_is_wrong_with_them_is_told() {
    let config = load(
        "[[feed]]\nname = \"terraform\"\nevery = \"1h\"\ncarries = \"changes\"\n\
         [[feed]]\nname = \"changes:dns\"\nevery = \"1d\"\n\
         [[feed]]\nname = \"alertmanager\"\nevery = \"5m\"\n",
        &[],
    );
    let feed = |name: &str, carries, every| {
        let name = FeedName(name.to_owned());
        Expected { name, carries, every }
    };
    let expected = [
        feed("terraform", Carries::Changes, TimeDelta::hours(1)),
        feed("changes:dns", Carries::Changes, TimeDelta::days(1)),
        feed("alertmanager", Carries::Alerts, TimeDelta::minutes(5)),
    ];
    assert_eq!(config.unwrap().feeds, expected);
    let told = load(
        "[[feed]]\nname = \"a b\"\nevery = \"1s\"\ncarries = \"notes\"\n\
         [[feed]]\nname = \"a\"\nevery = \"1h\"\n[[feed]]\nname = \"a\"\nevery = \"1h\"\n\
         [[feed]]\nname = \"b\"\n",
        &[],
    )
    .unwrap_err();
    for want in [
        "2:8: \"a b\" cannot be the name of a feed",
        "3:9: nobody is heard so often",
        "4:11: a feed does not carry \"notes\"",
        "8:1: there are two feeds \"a\"",
        "11:1: [[feed]] \"b\" has no `every`",
    ] {
        assert!(told.contains(&format!("antecede.toml:{want}")), "{told}");
    }
}

const ENTITY: &str = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: NAME}\n\
                      spec: {dependsOn: ['resource:db']}\n";

#[test]
fn backstage_files_are_found_by_name_by_directory_and_by_pattern() {
    let entity = |name: &str| ENTITY.replace("NAME", name);
    let (web, api, cart) = (entity("web"), entity("api"), entity("cart"));
    let files = [
        ("one.yaml", &*web),
        ("all/api/catalog-info.yaml", &*api),
        ("all/deep/er/catalog-info.yml", &*cart),
        ("all/api/values.yaml", "not: [backstage"),
        ("all/.git/catalog-info.yaml", "not: [backstage"),
    ];
    let known = |named: &str| -> Vec<_> {
        let config = load(&format!("[catalog]\nbackstage = {named}\n"), &files).unwrap();
        config.model.catalog.services().keys().cloned().collect()
    };
    assert_eq!(known("\"one.yaml\""), ["db", "web"]);
    assert_eq!(known("[\"all\", \"all/\"]"), ["api", "cart", "db"]);
    assert_eq!(known("[\"all/*/catalog-info.yaml\", \"*.yaml\"]"), ["api", "db", "web"]);
    let told = load(
        "[catalog]\nbackstage = [\"away/*.yaml\", \"all/[\", \"all/api/values.yaml\"]\n",
        &files,
    );
    let told = told.unwrap_err();
    for want in [
        "antecede.toml:2:14: away/*.yaml is no file, and matches none",
        "antecede.toml:2:29: \"all/[\" is no pattern: ",
        "all/api/values.yaml:2:1: this is not YAML: ",
    ] {
        assert!(told.contains(want), "{want}\nis not in\n{told}");
    }
}

#[test]
fn a_service_graph_is_asked_of_a_prometheus_every_five_minutes() {
    let graph = |text: &str| load(&format!("[catalog.service_graph]\n{text}"), &[]);
    assert_eq!(load("[catalog]\n", &[]).unwrap().service_graph, None);
    let usual = graph("url = \"http://127.0.0.1:9090\"\n").unwrap().service_graph.unwrap();
    assert_eq!((usual.every, usual.keep), (TimeDelta::minutes(5), TimeDelta::days(7)));
    assert_eq!((usual.name().as_str(), usual.token_file), ("http://127.0.0.1:9090/", None));
    let other =
        "url = \"https://example.com/prom\"\nevery = \"1h\"\nkeep = \"2h\"\ntoken_file = \"t\"";
    let other = graph(other).unwrap().service_graph.unwrap();
    assert_eq!((other.every, other.keep), (TimeDelta::hours(1), TimeDelta::hours(2)));
    assert!(other.token_file.unwrap().ends_with("t"));
    let told = graph("url = \"ftp://hunter2\"\nevery = \"1s\"\nkep = \"1d\"\n").unwrap_err();
    for want in [
        "2:7: this is not an address of http or https",
        "3:9: what calls what does not change so often",
        "4:1: [catalog.service_graph] has no key `kep`\n  hint: did you mean `keep`?",
    ] {
        assert!(told.contains(&format!("antecede.toml:{want}")), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
    let told = graph("keep = \"1m\"\n").unwrap_err();
    for want in ["1:1: [catalog.service_graph] has no `url`", "2:8: a call would be forgotten"] {
        assert!(told.contains(&format!("antecede.toml:{want}")), "{told}");
    }
}
