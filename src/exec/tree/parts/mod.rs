//! What a recipe adds to a system of whatever distribution: addresses, users, files, services.
//!
//! Input: the spec and a configured tree. Output: the tree, changed. It must not decide what a recipe means.

mod files;
mod network;
mod units;
mod users;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use files::apply as files;
pub(crate) use network::apply as network;
pub(crate) use units::script as units;
pub(crate) use users::apply as users;

use super::Tree;
use crate::plan::root::RootSpec;

/// What is added, and to what.
pub(crate) struct Addition<'a> {
    pub(crate) spec: &'a RootSpec,
    /// Files of the recipe, by their path in the step.
    pub(crate) inputs: &'a BTreeMap<String, PathBuf>,
    pub(crate) tree: &'a Tree,
}
