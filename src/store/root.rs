//! Named roots: builds that garbage collection keeps whatever was used when, until somebody removes their names.
//!
//! `root/NAME` holds what a build consists of and was made from: its steps' actions and the digests of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::base::{Digest, Foreign};
use crate::world::fs;

/// No root is larger.
const LIMIT: u64 = 16 << 20;
/// Longest name.
const MAX_NAME_BYTES: usize = 100;
/// Where roots are.
pub(super) const ROOTS: &str = "root";

/// The name of a root: letters, digits, `.`, `_` and `-`, the first of them a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RootName(String);

impl RootName {
    /// Reads a name.
    pub fn parse(text: &str) -> Option<RootName> {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.len() <= MAX_NAME_BYTES
            && text.chars().all(is_inner);
        is_name.then(|| RootName(text.to_owned()))
    }
}

impl fmt::Display for RootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a root keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreRoot {
    /// The recipe's name.
    pub recipe: String,
    /// Of the manifest of the build.
    pub manifest: Digest,
    /// The resolved ids of its steps.
    pub actions: BTreeSet<Digest>,
    /// Its files.
    pub files: BTreeSet<Digest>,
}

impl Store {
    /// Keeps a build under a name, which is taken from another.
    pub fn put_root(&self, name: &RootName, root: &StoreRoot) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(root).expect("a root has only strings");
        let written = fs::write_atomically(&self.root.join(ROOTS).join(&name.0), &bytes);
        written.map_err(|error| StoreError::at(&self.root, error))
    }

    /// All roots. One that cannot be read is an error, since nobody knows what it keeps.
    pub fn roots(&self) -> Result<BTreeMap<RootName, StoreRoot>, StoreError> {
        let mut roots = BTreeMap::new();
        for name in fs::names(&self.root.join(ROOTS))? {
            // What was being written when its writer was killed has another name.
            let Some(name) = name.to_str().and_then(RootName::parse) else { continue };
            let path = self.root.join(ROOTS).join(&name.0);
            let root = serde_json::from_slice(&fs::read(&path, LIMIT)?);
            let root = root.map_err(|_| StoreError::Root(Foreign(&name).to_string()))?;
            roots.insert(name, root);
        }
        Ok(roots)
    }

    /// Removes a name; whether there was one. What it kept goes with the next garbage collection that nothing else keeps it from.
    pub fn remove_root(&self, name: &RootName) -> Result<bool, StoreError> {
        let path = self.root.join(ROOTS).join(&name.0);
        let is_there = path.symlink_metadata().is_ok();
        fs::remove_file(&path).map_err(|error| StoreError::at(&self.root, error))?;
        Ok(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roots_are_plain() {
        for name in ["a", "release-1.2", "9_x", &"x".repeat(100)] {
            assert!(RootName::parse(name).is_some(), "{name}");
        }
        for name in ["", ".", "..", ".a", "-a", "a/b", "a\nb", "a b", "ä", "$(id)", &"x".repeat(101)] {
            assert_eq!(RootName::parse(name), None, "{name:?}");
        }
    }
}
