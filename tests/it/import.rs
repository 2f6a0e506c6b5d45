//! The past, imported: from a real Prometheus, from one that answers as it is told to, and from case
//! files.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use antecede::{
    clock,
    event::{Time, parse_time, show_time},
    rules::RuleSet,
};
use chrono::{DurationRound as _, TimeDelta};
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Daemon, Program, antecede, find_program};

/// How often Prometheus looked at the rules of the past.
const INTERVAL: TimeDelta = TimeDelta::seconds(30);

/// How long it takes alerts for over where nothing told it that they are, as in samples that were
/// written by hand.
const LOOKBACK: TimeDelta = TimeDelta::minutes(5);

/// One firing of the past: pending, firing, over.
type Firing = [Time; 3];

/// An alert that fired every three hours for ten days, until some hours ago.
fn noise(now: Time) -> Vec<Firing> {
    let until = now.duration_trunc(INTERVAL).unwrap() - TimeDelta::hours(4);
    let begins = (0..80).rev().map(|n| until - TimeDelta::hours(3) * n);
    let firing = |at: Time| [at, at + TimeDelta::minutes(2), at + TimeDelta::minutes(9)];
    begins.map(firing).collect()
}

/// What Prometheus would have noted of it, as a text that `promtool` makes blocks of.
fn openmetrics(firings: &[Firing]) -> String {
    let mut text = "# TYPE ALERTS gauge\n".to_owned();
    for (state, phase) in [("pending", 0), ("firing", 1)] {
        for firing in firings {
            let mut at = firing[phase];
            while at < firing[phase + 1] {
                let labels = "alertname=\"CheckoutErrorsHigh\",service=\"checkout\"";
                let labels = format!("{labels},severity=\"critical\",alertstate=\"{state}\"");
                writeln!(text, "ALERTS{{{labels}}} 1 {}", at.timestamp()).unwrap();
                at += INTERVAL;
            }
        }
    }
    text + "# EOF\n"
}

/// A real Prometheus whose past is this, and whose present is the rules.
struct Prometheus {
    url: String,
    _program: Program,
}

impl Prometheus {
    fn start(dir: &Path, past: &[Firing], rules: &str) -> Self {
        let data = dir.join("prometheus");
        let text = dir.join("past.om");
        fs::write(&text, openmetrics(past)).unwrap();
        let made = Command::new(find_program(&["promtool"]))
            .args(["tsdb", "create-blocks-from", "--max-block-duration=480h", "openmetrics"])
            .args([&text, &data])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::write(dir.join("rules.yml"), rules).unwrap();
        let config = "global: {evaluation_interval: 100ms}\nrule_files: [rules.yml]\n";
        fs::write(dir.join("prometheus.yml"), config).unwrap();
        let mut command = Command::new(find_program(&["prometheus"]));
        command
            .arg("--web.listen-address=127.0.0.1:0")
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg("--storage.tsdb.retention.time=1y");
        let mut program = Program::start(&mut command);
        let [address, _] = program.wait_for_each([
            "msg=\"Listening on\" address=",
            "Server is ready to receive web requests",
        ]);
        Self { url: format!("http://{address}"), _program: program }
    }
}

/// Imports into the daemon what the words ask for.
fn import(daemon: &Daemon, words: &str) -> Output {
    let server = format!("http://{}", daemon.address());
    let mut command = antecede();
    command.arg("import").args(words.split_whitespace()).args(["--server", &server]);
    command.output().unwrap()
}

