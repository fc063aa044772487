//! Equal files of trees share their blocks, where the file system can: btrfs, XFS and others with `FICLONE` (ioctl_ficlone(2)).
//!
//! `alike/<sha256>` is a symbolic link to a file of a tree with that content. A file of a new tree that has the same digest becomes a
//! clone of it. A clone is read before it takes the place of the file, so that a damaged file spreads to no other tree; afterwards
//! each of both is a file of its own. Private files are neither cloned nor remembered. Whatever is in the way costs space alone.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Component, Path};

use super::blob::digest_of;
use super::layout::CLOSED;
use super::plain::settle;
use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::dir::{Dir, HeldEntry};
use crate::world::fs;

const POOL: &str = "alike";
/// Smaller files are left alone: a clone costs a file that is written and read, and shares whole blocks of 4 KiB or more.
const LEAST: u64 = 64 << 10;

/// Where files are that others can be clones of.
pub(super) type Found = (String, Digest);

impl Store {
    /// Whether files here can share blocks; asked of the file system once.
    fn shares_blocks(&self) -> bool {
        let cloned = || {
            let [one, two] = ["one", "two"].map(|name| self.session.path(name));
            let cloned = fs::create_new(&one).and_then(|from| {
                let to = fs::create_new(&two)?;
                fs::context("clone", &two, rustix::fs::ioctl_ficlone(&to, &from).map_err(Into::into))
            });
            for path in [one, two] {
                let _ = fs::remove_file(&path);
            }
            cloned.is_ok()
        };
        *self.shares_blocks.get_or_init(cloned)
    }

    /// Makes the file `name` of a new tree a clone of an equal one, if there is one. True if it, or its clone, may have clones itself.
    pub(super) fn share_blocks(&self, root: &Dir, name: &str, (digest, size): (&Digest, u64), mode: u32) -> bool {
        if size < LEAST || !self.shares_blocks() {
            return false;
        }
        let Some(like) = self.alike(digest, size) else { return true };
        let clone = self.session.path("clone");
        let _ = self.cloned(&like, &clone, digest, mode).and_then(|()| Ok(root.rename_from(&clone, name)?));
        let _ = fs::remove_file(&clone);
        true
    }

    fn cloned(&self, like: &File, clone: &Path, digest: &Digest, mode: u32) -> Result<(), StoreError> {
        let file = fs::create_new(clone)?;
        fs::context("clone", clone, rustix::fs::ioctl_ficlone(&file, like).map_err(Into::into))?;
        if digest_of(&file, clone, &|| false)?.0 != *digest {
            return Err(StoreError::Missing(*digest));
        }
        Ok(fs::context("settle", clone, settle(&file, mode, self.owner()).map_err(Into::into))?)
    }

    /// A file of a tree that should have this content.
    fn alike(&self, digest: &Digest, size: u64) -> Option<File> {
        let target = std::fs::read_link(self.root.join(POOL).join(digest.hex())).ok()?;
        let (tree, below) = place(&target)?;
        let found: HeldEntry = Dir::open(&self.root.join("tree").join(tree)).ok()?.look(below).ok()??;
        let file = found.open().ok()?;
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == size).then_some(file)
    }

    /// Remembers files of a tree that is in its place, for those that have no other.
    pub(super) fn remember_alike(&self, root: &Digest, files: &[Found]) {
        let pool = self.root.join(POOL);
        if files.is_empty() || Dir::make(&pool, CLOSED).is_err() && Dir::open(&pool).is_err() {
            return;
        }
        for (name, digest) in files {
            let at = pool.join(digest.hex());
            if at.metadata().is_ok() {
                continue;
            }
            let new = self.session.path("like");
            let target = Path::new("../tree").join(root.hex()).join(name);
            if std::os::unix::fs::symlink(target, &new).is_ok() && fs::rename(&new, &at).is_err() {
                let _ = fs::remove_file(&new);
            }
        }
    }

    /// Forgets files of trees that are gone.
    pub(super) fn forget_alike(&self) -> Result<(), StoreError> {
        let pool = self.root.join(POOL);
        if pool.symlink_metadata().is_err() {
            return Ok(());
        }
        for name in fs::names(&pool)? {
            let at = pool.join(name);
            if at.metadata().is_err() {
                fs::remove_file(&at)?;
            }
        }
        Ok(())
    }
}

/// The tree and the path in it that a link of the pool leads to.
fn place(target: &Path) -> Option<(&OsStr, &Path)> {
    let below = target.strip_prefix("../tree").ok()?;
    let mut parts = below.components();
    let Some(Component::Normal(tree)) = parts.next() else { return None };
    let file = parts.as_path();
    let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
    (tree.to_str()?.parse::<Digest>().is_ok() && plain && file.components().next().is_some()).then_some((tree, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_pool_lead_to_files_of_trees_alone() {
        let tree = Digest::of(b"tree").hex();
        let good = format!("../tree/{tree}/usr/bin/qemu");
        assert_eq!(place(Path::new(&good)), Some((OsStr::new(&tree), Path::new("usr/bin/qemu"))));
        let bad =
            ["/etc/passwd", "../tree/x/usr", "../cas/y", &format!("../tree/{tree}"), &format!("../tree/{tree}/../x")];
        for bad in bad {
            assert_eq!(place(Path::new(bad)), None, "{bad}");
        }
    }
}
