//! The configuration file: section by section, each problem with its place.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chrono::TimeDelta;
use reqwest::Url;
use toml::Spanned;

use super::{
    Config, REFUSAL_HINT, Server, Store,
    catalog::read_catalog,
    sources::{read_own, read_sources},
};
use crate::{
    correlate::{Model, Settings},
    document::{Document, Section},
    duration::show_duration,
    event::{CANONICAL, Mapping},
    feed::{Carries, Expected, FeedName},
    notify::{self, Grafana, Receiver, Tracker},
    problem::Problem,
    rules::{Matchers, RuleSet, SHIPPED, read_onset},
};

/// A feed that is heard more often than this needs no watching.
const FEED_EVERY_MIN: TimeDelta = TimeDelta::seconds(10);
/// The name of a feed or a source is a label of metrics, and part of a path.
pub(super) const NAME_MAX: usize = 64;

/// Name and text of a file.
pub(super) type File = (String, String);

/// Reads the file and all that it names.
pub(super) fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| vec![Problem::of_file(&name, format!("cannot be read: {error}"))])?;
    let base = path.parent().unwrap_or(Path::new(""));

    let document = Document::new(&name, &text);
    let mut root = document.root();
    let server = read_server(root.section("server"), base);
    let (mut store, retention) = read_store(root.section("store"));
    let mapping = read_labels(root.section("labels"));
    let settings = read_settings(&mut root);
    store.retention = check_retention(&document, retention, &settings);
    let settings = match store.retention {
        Some(retention) => settings.within(retention),
        None => settings,
    };
    let mut notify = read_notify(root.section("notify"), base);
    notify.grafana = read_grafana(root.section("grafana"), base);
    notify.trackers = read_trackers(root.section("actions"), base);
    let feeds = read_feeds(&mut root);
    let mut doors = read_sources(root.section("sources"), base);
    let own_sources = read_own(&mut root, base, &mut doors);
    let rule_files = read_rules(root.section("rules"), base);
    let named = read_catalog(root.section("catalog"), base);
    root.finish();

    let mut problems = document.problems();
    let rules = RuleSet::parse(&rule_files).unwrap_or_else(|more| {
        problems.extend(more);
        RuleSet::default()
    });
    let catalog = named.catalog(&mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let model = Model { mapping, rules, catalog, settings };
    let service_graph = named.service_graph;
    Ok(Config { server, store, model, notify, feeds, service_graph, doors, own_sources })
}

fn read_server(mut section: Section<'_>, base: &Path) -> Server {
    let mut server = Server::default();
    let listen = section.text("listen").and_then(|text| {
        section.parsed(&text, parse_address, "write an address and a port, as \"127.0.0.1:8377\"")
    });
    let place = listen.as_ref().map_or(section.place(), Spanned::span);
    set(&mut server.listen, listen);
    server.token_file = section.text("token_file").map(|file| base.join(file.into_inner()));
    set(&mut server.allow_unauthenticated, section.truth("allow_unauthenticated"));
    let body_bytes_max = section.count("body_bytes_max");
    refuse_zero(&section, body_bytes_max.as_ref());
    set(&mut server.body_bytes_max, body_bytes_max);
    if let Some(why) = server.refusal() {
        section.document().wrong(place, why, REFUSAL_HINT);
    }
    section.finish();
    server
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_not_one| format!("{text:?} is not an address to listen on"))
}

/// The store, and for how long it is to keep what it holds, as it is written.
fn read_store(mut section: Section<'_>) -> (Store, Option<Spanned<TimeDelta>>) {
    let mut store = Store::default();
    // As written: data belongs to where the program runs, not to where its configuration lies.
    if let Some(dir) = section.text("dir") {
        store.dir = PathBuf::from(dir.into_inner());
    }
    let retention = section.duration("retention");
    section.finish();
    (store, retention)
}

