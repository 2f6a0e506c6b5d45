//! A real Chromium, driven over `WebDriver`: what a page's reader sees and does.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use warp::http::Method;

use crate::harness::{DEADLINE, Program, find_program, unpacked_dir};

/// How a reader's browser is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// The window's width.
    pub(crate) width: u32,
    /// Whether pages may run scripts.
    pub(crate) script: bool,
    /// Whether the reader prefers dark pages.
    pub(crate) dark: bool,
}

impl Reader {
    /// At a desk.
    pub(crate) const DESK: Self = Self { width: 1440, script: true, dark: false };
    /// On a phone.
    pub(crate) const PHONE: Self = Self { width: 390, ..Self::DESK };
}

/// A browser that is open.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) page: Client,
    _driver: Program,
    _profile: TempDir,
}

impl Browser {
    /// Starts one for this reader.
    pub(crate) async fn open(reader: Reader) -> Self {
        let mut driver =
            Program::start(Command::new(find_program(&["chromedriver"])).arg("--port=0"));
        let port = driver.wait_for("started successfully on port ");
        let profile = tempfile::tempdir().unwrap();
        let url = format!("http://127.0.0.1:{}", port.trim().trim_end_matches('.'));
        let mut builder =
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let page =
            builder.capabilities(capabilities(reader, profile.path())).connect(&url).await.unwrap();
        let browser = Self { page, _driver: driver, _profile: profile };
        browser.resize(reader, 900).await;
        if reader.dark {
            let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
            browser.devtools("Emulation.setEmulatedMedia", dark).await;
        }
        if !reader.script {
            browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
        }
        browser
    }

    /// Makes the page so high. A window is no narrower than some 500 pixels, but the page in it may
    /// be.
    pub(crate) async fn resize(&self, reader: Reader, height: u32) {
        let metrics = json!({
            "width": reader.width, "height": height, "deviceScaleFactor": 1,
            "mobile": reader.width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    async fn devtools(&self, name: &str, params: Value) {
        self.page.issue_cmd(Own::Devtools(json!({"cmd": name, "params": params}))).await.unwrap();
    }

    /// Goes to a page.
    pub(crate) async fn goto(&self, url: &str) {
        self.page.goto(url).await.unwrap();
    }

    /// What an expression is, on the page.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        self.page.execute(&format!("return {expression};"), Vec::new()).await.unwrap()
    }

    /// Waits until an expression holds: it is asked again each time that the page changes.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const holds = () => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }};
             if (holds()) return done(true);
             const watch = new MutationObserver(() => {{
                 if (holds()) {{ watch.disconnect(); done(true); }}
             }});
             watch.observe(document, {{
                 subtree: true, childList: true, attributes: true, characterData: true,
             }});"
        );
        let outcome = self.page.execute_async(&script, Vec::new()).await;
        if outcome.is_err() {
            let seen = self.eval("document.body.innerText").await;
            panic!("never: {expression}\n{}", seen.as_str().unwrap_or_default());
        }
    }

    /// Waits until a selector finds something, also where pages run no scripts.
    pub(crate) async fn sees(&self, css: &str) {
        let found = self.page.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("no {css}: {error}"));
    }

    /// Clicks on the first thing that a selector finds.
    pub(crate) async fn click(&self, css: &str) {
        self.page.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// Types into the first thing that a selector finds.
    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        self.page.find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
    }

    /// What the browser complained of, and all that it asked for, since this was asked last.
    pub(crate) async fn log(&self) -> Log {
        let mut log = Log::default();
        for entry in entries(&self.page.issue_cmd(Own::Log("browser")).await.unwrap()) {
            if entry["level"] == "SEVERE" || entry["level"] == "WARNING" {
                log.complaints.push(entry["message"].as_str().unwrap_or_default().to_owned());
            }
        }
        for entry in entries(&self.page.issue_cmd(Own::Log("performance")).await.unwrap()) {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().unwrap_or_default()).unwrap();
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let url = message["params"]["request"]["url"].as_str().unwrap_or_default();
                // The page of a new tab is the browser's own, and what is in a page is no request.
                if !url.starts_with("chrome:") && !url.starts_with("data:") {
                    log.requests.push(url.to_owned());
                }
            }
        }
        log
    }

    /// The serious violations of accessibility that axe finds on the page.
    pub(crate) async fn violations(&self) -> Vec<String> {
        let axe = unpacked_dir().with_file_name("axe/package/axe.min.js");
        let axe = std::fs::read_to_string(&axe)
            .unwrap_or_else(|error| panic!("{}: {error}: run scripts/test", axe.display()));
        self.page.execute(&format!("{axe}; window.axe = axe;"), Vec::new()).await.unwrap();
        let script = "const done = arguments[arguments.length - 1];
             axe.run(document, {resultTypes: ['violations']}).then(
                 (found) => done(found.violations.map((one) => [one.impact, one.id, one.help,
                     one.nodes.map((node) => node.html.slice(0, 200)).slice(0, 3).join(' | ')])),
                 (error) => done([['critical', 'axe', String(error), '']]));";
        let found = self.page.execute_async(script, Vec::new()).await.unwrap();
        let found = found.as_array().unwrap().iter();
        found
            .filter(|one| one[0] == "serious" || one[0] == "critical")
            .map(ToString::to_string)
            .collect()
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        self.page.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    /// A driver that is killed leaves its browser behind, so that is ended first; of one that was
    /// closed nothing is left to end.
    fn drop(&mut self) {
        let known = self.page.capabilities().and_then(|all| all.get("goog:processID"));
        if let Some(id) = known.and_then(Value::as_u64) {
            drop(Command::new("kill").arg(id.to_string()).stderr(Stdio::null()).status());
        }
    }
}

/// What the browser told of itself.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Errors and warnings of its console.
    pub(crate) complaints: Vec<String>,
    /// The URLs that it asked for.
    pub(crate) requests: Vec<String>,
}

fn entries(log: &Value) -> Vec<Value> {
    log.as_array().cloned().unwrap_or_default()
}

fn capabilities(reader: Reader, profile: &Path) -> Capabilities {
    let args = [
        "--headless=new".to_owned(),
        // Tests run as root in containers, where the sandbox cannot.
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--no-first-run".to_owned(),
        format!("--window-size={},900", reader.width),
        format!("--user-data-dir={}", profile.display()),
    ];
    let mut all = Capabilities::new();
    let options = json!({"args": args, "binary": find_program(&["chromium", "google-chrome"])});
    all.insert("goog:chromeOptions".to_owned(), options);
    all.insert("goog:loggingPrefs".to_owned(), json!({"browser": "ALL", "performance": "ALL"}));
    all.insert("timeouts".to_owned(), json!({"script": 45_000, "pageLoad": 45_000}));
    all
}

/// Commands that Chromium's driver has beyond the standard.
#[derive(Debug)]
enum Own {
    Devtools(Value),
    Log(&'static str),
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        let session = session.unwrap_or_default();
        base.join(&match self {
            Self::Devtools(_) => format!("session/{session}/goog/cdp/execute"),
            Self::Log(_) => format!("session/{session}/se/log"),
        })
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        let body = match self {
            Self::Devtools(command) => command.to_string(),
            Self::Log(kind) => json!({"type": kind}).to_string(),
        };
        (Method::POST, Some(body))
    }
}
