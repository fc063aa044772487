//! What the recipe adds to the packages: names, users, files, services.
//!
//! Input: the spec and a configured tree. Output: the tree, changed. It must not decide what a recipe means.

mod accounts;
mod enrol;
mod files;
mod first_boot;
mod homes;
mod login_defs;
mod network;
mod paths;
mod subordinate;
mod system;
mod units;
mod users;

pub(crate) use accounts::Accounts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::RootError;
use super::run::Runner;
use crate::exec::tree::Tree;
use crate::plan::root::RootSpec;

/// What is added, and to what.
pub(crate) struct Addition<'a> {
    pub(crate) spec: &'a RootSpec,
    /// Files of the recipe, by their path in the step.
    pub(crate) inputs: &'a BTreeMap<String, PathBuf>,
    pub(crate) tree: &'a Tree,
    /// Users of the recipe that had no home when this began.
    newcomers: BTreeSet<String>,
}

impl<'a> Addition<'a> {
    /// To a tree as its packages left it.
    pub(crate) fn new(
        spec: &'a RootSpec,
        inputs: &'a BTreeMap<String, PathBuf>,
        tree: &'a Tree,
    ) -> Result<Addition<'a>, RootError> {
        Ok(Addition { spec, inputs, tree, newcomers: users::newcomers(spec, tree)? })
    }

    /// The first of these paths that is a file, directory or link of the recipe.
    fn named<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().copied().find(|path| self.spec.files.iter().any(|file| file.path == **path))
    }
}

/// One part.
pub(super) type Part = fn(&Addition<'_>) -> Result<(), RootError>;

/// In an order in which later ones may rely on earlier ones.
pub(super) const ALL: [(&str, Part); 5] = [
    ("system", system::apply),
    ("network", network::apply),
    ("users", users::apply),
    ("files", files::apply),
    ("homes", homes::apply),
];

/// Applies every part.
pub(crate) fn apply(addition: &Addition<'_>, runner: &Runner<'_>) -> Result<(), RootError> {
    for (_, part) in ALL {
        part(addition)?;
    }
    match services(addition)? {
        Some(script) => runner.script("enabling units", &script, &mut |line| (runner.log)(line)),
        None => Ok(()),
    }
}

/// Writes units, and says how those of the recipe and its own are enabled, if there are any.
pub(super) fn services(addition: &Addition<'_>) -> Result<Option<String>, RootError> {
    let born = first_boot::apply(addition.tree)?;
    units::script(addition, &born)
}
