//! Rules about what a build leaves lying about.

use std::path::Path;

use super::super::{RootError, tree};
use super::Terms;

/// Logs hold the time of the build. Directories stay, with the owners and modes that services expect.
pub(super) fn logs(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    tree::walk(&root.join("var/log"), &mut |path| tree::remove(path))
}

/// Whether a packaged path is removed by [`logs`].
pub(super) fn is_log(path: &str) -> bool {
    path.starts_with("/var/log/")
}

/// Mounted over at boot, or emptied: whatever scripts put there is theirs alone.
pub(super) fn temporary(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    for directory in ["run", "tmp", "var/tmp", "proc", "sys"] {
        tree::empty(&root.join(directory))?;
    }
    Ok(())
}

/// Copies of the state before the last change: they depend on how many calls the changes were made in.
pub(super) fn backups(_: &Terms<'_>, root: &Path) -> Result<(), RootError> {
    for name in ["passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-", ".pwd.lock"] {
        tree::remove(&root.join("etc").join(name))?;
    }
    for directory in ["var/lib/dpkg", "var/cache/debconf"] {
        for file in tree::entries(&root.join(directory))? {
            if file.to_string_lossy().ends_with("-old") {
                tree::remove(&file)?;
            }
        }
    }
    tree::empty(&root.join("var/backups"))
}
