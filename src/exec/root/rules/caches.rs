//! Rules about files that programs can make again, and that hold times, paths or an arbitrary order.

use std::path::Path;

use super::super::{RootError, tree};
use super::Terms;

/// Equal sources have given unequal bytecode (cpython issue 92132), and each file holds its source's time.
pub(super) fn bytecode(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    // Only below /usr: what a recipe puts elsewhere is the recipe's business.
    remove_bytecode(&root.join("usr"))
}

fn remove_bytecode(directory: &Path) -> Result<(), RootError> {
    for entry in tree::entries(directory)? {
        let Ok(data) = entry.symlink_metadata() else { continue };
        if !data.is_dir() {
            continue;
        }
        if entry.file_name().is_some_and(|name| name == "__pycache__") {
            tree::remove(&entry)?;
        } else {
            remove_bytecode(&entry)?;
        }
    }
    Ok(())
}

/// Whether a packaged path is removed by [`bytecode`].
pub(super) fn is_bytecode(path: &str) -> bool {
    path.contains("/__pycache__/")
}

/// `ldconfig` remembers inode numbers and change times there.
pub(super) fn loader(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    tree::remove(&root.join("var/cache/ldconfig/aux-cache"))
}

/// Lists and archives of packages belong to the machine that fetched them; `partial` must stay for apt.
pub(super) fn apt(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    for directory in ["var/lib/apt/lists", "var/cache/apt/archives"] {
        for entry in tree::entries(&root.join(directory))? {
            if entry.file_name().is_none_or(|name| name != "partial") {
                tree::remove(&entry)?;
            }
        }
    }
    for file in ["var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin", "var/lib/apt/extended_states"] {
        tree::remove(&root.join(file))?;
    }
    Ok(())
}

/// Indexes that record times of directories or links: man-db's and fontconfig's (with its `CACHEDIR.TAG`).
pub(super) fn timed(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    tree::empty(&root.join("var/cache/man"))?;
    tree::empty(&root.join("var/cache/fontconfig"))
}
