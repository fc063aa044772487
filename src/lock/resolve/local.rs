//! Packages that a recipe brings along: what their control files say becomes an index of its own, and each is requested.
//!
//! They are to a set what `apt install ./x.deb` makes of them: versions that are preferred to those of every archive,
//! whatever is newer there, and whose dependencies come from the archives.

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::base::Span;
use crate::debian::archive::ArchiveRef;
use crate::debian::deb::{self, Control};
use crate::debian::packages::{Index, IndexBuilder};
use crate::debian::solve::RefusedRequest;
use crate::recipe::Recipe;
use crate::recipe::packages::{LocalPackage, PackageRequest, PackageSet};

/// What a solver must know of them.
const FIELDS: [&str; 15] = [
    "Package",
    "Version",
    "Architecture",
    "Essential",
    "Protected",
    "Priority",
    "Multi-Arch",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Enhances",
    "Provides",
];

/// The packages that a set takes from files.
pub(super) struct LocalPackages {
    pub(super) archive: ArchiveRef,
    pub(super) index: Index,
    /// One for each.
    pub(super) requests: Vec<PackageRequest>,
}

impl LocalPackages {
    /// Reads the control part of each file; every file that is no package for the set is an error.
    pub(super) fn read(recipe: &Recipe, set: &PackageSet) -> Result<LocalPackages, Vec<RefusedRequest>> {
        let architecture = set.architecture.facts().debian;
        let mut builder = IndexBuilder::default();
        let (mut requests, mut refused) = (Vec::new(), Vec::new());
        let mut spans: BTreeMap<String, Span> = BTreeMap::new();
        for (at, local) in set.local.iter().enumerate() {
            let control = match control(recipe, local).and_then(|control| fits(control, architecture)) {
                Ok(control) => control,
                Err(problem) => {
                    refused.push(refusal(local, problem));
                    continue;
                }
            };
            let name = control.package().to_owned();
            if spans.insert(name.clone(), local.span).is_some() {
                refused.push(refusal(local, format!("another file of this set is the package `{name}`, too")));
                continue;
            }
            if let Err(error) = builder.read(Cursor::new(stanza(recipe, &control, (at, local))), architecture) {
                refused.push(refusal(local, error.to_string()));
            }
            let (archive, version) = (Some(ArchiveRef::LOCAL.to_owned()), Some(control.version().to_owned()));
            requests.push(PackageRequest { name, archive, version, span: local.span });
        }
        let index = builder.finish();
        for one in index.unusable() {
            let local = set.local.iter().find(|local| spans.get(one.package) == Some(&local.span));
            refused.extend(local.map(|local| refusal(local, one.reason.to_owned())));
        }
        if refused.is_empty() {
            Ok(LocalPackages { archive: ArchiveRef::local(), index, requests })
        } else {
            Err(refused)
        }
    }
}

/// The file behind the path that [`stanza`] gave a package.
pub(super) fn key<'a>(set: &'a PackageSet, path: &str) -> Option<&'a str> {
    let at: usize = path.strip_prefix("local/")?.parse().ok()?;
    set.local.get(at).map(|local| local.key.as_str())
}

fn control(recipe: &Recipe, local: &LocalPackage) -> Result<Control, String> {
    let file = recipe.files.get(&local.key).ok_or("it is not part of the recipe")?;
    let reader = file.open().map_err(|error| error.to_string())?;
    deb::control(reader).map_err(|error| format!("not a Debian package: {error}"))
}

fn fits(control: Control, architecture: &str) -> Result<Control, String> {
    let name = control.package();
    // Debian policy 5.6.7; neither a lock nor a recipe takes another name.
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if name.len() < 2 || name.starts_with(['+', '-', '.']) || !name.bytes().all(legal) {
        return Err(format!("`{name}` cannot be the name of a Debian package"));
    }
    match control.architecture() {
        "all" => Ok(control),
        found if found == architecture => Ok(control),
        found => Err(format!("package `{}` is for {found}, and this set is for {architecture}", control.package())),
    }
}

/// An entry of an index, as archives have them.
fn stanza(recipe: &Recipe, control: &Control, (at, local): (usize, &LocalPackage)) -> String {
    let mut text = String::new();
    for field in FIELDS {
        if let Some(value) = control.stanza.get(field) {
            text.push_str(&format!("{field}: {}\n", value.replace('\n', " ")));
        }
    }
    let file = &recipe.files[&local.key];
    text.push_str(&format!("Filename: local/{at}\nSize: {}\nSHA256: {}\n\n", file.size, file.digest));
    text
}

fn refusal(local: &LocalPackage, problem: String) -> RefusedRequest {
    let message = format!("`{}` cannot be installed: {problem}", local.key);
    RefusedRequest { span: Some(local.span), message, help: None, unknown: None }
}
