//! Where a pulled artifact is put: a directory as `kiln build` leaves it, which appears whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use crate::deliver::check::{CheckOptions, check};
use crate::deliver::launch;
use crate::deliver::manifest::{self, Manifest};
use crate::lock::LockedFile;
use crate::oci::OciError;
use crate::ops::bundle::NewDirectory;
use crate::ops::deliver::{Delivery, deliver};
use crate::ops::error::{OpsError, RemoteError};
use crate::ops::event::OpsEvent;
use crate::ops::session::Session;
use crate::store::Store;
use crate::world::dir::Dir;

/// What stands where an artifact is to go.
enum Standing {
    /// Nothing, or an empty directory.
    Free,
    /// An earlier build or pull of the recipe.
    Earlier,
}

/// The directory, if an artifact of this recipe may be put there.
pub(super) fn allowed(directory: &Path, recipe: &str) -> Result<(), OpsError> {
    standing(directory, recipe).map(drop)
}

fn standing(directory: &Path, recipe: &str) -> Result<Standing, OpsError> {
    let taken = || OpsError::from(RemoteError::Taken { directory: directory.to_owned(), recipe: recipe.to_owned() });
    if directory.symlink_metadata().is_err() {
        return Ok(Standing::Free);
    }
    let dir = Dir::open(directory).map_err(|_| taken())?;
    if dir.names(0)?.is_some() {
        return Ok(Standing::Free);
    }
    let manifests = [manifest::FILE, manifest::PARTIAL_FILE];
    let found =
        manifests.iter().find_map(|name| Manifest::read(&dir.plain(name).ok()?.read(manifest::LIMIT).ok()?).ok());
    if found.is_some_and(|found| found.recipe == recipe) { Ok(Standing::Earlier) } else { Err(taken()) }
}

/// What lies beside the files of a build, and is no part of it.
pub(super) trait Beside {
    /// Decides what it is, or refuses; `stage` is a directory to try things in, `directory` the one that the build goes to.
    fn decide(&mut self, stage: &Path, directory: &Path) -> Result<(), OpsError>;
    fn write(&self, directory: &Path) -> Result<(), OpsError>;
    /// Removes that of an earlier build.
    fn remove(&self, directory: &Path) -> Result<(), OpsError>;
}

/// Puts the files of an artifact, which are in the store, into a directory.
pub(super) fn land(
    session: &Session<'_>,
    store: &Store,
    (what, directory, manifest): (&str, &Path, &Manifest),
    beside: &mut dyn Beside,
) -> Result<(), OpsError> {
    let deliveries = deliveries(store, manifest)?;
    match standing(directory, &manifest.recipe)? {
        Standing::Free => {
            let new = NewDirectory::begin(directory)?;
            deliver(store, &new.stage, &deliveries, manifest)?;
            is_build(session, store, (what, &new.stage))?;
            beside.decide(&new.stage, directory)?;
            beside.write(&new.stage)?;
            new.finish()
        }
        Standing::Earlier => {
            // What is there stays until what is to come is known to be a build, and one that is wanted.
            let new = NewDirectory::beside(directory)?;
            if is_same(store, directory, manifest) {
                is_build(session, store, (what, directory))?;
                beside.decide(&new.stage, directory)?;
            } else {
                deliver(store, &new.stage, &deliveries, manifest)?;
                is_build(session, store, (what, &new.stage))?;
                beside.decide(&new.stage, directory)?;
                // A lock or a signature never lies beside a build that it is not of, not even after a kill.
                beside.remove(directory)?;
                deliver(store, directory, &deliveries, manifest)?;
                is_build(session, store, (what, directory))?;
            }
            beside.write(directory)
        }
    }
}

/// Whether the directory is this build already.
fn is_same(store: &Store, directory: &Path, manifest: &Manifest) -> bool {
    let options = CheckOptions { remembered: Some(store), told: &|_, _| () };
    let found = check(directory, &options);
    found.is_ok_and(|found| found.manifest.as_ref() == Some(manifest) && found.differences.is_empty())
}

fn deliveries(store: &Store, manifest: &Manifest) -> Result<BTreeMap<String, Delivery>, OpsError> {
    let mut deliveries = BTreeMap::new();
    for (name, file) in &manifest.artifacts {
        let is_script = Path::new(name).file_name().is_some_and(|name| name == launch::SCRIPT);
        let delivery = match is_script {
            true => {
                let text = String::from_utf8(store.read(&file.sha256, launch::LIMIT)?);
                Delivery::Text(text.map_err(|error| OpsError::parse(name.clone(), error))?, 0o755)
            }
            false => Delivery::Blob(LockedFile { size: file.size, sha256: file.sha256 }),
        };
        deliveries.insert(name.clone(), delivery);
    }
    Ok(deliveries)
}

/// An artifact whose files are not those of a build is refused, whatever its manifest lists.
fn is_build(session: &Session<'_>, store: &Store, (what, directory): (&str, &Path)) -> Result<(), OpsError> {
    let reading = |name: &str, bytes: u64| session.on(OpsEvent::Reading { name, bytes });
    let found = check(directory, &CheckOptions { remembered: Some(store), told: &reading })?;
    match found.differences.into_iter().next() {
        None => Ok(()),
        Some(difference) => {
            let problem = format!("its files are not those of a build: {difference}");
            Err(OciError::Invalid { what: what.to_owned(), problem }.into())
        }
    }
}
