//! Who depends on whom, from all who know it: the catalogue's own files, Backstage's, and a real
//! Prometheus that holds a service graph; and what happens when one of them says something else.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::harness::{DEADLINE, Daemon, Program, find_program};

const CATALOGUE: &str = "/api/v1/catalog";

const FILE: &str = "[[service]]\nname = \"web\"\ntier = \"service\"\ndepends_on = [\"api\"]\n";

const BACKSTAGE: &str = "apiVersion: backstage.io/v1alpha1\nkind: Component\n\
                         metadata: {name: api}\nspec: {dependsOn: ['resource:orders']}\n---\n\
                         apiVersion: backstage.io/v1alpha1\nkind: Resource\n\
                         metadata: {name: orders}\nspec: {type: database}\n";

#[test]
fn what_files_say_is_merged_and_told_with_who_says_it() {
    let config = "[catalog]\nfiles = [\"catalog.toml\"]\nbackstage = [\"services\"]\n";
    let daemon = Daemon::prepared(config, |dir| {
        fs::write(dir.join("catalog.toml"), FILE).unwrap();
        fs::create_dir_all(dir.join("services/api")).unwrap();
        fs::write(dir.join("services/api/catalog-info.yaml"), BACKSTAGE).unwrap();
    });
    let told = daemon.get(CATALOGUE);
    assert_eq!(told["config"], daemon.get("/api/v1/incidents")["config"]);
    let services = json!([
        {"name": "api", "tier": null, "substrate": false},
        {"name": "orders", "tier": "datastore", "substrate": false},
        {"name": "web", "tier": "service", "substrate": false},
    ]);
    assert_eq!(told["services"], services);
    let file = |name: &str| daemon.dir().join(name).display().to_string();
    let backstage = file("services/api/catalog-info.yaml");
    let dependencies = json!([
        {"service": "api", "depends_on": "orders", "origins": [{"kind": "backstage", "name": backstage}]},
        {"service": "web", "depends_on": "api", "origins": [{"kind": "toml", "name": file("catalog.toml")}]},
    ]);
    assert_eq!(told["dependencies"], dependencies);

    fs::write(daemon.dir().join("services/api/catalog-info.yaml"), "kind: API\n").unwrap();
    let reply = daemon.try_post("/-/reload", "").unwrap();
    assert_eq!(reply.status, 500, "{}", reply.body);
    assert!(reply.body.contains("there is no `apiVersion`"), "{}", reply.body);
    assert_eq!(daemon.get(CATALOGUE), told, "a broken file changes nothing");
}

#[test]
fn a_call_that_a_prometheus_sees_is_put_in_force_as_a_reload_would() {
    let tempo = Tempo::open(&[("web", "api")]);
    let prometheus = start_prometheus(&tempo);
    let url = format!("http://{}", prometheus.address);
    let daemon = Daemon::with_files(
        &format!(
            "[catalog]\nfiles = [\"catalog.toml\"]\n[catalog.service_graph]\nurl = \"{url}\"\nevery = \"10s\"\n"
        ),
        &[("catalog.toml", FILE)],
    );
    let before = daemon.get("/api/v1/incidents")["config"].clone();
    let told = until(&daemon, CATALOGUE, |told| origins(told, "web", "api").len() == 2);
    assert_eq!(origins(&told, "web", "api"), ["toml", "service_graph"]);
    assert_eq!(told["config"], before, "it says nothing that the file does not say");

    tempo.calls.lock().unwrap().push(("api", "payments"));
    // Only a poll after the scrape knows it; a reload polls at once, where it asks for another time.
    daemon.wait_for("the service graph is another now");
    let told = daemon.get(CATALOGUE);
    assert_eq!(origins(&told, "api", "payments"), ["service_graph"]);
    assert_ne!(told["config"], before);
    // The engine is told as of a reload: answers have the new hash once it has assessed under it.
    until(&daemon, "/api/v1/incidents", |answer| answer["config"] == told["config"]);
    let page = daemon.try_get("/metrics").unwrap().body;
    let in_force = format!("antecede_config_info{{hash={}}} 1", told["config"]);
    for want in [&*in_force, "antecede_service_graph_calls 2"] {
        assert!(page.contains(want), "no {want} in\n{page}");
    }
}

