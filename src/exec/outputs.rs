//! What a step leaves behind: foreign files until they are in the store.
//!
//! Input: the directory that the step's programs had, by the descriptor from before they ran. Output: objects of the
//! store, or files that are read once and kept nowhere. Nothing is looked up by its path, and no link is followed.

use std::path::Path;

use super::outcome::Outputs;
use super::transient::Files;
use crate::store::{Store, StoreError, Taking};
use crate::world::dir::Dir;

/// Mode of a directory that programs of any user id inside may read.
const OPEN_MODE: u32 = 0o755;

/// What was taken of a step's outputs.
pub(super) enum Collected {
    /// Objects of the store.
    Objects(Outputs),
    /// Files beside it.
    Transient(Files),
}

/// Where a step's outputs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// Into the store.
    Store,
    /// To the steps that read them.
    Readers,
}

/// The build directory of one run.
pub(super) struct BuildDirectory<'a> {
    pub(super) dir: Dir,
    store: &'a Store,
}

impl<'a> BuildDirectory<'a> {
    /// Makes it below a directory that no sandbox has.
    pub(super) fn make(store: &'a Store, scratch: &Path) -> Result<BuildDirectory<'a>, StoreError> {
        let dir = Dir::make(&scratch.join("out"), OPEN_MODE).map_err(|error| store.failure(error))?;
        Ok(BuildDirectory { dir, store })
    }

    /// Takes every declared output.
    pub(super) fn collect(
        &self,
        declared: &[String],
        destination: Destination,
        taking: Taking<'_>,
    ) -> Result<Collected, StoreError> {
        // Its programs may have shut it. Where it is not this user's any more, looking into it says so.
        let _ = self.dir.set_mode(OPEN_MODE);
        let names = declared.iter();
        match destination {
            Destination::Store => {
                let objects = names.map(|name| Ok((name.clone(), self.store.take(&self.dir, name, taking)?)));
                objects.collect::<Result<_, StoreError>>().map(Collected::Objects)
            }
            Destination::Readers => {
                let files = names.map(|name| Ok((name.clone(), self.store.take_transient(&self.dir, name, taking)?)));
                files.collect::<Result<_, StoreError>>().map(Collected::Transient)
            }
        }
    }
}
