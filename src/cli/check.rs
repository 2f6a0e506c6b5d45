//! `check`: what is wrong with configuration, catalogue, rule and rule test files, without a
//! daemon. In: paths. Out: every problem of every file; printing them is the caller's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    catalog::{Catalog, parse_backstage},
    config::Config,
    document::Document,
    problem::Problem,
    rules::{RuleSet, testfile::TestFile},
};

/// Name and text of a file.
type File = (String, String);

/// How the names of rule tests end.
pub(super) const TEST_SUFFIX: &str = ".test.toml";

/// What is wrong with configuration files and all that they name. A file that holds `[[service]]`
/// tables is a catalogue, and one of YAML holds Backstage's entities.
pub fn check_config(paths: &[PathBuf]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for path in paths {
        let checked = match read(path) {
            Ok(file) if is_yaml(path) => parse_backstage(&[file]).map(drop),
            Ok((name, text)) if is_catalog(&name, &text) => {
                Catalog::parse(&[(name, text)]).map(drop)
            }
            Ok(_) => Config::load(Some(path)).map(drop),
            Err(problem) => Err(vec![problem]),
        };
        problems.extend(checked.err().unwrap_or_default());
    }
    problems
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn is_catalog(name: &str, text: &str) -> bool {
    Document::new(name, text).root().has("service")
}

/// What is wrong with rule files and rule tests; directories are searched for both. The rules of
/// all files are checked together: a name is taken once.
pub fn check_rules(paths: &[PathBuf]) -> Vec<Problem> {
    let (files, mut problems) = files_of(paths, ".toml");
    let (tests, rules): (Vec<File>, Vec<File>) =
        files.into_iter().partition(|(name, _)| name.ends_with(TEST_SUFFIX));
    problems.extend(RuleSet::parse(&rules).err().unwrap_or_default());
    for (name, text) in tests {
        problems.extend(TestFile::parse(&name, &text).err().unwrap_or_default());
    }
    problems
}

/// The files, in directories those whose names end so, by name; with what cannot be read.
pub(super) fn files_of(paths: &[PathBuf], suffix: &str) -> (Vec<File>, Vec<Problem>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let inside = if path.is_dir() { in_dir(path, suffix) } else { Ok(vec![path.clone()]) };
        for read in inside.map_or_else(|problem| vec![Err(problem)], |paths| read_all(&paths)) {
            match read {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(problem),
            }
        }
    }
    (files, problems)
}

fn in_dir(dir: &Path, suffix: &str) -> Result<Vec<PathBuf>, Problem> {
    let name = dir.display().to_string();
    let unreadable = |error| Problem::of_file(&name, format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.retain(|path| path.to_string_lossy().ends_with(suffix));
    paths.sort();
    if paths.is_empty() {
        return Err(Problem::of_file(&name, format!("holds no files `*{suffix}`")));
    }
    Ok(paths)
}

fn read_all(paths: &[PathBuf]) -> Vec<Result<File, Problem>> {
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<File, Problem> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Problem::of_file(&name, format!("cannot be read: {error}"))),
    }
}