#[test]
fn what_was_polled_stays_while_the_prometheus_is_away_and_after_a_restart() {
    let tempo = Tempo::open(&[("web", "api"), ("user", "web")]);
    let prometheus = start_prometheus(&tempo);
    let config = format!("[catalog.service_graph]\nurl = \"http://{}\"\n", prometheus.address);
    let mut daemon = Daemon::with(&config);
    // The first poll may come before the first scrapes do; another time is another setting.
    let told = until(&daemon, CATALOGUE, |told| {
        let known = !origins(told, "web", "api").is_empty();
        if !known {
            again(&daemon, &config);
        }
        known
    });
    assert_eq!(origins(&told, "user", "web"), [""; 0], "whoever has no traces is no service");

    drop(prometheus);
    again(&daemon, &config);
    daemon.wait_for("the service graph could not be polled: it stays as it was");
    assert_eq!(daemon.get(CATALOGUE), told);
    let page = daemon.try_get("/metrics").unwrap().body;
    // Once, or twice where an earlier setting had still asked for one.
    assert!(!page.contains("antecede_service_graph_polls_total{result=\"failed\"} 0"), "{page}");
    assert!(page.contains("antecede_service_graph_polls_total{result=\"failed\"}"), "{page}");

    assert!(daemon.stop().success());
    daemon.restart();
    assert_eq!(daemon.get(CATALOGUE), told);

    fs::write(daemon.dir().join("antecede.toml"), "").unwrap();
    daemon.try_post("/-/reload", "").unwrap().taken();
    assert_eq!(daemon.get(CATALOGUE)["dependencies"], json!([]), "nobody is asked now");
}

/// Asks for another poll: settings that are others are polled at once.
fn again(daemon: &Daemon, config: &str) {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let keep = 1000 + TIMES.fetch_add(1, Ordering::SeqCst);
    let config = format!("{config}keep = \"{keep}h\"\n");
    fs::write(daemon.dir().join("antecede.toml"), config).unwrap();
    daemon.try_post("/-/reload", "").unwrap().taken();
}

/// The answer, once it is as wanted: nothing is posted that could be waited for.
fn until(daemon: &Daemon, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let told = daemon.get(path);
        if wanted(&told) {
            return told;
        }
        assert!(std::time::Instant::now() < deadline, "it never was as wanted: {told:#}");
    }
}

/// The kinds of those who say so.
fn origins(told: &Value, service: &str, depends_on: &str) -> Vec<String> {
    let all = told["dependencies"].as_array().unwrap();
    let found = all.iter().find(|one| one["service"] == service && one["depends_on"] == depends_on);
    let origins = found.map(|found| found["origins"].as_array().unwrap().as_slice());
    let kinds = origins.unwrap_or_default().iter().map(|origin| origin["kind"].as_str().unwrap());
    kinds.map(str::to_owned).collect()
}

/// Tells of calls as Tempo's metrics generator does, one more of each at each scrape.
struct Tempo {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
}

impl Tempo {
    fn open(calls: &[(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(calls.to_vec()));
        let state = Arc::clone(&calls);
        // Ends with the process of the test.
        thread::spawn(move || {
            for (scrapes, mut stream) in (1..).zip(listener.incoming().map_while(Result::ok)) {
                let request = BufReader::new(stream.try_clone().unwrap()).lines();
                let head = request.map_while(Result::ok).take_while(|line| !line.is_empty());
                assert!(head.count() > 0);
                let body = page(&state.lock().unwrap(), scrapes);
                let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
                // A Prometheus that has gone away is the end of the test.
                drop(write!(stream, "{head}{body}"));
            }
        });
        Self { address, calls }
    }
}

fn page(calls: &[(&str, &str)], scrapes: u64) -> String {
    let lines = calls.iter().map(|(client, server)| {
        let connection = if *client == "user" { "virtual_node" } else { "" };
        format!(
            "traces_service_graph_request_total{{client=\"{client}\",server=\"{server}\",\
             connection_type=\"{connection}\"}} {scrapes}\n"
        )
    });
    lines.collect()
}

/// A Prometheus that scrapes it.
struct Server {
    address: SocketAddr,
    _program: Program,
    _dir: tempfile::TempDir,
}

fn start_prometheus(tempo: &Tempo) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 250ms}}\nscrape_configs:\n- job_name: tempo\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        tempo.address
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(find_program(&["prometheus"]));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    command
        .arg(format!("--config.file={}", path(&config)))
        .arg(format!("--storage.tsdb.path={}", path(&dir.path().join("data"))))
        .arg("--web.listen-address=127.0.0.1:0");
    let mut program = Program::start(&mut command);
    // Until it is ready it answers a poll with 503, which is one that failed.
    let [address, _] = program.wait_for_each([
        "msg=\"Listening on\" address=",
        "Server is ready to receive web requests",
    ]);
    Server { address: address.parse().unwrap(), _program: program, _dir: dir }
}
