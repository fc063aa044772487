//! The lock of a result directory: the one that it was built from, wherever it lies.
//!
//! Input: a directory with its manifest, and perhaps a lock that the caller names. Output: the lock, if it is that of the build.

use std::path::{Path, PathBuf};

use super::error::{EmulatorProblem, ExportError, LockError, OpsError, SbomError, UsageError};
use super::options::RecipeOptions;
use super::session::Session;
use super::{bundle, load, project};
use crate::deliver::manifest::{self, Manifest};
use crate::deliver::plain::is_plain;
use crate::lock::{self, Lock};
use crate::recipe::local::LocalReader;
use crate::world::dir::Dir;
use crate::world::plain::Odd;
use crate::world::{World, fs};

/// The lock that a directory was built from, where it usually is. Its digest decides: any other file there is passed over.
pub(super) fn beside(world: &dyn World, directory: &Path, manifest: &Manifest) -> Option<Lock> {
    let places = [vec![directory.join(manifest::LOCK_FILE)], here(manifest), around(world, directory, manifest)];
    first(world, places.concat(), manifest).map(|(_, lock)| lock)
}

/// The first of these places that has the lock of the build.
fn first(world: &dyn World, places: Vec<PathBuf>, manifest: &Manifest) -> Option<(PathBuf, Lock)> {
    places.into_iter().find_map(|path| {
        let lock = load::read_lock(world, &path).ok().flatten()?;
        belongs(&lock, manifest).is_ok().then_some((path, lock))
    })
}

/// Where locks of the project in the working directory are.
fn here(manifest: &Manifest) -> Vec<PathBuf> {
    of_project(Path::new(""), manifest)
}

/// Where locks are of the project that a result directory stands in, which is PROJECT/result/NAME or a directory of PROJECT,
/// as it is named and, where it is named by a link, as it is.
fn around(world: &dyn World, directory: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    // `.` and `..` are called something else where they stand.
    let holder = directory.file_name().and_then(|_| directory.parent());
    let holder = holder.map(|holder| if holder.as_os_str().is_empty() { Path::new(".") } else { holder });
    let named = holder.and_then(|holder| world.canonical(holder).ok());
    let real = world.canonical(directory).ok().and_then(|real| Some(real.parent()?.to_owned()));
    let mut projects: Vec<PathBuf> = Vec::new();
    for holder in named.into_iter().chain(real) {
        for project in holder.ancestors().take(2) {
            if !projects.iter().any(|known| known == project) {
                projects.push(project.to_owned());
            }
        }
    }
    projects.iter().flat_map(|project| of_project(project, manifest)).collect()
}

/// A name that no file may have is the name of no lock.
fn of_project(project: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    let name = format!("{}.lock", manifest.recipe);
    let places = || vec![project.join("lockfiles").join(&name), project.join(&name)];
    if is_plain(&manifest.recipe) { places() } else { Vec::new() }
}

/// The lock of a result directory that may come from anybody. Its files are not looked at: its manifest says which lock it is.
pub(super) fn of_directory(world: &dyn World, directory: &Path) -> Result<Lock, OpsError> {
    let no_result = |odd: Odd| match odd {
        Odd::Missing => OpsError::from(UsageError::NoResult(directory.to_owned())),
        odd => ExportError::File { path: directory.join(manifest::FILE), odd }.into(),
    };
    let plain = Dir::open_named(directory)?.plain(manifest::FILE).map_err(no_result)?;
    let text = fs::context("read", &directory.join(manifest::FILE), plain.read(manifest::LIMIT))?;
    let invalid = |error| OpsError::parse(directory.join(manifest::FILE).display().to_string(), error);
    let manifest = Manifest::read(&text).map_err(invalid)?;
    beside(world, directory, &manifest).ok_or_else(|| UsageError::NoLockOfResult(directory.to_owned()).into())
}

/// Refuses a directory that is no build, nor what is left of one.
pub(super) fn any_result(directory: &Path) -> Result<(), UsageError> {
    match directory.is_dir() && fs::is_missing(&directory.join(manifest::FILE)) {
        true => Err(UsageError::NoResult(directory.to_owned())),
        false => Ok(()),
    }
}

/// The lock that is named, or the one that is where locks usually are and is that of the build.
pub(super) fn named_or_usual(
    session: &Session<'_>,
    options: &RecipeOptions,
    manifest: &Manifest,
) -> Result<(PathBuf, Lock), OpsError> {
    let directory = || options.path.clone();
    if let Some(path) = &options.lock {
        let lock = at(session.world, path)?;
        let other = |problem| SbomError::OtherLock { lock: path.clone(), directory: directory(), problem };
        belongs(&lock, manifest).map_err(other)?;
        return Ok((path.clone(), lock));
    }
    // A lock of the working directory has its recipe beside it, of which more can be said than of what was pulled.
    let pulled = vec![options.path.join(manifest::LOCK_FILE)];
    let places = [here(manifest), pulled, around(session.world, &options.path, manifest)];
    first(session.world, places.concat(), manifest).ok_or_else(|| SbomError::NoLock(directory()).into())
}

/// The recipe beside a lock, or where recipes usually are; a directory that was pulled has none.
pub(super) fn recipe(lock: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let name = format!("{}.kiln", manifest.recipe);
    let usual = [Path::new("recipes").join(&name), PathBuf::from(name)];
    let usual = usual.into_iter().filter(|_| is_plain(&manifest.recipe));
    std::iter::once(project::recipe_path(lock)).chain(usual).find(|path| path.is_file())
}

/// The lock at a path that was named.
pub(super) fn at(world: &dyn World, path: &Path) -> Result<Lock, OpsError> {
    world.canonical(path)?;
    Ok(load::read_lock(world, path)?.ok_or_else(|| LockError::Missing(path.to_owned()))?)
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
