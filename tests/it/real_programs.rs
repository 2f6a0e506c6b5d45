//! A real Prometheus and a real Alertmanager, or two, configured as `deploy/` shows it: an alert of
//! theirs and a change of ours become an incident with its suspect, and the end of the alert ends it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::harness::{DEADLINE, Daemon, Program, find_program, unpacked_dir};

/// One alert that pages and one of low urgency, which another team's route takes.
const RULES: &str = r#"
groups:
  - name: checkout
    rules:
      - alert: CheckoutErrorsHigh
        expr: checkout_errors_ratio > 0.05
        labels: {severity: critical}
        annotations: {summary: "More than 5 % of the checkouts fail"}
      - alert: CheckoutRetriesHigh
        expr: checkout_errors_ratio > 0.01
        labels: {severity: warning}
        annotations: {summary: "Checkouts are tried again and again"}
"#;

#[test]
fn a_real_alert_names_the_change_before_it_and_ends_with_it() {
    let daemon = Daemon::with("[server]\ntoken_file = \"token\"\n");
    let shop = Shop::open();
    let alertmanager = start_alertmanager(&daemon, "alone", &["--cluster.listen-address="]);
    let _prometheus = start_prometheus(&daemon, shop.address, &[alertmanager.address]);

    daemon.run(&[
        "change",
        "--id=checkout-2.4.1",
        "--kind=deploy",
        "--action=update",
        "--service=checkout",
        "--environment=production",
        "--status=succeeded",
        "--title=checkout 2.4.1",
    ]);
    shop.fails.store(true, Ordering::SeqCst);

    let firing = daemon.wait_until("/api/v1/incidents", |list| {
        incident(list).is_some_and(|incident| families(incident).len() == 2)
    });
    let story = incident(&firing).unwrap();
    assert_eq!(families(story), ["CheckoutErrorsHigh", "CheckoutRetriesHigh"], "{story:#}");
    assert_eq!(story["state"], "open", "{story:#}");
    assert_eq!(story["suspects"][0]["change"], "checkout-2.4.1", "{story:#}");

    shop.fails.store(false, Ordering::SeqCst);
    let over = daemon.wait_until("/api/v1/incidents", |list| {
        incident(list).is_some_and(|incident| incident["ended_at"].is_string())
    });
    let story = incident(&over).unwrap();
    assert_eq!(story["state"], "quiet", "{story:#}");
    let (by_webhook, straight) = told(&daemon);
    assert!(by_webhook > 0 && straight > 0, "{by_webhook} by webhook, {straight} straight");
    assert_eq!(story["suspects"][0]["change"], "checkout-2.4.1", "{story:#}");
}

/// Both of the pair post each alert, and Prometheus posts it straight: three senders of two alerts
/// that fire and end are four facts.
#[test]
fn two_alertmanagers_in_a_cluster_and_prometheus_itself_tell_one_set_of_episodes() {
    let daemon = Daemon::with("[server]\ntoken_file = \"token\"\n");
    let shop = Shop::open();
    // Neither waits for what the other has sent, and they hear of it seldom: as when the network
    // between them is bad.
    let pair = ["--cluster.peer-timeout=0s", "--cluster.gossip-interval=2s"];
    let settled = ["--cluster.listen-address=127.0.0.1:0", "--cluster.settle-timeout=100ms"];
    let one = start_alertmanager(&daemon, "one", &[pair, settled].concat());
    let peer = format!("--cluster.peer={}", peers(one.address)[0]);
    let other = start_alertmanager(&daemon, "other", &[&pair[..], &settled, &[&peer]].concat());
    until("the two are a cluster", || {
        [one.address, other.address].iter().all(|address| peers(*address).len() == 2)
    });
    let _prometheus = start_prometheus(&daemon, shop.address, &[one.address, other.address]);

    shop.fails.store(true, Ordering::SeqCst);
    let firing = daemon.wait_until("/api/v1/alerts?firing=true", |list| alerts(list).len() == 2);
    // More webhooks than there are alerts: both of the pair have told of one.
    until("all have told that they fire", || {
        let (by_webhook, straight) = told(&daemon);
        by_webhook >= 3 && straight >= 2
    });

    shop.fails.store(false, Ordering::SeqCst);
    let over = daemon.wait_until("/api/v1/alerts?firing=false", |list| alerts(list).len() == 2);
    until("all have told that they are over", || {
        let (by_webhook, straight) = told(&daemon);
        by_webhook >= 6 && straight >= 4
    });

    let name = |list: &Value| alerts(list).iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(name(&over), name(&firing), "{over:#}");
    assert_eq!(alerts(&daemon.get("/api/v1/alerts")).len(), 2);
    assert_eq!(number(&daemon, "antecede_store_rows{store=\"log\"}"), 4);
}

