//! Files that the recipe brings along, on their way into the store: read again, piece by piece, and compared with the digest
//! that they had when the recipe was read.

use super::ExecError;
use crate::plan::Fetch;
use crate::recipe::content::{DiskSource, SourceError};
use crate::recipe::directory::DirectoryError;
use crate::store::{Store, StoreError, Visibility};
use crate::world::WorldError;

/// Has the store hold a file of the recipe. Whoever calls holds the lock of its digest.
pub(super) fn import(
    store: &Store,
    fetch: &Fetch,
    source: &DiskSource,
    visibility: Visibility,
) -> Result<(), ExecError> {
    // One below is for those who may read it there, who may be too many.
    if !store.holds(&fetch.digest) {
        let mut writer = store.writer()?;
        source.stream(&mut writer).map_err(|error| failed(store, fetch, error))?;
        match writer.finish_as(&(fetch.digest, fetch.size), visibility) {
            Err(StoreError::Wrong { .. }) => return Err(changed(fetch)),
            finished => finished?,
        }
    }
    Ok(store.show(&fetch.digest, visibility)?)
}

fn failed(store: &Store, fetch: &Fetch, error: SourceError) -> ExecError {
    match error {
        SourceError::File(WorldError::Changed { .. }) | SourceError::Directory(DirectoryError::Changed(_)) => {
            changed(fetch)
        }
        SourceError::File(error) | SourceError::Directory(DirectoryError::World(error)) => store.failure(error).into(),
        SourceError::Directory(error) => ExecError::Directory { name: fetch.label.clone(), source: Box::new(error) },
    }
}

fn changed(fetch: &Fetch) -> ExecError {
    ExecError::Changed { file: fetch.label.clone() }
}
