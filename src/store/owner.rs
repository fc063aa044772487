//! Whose the objects of a store are.
//!
//! Where sandboxes run as this user, they are this user's. Where root builds, user 0 of its sandboxes is not root outside
//! but an id that nobody has; blobs and trees belong to that id, so that they are 0's inside, as everywhere else.

use std::path::Path;

use super::lock::StoreLock;
use super::plain::Owner;
use super::stamp::Stamp;
use super::walk::list;
use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::dir::{Dir, HeldEntry};
use crate::world::fs;

/// Says who was the owner when all objects were looked at.
const MARKER: &str = "owner";
/// No marker is longer.
const LIMIT: u64 = 100;

impl Store {
    /// Whose new objects are.
    pub(super) fn owner(&self) -> Owner {
        self.owner.unwrap_or(self.native)
    }

    /// Gives everything that is there to the owner, once.
    pub(super) fn settle_owner(&self) -> Result<(), StoreError> {
        let Some(owner) = self.owner else { return Ok(()) };
        let (marker, text) = (self.root.join(MARKER), format!("{} {}\n", owner.uid, owner.gid));
        if fs::read(&marker, LIMIT).is_ok_and(|found| found == text.as_bytes()) {
            return Ok(());
        }
        // Another kiln may be doing it; then it is done.
        let _lock = StoreLock::exclusive(&self.root.join("lock").join(MARKER), &|| false)?;
        if fs::read(&marker, LIMIT).is_ok_and(|found| found == text.as_bytes()) {
            return Ok(());
        }
        self.give_blobs(owner)?;
        self.give_trees(owner)?;
        // Programs that go on in them could not write them; they cost time alone.
        for name in fs::names(&self.root.join("incremental"))? {
            fs::remove_tree(&self.root.join("incremental").join(name)).map_err(|error| self.failure(error))?;
        }
        fs::write_with_mode(&marker, text.as_bytes(), 0o600).map_err(|error| self.failure(error))
    }

    fn give_blobs(&self, owner: Owner) -> Result<(), StoreError> {
        let cas = Dir::open(&self.root.join("cas"))?;
        for name in cas.names(usize::MAX)?.unwrap_or_default() {
            let Some(found) = cas.look(&name)? else { continue };
            let before = Stamp::from(found.stat());
            give(&found, owner).map_err(|error| self.failure(error))?;
            // Who owns it does not change what is in it.
            if let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok())
                && self.knows(&digest, before)
            {
                self.remember(&self.blob_path(&digest), digest);
            }
        }
        Ok(())
    }

    fn give_trees(&self, owner: Owner) -> Result<(), StoreError> {
        let trees = self.root.join("tree");
        for name in fs::names(&trees)? {
            let Ok(tree) = Dir::open(&trees.join(&name)) else { continue };
            // What is no tree is found when it is used.
            let below = list(&tree).map(|entries| entries.into_keys().collect()).unwrap_or_default();
            for path in std::iter::once(".".to_owned()).chain::<Vec<String>>(below) {
                if let Some(found) = tree.look(Path::new(&path))? {
                    give(&found, owner).map_err(|error| self.failure(error))?;
                }
            }
        }
        Ok(())
    }
}

fn give(found: &HeldEntry, owner: Owner) -> Result<(), crate::world::WorldError> {
    if Owner::of(found.stat()) == owner { Ok(()) } else { found.set_owner(owner.uid, owner.gid) }
}
