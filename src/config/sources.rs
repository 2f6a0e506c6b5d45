//! `[sources.NAME]`: the secrets by which a source is let in.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    document::Section,
    wire::{
        signature::{Secrets, Verifier},
        source::SOURCES,
    },
};

/// The doors of all sources that have a table.
pub(super) fn read_sources(mut section: Section<'_>, base: &Path) -> BTreeMap<String, Verifier> {
    let mut doors = BTreeMap::new();
    for source in SOURCES {
        let is_written = section.has(source.name);
        let mut table = section.section(source.name);
        if is_written && let Some(secrets) = read_secrets(&mut table, base) {
            doors.insert(source.name.to_owned(), Verifier::new(source.schemes.to_vec(), secrets));
        }
        table.finish();
    }
    section.finish();
    doors
}

/// The secrets of the files that are named, all of which count. Without any, a table would look as
/// if it let in nobody, and let in everybody.
pub(super) fn read_secrets(table: &mut Section<'_>, base: &Path) -> Option<Secrets> {
    let files = table.need("secret_files", Section::texts)?;
    let document = table.document();
    let mut secrets = Secrets::default();
    if files.get_ref().is_empty() {
        let hint = "name a file with a secret, or leave the table out";
        document.wrong(files.span(), "no file is named", hint);
    }
    for name in files.into_inner() {
        let path = base.join(name.get_ref());
        let read = fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()));
        let hint = "paths are relative to the configuration file";
        let Some(text) = document.checked(name.span(), read, hint) else { continue };
        if !secrets.add(&text) {
            let what = format!("{} holds no secret", path.display());
            document.wrong(name.span(), what, "write one secret a line");
        }
    }
    (!secrets.is_empty()).then_some(secrets)
}
