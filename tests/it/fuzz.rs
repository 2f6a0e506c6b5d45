//! Each source has a fuzz target, which is not built here: `cargo fuzz` takes a nightly compiler.

use std::{collections::BTreeSet, fs, path::Path};

use antecede::wire::source::SOURCES;
use regex::Regex;

#[test]
fn every_source_has_a_fuzz_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let binary = Regex::new("name = \"(\\w+)\"\npath = \"fuzz_targets/(\\w+).rs\"").unwrap();
    let named: BTreeSet<_> = binary
        .captures_iter(&manifest)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect();
    let wanted = SOURCES.iter().map(|source| (source.name.to_owned(), source.name.to_owned()));
    assert_eq!(named, wanted.collect(), "fuzz/make-targets writes them");
    for (name, _) in named {
        let text = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(text.contains(&format!("target!(\"{name}\")")), "{name}");
    }
}