/// What an import that found nothing wrong says to programs.
fn imported(daemon: &Daemon, words: &str) -> Value {
    let output = import(daemon, &format!("{words} --format json"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assessed(daemon: &Daemon, seq: &Value, path: &str) -> Value {
    let joint = if path.contains('?') { '&' } else { '?' };
    daemon.get(&format!("{path}{joint}wait_seq={seq}&timeout=60s"))
}

/// A deploy, and some minutes later the alert: what is said of it.
fn after_a_deploy(daemon: &Daemon, now: Time) -> Value {
    let before = |minutes| show_time(now - TimeDelta::minutes(minutes));
    let deploy = json!({
        "id": "checkout-7", "kind": "deploy", "service": "checkout", "title": "checkout 7",
        "started_at": before(9), "finished_at": before(8),
    });
    daemon.post("/api/v1/changes", &deploy.to_string());
    let labels =
        json!({"alertname": "CheckoutErrorsHigh", "service": "checkout", "severity": "critical"});
    let alert = json!({"status": "firing", "labels": labels, "startsAt": before(2)});
    let webhook = json!({"version": "4", "alerts": [alert]});
    let receipt = daemon.post("/webhooks/alertmanager", &webhook.to_string());
    let list = assessed(daemon, &receipt["seq"], "/api/v1/incidents?limit=1&state=open");
    list["incidents"][0].clone()
}

#[test]
fn a_daemon_that_knows_the_past_does_not_convict_on_a_noisy_alert() {
    let (fresh, wise) = (Daemon::start(), Daemon::start());
    let now = clock::now();
    let past = noise(now);
    let prometheus = Prometheus::start(wise.dir(), &past, "");
    let words = format!("prometheus {}", prometheus.url);
    let first = imported(&wise, &words);
    assert_eq!(first["alerts"], json!({"fired": past.len(), "open": 0, "left_out": 0}));
    assert_eq!(first["events"]["late"], 0, "{first}");
    let again = imported(&wise, &words);
    assert_eq!(again["events"]["stored"], 0, "{again}");
    assert_eq!(again["events"]["known"], first["events"]["stored"]);

    let [hasty, careful] = [&fresh, &wise].map(|daemon| after_a_deploy(daemon, now));
    assert_eq!(hasty["answer"], "likely", "{hasty:#}");
    assert_eq!(hasty["suspects"][0]["change"], "checkout-7", "{hasty:#}");
    assert_eq!(careful["answer"], "none", "{careful:#}");
}

#[test]
fn an_imported_alert_is_the_one_that_was_told_live() {
    let daemon = Daemon::start();
    let past = noise(clock::now());
    let [pending, fired, over] = *past.last().unwrap();
    // Prometheus looked between two moments of the import's grid.
    let live = show_time(fired - TimeDelta::seconds(7));
    let labels =
        json!({"alertname": "CheckoutErrorsHigh", "service": "checkout", "severity": "critical"});
    let alert = json!({
        "status": "resolved", "labels": labels, "startsAt": live, "endsAt": show_time(over),
        "annotations": {"summary": "Checkouts fail"},
    });
    let webhook = json!({"version": "4", "alerts": [alert]});
    daemon.post("/webhooks/alertmanager", &webhook.to_string());
    let prometheus = Prometheus::start(daemon.dir(), &past, "");
    let told = imported(&daemon, &format!("prometheus {} --since 1d", prometheus.url));
    let alerts = assessed(&daemon, &told["events"]["seq"], "/api/v1/alerts?limit=1");
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["labels"], labels);
    assert_eq!((&alert["starts_at"], &alert["summary"]), (&json!(live), &json!("Checkouts fail")));
    assert_eq!(alert["pending_at"], show_time(pending));
    let late = parse_time(alert["ends_at"].as_str().unwrap()).unwrap() - over;
    assert!((LOOKBACK - INTERVAL..=LOOKBACK).contains(&late), "it ended {late} late");
    let list = daemon.get("/api/v1/alerts?limit=1000");
    let day = past.iter().filter(|[pending, ..]| clock::now() - *pending < TimeDelta::days(1));
    assert_eq!(list["alerts"].as_array().unwrap().len(), day.count(), "{list:#}");
}

#[test]
fn the_rules_of_a_prometheus_say_how_long_its_alerts_waited() {
    let dir = tempfile::tempdir().unwrap();
    let rules = r"groups: [{name: a, interval: 30s, rules: [
        {alert: NodeGone, expr: 'up == 0', for: 15m},
        {alert: Burns, expr: 'rate(errors_total[5m]) > 1 and rate(errors_total[1h]) > 1', for: 2m},
        {alert: Burns, expr: 'rate(errors_total[6h]) > 1', for: 15m},
        {record: of_no_alert, expr: 'vector(1)'},
    ]}]";
    let prometheus = Prometheus::start(dir.path(), &[], rules);
    let asked = || antecede().args(["import", "onsets", &prometheus.url]).output().unwrap();
    let output = asked();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = dir.path().join("onsets.toml");
    fs::write(&file, &output.stdout).unwrap();
    let checked = antecede().args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let text = String::from_utf8(output.stdout).unwrap();
    let told = RuleSet::parse(&[("onsets.toml".to_owned(), text.clone())]).unwrap().onsets;
    let minutes: Vec<_> =
        told.iter().map(|one| (one.least.as_seconds_f64(), one.most.as_seconds_f64())).collect();
    // Which of two rules of one name fires is not known before it does.
    assert_eq!(minutes, [(120.0, 900.0 + 21_600.0 + 30.0), (900.0, 930.0)], "{text}");
}

