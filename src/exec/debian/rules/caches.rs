//! Rules about files that programs can make again, and that hold times, paths or an arbitrary order.

use super::RuleInput;
use crate::exec::tree::{Go, RootError, Tree};

/// Equal sources have given unequal bytecode (cpython issue 92132), and each file holds its source's time.
pub(super) fn bytecode(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    // Only below /usr: what a recipe puts elsewhere is the recipe's business.
    tree.visit("usr", &mut |place, stat| {
        if stat.directory() && place.path().file_name().is_some_and(|name| name == "__pycache__") {
            place.remove()?;
            return Ok(Go::On);
        }
        Ok(Go::Down)
    })
}

/// Whether a packaged path is removed by [`bytecode`].
pub(super) fn is_bytecode(path: &str) -> bool {
    path.contains("/__pycache__/")
}

/// `ldconfig` remembers inode numbers and change times there.
pub(super) fn loader(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    Ok(tree.remove("var/cache/ldconfig/aux-cache")?)
}

/// Lists and archives of packages belong to the machine that fetched them; `partial` must stay for apt.
pub(super) fn apt(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    for directory in ["var/lib/apt/lists", "var/cache/apt/archives"] {
        for entry in tree.list(directory)? {
            if entry.path().file_name().is_none_or(|name| name != "partial") {
                entry.remove()?;
            }
        }
    }
    for file in ["var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin", "var/lib/apt/extended_states"] {
        tree.remove(file)?;
    }
    Ok(())
}

/// Indexes that record times of directories or links: man-db's and fontconfig's (with its `CACHEDIR.TAG`).
pub(super) fn timed(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    tree.empty("var/cache/man")?;
    Ok(tree.empty("var/cache/fontconfig")?)
}
