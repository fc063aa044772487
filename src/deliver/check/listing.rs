//! What is in the directory and not in the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::Difference;
use crate::deliver::manifest::{self, Manifest};
use crate::deliver::{attestation, statement};
use crate::world::WorldError;
use crate::world::dir::Dir;
use crate::world::plain::FileKind;

/// More lines than these say no more.
const MAX_REPORTED: usize = 100;
/// Where `kiln test` puts logs, beside the artifacts.
pub(super) const LOGS: &str = "log";

/// Adds every entry that no build left. A directory that is not the manifest's is one difference, whatever is in it.
pub(super) fn extra(
    directories: &BTreeMap<String, Dir>,
    manifest: &Manifest,
    differences: &mut Vec<Difference>,
) -> Result<(), WorldError> {
    let mut found = BTreeSet::new();
    for (directory, held) in directories {
        let path = |name: &OsString| super::path(directory, &name.to_string_lossy());
        let foreign = |name: &OsString| {
            let path = path(name);
            let listed = manifest.artifacts.contains_key(&path) || path == manifest::FILE;
            !listed && !(directory.is_empty() && (directories.contains_key(&path) || is_beside(held, &path)))
        };
        let names = held.entries(MAX_REPORTED + 1, &foreign)?;
        found.extend(names.iter().map(path));
    }
    differences.extend(found.iter().take(MAX_REPORTED).map(|file| Difference::Extra { file: file.clone() }));
    if found.len() > MAX_REPORTED {
        differences.push(Difference::ManyExtra { told: MAX_REPORTED });
    }
    Ok(())
}

/// Logs, a signature, attestations, and the lock, which are no part of the build.
fn is_beside(held: &Dir, name: &str) -> bool {
    match held.kind(name) {
        Ok(FileKind::Directory) => name == LOGS,
        Ok(FileKind::File) => {
            [manifest::LOCK_FILE, attestation::FILE].contains(&name) || statement::NAMES.contains(&name)
        }
        _ => false,
    }
}
