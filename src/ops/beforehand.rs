//! What a run or a test would be refused for once everything is built: it is looked at before, as far as it can be known
//! then, because hours may lie between the command and the first start of a machine.
//!
//! Input: a recipe with its lock, and what is asked of its machines. Output: the error that the start would end with. The
//! start looks again, for nothing here is held until then.

use super::error::{OpsError, UsageError};
use super::load::Ready;
use super::run_request::RunRequest;
use super::{machines, ssh_keys};
use crate::base::ByteSize;
use crate::guest::{self, GuestError};
use crate::recipe::Recipe;

/// Refuses a run that could not start its machines, whatever the build leaves.
pub(super) fn run(ready: &Ready<'_>, request: &RunRequest) -> Result<(), OpsError> {
    let recipe = &ready.loaded.recipe;
    let Some(front) = request.machine.as_ref().or(recipe.machines.keys().next()) else { return Ok(()) };
    let unknown = || UsageError::no_such_machine(front, recipe.machines.keys());
    let machine = recipe.machines.get(front).ok_or_else(unknown)?;
    let described = machines::description(recipe, &ready.lock, machine)?;
    request.additions_of_front().check(&described).map_err(UsageError::from)?;
    disk_size(recipe, request.disk_size)?;
    guest::host::check_cards(request.host.bridge.as_deref(), recipe.machines.values())?;
    ssh_keys::check(&ready.loaded.session, &request.keys)?;
    Ok(request.keep.as_deref().map_or(Ok(()), guest::keep::check)?)
}

/// Refuses a disk that the file system of an image does not fit into. What a disk has besides is known once it is built.
pub(super) fn disk_size(recipe: &Recipe, size: Option<ByteSize>) -> Result<(), GuestError> {
    let Some(size) = size else { return Ok(()) };
    let images = recipe.machines.values().map(|machine| &recipe.images[&machine.image]);
    let Some(larger) = images.into_iter().find(|image| image.machine_disk().size > size.0) else { return Ok(()) };
    let reason = format!("the file system of image {} has {}", larger.name, ByteSize(larger.machine_disk().size));
    Err(GuestError::DiskSize { size, reason })
}
