//! Whose the objects of a store are.
//!
//! Where sandboxes run as this user, they are this user's. Where root builds, user 0 of its sandboxes is not root outside
//! but an id that nobody has; blobs and trees belong to that id, so that they are 0's inside, as everywhere else.
//!
//! Root of a user namespace (`unshare -r`) may open root's store, and has no right to what belongs to that id: it reads what
//! everybody may read, makes for itself what it may not, and leaves all that is there as it is. Root takes what it made over.

use std::path::Path;

use rustix::fs::Stat;

use super::lock::StoreLock;
use super::plain::Owner;
use super::stamp::Stamp;
use super::walk::list;
use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::dir::{Dir, HeldEntry};
use crate::world::{WorldError, fs};

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

    /// Whether a blob belongs to somebody who keeps this user from reading it, so that nothing is known of its bytes.
    pub(super) fn is_closed(&self, path: &Path, found: &Stat) -> bool {
        self.is_of_others(found) && fs::open(path).is_err_and(|error| error.is_denied())
    }

    /// Whether something belongs to somebody else than the user of this store.
    pub(super) fn is_of_others(&self, found: &Stat) -> bool {
        Owner::of(found) != self.owner()
    }

    /// Has the programs of sandboxes read a closed blob that root of a user namespace made; what it is then.
    pub(super) fn take_over_blob(&self, digest: &Digest, found: Stat) -> Result<Stat, StoreError> {
        let Some(owner) = self.strangers(&found) else { return Ok(found) };
        let path = self.blob_path(digest);
        let known = self.knows(digest, Stamp::from(&found));
        let Some(held) = Dir::open(&self.root.join("cas"))?.look(digest.hex())? else { return Ok(found) };
        give(&held, owner).map_err(|error| self.failure(error))?;
        if known {
            self.remember(&path, *digest);
        }
        Ok(rustix::fs::lstat(&path).unwrap_or(found))
    }

    /// The same of a tree.
    pub(super) fn take_over_tree(&self, tree: &Dir) -> Result<(), StoreError> {
        match self.strangers(&tree.stat()?) {
            Some(owner) => self.give_tree(tree, owner),
            None => Ok(()),
        }
    }

    /// To whom something is to be given that programs of sandboxes cannot read as it is.
    fn strangers(&self, found: &Stat) -> Option<Owner> {
        let is_closed = found.st_mode & 0o004 == 0;
        self.owner.filter(|_| is_closed && self.is_of_others(found))
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
            self.give_tree(&tree, owner)?;
        }
        Ok(())
    }

    fn give_tree(&self, tree: &Dir, owner: Owner) -> Result<(), StoreError> {
        // What is no tree is found when it is used.
        let below = list(tree).map(|entries| entries.into_keys().collect()).unwrap_or_default();
        for path in std::iter::once(".".to_owned()).chain::<Vec<String>>(below) {
            if let Some(found) = tree.look(Path::new(&path))? {
                give(&found, owner).map_err(|error| self.failure(error))?;
            }
        }
        Ok(())
    }
}

fn give(found: &HeldEntry, owner: Owner) -> Result<(), WorldError> {
    if Owner::of(found.stat()) == owner { Ok(()) } else { found.set_owner(owner.uid, owner.gid) }
}
