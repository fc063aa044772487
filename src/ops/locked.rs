//! The lock of a result directory: the one that it was built from, wherever it lies.
//!
//! Input: a directory with its manifest, and perhaps a lock that the caller names. Output: the lock, if it is that of the build.

use std::path::{Path, PathBuf};

use super::bundle;
use super::error::{EmulatorProblem, OpsError, SbomError};
use super::load;
use crate::deliver::manifest::{self, Manifest};
use crate::deliver::plain::is_plain;
use crate::lock::{self, Lock};
use crate::recipe::local::LocalReader;
use crate::world::World;

/// The lock that a directory was built from, where it usually is. Its digest decides: any other file there is passed over.
pub(super) fn beside(world: &dyn World, directory: &Path, manifest: &Manifest) -> Option<Lock> {
    let name = format!("{}.lock", manifest.recipe);
    let pulled = directory.join(manifest::LOCK_FILE);
    let project = is_plain(&manifest.recipe).then(|| [Path::new("lockfiles").join(&name), PathBuf::from(name)]);
    let places = std::iter::once(pulled).chain(project.into_iter().flatten());
    let locks = places.filter_map(|path| load::read_lock(world, &path).ok().flatten());
    locks.into_iter().find(|lock| belongs(lock, manifest).is_ok())
}

/// The lock at a path, if there is one.
pub(super) fn at(world: &dyn World, path: &Path) -> Result<Lock, OpsError> {
    Ok(load::read_lock(world, path)?.ok_or_else(|| super::error::LockError::Missing(path.to_owned()))?)
}

/// Whether the lock says all of a build: what was made from a local directory, it does not pin.
pub(super) fn pinned(directory: &Path, manifest: &Manifest) -> Result<(), SbomError> {
    match manifest.local.keys().next() {
        None => Ok(()),
        Some(name) => Err(SbomError::Local { directory: directory.to_owned(), reader: LocalReader::named(name) }),
    }
}

/// Whether a manifest is that of a build of the lock.
pub(super) fn belongs(lock: &Lock, manifest: &Manifest) -> Result<(), EmulatorProblem> {
    let other = |what| Err(EmulatorProblem::OtherBuild(what));
    if manifest.recipe != lock.recipe.name {
        return other("its lock is of another recipe");
    }
    if manifest.lock != lock::inputs_digest(lock) || manifest.output_version != lock.output_version {
        return other("it was built from another lock");
    }
    if bundle::records_others(lock, manifest) { other("the lock records other artifacts") } else { Ok(()) }
}
