//! Rules about what a build leaves lying about.

use super::RuleInput;
use crate::exec::tree::{Go, RootError, Tree};

/// Logs hold the time of the build. Directories stay, with the owners and modes that services expect.
pub(super) fn logs(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    tree.visit("var/log", &mut |place, stat| {
        if !stat.directory() {
            place.remove()?;
        }
        Ok(Go::Down)
    })
}

/// Whether a packaged path is removed by [`logs`].
pub(super) fn is_log(path: &str) -> bool {
    path.starts_with("/var/log/")
}

/// Mounted over at boot, or emptied: whatever scripts put there is theirs alone.
pub(super) fn temporary(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    for directory in ["run", "tmp", "var/tmp", "proc", "sys"] {
        tree.empty(directory)?;
    }
    Ok(())
}

/// Copies of the state before the last change: they depend on how many calls the changes were made in.
pub(super) fn backups(_: &RuleInput<'_>, tree: &Tree) -> Result<(), RootError> {
    for name in ["passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-", ".pwd.lock"] {
        tree.remove(format!("etc/{name}"))?;
    }
    for directory in ["var/lib/dpkg", "var/cache/debconf"] {
        for file in tree.list(directory)? {
            if file.path().to_string_lossy().ends_with("-old") {
                file.remove()?;
            }
        }
    }
    Ok(tree.empty("var/backups")?)
}
