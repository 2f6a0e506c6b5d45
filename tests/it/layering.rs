//! Holds the rooms of ARCHITECTURE.md against what `src/` says: who may import whom, and what the
//! pure rooms do without.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::rust_text::{UsedPath, paths};

/// What a pure room's code may not say: clocks, files, networks, chance, tasks, and maps whose order
/// is chance.
const IMPURE: &[&[&str]] = &[
    &["async"],
    &["await"],
    &["tokio"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["thread_local"],
    &["SystemTime"],
    &["Instant"],
    &["Utc", "now"],
    &["Local", "now"],
    &["rand"],
    &["RandomState"],
    &["HashMap"],
    &["HashSet"],
];

#[test]
fn rooms_use_only_the_rooms_that_the_table_allows() {
    let table = table();
    let mut broken = Vec::new();
    for source in sources() {
        let Some(row) = table.iter().find(|row| row.room == source.room) else {
            broken.push(format!("{}: the table has no row for {}", source.name(), source.room));
            continue;
        };
        for used in rooms_used(&source.text, source.depth) {
            if used != row.room && !row.may_use.contains(&used) {
                broken.push(format!("{}: {} may not use {used}", source.name(), row.room));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_table_lists_what_is_there_and_points_upwards() {
    let table = table();
    let rooms: BTreeSet<_> = sources().into_iter().map(|source| source.room).collect();
    for (index, row) in table.iter().enumerate() {
        assert!(rooms.contains(&row.room), "{} is not in src/", row.room);
        for used in &row.may_use {
            let above = table[..index].iter().any(|above| above.room == *used);
            assert!(above, "{} -> {used} does not point upwards", row.room);
        }
    }
}

#[test]
fn pure_rooms_hold_no_clock_no_io_no_chance() {
    let pure: BTreeSet<_> =
        table().into_iter().filter(|row| row.pure).map(|row| row.room).collect();
    for room in ["correlate", "rules", "timeline"] {
        assert!(pure.contains(room), "{room} has to be pure");
    }
    let mut broken = Vec::new();
    for source in sources().into_iter().filter(|source| pure.contains(&source.room)) {
        for said in impurities(&source.text) {
            broken.push(format!("{}: {said}", source.name()));
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_scanner_sees_every_way_to_write_an_import() {
    let seen = |text: &str, depth| rooms_used(text, depth).into_iter().collect::<Vec<_>>();
    assert_eq!(seen("use crate::http::Reply;", 1), ["http"]);
    assert_eq!(
        seen("use crate::{event::{Event, Time}, http, store as kept};", 1),
        ["event", "http", "store"]
    );
    assert_eq!(
        seen("fn f() -> crate::engine::Handle { super::super::store::Seq(1) }", 2),
        ["engine", "store"]
    );
    assert_eq!(seen("use super::{super::{http::x}, sibling};", 2), ["http"]);
    assert_eq!(seen("use self::super::super::cli;", 2), ["cli"]);
    assert_eq!(seen("use super::store;", 1), ["store"]);
    assert_eq!(seen("mod inner { use super::sibling; use super::super::store; }", 1), ["store"]);
    assert_eq!(seen("fn main() { antecede::cli::run() }", 0), ["cli"]);
    assert_eq!(seen("const C: &str = r#\"\" crate::http\"#; // crate::app", 1), [""; 0]);
    assert_eq!(
        seen("fn f<'a>(x: &'a str) -> char { '\"' } /* crate::x */ use crate::app;", 1),
        ["app"]
    );
    assert_eq!(seen("pub(crate) fn f() {}", 1), [""; 0]);
}

#[test]
fn the_scanner_sees_what_is_impure() {
    let planted = "use std::{collections::{BTreeMap, HashMap}, fs::read, time::Instant};
        async fn f() { chrono::Utc::now(); tokio::spawn(g()).await }";
    assert_eq!(impurities(planted).len(), 7, "{:?}", impurities(planted));
    assert_eq!(impurities("/// Not async.\nfn f(now: Time) { \"std::fs\"; }"), [""; 0]);
}

/// One row of the table of rooms in ARCHITECTURE.md.
struct Row {
    room: String,
    may_use: Vec<String>,
    pure: bool,
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let &["", room, _, may_use, pure, ""] = &cells[..] else { return None };
        Some(Row {
            room: room.strip_prefix('`')?.strip_suffix('`')?.to_owned(),
            may_use: may_use.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
            pure: pure == "yes",
        })
    });
    rows.collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file of `src/`.
struct Source {
    path: PathBuf,
    /// Its first part below `src/`.
    room: String,
    /// How many modules deep it is: 0 for the root, 1 for `event/mod.rs` and `clock.rs`.
    depth: usize,
    text: String,
}

impl Source {
    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// All files of `src/` but tests, which may use what they like.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut waiting = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = path.strip_prefix(&src).unwrap().with_extension("");
            let mut parts: Vec<_> =
                module.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if parts.contains(&"tests".to_owned()) {
                continue;
            }
            parts.pop_if(|last| last == "mod");
            let room = parts[0].clone();
            let depth = if room == "main" || room == "lib" { 0 } else { parts.len() };
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path, room, depth, text });
        }
    }
    found
}

/// The rooms that a file names, whose own module is `depth` below the root.
fn rooms_used(text: &str, depth: usize) -> BTreeSet<String> {
    paths(text).iter().filter_map(|path| room_of(path, depth)).collect()
}

/// The room at which a path arrives, if it leads through the root.
fn room_of(path: &UsedPath, depth: usize) -> Option<String> {
    let climbs = path.parts.iter().filter(|part| *part == "super").count();
    let from_root = match path.parts.first()?.as_str() {
        "crate" | "antecede" => true,
        "self" | "super" => climbs > 0 && climbs == depth + path.nested,
        _ => false,
    };
    let below = path.parts.iter().find(|part| !ROOTS.contains(&part.as_str()))?;
    from_root.then(|| below.clone())
}

/// What a path may begin with on its way through the root.
const ROOTS: &[&str] = &["crate", "antecede", "self", "super"];

/// The impure things that a file says.
fn impurities(text: &str) -> Vec<String> {
    let says = |path: &UsedPath, impure: &[&str]| {
        path.parts.windows(impure.len()).any(|part| part == impure)
    };
    let of = |path: UsedPath| {
        IMPURE.iter().filter(move |impure| says(&path, impure)).map(|impure| impure.join("::"))
    };
    paths(text).into_iter().flat_map(of).collect()
}
