//! What a recipe adds to a system of whatever distribution: addresses, users, files, services.
//!
//! Input: the spec and a configured tree. Output: the tree, changed. It must not decide what a recipe means.

mod enrol;
mod files;
mod homes;
mod login_defs;
mod network;
mod paths;
mod removed;
mod subordinate;
mod units;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(crate) use files::apply as files;
pub(crate) use homes::apply as homes;
pub(crate) use network::apply as network;
pub(crate) use removed::apply as removed;
pub(crate) use units::script as units;
pub(crate) use users::apply as users;

use super::{RootError, Tree};
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
    pub(crate) fn named<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().copied().find(|path| self.spec.files.iter().any(|file| file.path == **path))
    }
}
