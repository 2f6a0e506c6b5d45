//! Catalogue files: `[[service]]` tables.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::{Catalog, Origin, Part, Service, Speaker, TIERS};
use crate::{
    document::{Document, Section},
    problem::{Problem, nearest},
};

impl Catalog {
    /// A catalogue from the texts of TOML files, given as (name, text).
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn parse(files: &[(String, String)]) -> Result<Self, Vec<Problem>> {
        parse_toml(files).map(|parts| Self::merged(&parts))
    }
}

/// What TOML files say, given as (name, text): a part for each.
///
/// # Errors
/// Every problem of every file.
pub fn parse_toml(files: &[(String, String)]) -> Result<Vec<Part>, Vec<Problem>> {
    let (mut problems, mut parts) = (Vec::new(), Vec::new());
    // Of all files: a service is in one of them.
    let mut known = BTreeMap::new();
    for (file, text) in files {
        let earlier: BTreeSet<String> = known.keys().cloned().collect();
        let document = Document::new(file, text);
        let mut root = document.root();
        read_services(&mut root, &mut known);
        root.finish();
        problems.extend(document.problems());
        let own = known.iter().filter(|(name, _)| !earlier.contains(*name));
        let services = own.map(|(name, service)| (name.clone(), service.clone())).collect();
        parts.push(Part { origin: Origin::new(Speaker::Toml, file), services });
    }
    if problems.is_empty() { Ok(parts) } else { Err(problems) }
}

/// Reads the `[[service]]` tables of a file into `services`.
pub(crate) fn read_services(root: &mut Section<'_>, services: &mut BTreeMap<String, Service>) {
    for mut section in root.sections("service") {
        if let Some((name, service)) = read_service(&mut section, services) {
            services.insert(name, service);
        }
        section.finish();
    }
}

fn read_service(
    section: &mut Section<'_>,
    known: &BTreeMap<String, Service>,
) -> Option<(String, Service)> {
    let document = section.document();
    let name = section.need("name", Section::text);
    let tier = section.text("tier");
    let depends_on = section.texts("depends_on");

    if let Some(tier) = &tier
        && !TIERS.contains(&tier.get_ref().as_str())
    {
        let hint = match nearest(tier.get_ref(), TIERS) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("write one of {}, or leave it out", TIERS.join(", ")),
        };
        document.wrong(tier.span(), format!("there is no tier {:?}", tier.get_ref()), hint);
    }
    let name = name?;
    if name.get_ref().is_empty() {
        document.wrong(name.span(), "a service's name is empty", "name it as its alerts do");
    }
    if known.contains_key(name.get_ref()) {
        let what = format!("the service {:?} is there twice", name.get_ref());
        document.wrong(name.span(), what, "put all that it depends on into one `[[service]]`");
    }
    let depends_on = depends_on.map(Spanned::into_inner).unwrap_or_default();
    for used in depends_on.iter().filter(|used| used.get_ref() == name.get_ref()) {
        let what = format!("the service {:?} depends on itself", name.get_ref());
        document.wrong(used.span(), what, "leave it out of its own `depends_on`");
    }
    let depends_on: BTreeSet<_> = depends_on.into_iter().map(Spanned::into_inner).collect();
    Some((name.into_inner(), Service { tier: tier.map(Spanned::into_inner), depends_on }))
}