#[test]
fn a_prometheus_without_rules_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(dir.path(), &[], "");
    let output = antecede().args(["import", "onsets", &prometheus.url]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no alerting rules"), "{told}");
    assert_eq!(output.status.code(), Some(1), "{told}");
}

#[test]
fn what_fires_when_it_is_imported_stays_open_and_was_pending_before() {
    let daemon = Daemon::start();
    let rules = "groups: [{name: a, rules: [{alert: Stuck, expr: vector(1), for: 2s, \
                 labels: {cluster: own}}]}]";
    let prometheus = Prometheus::start(daemon.dir(), &[], rules);
    let words = format!("prometheus {} --since 10m --step 200ms", prometheus.url);
    let words = format!("{words} --label cluster=prod-1 --label region=eu");
    let deadline = Instant::now() + DEADLINE;
    let told = loop {
        let told = imported(&daemon, &words);
        if told["alerts"]["open"] == 1 {
            break told;
        }
        assert!(Instant::now() < deadline, "it never fires: {told}");
    };
    let alerts = assessed(&daemon, &told["events"]["seq"], "/api/v1/alerts?firing=true");
    let [alert] = &alerts["alerts"].as_array().unwrap()[..] else { panic!("{alerts:#}") };
    let labels = json!({"alertname": "Stuck", "cluster": "own", "region": "eu"});
    assert_eq!(alert["labels"], labels, "an alert's own label counts more");
    let time = |field: &str| parse_time(alert[field].as_str().unwrap()).unwrap();
    let pending = (time("starts_at") - time("pending_at")).num_milliseconds();
    assert!(pending >= 1_600, "pending for {pending} ms");
}

/// A Prometheus that answers as it is told to.
struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A range that was asked for, and with which token.
#[derive(Clone, Debug)]
struct Asked {
    from: Time,
    to: Time,
    step: TimeDelta,
    token: String,
}

impl Asked {
    /// From the head of a request.
    fn read(head: &str) -> Self {
        let target = head.split(' ').nth(1).unwrap().replace("%3A", ":");
        let (path, query) = target.split_once('?').unwrap();
        assert_eq!(path, "/some/path/api/v1/query_range");
        let field = |name: &str| {
            let value =
                query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("{query} has no {name}")).to_owned()
        };
        let step = field("step").strip_suffix("ms").unwrap().parse().unwrap();
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: "));
        Self {
            from: parse_time(&field("start")).unwrap(),
            to: parse_time(&field("end")).unwrap(),
            step: TimeDelta::milliseconds(step),
            token: token.unwrap_or_default().to_owned(),
        }
    }

    fn moments(&self) -> impl Iterator<Item = Time> {
        let (from, to, step) = (self.from, self.to, self.step);
        (0..).map(move |n| from + step * n).take_while(move |at| *at <= to)
    }
}

