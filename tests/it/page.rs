//! The page in a real browser, and what stands behind it: the founding incident while it happens,
//! with and without scripts, wide and narrow; what is posted from pages; what is escaped.

use std::{fs, path::Path};

use antecede::wire::case::{Case, posts};
use fantoccini::Locator;
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Reader},
    founding::founding,
    harness::{Daemon, Reply},
    orders::catalog_of,
};

/// Everything of the founding incident up to a time of its day, in order.
fn posts_until(clock: &str) -> Vec<antecede::wire::case::Post> {
    let case = Case::parse(founding().to_string().as_bytes()).unwrap();
    let until = antecede::event::parse_time(&format!("2023-02-23T{clock}:00Z")).unwrap();
    posts(&case).into_iter().filter(|post| post.at <= until).collect()
}

/// Posts what happened up to then and was not posted yet; the last `seq`.
fn tell_until(daemon: &Daemon, clock: &str, told: &mut usize) -> u64 {
    let posts = posts_until(clock);
    let mut seq = 0;
    for post in posts.iter().skip(*told) {
        seq = daemon.post(post.path, &post.body)["seq"].as_u64().unwrap();
    }
    *told = posts.len();
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}&timeout=60s"));
    seq
}

/// A daemon that knows the founding incident's catalogue, and nothing else yet.
fn ready() -> Daemon {
    let case = Case::parse(founding().to_string().as_bytes()).unwrap();
    let config = "[catalog]\nfiles = [\"catalog.toml\"]\n";
    Daemon::with_files(config, &[("catalog.toml", &catalog_of(&case))])
}

/// A daemon that was told the founding incident up to a time of its day.
fn told_until(clock: &str) -> (Daemon, String) {
    let daemon = ready();
    tell_until(&daemon, clock, &mut 0);
    let id = newest(&daemon);
    (daemon, id)
}

fn newest(daemon: &Daemon) -> String {
    let list = daemon.get("/api/v1/incidents");
    list["incidents"][0]["id"].as_str().unwrap().to_owned()
}

fn url(daemon: &Daemon, path: &str) -> String {
    format!("http://{}{path}", daemon.address())
}

fn page(daemon: &Daemon, path: &str) -> Reply {
    daemon.try_get(path).unwrap()
}

/// What the page says where a selector finds something first.
fn says(css: &str, words: &str) -> String {
    format!("document.querySelector({css:?}).textContent.includes({words:?})")
}

#[tokio::test]
async fn the_founding_incident_is_followed_while_it_happens() {
    follow(Reader::DESK, ".wide").await;
}

#[tokio::test]
async fn on_a_phone_it_is_followed_too() {
    follow(Reader::PHONE, ".narrow").await;
}