/// For how long things are kept; where nothing is written, as long as by default, and as answers need.
fn check_retention(
    document: &Document<'_>,
    written: Option<Spanned<TimeDelta>>,
    settings: &Settings,
) -> Option<TimeDelta> {
    let least = settings.retention_min();
    let Some(written) = written else {
        return Store::default().retention.map(|default| default.max(least));
    };
    if written.get_ref().is_zero() {
        return None;
    }
    if *written.get_ref() < least {
        let what = format!(
            "`retention` is {}, and answers need the events of `look_back` and `horizon` together",
            show_duration(*written.get_ref())
        );
        let hint = format!("write at least \"{}\", or \"0\" to keep all", show_duration(least));
        document.wrong(written.span(), what, hint);
    }
    Some(written.into_inner())
}

fn read_notify(mut section: Section<'_>, base: &Path) -> notify::Settings {
    let mut notify = notify::Settings {
        receiver: read_receiver(&mut section, base),
        link: section.text("link").map(Spanned::into_inner),
        ..notify::Settings::default()
    };
    set(&mut notify.settle, section.duration("settle"));
    let lasting = [
        ("fresh", &mut notify.fresh),
        ("timeout", &mut notify.timeout),
        ("retry", &mut notify.retry),
        ("give_up", &mut notify.give_up),
    ];
    for (key, setting) in lasting {
        let written = section.duration(key);
        if let Some(zero) = written.as_ref().filter(|written| written.get_ref().is_zero()) {
            let what = format!("`{key}` is 0");
            section.document().wrong(zero.span(), what, "write how long, as \"1h\"");
        }
        set(setting, written);
    }
    section.finish();
    notify
}

fn read_receiver(section: &mut Section<'_>, base: &Path) -> Option<Receiver> {
    let (url, secret_file) = (section.text("url"), section.text("secret_file"));
    match (url, secret_file) {
        (Some(url), Some(secret_file)) => {
            let hint = "write where notices are posted to, as \"https://example.com/notices\"";
            let url = section.parsed(&url, parse_url, hint)?.into_inner();
            Some(Receiver { url, secret_file: base.join(secret_file.into_inner()) })
        }
        (Some(url), None) => {
            let what = "notices are signed, and there is no `secret_file`";
            section.document().wrong(url.span(), what, "name a file with a secret, as whsec_...");
            None
        }
        (None, Some(file)) => {
            section.document().wrong(file.span(), "there is no `url` to post to", "add `url`");
            None
        }
        (None, None) => None,
    }
}

const URL_HINT: &str = "write where it is, as \"https://example.com\"";