/// How many alerts came in webhooks, and how many from Prometheus itself.
fn told(daemon: &Daemon) -> (u64, u64) {
    let count = |source| -> u64 {
        let count = |result| {
            let labels = format!("{{result=\"{result}\",source=\"{source}\"}}");
            number(daemon, &format!("antecede_ingest_events_total{labels}"))
        };
        count("accepted") + count("duplicate")
    };
    (count("alertmanager"), count("alertmanager_api"))
}

/// A metric; one that is not there yet is 0.
fn number(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.try_get("/metrics").unwrap().body;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

fn alerts(list: &Value) -> &[Value] {
    list["alerts"].as_array().unwrap()
}

/// The addresses under which the members of an Alertmanager's cluster talk to each other.
fn peers(alertmanager: SocketAddr) -> Vec<String> {
    let mut stream = TcpStream::connect(alertmanager).unwrap();
    write!(stream, "GET /api/v2/status HTTP/1.0\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    let status: Value = serde_json::from_str(body).unwrap();
    let peers = status["cluster"]["peers"].as_array().unwrap();
    peers.iter().map(|peer| peer["address"].as_str().unwrap().to_owned()).collect()
}

/// Asks until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never was so that {what}");
        thread::yield_now();
    }
}

#[test]
fn every_severity_reaches_us_and_its_own_team() {
    let amtool = find_program(&["amtool"]);
    for (severity, team) in
        [("info", "platform-team"), ("warning", "platform-team"), ("critical", "on-call")]
    {
        let routes = Command::new(&amtool)
            .args(["config", "routes", "test", "--config.file"])
            .arg(deploy("alertmanager.yml"))
            .args([format!("severity={severity}"), format!("--verify.receivers=antecede,{team}")])
            .output()
            .unwrap();
        assert!(routes.status.success(), "{severity}: {}", String::from_utf8_lossy(&routes.stderr));
    }
}

/// The only incident, once there is one.
fn incident(list: &Value) -> Option<&Value> {
    let incidents = list["incidents"].as_array().unwrap();
    assert!(incidents.len() < 2, "one story: {list:#}");
    incidents.first()
}

/// The names of its alerts, sorted.
fn families(incident: &Value) -> Vec<&str> {
    let families = incident["families"].as_array().unwrap();
    let mut names: Vec<_> =
        families.iter().map(|family| family["alertname"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// A service with metrics.
struct Shop {
    address: SocketAddr,
    fails: Arc<AtomicBool>,
}

impl Shop {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let fails = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&fails);
        // Ends with the process of the test.
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let request = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = request.map_while(Result::ok).take_while(|line| !line.is_empty());
                assert!(head.count() > 0);
                let ratio = if state.load(Ordering::SeqCst) { 0.5 } else { 0.0 };
                let body = format!("checkout_errors_ratio {ratio}\n");
                let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
                // A Prometheus that has gone away is the end of the test.
                drop(write!(stream, "{head}{body}"));
            }
        });
        Self { address, fails }
    }
}

/// A server among the real programs.
struct Server {
    address: SocketAddr,
    _program: Program,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut program = Program::start(command.args(["--web.listen-address=127.0.0.1:0"]));
        let address = program.wait_for("msg=\"Listening on\" address=").parse().unwrap();
        Self { address, _program: program }
    }
}

fn start_alertmanager(daemon: &Daemon, name: &str, cluster: &[&str]) -> Server {
    let config = adapt(
        daemon.dir(),
        "alertmanager.yml",
        &[
            ("127.0.0.1:8377", &daemon.address().to_string()),
            ("/etc/alertmanager/antecede.token", &path(&daemon.dir().join("token"))),
            ("group_interval: 1m", "group_interval: 1s"),
        ],
    );
    check(find_program(&["amtool"]), &["check-config"], &config);
    let program = find_program(&["prometheus-alertmanager", "alertmanager"]);
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", path(&config)))
        .arg(format!("--storage.path={}", path(&daemon.dir().join(name))))
        .args(cluster);
    if unpacked_dir().is_dir() {
        // The unpacked one looks for its templates from here.
        command.current_dir(unpacked_dir());
    }
    Server::start(&mut command)
}

