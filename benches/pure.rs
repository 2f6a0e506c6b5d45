//! The pure parts by themselves: from bytes to events, the fold, rules and the catalogue.
//!
//! `cargo bench` runs all, `cargo bench -- fold` those with the word in their names. Beside the time
//! stands how often memory was asked for, which no neighbour on the machine can disturb.

#![expect(clippy::expect_used, reason = "a benchmark of what is broken has nothing to measure")]

use std::fmt::Write as _;

use antecede::{
    catalog::{Catalog, Service},
    clock,
    correlate::{Model, Window, assess},
    event::{Event, EventId, Time, show_time},
    rules::RuleSet,
    wire::{Normalised, alert, alertmanager, case::Case, change},
};
use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use flate2::read::GzDecoder;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    divan::main();
}

/// A webhook as Alertmanager writes it, of alerts that differ.
fn webhook(alerts: usize) -> String {
    let mut body = r#"{"receiver":"bench","status":"firing","alerts":["#.to_owned();
    for n in 0..alerts {
        let comma = if n == 0 { "" } else { "," };
        write!(
            body,
            r#"{comma}{{"status":"firing","labels":{{"alertname":"TargetDown","cluster":"eu-1",
            "container":"app","environment":"production","instance":"10.0.0.{n}:9100",
            "job":"orders","namespace":"shop","pod":"orders-7e99d5de-{n}","service":"orders",
            "severity":"critical"}},"annotations":{{"description":"orders has been above its threshold for 5 minutes, current value {n}",
            "runbook_url":"https://runbooks.example.test/TargetDown","summary":"TargetDown on orders"}},
            "startsAt":"2023-02-23T15:06:{:02}.123Z","endsAt":"0001-01-01T00:00:00Z",
            "generatorURL":"http://prometheus.example.test/graph?g0.expr=up","fingerprint":"{n:016x}"}}"#,
            n % 60
        )
        .expect("a String takes all");
    }
    body + r#"],"groupLabels":{},"commonLabels":{},"externalURL":"","version":"4","groupKey":"{}","truncatedAlerts":0}"#
}

fn events(body: &str) -> Vec<Event> {
    facts(alertmanager::normalise(body.as_bytes(), clock::now()).expect("a webhook"))
}

fn facts(normalised: Normalised) -> Vec<Event> {
    assert!(normalised.rejected.is_empty(), "{:?}", normalised.rejected.first());
    normalised.items.into_iter().flat_map(|item| item.events).collect()
}

#[divan::bench(args = [1, 100])]
fn webhook_to_events(bencher: Bencher<'_, '_>, alerts: usize) {
    let body = webhook(alerts);
    assert_eq!(events(&body).len(), alerts);
    bencher.counter(ItemsCount::new(alerts)).bench(|| events(black_box(&body)));
}

#[divan::bench]
fn content_id(bencher: Bencher<'_, '_>) {
    let event = events(&webhook(1)).remove(0);
    bencher.bench(|| EventId::of(black_box(&event)));
}

/// The row that the log keeps, and the id by what it says.
#[divan::bench]
fn event_to_row(bencher: Bencher<'_, '_>) {
    let event = events(&webhook(1)).remove(0);
    let mut json = Vec::new();
    bencher.bench_local(|| {
        json.clear();
        black_box(&event).write(&mut json).expect("an event is JSON")
    });
}

/// A recorded incident, with what its fold needs.
struct Recorded {
    model: Model,
    events: Vec<Event>,
    until: Time,
}

impl Recorded {
    fn read(text: &str) -> Self {
        let case = Case::parse(text.as_bytes()).expect("a case");
        let services = case.services.iter().map(|one| {
            let depends_on = one.depends_on.iter().cloned().collect();
            (one.service.clone(), Service { tier: one.tier.clone(), depends_on })
        });
        let rules = RuleSet::embedded();
        let catalog = Catalog::new(services.collect());
        let until = case.events.iter().map(Event::time).max().expect("events");
        let model = Model { catalog, rules, ..antecede::config::Config::default().model };
        Self { model, events: case.events, until }
    }

    fn fold(&self, bencher: Bencher<'_, '_>) {
        bencher
            .counter(ItemsCount::new(self.events.len()))
            .bench(|| assess(&self.model, black_box(&self.events), self.until));
    }
}

/// The incident that it all began with, alone and among the changes and alerts of a busy platform.
const FOUNDING: &str = include_str!("../incidents/founding.json");
const FOUNDING_IN_NOISE: &[u8] = include_bytes!("../tests/data/founding/noise-1.json.gz");

#[divan::bench]
fn fold_founding(bencher: Bencher<'_, '_>) {
    Recorded::read(FOUNDING).fold(bencher);
}

#[divan::bench]
fn fold_founding_in_noise(bencher: Bencher<'_, '_>) {
    let text = std::io::read_to_string(GzDecoder::new(FOUNDING_IN_NOISE)).expect("a recording");
    Recorded::read(&text).fold(bencher);
}

/// The fold under so many rules, which each ask for something that could be there and name it.
#[divan::bench(args = [10, 10_000])]
fn fold_by_rules(bencher: Bencher<'_, '_>, rules: usize) {
    fold_by(bencher, rules, |n| {
        format!(
            r#"change = ['kind="deploy"', 'service="service-{n}"']
            alert = ['alertname=~"Alert{n}|Latency{n}High"']"#
        )
    });
}

/// The same under rules that describe it.
#[divan::bench(args = [10, 10_000])]
fn fold_by_rules_of_expressions(bencher: Bencher<'_, '_>, rules: usize) {
    fold_by(bencher, rules, |n| {
        format!(
            r#"change = ['kind="infrastructure"', 'about=~"(?i).*part.?{n}.*"']
            alert = ['alertname=~"Part{n}.*|.*Latency{n}High"']"#
        )
    });
}

