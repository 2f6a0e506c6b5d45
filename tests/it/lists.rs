//! Holds `tests/lists.md` against the code: no line is missing, and each names tests that exist, or
//! says with what it comes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// The lines of both lists, by their numbers.
const LINES: [std::ops::RangeInclusive<usize>; 2] = [1..=35, 40..=63];

#[test]
fn every_line_of_the_lists_names_its_tests() {
    let tests = tests();
    let named = Regex::new("`([a-z0-9_]+)`").unwrap();
    let mut numbers = Vec::new();
    let mut wrong = Vec::new();
    for row in rows() {
        let [number, what, held_by] = &row[..] else { panic!("{row:?} has not three cells") };
        numbers.push(number.parse::<usize>().unwrap());
        assert!(what.ends_with('.'), "{what} is no sentence");
        let names: Vec<_> = named.captures_iter(held_by).map(|name| name[1].to_owned()).collect();
        if names.is_empty() && !held_by.starts_with("Comes with ") {
            wrong.push(format!("{number} names no test: {held_by}"));
        }
        let unknown = names.iter().filter(|name| !tests.contains(*name));
        wrong.extend(unknown.map(|name| format!("{number}: there is no test {name}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(numbers, LINES.into_iter().flatten().collect::<Vec<_>>());
}

/// The cells of each numbered row of its tables.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("tests/lists.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let numbered = |line: &&str| {
        line.strip_prefix("| ").is_some_and(|line| line.starts_with(char::is_numeric))
    };
    text.lines().filter(numbered).map(cells).collect()
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let test =
        Regex::new(r"#\[(?:tokio::)?test\]\s+(?:#\[[^\]]*\]\s+)*(?:async )?fn (\w+)").unwrap();
    let texts = ["src", "tests/it"].into_iter().flat_map(|dir| files(&root().join(dir)));
    let texts: Vec<_> = texts.map(|file| fs::read_to_string(file).unwrap()).collect();
    texts.iter().flat_map(|text| test.captures_iter(text)).map(|name| name[1].to_owned()).collect()
}

/// The Rust files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = dirs.iter().flat_map(|dir| self::files(dir));
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|one| one == "rs");
    files.into_iter().filter(is_rust).chain(below).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
