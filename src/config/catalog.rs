//! `[catalog]`: the files that say which service depends on which, and whom to ask besides.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use chrono::TimeDelta;
use glob::{MatchOptions, Pattern, glob_with};
use toml::Spanned;

use super::file::{File, parse_url, read_file, read_files, set};
use crate::{
    catalog::{Catalog, Part, parse_backstage, parse_toml},
    document::Section,
    problem::Problem,
    topology,
};

/// What Backstage's own documentation calls its files.
const BACKSTAGE_FILE: &str = "catalog-info.y*ml";
/// Who calls whom does not change more often.
const EVERY_MIN: TimeDelta = TimeDelta::seconds(10);

/// What a configuration names, not read yet but for its text.
#[derive(Debug)]
pub(super) struct Named {
    toml: Vec<File>,
    backstage: Vec<File>,
    pub(super) service_graph: Option<topology::Settings>,
}

impl Named {
    /// What all files say together; every problem of every file.
    pub(super) fn catalog(&self, problems: &mut Vec<Problem>) -> Catalog {
        let mut parts: Vec<Part> = Vec::new();
        // What is said by hand comes first: of tiers the first word counts.
        for read in [parse_toml(&self.toml), parse_backstage(&self.backstage)] {
            match read {
                Ok(more) => parts.extend(more),
                Err(more) => problems.extend(more),
            }
        }
        Catalog::merged(&parts)
    }
}

pub(super) fn read_catalog(mut section: Section<'_>, base: &Path) -> Named {
    let toml = read_files(&mut section, base);
    let backstage = read_backstage(&mut section, base);
    let is_asked = section.has("service_graph");
    let graph = section.section("service_graph");
    let service_graph = is_asked.then(|| read_service_graph(graph, base)).flatten();
    section.finish();
    Named { toml, backstage, service_graph }
}

/// The files that are named, and those in the directories and of the patterns that are; each once.
fn read_backstage(section: &mut Section<'_>, base: &Path) -> Vec<File> {
    let document = section.document();
    let named = section.texts("backstage").map(Spanned::into_inner).unwrap_or_default();
    let (mut seen, mut files) = (BTreeSet::new(), Vec::new());
    for name in named {
        let hint = "name files, directories with `catalog-info.yaml` in them, or patterns as \
                    \"services/*/catalog-info.yaml\"; paths are relative to the configuration file";
        let found = document.checked(name.span(), matching(name.get_ref(), base), hint);
        for path in found.unwrap_or_default() {
            if seen.insert(path.clone()) {
                files.extend(document.checked(name.span(), read_file(path), hint));
            }
        }
    }
    files
}

/// The files that a path or a pattern means, by name; at least one.
fn matching(written: &str, base: &Path) -> Result<Vec<PathBuf>, String> {
    let path = base.join(written);
    if path.is_file() {
        return Ok(vec![path]);
    }
    let shown = path.display().to_string();
    let pattern = if path.is_dir() {
        format!("{}/**/{BACKSTAGE_FILE}", Pattern::escape(&shown))
    } else {
        // A directory of ours may be called as it likes.
        let base = Pattern::escape(&base.display().to_string());
        Path::new(&base).join(written).display().to_string()
    };
    // No hidden directories: what is in .git is no service.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let found = glob_with(&pattern, options)
        .map_err(|error| format!("{written:?} is no pattern: {}", error.msg))?;
    let mut paths = Vec::new();
    for path in found {
        paths.push(path.map_err(|error| format!("{} cannot be read", error.path().display()))?);
    }
    paths.retain(|path| path.is_file());
    if paths.is_empty() {
        return Err(format!("{shown} is no file, and matches none"));
    }
    paths.sort();
    Ok(paths)
}

fn read_service_graph(mut section: Section<'_>, base: &Path) -> Option<topology::Settings> {
    let url = section.need("url", Section::text).and_then(|url| {
        let hint = "write where a Prometheus answers, as \"http://127.0.0.1:9090\"";
        section.parsed(&url, parse_url, hint)
    });
    let token_file = section.text("token_file").map(|file| base.join(file.into_inner()));
    let (every, keep) = (section.duration("every"), section.duration("keep"));
    check_times(&section, every.as_ref(), keep.as_ref());
    section.finish();
    let mut settings = topology::Settings::new(url?.into_inner());
    settings.token_file = token_file;
    set(&mut settings.every, every);
    set(&mut settings.keep, keep);
    Some(settings)
}

fn check_times(
    section: &Section<'_>,
    every: Option<&Spanned<TimeDelta>>,
    keep: Option<&Spanned<TimeDelta>>,
) {
    if let Some(every) = every.filter(|every| *every.get_ref() < EVERY_MIN) {
        let what = "what calls what does not change so often";
        section.document().wrong(every.span(), what, "write at least \"10s\"");
    }
    let every = every.map_or(topology::EVERY, |every| *every.get_ref());
    if let Some(keep) = keep.filter(|keep| *keep.get_ref() < every) {
        let what = "a call would be forgotten before it is asked for again";
        section.document().wrong(keep.span(), what, "write at least what `every` says");
    }
}
