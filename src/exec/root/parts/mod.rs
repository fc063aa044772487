//! What the recipe adds to the packages: names, users, files, services.
//!
//! Input: the spec and a configured tree. Output: the tree, changed. It must not decide what a recipe means.

mod accounts;
mod files;
mod network;
mod system;
mod units;
mod users;

pub(crate) use accounts::Accounts;

use super::RootError;
use super::build::Job;
use super::run::Runner;

/// Applies every part, in an order in which later ones may rely on earlier ones.
pub(crate) fn apply(job: &Job, runner: &Runner<'_>) -> Result<(), RootError> {
    let (spec, root) = (&job.spec, job.root.as_path());
    system::apply(spec, root)?;
    network::apply(spec, root)?;
    users::apply(spec, root)?;
    files::apply(job)?;
    units::apply(spec, runner)
}