impl Fake {
    /// One that answers with a status and a body.
    fn start(answer: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        // Ends with the process of the test.
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
                let asked = Asked::read(&head.collect::<Vec<_>>().join("\n"));
                let (status, body) = answer(&asked);
                kept.lock().unwrap().push(asked);
                let head = format!("HTTP/1.1 {status} .\r\nconnection: close\r\n");
                // Whoever asked may have had enough.
                drop(write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()));
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/some/path/", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Prometheus' answer of one alert that fired at these moments.
fn matrix(labels: &Value, at: impl Iterator<Item = Time>) -> (u16, String) {
    let mut metric = labels.clone();
    metric["__name__"] = json!("ALERTS");
    metric["alertstate"] = json!("firing");
    let values: Vec<_> = at.map(|at| json!([at.timestamp(), "1"])).collect();
    let series =
        if values.is_empty() { json!([]) } else { json!([{"metric": metric, "values": values}]) };
    let data = json!({"resultType": "matrix", "result": series});
    (200, json!({"status": "success", "data": data}).to_string())
}

/// That the ranges follow each other without a gap, and none has more points than Prometheus gives.
fn assert_gapless(asked: &[Asked], since: TimeDelta) {
    for pair in asked.windows(2) {
        assert_eq!(pair[1].from, pair[0].to + pair[0].step, "{pair:?}");
    }
    for one in asked {
        assert!((one.to - one.from).num_milliseconds() < 11_000 * one.step.num_milliseconds());
    }
    let (first, last) = (asked.first().unwrap(), asked.last().unwrap());
    assert!(last.to - first.from >= since - first.step * 2, "{first:?} to {last:?}");
}

#[test]
fn a_long_range_is_asked_for_in_parts_that_prometheus_gives() {
    let daemon = Daemon::start();
    let now = clock::now().duration_trunc(TimeDelta::seconds(1)).unwrap();
    let (from, to) = (now - TimeDelta::hours(40), now - TimeDelta::hours(5));
    let prometheus = Fake::start(move |asked| {
        let active = asked.moments().filter(|at| (from..to).contains(at));
        matrix(&json!({"alertname": "Slow"}), active)
    });
    let told = imported(&daemon, &format!("prometheus {} --since 2d --step 1s", prometheus.url()));
    assert_gapless(&prometheus.asked(), TimeDelta::days(2));
    assert!(prometheus.asked().len() >= 16, "{:?}", prometheus.asked().len());
    assert_eq!(told["alerts"], json!({"fired": 1, "open": 0, "left_out": 0}));
    let alerts = assessed(&daemon, &told["events"]["seq"], "/api/v1/alerts");
    let [alert] = &alerts["alerts"].as_array().unwrap()[..] else { panic!("{alerts:#}") };
    assert_eq!(alert["starts_at"], show_time(from));
    assert_eq!(alert["ends_at"], show_time(to));
}

#[test]
fn what_is_too_much_for_prometheus_is_asked_for_in_smaller_parts() {
    let daemon = Daemon::start();
    let prometheus = Fake::start(|asked| {
        if asked.moments().count() > 100 {
            let error = "query processing would load too many samples into memory";
            let error = json!({"status": "error", "errorType": "execution", "error": error});
            return (422, error.to_string());
        }
        matrix(&json!({"alertname": "Slow"}), asked.moments().take(0))
    });
    let output = import(&daemon, &format!("prometheus {} --since 1d", prometheus.url()));
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("it knows of no alerts"));
    let answered = |one: &Asked| one.moments().count() <= 100;
    let asked: Vec<_> = prometheus.asked().into_iter().filter(answered).collect();
    assert_gapless(&asked, TimeDelta::days(1));
    assert!(asked.len() < 40, "it asks for as much as it may: {}", asked.len());
}