/// Follows the incident as this reader, who sees the picture that a selector finds.
async fn follow(reader: Reader, picture: &str) {
    let daemon = ready();
    let mut told = 0;
    tell_until(&daemon, "15:05", &mut told);
    let browser = Browser::open(reader).await;
    browser.goto(&url(&daemon, "/")).await;
    browser.until(&says("#open", "Nothing fires")).await;
    browser.until("document.body.classList.contains('is-live')").await;
    browser.page.execute("window.stayed = true;", Vec::new()).await.unwrap();

    tell_until(&daemon, "15:07", &mut told);
    browser.until(&says("#open .row", "Remove legacy node groups")).await;
    assert_eq!(browser.eval("window.stayed").await, true, "the page was loaded anew");

    browser.click("#open .row a").await;
    browser.until(&says("#answer .word", "SUSPECT")).await;
    browser.until("document.body.classList.contains('is-live')").await;
    browser.page.execute("window.stayed = true;", Vec::new()).await.unwrap();
    let bars = format!("document.querySelectorAll('{picture} a.alert').length");
    assert_eq!(browser.eval(&bars).await, 1);

    tell_until(&daemon, "16:50", &mut told);
    browser.until(&says("#answer .word", "LIKELY")).await;
    browser.until(&format!("{bars} == 2")).await;
    tell_until(&daemon, "19:27", &mut told);
    browser.until(&says("#cleared", "api 2023.2.23-2")).await;
    browser.until(&format!("{bars} > 4")).await;
    browser.until(&says("#answer h1", "Remove legacy node groups")).await;

    browser.click(".suspect button[value=cause]").await;
    browser.until(&says("#why .said", "this was it")).await;
    browser.until(&says("#timeline", "cause")).await;
    browser.type_into("#text", "deploys <b>frozen</b>").await;
    browser.type_into("#author", "on-call").await;
    browser.click("#say button").await;
    browser.until(&says("#timeline", "deploys <b>frozen</b> (on-call)")).await;
    browser.until(&format!("document.querySelectorAll('{picture} a.note').length > 0")).await;
    assert_eq!(browser.eval("window.stayed").await, true, "the page was loaded anew");

    let log = browser.log().await;
    assert_eq!(log.complaints, Vec::<String>::new());
    let home = url(&daemon, "/");
    let outside: Vec<_> = log.requests.iter().filter(|one| !one.starts_with(&home)).collect();
    assert_eq!(outside, Vec::<&String>::new());
    assert!(log.requests.len() > 5, "{:?}", log.requests);
    browser.close().await;
    // Nobody keeps it from stopping: an open stream ends when it is asked to.
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn without_scripts_everything_is_there_and_can_be_said() {
    let (daemon, _) = told_until("19:27");
    let browser = Browser::open(Reader { script: false, ..Reader::DESK }).await;
    browser.goto(&url(&daemon, "/")).await;
    let source = browser.page.source().await.unwrap();
    assert!(source.contains("Remove legacy node groups"), "{source}");
    browser.click(".row a").await;
    browser.sees("#cleared").await;
    assert!(browser.page.source().await.unwrap().contains("api 2023.2.23-2"));
    browser.click(".suspect button[value=not_cause]").await;
    browser.sees("#why .said").await;
    assert!(browser.page.source().await.unwrap().contains("this was not it"));
    browser.type_into("#text", "the page works").await;
    browser.click("#say button").await;
    // It comes last, after what happened years ago.
    browser.sees("#timeline li.note:last-of-type").await;
    assert!(browser.page.source().await.unwrap().contains("the page works"));
    let whole = browser.page.find(Locator::Css("#picture")).await.unwrap();
    let whole = whole.attr("data-from").await.unwrap().unwrap();
    let closer = browser.page.find(Locator::Css(".moves a:nth-of-type(2)")).await.unwrap();
    let closer = closer.attr("href").await.unwrap().unwrap();
    browser.goto(&url(&daemon, &closer)).await;
    let part = browser.page.find(Locator::Css("#picture")).await.unwrap();
    assert!(part.attr("data-from").await.unwrap().unwrap() > whole, "it is not zoomed: {closer}");
    browser.close().await;
}

#[tokio::test]
async fn a_phone_shows_all_of_it_and_the_keyboard_reaches_it() {
    let (daemon, id) = told_until("23:00");
    for reader in [Reader::PHONE, Reader::DESK] {
        let browser = Browser::open(reader).await;
        for path in [
            "/",
            &format!("/incidents/{id}"),
            &format!("/incidents/{id}/postmortem"),
            "/explore?start=2023-02-23T12:00:00Z&end=2023-02-23T23:00:00Z",
        ] {
            browser.goto(&url(&daemon, path)).await;
            let beyond =
                "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.eval(beyond).await, 0, "{path} at {}", reader.width);
        }
        browser.goto(&url(&daemon, &format!("/incidents/{id}"))).await;
        let unreached = unreached(&browser).await;
        assert_eq!(unreached, Vec::<String>::new(), "at {}", reader.width);
        assert_eq!(browser.log().await.complaints, Vec::<String>::new());
        browser.close().await;
    }
}

/// What can be used with a pointer, and not by pressing Tab often enough.
async fn unreached(browser: &Browser) -> Vec<String> {
    let mark = "window.usable = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), textarea, summary')].filter((one) => one.getClientRects().length > 0);
        window.reached = new Set();
        document.addEventListener('focusin', (event) => window.reached.add(event.target));
        document.body.focus();";
    browser.page.execute(mark, Vec::new()).await.unwrap();
    let count = browser.eval("window.usable.length").await.as_u64().unwrap();
    assert!(count > 30, "{count}");
    for _ in 0..count + 20 {
        let body = browser.page.active_element().await.unwrap();
        body.send_keys("\u{e004}").await.unwrap();
        if browser.eval("window.usable.every((one) => window.reached.has(one))").await == true {
            break;
        }
    }
    let left = "window.usable.filter((one) => !window.reached.has(one)).map((one) => one.outerHTML.slice(0, 120))";
    let left = browser.eval(left).await;
    left.as_array().unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn nothing_seriously_keeps_anybody_out() {
    let (daemon, id) = told_until("23:00");
    for reader in [Reader::DESK, Reader { dark: true, ..Reader::PHONE }] {
        let browser = Browser::open(reader).await;
        for path in [
            "/",
            &format!("/incidents/{id}"),
            &format!("/incidents/{id}/postmortem"),
            "/explore?start=2023-02-23T12:00:00Z&end=2023-02-23T23:00:00Z",
            "/login",
            "/incidents/none",
        ] {
            browser.goto(&url(&daemon, path)).await;
            assert_eq!(browser.violations().await, Vec::<String>::new(), "{path}, {reader:?}");
        }
        browser.close().await;
    }
}

#[tokio::test]
async fn the_picture_is_moved_in_place() {
    let (daemon, id) = told_until("23:00");
    let browser = Browser::open(Reader::DESK).await;
    browser.goto(&url(&daemon, &format!("/incidents/{id}?at=2023-02-23T23:00:00Z"))).await;
    browser.page.execute("window.stayed = true;", Vec::new()).await.unwrap();
    let from = browser.eval("document.getElementById('picture').dataset.from").await;
    browser.click(".moves a:nth-of-type(2)").await;
    browser.until(&format!("document.getElementById('picture').dataset.from > {from}")).await;
    assert_eq!(browser.eval("window.stayed").await, true, "the page was loaded anew");
    browser.until("location.search.includes('start=')").await;
    browser
        .page
        .execute("document.querySelector('.wide a.mark').focus();", Vec::new())
        .await
        .unwrap();
    browser.until("!document.querySelector('.tip').hidden && document.querySelector('.tip').textContent.length > 5").await;
    assert_eq!(browser.log().await.complaints, Vec::<String>::new());
    browser.close().await;
}

const MARKUP: &str = "<script>window.pwned=1</script><img src=x onerror=\"window.pwned=1\">'\"&]]>";

/// A daemon to which markup was posted in every field that is shown.
fn attacked() -> (Daemon, String) {
    let daemon = Daemon::start();
    let labels = json!({"alertname": MARKUP, "service": MARKUP, "environment": MARKUP,
        "severity": MARKUP, "cluster": MARKUP});
    let change = json!({
        "id": MARKUP, "title": MARKUP, "kind": "deploy", "service": MARKUP, "environment": MARKUP,
        "labels": {"cluster": MARKUP}, "actor": MARKUP, "url": "javascript:window.pwned=1",
        "revision": MARKUP, "status": "succeeded",
        "started_at": "2023-02-23T15:00:00Z", "finished_at": "2023-02-23T15:01:00Z",
    });
    daemon.post("/api/v1/changes", &change.to_string());
    let alert = json!({"version": "4", "status": "firing", "alerts": [{
        "status": "firing", "labels": labels, "startsAt": "2023-02-23T15:04:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "javascript:window.pwned=1",
        "annotations": {"summary": MARKUP},
    }]});
    let seq = daemon.post("/webhooks/alertmanager", &alert.to_string())["seq"].clone();
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
    let id = newest(&daemon);
    let note =
        json!({"text": MARKUP, "author": MARKUP, "incident": id, "at": "2023-02-23T15:05:00Z"});
    daemon.post("/api/v1/notes", &note.to_string());
    let feedback = json!({"change": MARKUP, "verdict": "cause", "text": MARKUP, "author": MARKUP});
    let path = format!("/api/v1/incidents/{id}/feedback");
    let seq = daemon.post(&path, &feedback.to_string())["seq"].clone();
    daemon.get(&format!("/api/v1/incidents?wait_seq={seq}"));
    (daemon, id)
}

#[tokio::test]
async fn markup_that_is_posted_stays_text_on_every_page() {
    let (daemon, id) = attacked();
    let browser = Browser::open(Reader::DESK).await;
    let pages = [
        "/".to_owned(),
        format!("/incidents/{id}"),
        format!("/incidents/{id}/postmortem"),
        "/explore?start=2023-02-23T12:00:00Z&end=2023-02-23T23:00:00Z&match[]=service!=%22%3Cb%3E%22".to_owned(),
        "/login?next=%22%3E%3Cscript%3Ewindow.pwned=1%3C/script%3E".to_owned(),
        "/incidents/%3Cscript%3Ewindow.pwned=1%3C%2Fscript%3E".to_owned(),
    ];
    for path in &pages {
        browser.goto(&url(&daemon, path)).await;
        assert_eq!(browser.eval("typeof window.pwned").await, "undefined", "{path}");
        let made = "document.querySelectorAll('main script, main img, [onerror], a[href^=javascript]').length";
        assert_eq!(browser.eval(made).await, 0, "{path}");
        assert_eq!(
            browser
                .log()
                .await
                .complaints
                .iter()
                .filter(|one| !one.contains("404"))
                .collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{path}"
        );
    }
    browser.goto(&url(&daemon, &pages[1])).await;
    assert_eq!(browser.eval("document.querySelector('h1').textContent").await, MARKUP);
    browser.goto(&url(&daemon, &format!("/api/v1/incidents/{id}/timeline?format=svg"))).await;
    assert_eq!(browser.eval("document.documentElement.tagName").await, "svg");
    assert_eq!(
        browser.eval("document.querySelectorAll('script, img, parsererror').length").await,
        0
    );
    browser.close().await;
}

#[test]
fn markup_that_is_posted_stays_text_in_documents() {
    let (daemon, id) = attacked();
    let document = page(&daemon, &format!("/api/v1/incidents/{id}/postmortem?format=markdown"));
    assert_eq!(document.status, 200, "{}", document.body);
    assert!(document.body.contains("&lt;script&gt;"), "{}", document.body);
    assert!(!document.body.contains('<'), "{}", document.body);
    let text = page(&daemon, &format!("/api/v1/incidents/{id}/timeline?format=text"));
    assert!(text.body.contains('█'), "{}", text.body);
}

#[test]
fn the_founding_incidents_post_mortem_is_the_golden_one() {
    let (daemon, id) = told_until("23:00");
    let path = format!("/api/v1/incidents/{id}/postmortem?format=markdown&at=2023-02-23T23:00:00Z");
    let document = page(&daemon, &path);
    assert_eq!(document.status, 200, "{}", document.body);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/founding-postmortem.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &document.body).unwrap();
    }
    assert_eq!(document.body, fs::read_to_string(&golden).unwrap(), "UPDATE=1 writes it anew");
}