fn start_prometheus(daemon: &Daemon, shop: SocketAddr, alertmanagers: &[SocketAddr]) -> Server {
    let dir = daemon.dir();
    let alertmanagers: Vec<_> = alertmanagers.iter().map(SocketAddr::to_string).collect();
    let rules = dir.join("rules.yml");
    fs::write(&rules, RULES).unwrap();
    let config = adapt(
        dir,
        "prometheus.yml",
        &[
            ("/etc/prometheus/rules.yml", &path(&rules)),
            ("127.0.0.1:9093", &alertmanagers.join(", ")),
            ("127.0.0.1:8377", &daemon.address().to_string()),
            ("/etc/prometheus/antecede.token", &path(&dir.join("token"))),
            ("127.0.0.1:9100", &shop.to_string()),
            ("scrape_interval: 15s", "scrape_interval: 250ms"),
            ("evaluation_interval: 15s", "evaluation_interval: 250ms"),
        ],
    );
    check(find_program(&["promtool"]), &["check", "config"], &config);
    let mut command = Command::new(find_program(&["prometheus"]));
    command
        .arg(format!("--config.file={}", path(&config)))
        .arg(format!("--storage.tsdb.path={}", path(&dir.join("prometheus"))));
    Server::start(&mut command)
}

/// A file of `deploy/` with this machine's addresses and paths and a test's intervals, each of which
/// replaces something that is there.
fn adapt(dir: &Path, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(deploy(name)).unwrap();
    for (shown, meant) in changes {
        assert!(text.contains(shown), "deploy/{name} does not say {shown}");
        text = text.replace(shown, meant);
    }
    let adapted = dir.join(name);
    fs::write(&adapted, text).unwrap();
    adapted
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Asks a program's own tool about its configuration.
fn check(tool: PathBuf, args: &[&str], config: &Path) {
    let checked = Command::new(tool).args(args).arg(config).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{}: {told}", config.display());
}

/// As a receiver of the kind that posts to PagerDuty.
const PAGERDUTY: &str = r"
route:
  receiver: antecede
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: antecede
    pagerduty_configs:
      - url: http://127.0.0.1:8377/v2/enqueue
        routing_key: R0
        class: '{{ .CommonLabels.alertname }}'
        details:
          service: '{{ .CommonLabels.service }}'
          environment: '{{ .CommonLabels.environment }}'
";

/// Posts one alert to an Alertmanager, as Prometheus does.
fn post_alert(alertmanager: SocketAddr, ends_at: &str) {
    let body = serde_json::json!([{
        "labels": {"alertname": "QueueFull", "service": "orders", "environment": "production"},
        "startsAt": "2026-11-20T10:00:00Z",
        "endsAt": ends_at,
    }])
    .to_string();
    let mut stream = TcpStream::connect(alertmanager).unwrap();
    let head = "POST /api/v2/alerts HTTP/1.0\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.contains(" 200 OK"), "{reply}");
}

/// A resolve of it has the same key and another summary.
#[test]
fn a_real_alertmanager_takes_us_for_pagerduty() {
    let daemon = Daemon::with_files(
        "[sources.pagerduty_events]\nsecret_files = [\"keys\"]\n",
        &[("keys", "R0\n")],
    );
    let config = daemon.dir().join("pagerduty.yml");
    let address = daemon.address().to_string();
    fs::write(&config, PAGERDUTY.replace("127.0.0.1:8377", &address)).unwrap();
    check(find_program(&["amtool"]), &["check-config"], &config);
    let program = find_program(&["prometheus-alertmanager", "alertmanager"]);
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", path(&config)))
        .arg(format!("--storage.path={}", path(&daemon.dir().join("alertmanager"))))
        .arg("--cluster.listen-address=");
    if unpacked_dir().is_dir() {
        command.current_dir(unpacked_dir());
    }
    let alertmanager = Server::start(&mut command);

    post_alert(alertmanager.address, "2999-01-01T00:00:00Z");
    let firing = daemon.wait_until("/api/v1/alerts?firing=true", |list| alerts(list).len() == 1);
    let alert = &alerts(&firing)[0];
    assert_eq!(alert["alertname"], "QueueFull", "{alert:#}");
    assert_eq!(alert["scope"]["service"], "orders", "{alert:#}");

    post_alert(alertmanager.address, "2026-11-20T10:05:00Z");
    let over = daemon.wait_until("/api/v1/alerts?firing=false", |list| alerts(list).len() == 1);
    assert_eq!(alerts(&over)[0]["id"], alert["id"]);
    let refused = "antecede_ingest_requests_total{code=\"401\",source=\"pagerduty_events\"}";
    assert_eq!(number(&daemon, refused), 0);
}
