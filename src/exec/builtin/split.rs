//! The tree of a disk, cut where its partitions are mounted.
//!
//! Input: the names of a tree. Output: those of each file system, with paths relative to where that is mounted. A mount point
//! stays, as an empty directory, in the file system above; it is the root of the partition's, too. Names of one file in two
//! file systems become two files.

use std::collections::BTreeMap;

use super::BuiltinError;
use super::merge::Tree;
use crate::exec::failure::StepFailure;
use crate::format::tar::TarPath;
use crate::plan::Statement;

/// The names of a file system, with the files of the whole tree.
pub(super) type Names = BTreeMap<TarPath, usize>;

/// The names of the root's file system, and of those that are mounted at these absolute paths.
pub(super) fn split(tree: &mut Tree, mounts: &[&str]) -> Result<(Names, Vec<Names>), BuiltinError> {
    let paths: Vec<TarPath> =
        mounts.iter().map(|mount| TarPath::new(mount.trim_start_matches('/'))).collect::<Result<_, _>>()?;
    let mut parts: Vec<Names> = Vec::new();
    for (mount, path) in mounts.iter().zip(&paths) {
        parts.push(BTreeMap::from([(TarPath::root(), root(tree, mount, path)?)]));
    }
    let mut rest = Names::new();
    for (path, file) in std::mem::take(&mut tree.names) {
        match inner(&paths, &path) {
            Some((at, below)) => drop(parts[at].insert(TarPath::new(below)?, file)),
            None => drop(rest.insert(path, file)),
        }
    }
    Ok((rest, parts))
}

/// The directory where a partition is mounted.
fn root(tree: &Tree, mount: &str, path: &TarPath) -> Result<usize, BuiltinError> {
    let refused = |message: String| StepFailure::recipe(Statement::Partition(mount.to_owned()), message);
    match tree.names.get(path) {
        Some(file) if tree.inodes[*file].entry.is_directory() => Ok(*file),
        Some(_) => {
            let message = format!("`{mount}` is not a directory in the image, so nothing can be mounted there");
            Err(refused(message).into())
        }
        None => {
            let failure = refused(format!("there is no directory `{mount}` in the image to mount it at"));
            Err(failure.help(format!("add `directory \"{mount}\" {{ }}` to the image")).into())
        }
    }
}

/// Which file system takes a path, if not the root's, and its path there: the innermost mount point above it decides.
fn inner<'a>(mounts: &[TarPath], path: &'a TarPath) -> Option<(usize, &'a [u8])> {
    let below = |mount: &TarPath| path.as_bytes().strip_prefix(mount.as_bytes())?.strip_prefix(b"/");
    let found = mounts.iter().enumerate().filter_map(|(at, mount)| Some((at, below(mount)?)));
    // What lies deepest has the shortest path.
    found.min_by_key(|(_, rest)| rest.len())
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
