//! What is pushed: a result directory, its lock, and the packages of its QEMU.

use std::path::{Path, PathBuf};

use super::emulators;
use super::stopped;
use crate::deliver::manifest::Manifest;
use crate::deliver::plain::is_plain;
use crate::lock::{self, Lock};
use crate::ops::error::{OpsError, RemoteError};
use crate::ops::load;
use crate::ops::options::{BuildOptions, RecipeOptions};
use crate::ops::session::Session;
use crate::ops::sign::unchanged;
use crate::ops::{build, local, locked, project, realize};
use crate::plan::Plan;
use crate::store::Store;

/// A result directory with what belongs to it.
pub(super) struct Content {
    pub(super) directory: PathBuf,
    pub(super) manifest: Manifest,
    /// Its lock and the lock's text; a directory with images alone, or with QEMU in it, may go without.
    pub(super) lock: Option<(Lock, String)>,
    /// The packages of QEMU.
    pub(super) emulators: Plan,
    pub(super) store: Store,
}

/// Builds a recipe, or takes a directory as it is.
pub(super) fn of(session: &Session<'_>, options: &RecipeOptions, build: &BuildOptions) -> Result<Content, OpsError> {
    let found = match options.path.is_dir() {
        true => {
            build.without_build(&options.path)?;
            RecipeOptions { lock: None, ..options.clone() }.directory()?;
            of_directory(session, &options.path, options.lock.as_deref())?
        }
        false => of_recipe(session, options, build)?,
    };
    packages(session, &found, build)?;
    Ok(found)
}

fn of_recipe(session: &Session<'_>, options: &RecipeOptions, build: &BuildOptions) -> Result<Content, OpsError> {
    let ready = load::ready(session, options)?;
    local::verifiable(&ready.loaded.recipe)?;
    let directory = project::result_path(&options.path);
    let built = build::build(&ready, build, &directory)?;
    // A first build adds to the lock.
    let lock = load::lock_of(&ready.loaded)?;
    let wrong = |problem| RemoteError::Emulator { directory: directory.clone(), problem };
    let emulators = emulators::plan(&lock, &built.manifest).map_err(wrong)?;
    let lock = Some((lock.clone(), lock::write(&lock)));
    Ok(Content { directory, manifest: built.manifest, lock, emulators, store: ready.store })
}

fn of_directory(session: &Session<'_>, directory: &Path, lock: Option<&Path>) -> Result<Content, OpsError> {
    let store = load::open_store(session.world)?;
    let (manifest, _) = unchanged(session, directory)?;
    if !is_plain(&manifest.recipe) {
        // Whoever pulls it would refuse it.
        return Err(RemoteError::RecipeName { directory: directory.to_owned(), recipe: manifest.recipe }.into());
    }
    let wrong = |problem| RemoteError::Emulator { directory: directory.to_owned(), problem };
    let lock = match lock {
        Some(path) => {
            let lock = locked::at(session.world, path)?;
            locked::belongs(&lock, &manifest).map_err(wrong)?;
            Some(lock)
        }
        None => locked::beside(session.world, directory, &manifest),
    };
    let lock = lock.map(|lock| (lock.clone(), lock::write(&lock)));
    let emulators = match &lock {
        Some((lock, _)) => emulators::plan(lock, &manifest).map_err(wrong)?,
        None if manifest.qemu.is_empty() || emulators::is_packed(&manifest) => Plan::default(),
        None => return Err(RemoteError::NoLock(directory.to_owned()).into()),
    };
    Ok(Content { directory: directory.to_owned(), manifest, lock, emulators, store })
}

/// Fetches the packages of QEMU that the store lacks.
fn packages(session: &Session<'_>, content: &Content, build: &BuildOptions) -> Result<(), OpsError> {
    let files: Vec<_> = content.emulators.fetches.values().collect();
    realize::files(session, &content.store, &files, build.offline)?;
    if stopped() { Err(OpsError::Interrupted) } else { Ok(()) }
}