/// The texts under these keys: all of them, or none; which are missing is told.
fn all_or_none<const N: usize>(
    section: &mut Section<'_>,
    keys: [&'static str; N],
) -> Option<[Spanned<String>; N]> {
    let texts = keys.map(|key| section.text(key));
    if texts.iter().all(Option::is_none) {
        return None;
    }
    let missing: Vec<_> =
        keys.iter().zip(&texts).filter(|(_, text)| text.is_none()).map(|(key, _)| *key).collect();
    if !missing.is_empty() {
        let (place, keys) = (section.place(), missing.join(" and "));
        section.document().wrong(place, format!("there is no {keys}"), "add what is missing");
    }
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    texts.try_into().ok()
}

fn read_grafana(mut section: Section<'_>, base: &Path) -> Option<Grafana> {
    let texts = all_or_none(&mut section, ["url", "token_file"]);
    let grafana = texts.and_then(|[url, token_file]| {
        let url = section.parsed(&url, parse_url, URL_HINT)?.into_inner();
        Some(Grafana { url, token_file: base.join(token_file.into_inner()) })
    });
    section.finish();
    grafana
}

/// Where action items may be sent.
fn read_trackers(mut section: Section<'_>, base: &Path) -> Vec<Tracker> {
    let mut webhook = section.section("webhook");
    let receiver = read_receiver(&mut webhook, base);
    webhook.finish();
    let linear = read_linear(section.section("linear"), base);
    let jira = read_jira(section.section("jira"), base);
    section.finish();
    receiver.map(Tracker::Webhook).into_iter().chain(linear).chain(jira).collect()
}

/// Where Linear is.
const LINEAR: &str = "https://api.linear.app/graphql";

fn read_linear(mut section: Section<'_>, base: &Path) -> Option<Tracker> {
    let url = section.text("url");
    let texts = all_or_none(&mut section, ["team", "token_file"]);
    let linear = texts.and_then(|[team, token_file]| {
        let url = match url {
            Some(url) => section.parsed(&url, parse_url, URL_HINT)?.into_inner(),
            None => parse_url(LINEAR).ok()?,
        };
        let token_file = base.join(token_file.into_inner());
        Some(Tracker::Linear { url, team: team.into_inner(), token_file })
    });
    section.finish();
    linear
}

fn read_jira(mut section: Section<'_>, base: &Path) -> Option<Tracker> {
    let issue_type = section.text("issue_type");
    let texts = all_or_none(&mut section, ["url", "user", "token_file", "project"]);
    let jira = texts.and_then(|[url, user, token_file, project]| {
        Some(Tracker::Jira {
            url: section.parsed(&url, parse_url, URL_HINT)?.into_inner(),
            user: user.into_inner(),
            token_file: base.join(token_file.into_inner()),
            project: project.into_inner(),
            issue_type: issue_type.map_or_else(|| "Task".to_owned(), Spanned::into_inner),
        })
    });
    section.finish();
    jira
}

pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    // What is wrong with it is told without it: it may hold a secret.
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "this is not an address of http or https".to_owned())
}

fn read_feeds(root: &mut Section<'_>) -> Vec<Expected> {
    let mut feeds: Vec<Expected> = Vec::new();
    for section in root.sections("feed") {
        let (document, place) = (section.document(), section.place());
        let Some(feed) = read_feed(section) else { continue };
        if feeds.iter().any(|other| other.name == feed.name) {
            let what = format!("there are two feeds {:?}", feed.name.0);
            document.wrong(place, what, "give one of them another name");
        }
        feeds.push(feed);
    }
    feeds
}

fn read_feed(mut section: Section<'_>) -> Option<Expected> {
    let name = section.need("name", Section::text).and_then(|name| {
        section.parsed(&name, parse_feed_name, "use letters, digits, `_`, `-`, `.` and `:`")
    });
    let every = section.need("every", Section::duration);
    let too_often = every.as_ref().filter(|every| *every.get_ref() < FEED_EVERY_MIN);
    if let Some(every) = too_often {
        let what = "nobody is heard so often";
        section.document().wrong(every.span(), what, "write at least \"10s\"");
    }
    let carries = section.text("carries").and_then(|written| {
        let parse = |word: &str| {
            Carries::parse(word).ok_or_else(|| format!("a feed does not carry {word:?}"))
        };
        section.parsed(&written, parse, "write \"changes\" or \"alerts\"")
    });
    section.finish();
    let name = name?.into_inner();
    let carries = carries.map_or(name.carries(), Spanned::into_inner);
    Some(Expected { name, carries, every: every?.into_inner() })
}

fn parse_feed_name(text: &str) -> Result<FeedName, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    if text.is_empty() || text.len() > NAME_MAX || !text.chars().all(fine) {
        return Err(format!("{text:?} cannot be the name of a feed"));
    }
    Ok(FeedName(text.to_owned()))
}

fn read_labels(mut section: Section<'_>) -> Mapping {
    let mut mapping = Mapping::default();
    for canonical in CANONICAL {
        let Some(names) = section.texts(canonical) else { continue };
        if names.get_ref().is_empty() {
            let what = format!("nothing would ever be the {canonical}");
            section.document().wrong(names.span(), what, "leave it out to keep the default");
        }
        mapping.names.insert(canonical.to_owned(), plain(names).collect());
    }
    if let Some(values) = section.texts("not_services") {
        mapping.not_services = plain(values).collect();
    }
    if let Some(names) = section.texts("drop_labels") {
        mapping.drop_labels = plain(names).collect();
    }
    section.finish();
    mapping
}

