//! What a lock says of its recipe and of archives, beside what the recipe says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Lock, LockedArchive};
use crate::base::Digest;
use crate::debian::archive::ArchiveRef;
use crate::recipe::Recipe;
use crate::recipe::archive::Archive;
use crate::recipe::local::LocalOrigin;

/// The recipe's identity: its files by digest and its parameters by value, in their canonical spelling.
pub fn recipe_digest(files: &BTreeMap<String, Digest>, params: &BTreeMap<String, String>) -> Digest {
    let mut text = String::from("kiln recipe 1\n");
    for (path, digest) in files {
        text.push_str(&format!("file {digest} {path}\n"));
    }
    for (name, value) in params {
        text.push_str(&format!("param {} {name} {value}\n", value.len()));
    }
    Digest::of(text.as_bytes())
}

/// How an archive is described otherwise than it was locked.
pub(super) fn difference(asked: &Archive, locked: &LockedArchive) -> Option<String> {
    let (components, were) = (asked.components.join(" "), locked.components.join(" "));
    let (arch, was) = (asked.architecture.to_string(), locked.architecture.to_string());
    let pairs = [
        ("suite", &asked.suite, &locked.suite),
        ("components", &components, &were),
        ("architecture", &arch, &was),
        ("repository", &asked.repository, &locked.repository),
    ];
    let (field, asked, locked) = pairs.into_iter().find(|(_, asked, locked)| asked != locked)?;
    Some(format!("has the {field} `{asked}` in the recipe, `{locked}` in the lock"))
}

/// Whether the archive of that name is locked as the recipe describes it.
pub(super) fn is_described(recipe: &Recipe, lock: &Lock, name: &str) -> bool {
    let pair = recipe.archives.get(name).zip(lock.archives.get(&ArchiveRef::current(name)));
    pair.is_some_and(|(asked, locked)| difference(asked, locked).is_none())
}

/// What the recipe makes from directories that are no part of it.
pub(super) fn local(recipe: &Recipe) -> BTreeSet<String> {
    let said = recipe.local().filter(|local| local.origin == LocalOrigin::Recipe);
    said.map(|local| local.reader.to_string()).collect()
}
