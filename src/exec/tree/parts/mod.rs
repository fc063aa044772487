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
mod trees;
mod units;
mod users;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
    /// What its trees put there, by inode.
    placed: RefCell<BTreeSet<(u64, u64)>>,
}

impl<'a> Addition<'a> {
    /// To a tree as its packages left it.
    pub(crate) fn new(
        spec: &'a RootSpec,
        inputs: &'a BTreeMap<String, PathBuf>,
        tree: &'a Tree,
    ) -> Result<Addition<'a>, RootError> {
        Ok(Addition { spec, inputs, tree, newcomers: users::newcomers(spec, tree)?, placed: RefCell::default() })
    }

    /// What a tree of the recipe put there stays as it is, as everything that the recipe names.
    pub(crate) fn keeping_placed(&self) -> Tree {
        self.tree.keeping_inodes(self.placed.borrow().clone())
    }

    /// Whether the recipe says what is at a path, by itself or within a tree.
    pub(crate) fn states(&self, path: &str) -> Result<bool, RootError> {
        Ok(self.named(&[path]).is_some() || self.is_placed(path)?)
    }

    /// Whether a tree of the recipe put something at a path.
    fn is_placed(&self, path: impl AsRef<Path>) -> Result<bool, RootError> {
        Ok(self.tree.stat(path)?.is_some_and(|stat| self.placed.borrow().contains(&stat.inode)))
    }

    /// The first of these paths that is a file, directory or link of the recipe.
    pub(crate) fn named<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().copied().find(|path| self.spec.files.iter().any(|file| file.path == **path))
    }
}