fn fold_by(bencher: Bencher<'_, '_>, rules: usize, sides: impl Fn(usize) -> String) {
    let mut recorded = Recorded::read(FOUNDING);
    let mut text = String::new();
    for n in 0..rules {
        let sides = sides(n);
        write!(
            text,
            "[[rule]]\nname = \"rule {n}\"\n{sides}\nsame = [\"environment\"]\n\
             window = \"1h\"\nstrength = 1\nbecause = \"It is so.\"\n\n"
        )
        .expect("a String takes all");
    }
    recorded.model.rules = RuleSet::parse(&[("rules.toml".to_owned(), text)]).expect("rules");
    recorded.fold(bencher);
}

/// A platform of two hundred services on which so many changes are made in three days, and then fifty
/// symptoms show within three minutes: one incident.
struct Busy {
    model: Model,
    /// All but the last symptom, taken in and decided on.
    window: Window,
    last: Event,
}

const SERVICES: usize = 200;
const SYMPTOMS: usize = 50;

impl Busy {
    fn new(changes: usize) -> Self {
        let service = |n: usize| {
            (
                format!("service-{n}"),
                Service {
                    tier: Some(if n == 0 { "infrastructure" } else { "service" }.to_owned()),
                    depends_on: (n > 0).then(|| format!("service-{}", n / 6)).into_iter().collect(),
                },
            )
        };
        let rules = RuleSet::embedded();
        let catalog = Catalog::new((0..SERVICES).map(service).collect());
        let model = Model { catalog, rules, ..antecede::config::Config::default().model };
        let mut window = Window::new(Time::MIN_UTC);
        for event in busy_changes(changes) {
            window.absorb(&model, event.id(), event);
        }
        let mut symptoms = busy_symptoms();
        let last = symptoms.pop().expect("symptoms");
        for event in symptoms {
            window.absorb(&model, event.id(), event);
        }
        window.advance(&model);
        let busy = Self { model, window, last };
        let incidents = busy.go_on(&mut busy.window.clone());
        assert_eq!(incidents, SYMPTOMS, "the symptoms of the one incident");
        busy
    }

    /// One more symptom shows, and the incident is judged; how many it has then.
    fn go_on(&self, window: &mut Window) -> usize {
        window.absorb(&self.model, self.last.id(), self.last.clone());
        let news = window.advance(&self.model);
        news.incidents.first().map_or(0, |incident| incident.families.len())
    }
}

/// What is changed on a platform, and how it is said.
const ACTS: [(&str, &str, &str); 8] = [
    ("deploy", "update", "release"),
    ("deploy", "update", "build"),
    ("config", "update", "timeouts of"),
    ("feature_flag", "enable", "new checkout in"),
    ("infrastructure", "update", "resize disks of"),
    ("scaling", "scale_up", "more replicas of"),
    ("database", "update", "migration of"),
    ("network", "update", "firewall of"),
];

fn busy_changes(changes: usize) -> Vec<Event> {
    let end = antecede::event::parse_time("2024-03-04T00:00:00Z").expect("a time");
    let posts: Vec<_> = (0..changes).map(|n| {
        let (kind, action, words) = ACTS.get(n % ACTS.len()).expect("within");
        let back = i64::try_from(changes - n).expect("few") * 70 * 3_600 / i64::try_from(changes).expect("few");
        let at = show_time(end - chrono::TimeDelta::seconds(back));
        serde_json::json!({"id": format!("c{n}"), "kind": kind, "action": action, "status": "succeeded",
            "title": format!("{words} service-{} {n}", n * 7 % SERVICES), "service": format!("service-{}", n * 7 % SERVICES),
            "environment": if n % 3 == 0 { "staging" } else { "production" }, "labels": {"cluster": "one"},
            "started_at": at, "finished_at": at})
    }).collect();
    facts(
        change::normalise(serde_json::json!(posts).to_string().as_bytes(), clock::now())
            .expect("as it is written"),
    )
}

fn busy_symptoms() -> Vec<Event> {
    const SICK: usize = 5;
    let posts: Vec<_> = (0..SYMPTOMS).map(|n| {
        let at = format!("2024-03-04T00:{:02}:{:02}Z", n / 20, n % 20 * 3);
        serde_json::json!({"alertname": format!("Symptom{}", n / SICK), "service": format!("service-{}", n % SICK),
            "environment": "production", "labels": {"cluster": "one"}, "starts_at": at})
    }).collect();
    facts(
        alert::normalise(serde_json::json!(posts).to_string().as_bytes(), clock::now())
            .expect("as it is written"),
    )
}

/// An incident of fifty symptoms, judged anew with the last of them, against so many changes.
#[divan::bench(args = [1_000, 10_000])]
fn incident_against_changes(bencher: Bencher<'_, '_>, changes: usize) {
    let busy = Busy::new(changes);
    // What a window costs to be dropped is no part of it: no daemon drops one.
    bencher.with_inputs(|| busy.window.clone()).bench_refs(|window| busy.go_on(window));
}

/// The shortest way through a catalogue of so many services, each standing on the next three.
#[divan::bench(args = [100, 10_000])]
fn catalog_hops(bencher: Bencher<'_, '_>, services: usize) {
    let name = |n: usize| format!("service-{n:05}");
    let catalog = Catalog::new(
        (0..services)
            .map(|n| {
                let depends_on = (n + 1..services.min(n + 4)).map(name).collect();
                (name(n), Service { tier: None, depends_on })
            })
            .collect(),
    );
    let (from, near) = (name(0), name(17));
    assert_eq!(catalog.hops(&from, &near), Some(6));
    bencher.bench(|| catalog.hops(black_box(&from), black_box(&near)));
}