#[test]
fn errors_name_the_address_and_what_was_wrong() {
    let daemon = Daemon::start();
    let query = json!({"status": "error", "errorType": "bad_data", "error": "no such thing"});
    let vector = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {}, "value": [1, "1"]},
    ]}});
    let too_much = json!({"status": "error", "errorType": "timeout", "error": "it took too long"});
    for (status, body, said) in [
        (404, "<html>not here</html>".to_owned(), "answered 404 Not Found, and not as Prometheus"),
        (200, "<html>welcome</html>".to_owned(), "<html>welcome</html>"),
        (200, vector.to_string(), "missing field `values`"),
        (400, query.to_string(), "answered 400 Bad Request: bad_data: no such thing"),
        (503, too_much.to_string(), "timeout: it took too long"),
    ] {
        let prometheus = Fake::start(move |_| (status, body.clone()));
        let url = prometheus.url().replace("http://", "http://ana:hidden@");
        let output = import(&daemon, &format!("prometheus {url} --since 5m"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        let path = "/some/path/api/v1/query_range answered";
        assert!(told.contains(&format!("{}{path}", prometheus.address)), "{told}");
        assert!(told.contains(said), "{told}");
        assert!(!told.contains("hidden"), "{told}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = import(&daemon, &format!("prometheus http://{closed}"));
    let told = String::from_utf8_lossy(&output.stderr);
    let sentence = format!("http://{closed}/api/v1/query_range cannot be reached: ");
    assert!(told.contains(&sentence) && output.status.code() == Some(2), "{told}");
    for words in ["localhost:9090", "http://localhost --step 0s", "http://localhost --since 1s"] {
        assert_eq!(import(&daemon, &format!("prometheus {words}")).status.code(), Some(2));
    }
}

#[test]
fn a_daemon_that_is_not_there_or_takes_not_all_is_told() {
    let now = clock::now();
    let long = "x".repeat(5_000);
    let prometheus = Fake::start(move |asked| {
        let at = asked.moments().filter(|at| now - *at < TimeDelta::minutes(5));
        matrix(&json!({"alertname": "Slow", "long": long}), at)
    });
    let daemon = Daemon::start();
    let token = daemon.dir().join("prometheus-token");
    fs::write(&token, "for-prometheus\n").unwrap();
    let words = format!("prometheus {} --since 1h", prometheus.url());
    let words = format!("{words} --prometheus-token-file {}", token.display());
    let output = import(&daemon, &words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("rejected: 0: labels.long: a value of 5000 bytes"), "{told}");
    let tokens: BTreeSet<_> = prometheus.asked().into_iter().map(|asked| asked.token).collect();
    assert_eq!(tokens, BTreeSet::from(["Bearer for-prometheus".to_owned()]));

    daemon.stop();
    let output = import(&daemon, &words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("the import broke off"), "{told}");
    assert!(told.contains(&format!("cannot reach antecede at http://{}", daemon.address())));
}

#[test]
fn what_comes_too_late_to_count_is_counted_and_told() {
    let daemon = Daemon::start();
    let now = clock::now();
    daemon.post("/api/v1/notes", "{\"text\": \"It is newer than all that is imported\"}");
    let hour = TimeDelta::hours(1);
    let prometheus = Fake::start(move |asked| {
        let fires = |at: &Time| {
            [TimeDelta::days(9), TimeDelta::days(2)]
                .iter()
                .any(|ago| (now - *ago - hour..now - *ago).contains(at))
        };
        matrix(&json!({"alertname": "Slow"}), asked.moments().filter(fires))
    });
    let output = import(&daemon, &format!("prometheus {}", prometheus.url()));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("2 events came too late to count"), "{told}");
    let shown = daemon.get("/api/v1/alerts?wait_seq=5");
    assert_eq!(shown["alerts"].as_array().unwrap().len(), 2, "{shown:#}");
}

#[test]
fn case_files_are_imported_in_the_order_of_their_events_and_their_ids_stay_apart() {
    let daemon = Daemon::start();
    let dir = daemon.dir().join("cases");
    fs::create_dir(&dir).unwrap();
    let case = |id: &str, hour: u32, alert: &str| {
        let at = |minute: u32| format!("2023-02-23T{hour:02}:{minute:02}:00Z");
        json!({"id": id, "events": [
            {"type": "change", "id": "c1", "title": format!("deploy {id}"), "kind": "deploy",
             "service": "api", "started_at": at(1), "finished_at": at(2), "status": "succeeded"},
            {"type": "alert", "id": "a1", "alertname": alert, "service": "api",
             "pending_at": at(3), "starts_at": at(5), "ends_at": at(9)},
        ]})
    };
    // By name the later one comes first.
    fs::write(dir.join("a.json"), case("later", 15, "Slow").to_string()).unwrap();
    fs::write(dir.join("b.json"), case("earlier", 3, "Errors").to_string()).unwrap();
    let words = format!("cases {}", dir.display());
    let told = imported(&daemon, &words);
    assert_eq!(told["events"]["stored"], 8, "{told}");
    assert_eq!(imported(&daemon, &words)["events"]["stored"], 0);
    let changes = assessed(&daemon, &told["events"]["seq"], "/api/v1/changes");
    assert_eq!(changes["changes"][0]["id"], "later/c1");
    assert_eq!(changes["changes"][1]["id"], "earlier/c1");
    let alerts = daemon.get("/api/v1/alerts");
    assert_eq!(alerts["alerts"][0]["pending_at"], "2023-02-23T15:03:00Z", "{alerts:#}");

    fs::write(dir.join("c.json"), "{\"events\": [{\"type\": \"alert\"}]}").unwrap();
    let output = import(&Daemon::start(), &words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("c.json: events[0].alertname: is missing"), "{told}");
}
