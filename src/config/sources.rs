//! `[sources.NAME]`: the secrets by which a source is let in. `[[source]]`: a source of the user's
//! own.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    document::Section,
    event::Labels,
    wire::{
        signature::{Scheme, Secrets, Verifier},
        source::{Makes, Origin, Own, SOURCES, Source},
    },
};

/// The doors of sources, by their names.
pub(super) type Doors = BTreeMap<String, Verifier>;

/// The doors of all sources that have a table.
pub(super) fn read_sources(mut section: Section<'_>, base: &Path) -> Doors {
    let mut doors = Doors::new();
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
fn read_secrets(table: &mut Section<'_>, base: &Path) -> Option<Secrets> {
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

/// The sources of the user's own; their doors go to the others.
pub(super) fn read_own(
    root: &mut Section<'_>,
    base: &Path,
    doors: &mut Doors,
) -> BTreeMap<String, Own> {
    let mut all = BTreeMap::new();
    for mut section in root.sections("source") {
        let (document, place) = (section.document(), section.place());
        let door = read_door(&mut section, base);
        let Some(own) = read_one(section) else { continue };
        if let Some(door) = door {
            doors.insert(own.name.clone(), door);
        }
        if all.contains_key(&own.name) {
            let what = format!("there are two sources {:?}", own.name);
            document.wrong(place, what, "give one of them another name");
        }
        all.insert(own.name.clone(), own);
    }
    all
}

/// By which secrets it is let in, and how; without any, by the daemon's token.
fn read_door(section: &mut Section<'_>, base: &Path) -> Option<Verifier> {
    let document = section.document();
    let header = section.text("signature_header");
    let signature = section.text("signature");
    if !section.has("secret_files") {
        if let Some(written) = &signature {
            let what = "there are no secrets to sign with";
            document.wrong(written.span(), what, "add `secret_files = [...]`");
        }
        return None;
    }
    let secrets = read_secrets(section, base);
    let Some(signature) = signature else {
        let what = "how it shows that it knows a secret is not said";
        document.wrong(section.place(), what, "add `signature = ...`, as \"hmac_sha256\"");
        return None;
    };
    let parse = |word: &str| {
        let header = header.as_ref().map(|header| header.get_ref().as_str());
        Scheme::parse(word, header).ok_or_else(|| {
            if Scheme::WORDS.contains(&word) {
                format!("{word:?} needs to know in which header it is")
            } else {
                format!("{word:?} is no signature that is known")
            }
        })
    };
    let hint = format!("it may be {}; see `signature_header` too", Scheme::WORDS.join(", "));
    let scheme = section.parsed(&signature, parse, &hint)?.into_inner();
    Some(Verifier::new(vec![scheme], secrets?))
}

fn read_one(mut section: Section<'_>) -> Option<Own> {
    let document = section.document();
    let name = section.need("name", Section::text).and_then(|name| {
        section.parsed(&name, parse_name, "use another, of letters, digits, `_` and `-`")
    });
    let makes = section
        .need("makes", Section::text)
        .and_then(|makes| section.parsed(&makes, parse_makes, "write \"changes\" or \"alerts\""));
    let pointers = "a JSON pointer begins with `/`, as \"/deploy/id\"";
    let each = section.text("each").and_then(|each| section.parsed(&each, parse_pointer, pointers));
    let only = section.labels("only");
    for (pointer, _) in only.by_name() {
        document.checked(section.place(), parse_pointer(pointer), pointers);
    }
    let words = section.labels("words");
    let labels = read_labels(&section.labels("labels"), &section);
    let mut map = section.section("map");
    let makes = makes?.into_inner();
    let mut fields = BTreeMap::new();
    for field in makes.fields() {
        let Some(written) = map.texts(field) else { continue };
        let origins = written.into_inner().into_iter();
        let origins = origins.filter_map(|text| map.parsed(&text, Origin::parse, pointers));
        fields.insert(*field, origins.map(toml::Spanned::into_inner).collect());
    }
    if !fields.contains_key(makes.needed()) {
        let what = format!("`{}` is not mapped", makes.needed());
        document.wrong(map.place(), what, format!("add `{} = \"/...\"`", makes.needed()));
    }
    map.finish();
    section.finish();
    let (name, each) = (name?.into_inner(), each.map(toml::Spanned::into_inner));
    Some(Own { name, makes, each, only, fields, labels, words })
}

fn read_labels(written: &Labels, section: &Section<'_>) -> Vec<(String, Origin)> {
    let mut labels = Vec::new();
    for (name, text) in written.iter() {
        let hint = "a JSON pointer begins with `/`, as \"/deploy/id\"";
        let origin = section.document().checked(section.place(), Origin::parse(text), hint);
        labels.extend(origin.map(|origin| (name.to_owned(), origin)));
    }
    labels
}

fn parse_name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if text.is_empty() || text.len() > super::file::NAME_MAX || !text.chars().all(fine) {
        return Err(format!("{text:?} cannot be the name of a source"));
    }
    let path = format!("/webhooks/{text}");
    if Source::named(text).is_some() || Source::at(&path).is_some() {
        return Err(format!("there is a source {text:?} already, which needs no mapping"));
    }
    Ok(text.to_owned())
}

fn parse_makes(word: &str) -> Result<Makes, String> {
    match word {
        "changes" => Ok(Makes::Changes),
        "alerts" => Ok(Makes::Alerts),
        _ => Err(format!("a source does not make {word:?}")),
    }
}

fn parse_pointer(text: &str) -> Result<String, String> {
    match Origin::parse(text)? {
        Origin::Pointer(pointer) => Ok(pointer),
        Origin::Fixed(text) => Err(format!("{text:?} is no JSON pointer")),
    }
}