#[test]
fn the_forms_of_a_post_mortem_say_the_same() {
    let (daemon, id) = told_until("23:00");
    let path = format!("/api/v1/incidents/{id}/postmortem");
    let json = daemon.get(&format!("{path}?format=json"));
    assert_eq!(json["causes"][0]["title"], "Remove legacy node groups");
    let learned: Vec<_> =
        json["learnings"].as_array().unwrap().iter().map(|one| one["seconds"].clone()).collect();
    assert_eq!(
        learned[..2],
        [json!(105 * 60), json!(0)],
        "from cause to symptom, until it was named"
    );
    let outage =
        json["impact"].as_array().unwrap().iter().filter(|one| one["outage_seconds"] != 0).count();
    assert_eq!(outage, 4);
    for (form, media_type) in [("html", "text/html"), ("markdown", "text/markdown")] {
        let reply = page(&daemon, &format!("{path}?format={form}"));
        assert!(reply.head.contains(media_type), "{}", reply.head);
        for words in [
            "Remove legacy node groups",
            "Outage of dashboard, live-api, sdk and test-api on 2023-02-23",
            "26 min",
        ] {
            assert!(reply.body.contains(words), "{form} lacks {words}");
        }
    }
    assert_eq!(page(&daemon, &format!("{path}?format=pdf")).status, 400);
    let part =
        format!("/incidents/{id}/postmortem?start=2023-02-23T19:00:00Z&end=2023-02-23T20:00:00Z");
    let part = page(&daemon, &part).body;
    assert!(part.contains(r#"data-from="2023-02-23T19:00:00Z""#), "it is not zoomed");
}

#[test]
fn a_page_is_asked_for_a_token_where_the_daemon_has_one() {
    let daemon = Daemon::with("[server]\ntoken_file = \"token\"\n");
    let ask = |request: &str| raw(&daemon, request);
    let away = ask("GET /explore?start=2023-02-23T12:00:00Z HTTP/1.0\r\n\r\n");
    assert!(away.starts_with("HTTP/1.0 303"), "{away}");
    assert!(away.contains("location: /login?next=%2Fexplore%3Fstart"), "{away}");
    let wrong = ask(&form("/login", "token=guessed&next=%2F", ""));
    assert!(wrong.contains("not a token that is let in"), "{wrong}");
    let right = ask(&form("/login", "token=only-for-tests&next=%2F%2Fevil.example%2F", ""));
    assert!(right.contains("location: /\r\n"), "it leads elsewhere: {right}");
    let cookie = right.split_once("set-cookie: ").unwrap().1.split_once(';').unwrap().0.to_owned();
    assert!(right.contains("HttpOnly; SameSite=Strict"), "{right}");
    let page = ask(&format!("GET / HTTP/1.0\r\nCookie: theme=dark; {cookie}\r\n\r\n"));
    assert!(page.starts_with("HTTP/1.0 200") && page.contains("Nothing fires"), "{page}");
    let api = ask("GET /api/v1/incidents HTTP/1.0\r\n\r\n");
    assert!(api.starts_with("HTTP/1.0 401"), "{api}");
}

#[test]
fn what_another_site_posts_in_a_readers_name_is_not_taken() {
    let (daemon, id) = told_until("15:07");
    let path = format!("/incidents/{id}/feedback");
    let body = "change=c-nodegroups-production&verdict=not_cause";
    for from in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Host: here\r\nOrigin: http://elsewhere\r\n",
    ] {
        let refused = raw(&daemon, &form(&path, body, from));
        assert!(refused.starts_with("HTTP/1.0 403"), "{from}: {refused}");
    }
    let taken = raw(&daemon, &form(&path, body, "Sec-Fetch-Site: same-origin\r\n"));
    assert!(taken.starts_with("HTTP/1.0 303"), "{taken}");
}

fn form(path: &str, body: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn raw(daemon: &Daemon, request: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(crate::harness::DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn feedback_is_told_with_its_incident_and_nowhere_else() {
    let (daemon, id) = told_until("15:07");
    let path = format!("/api/v1/incidents/{id}/feedback");
    let said =
        json!({"change": "c-nodegroups-production", "verdict": "cause", "author": "on-call"});
    let seq = daemon.post(&path, &said.to_string())["seq"].clone();
    let timeline = daemon.get(&format!("/api/v1/incidents/{id}/timeline?wait_seq={seq}"));
    let entries = timeline["entries"].as_array().unwrap();
    let told: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "feedback").collect();
    assert_eq!(told.len(), 1, "{entries:#?}");
    assert_eq!(
        (&told[0]["title"], &told[0]["verdict"]),
        (&json!("Remove legacy node groups"), &json!("cause"))
    );
    for (body, field) in [
        (json!({"verdict": "cause"}), "change"),
        (json!({"change": "c", "verdict": "maybe"}), "verdict"),
    ] {
        let refused = daemon.try_post(&path, &body.to_string()).unwrap();
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.contains(field), "{}", refused.body);
    }
    let nowhere = daemon.try_post("/api/v1/incidents/inc_0/feedback", &said.to_string()).unwrap();
    assert_eq!(nowhere.status, 404, "{}", nowhere.body);
}

#[test]
fn a_storm_of_alerts_and_changes_stays_readable_and_small() {
    // All of them stand on one platform, whose alert comes first: they are one story.
    let service = |n| format!("[[service]]\nname = \"service-{n}\"\ndepends_on = [\"platform\"]\n");
    let catalog: String = (0..50).map(service).collect();
    let catalog = format!("[[service]]\nname = \"platform\"\n{catalog}");
    let config = "[catalog]\nfiles = [\"catalog.toml\"]\n";
    let daemon = Daemon::with_files(config, &[("catalog.toml", &catalog)]);
    let first = json!({"alertname": "PlatformDown", "service": "platform",
        "environment": "production", "starts_at": "2023-02-23T14:59:30Z"});
    daemon.post("/api/v1/alerts", &first.to_string());
    let changes: Vec<Value> = (0..500)
        .map(|n| {
            let (hour, minute) = (13 + n / 250, (n / 5) % 60);
            let at = format!("2023-02-23T{hour}:{minute:02}:{:02}Z", n % 60);
            json!({"id": format!("c{n}"), "title": format!("service-{} release {n}", n % 50),
                "kind": "deploy", "service": format!("service-{}", n % 50),
                "environment": "production", "labels": {"cluster": "one"},
                "status": "succeeded", "started_at": at, "finished_at": at})
        })
        .collect();
    daemon.post("/api/v1/changes", &json!(changes).to_string());
    let alerts: Vec<Value> = (0..5_000)
        .map(|n| {
            let at = format!("2023-02-23T15:{:02}:{:02}Z", (n / 60) % 30, n % 60);
            json!({"status": "firing", "startsAt": at, "endsAt": "0001-01-01T00:00:00Z",
                "labels": {"alertname": format!("Alert{}", n % 20), "service": format!("service-{}", n % 50),
                    "environment": "production", "cluster": "one", "pod": format!("pod-{n}")}})
        })
        .collect();
    let alerts = json!({"version": "4", "status": "firing", "alerts": alerts});
    let seq = daemon.post("/webhooks/alertmanager", &alerts.to_string())["seq"].clone();
    let list = daemon.get(&format!("/api/v1/incidents?wait_seq={seq}&timeout=60s"));
    let incident = &list["incidents"][0];
    assert_eq!(incident["alert_count"], 5_001, "they are not one story");
    let id = incident["id"].as_str().unwrap();
    let shown = page(&daemon, &format!("/incidents/{id}"));
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.body.len() < 1 << 20, "{} bytes", shown.body.len());
    assert!(shown.body.contains(" more in other places</text>"), "nothing is said to be left out");
    assert!(shown.body.contains("×"), "alerts of one kind are one mark");
    let explored = page(&daemon, "/explore?start=2023-02-23T13:00:00Z&end=2023-02-23T16:00:00Z");
    assert_eq!(explored.status, 200, "{}", explored.body);
    assert!(explored.body.len() < 1 << 20, "{} bytes", explored.body.len());
}

#[tokio::test]
async fn the_pictures_of_the_readme_are_of_this_page() {
    let (daemon, _) = told_until("23:00");
    let at = "2023-02-23T19:27:00Z";
    let list = daemon.get(&format!("/api/v1/incidents?at={at}"));
    let id = list["incidents"][0]["id"].as_str().unwrap();
    let desk = Reader { width: 1200, ..Reader::DESK };
    let readers = [
        ("incident-light.png", desk, 1_240),
        ("incident-dark.png", Reader { dark: true, ..desk }, 1_240),
        ("incident-phone.png", Reader::PHONE, 1_100),
    ];
    for (name, reader, height) in readers {
        let browser = Browser::open(reader).await;
        browser.resize(reader, height).await;
        browser.goto(&url(&daemon, &format!("/incidents/{id}?at={at}"))).await;
        let taken = browser.page.screenshot().await.unwrap();
        browser.close().await;
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&kept, &taken).unwrap();
        }
        // Fonts differ from machine to machine, so it is the size that is compared.
        assert_eq!(size(&taken), (reader.width, height), "{name}");
        assert_eq!(size(&fs::read(&kept).unwrap()), (reader.width, height), "{name} in docs/");
    }
}

/// The width and height that a PNG says it has.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}