fn plain(list: Spanned<Vec<Spanned<String>>>) -> impl Iterator<Item = String> {
    list.into_inner().into_iter().map(Spanned::into_inner)
}

fn read_settings(root: &mut Section<'_>) -> Settings {
    let mut settings = Settings::default();
    let mut section = root.section("correlation");
    let durations = [
        ("look_back", &mut settings.look_back),
        ("dormant", &mut settings.dormant),
        ("horizon", &mut settings.horizon),
        ("quiet", &mut settings.quiet),
        ("span", &mut settings.span),
        ("onset_lead", &mut settings.onset_lead),
    ];
    for (key, setting) in durations {
        let written = section.duration(key);
        if let Some(zero) = written.as_ref().filter(|written| written.get_ref().is_zero()) {
            section.document().wrong(
                zero.span(),
                format!("`{key}` is 0"),
                "write how long, as \"1h\"",
            );
        }
        set(setting, written);
    }
    if let Some(learn) = section.truth("learn") {
        settings.learn = learn.into_inner();
    }
    section.finish();
    settings.onsets = root.sections("onset").into_iter().filter_map(read_onset).collect();
    let mut section = root.section("impact");
    if let Some(outage) = section.texts("outage") {
        settings.outage = outage
            .into_inner()
            .into_iter()
            .filter_map(|text| {
                section.parsed(&text, Matchers::parse, "write them as 'alertname=\"SiteDown\"'")
            })
            .map(Spanned::into_inner)
            .collect();
    }
    section.finish();
    settings
}

/// The rule files in force: those that the program comes with, and those that are named.
fn read_rules(mut section: Section<'_>, base: &Path) -> Vec<File> {
    let document = section.document();
    let mut files = Vec::new();
    if section.truth("embedded").is_none_or(Spanned::into_inner) {
        files.extend(SHIPPED.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }
    if let Some(dir) = section.text("dir") {
        let read = read_rule_files(&base.join(dir.get_ref()));
        files.extend(
            document
                .checked(dir.span(), read, "name a directory of rule files")
                .unwrap_or_default(),
        );
    }
    files.extend(read_files(&mut section, base));
    section.finish();
    files
}

pub(super) fn read_files(section: &mut Section<'_>, base: &Path) -> Vec<File> {
    let document = section.document();
    let names = section.texts("files").map(Spanned::into_inner).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| {
            let read = read_file(base.join(name.get_ref()));
            document.checked(name.span(), read, "paths are relative to the configuration file")
        })
        .collect()
}

pub(super) fn read_file(path: PathBuf) -> Result<File, String> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(format!("{name} cannot be read: {error}")),
    }
}

/// The rule files of a directory, by name; rule tests are left out.
///
/// # Errors
/// A sentence that names the file or directory that cannot be read, or that holds no rules.
pub fn read_rule_files(dir: &Path) -> Result<Vec<File>, String> {
    let name = dir.display();
    let entries = fs::read_dir(dir).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| format!("{name} cannot be read: {error}"))?.path());
    }
    paths.retain(|path| is_rule_file(path));
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{name} holds no rule files"));
    }
    paths.into_iter().map(read_file).collect()
}

fn is_rule_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".toml") && !name.ends_with(".test.toml")
}

fn refuse_zero(section: &Section<'_>, count: Option<&Spanned<usize>>) {
    if let Some(zero) = count.filter(|count| *count.get_ref() == 0) {
        section.document().wrong(zero.span(), "0 would refuse everything", "leave it out");
    }
}

/// Keeps the default where nothing, or nothing readable, is written.
pub(super) fn set<T>(setting: &mut T, written: Option<Spanned<T>>) {
    if let Some(written) = written {
        *setting = written.into_inner();
    }
}
