//! What the recipe adds to the packages: names, users, files, services.
//!
//! Input: the spec and a configured tree. Output: the tree, changed. It must not decide what a recipe means.

mod accounts;
mod files;
mod first_boot;
mod network;
mod system;
mod units;
mod users;

pub(crate) use accounts::Accounts;

use super::RootError;
use super::job::Job;
use super::run::Runner;
use crate::plan::root::RootSpec;

/// Applies every part, in an order in which later ones may rely on earlier ones.
pub(crate) fn apply(job: &Job, spec: &RootSpec, runner: &Runner<'_>) -> Result<(), RootError> {
    let root = job.root.as_path();
    system::apply(spec, root)?;
    network::apply(spec, root)?;
    users::apply(spec, root)?;
    files::apply(job, &spec.files)?;
    let born = first_boot::apply(root)?;
    units::apply(spec, runner, &born)
}
