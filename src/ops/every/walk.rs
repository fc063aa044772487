//! Recipes and locks below a directory, by name. Nothing is opened here, and no link to a directory is followed: what a path
//! leads to is checked by whoever reads it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::deliver::manifest;
use crate::ops::error::{OpsError, UsageError};
use crate::world::WorldError;
use crate::world::dir::Dir;

/// Levels of directories.
const MAX_DEPTH: usize = 64;
/// Entries of one directory.
const MAX_ENTRIES: usize = 1 << 20;
/// What marks a directory whose content can be made again (the Cache Directory Tagging Specification).
const CACHE: &str = "CACHEDIR.TAG";

/// Something that was found, as seen from the working directory.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// A recipe or a lock.
    File(PathBuf),
    /// What cannot be looked at, and why.
    Unreadable(PathBuf, String),
}

impl Found {
    fn path(&self) -> &Path {
        let (Found::File(path) | Found::Unreadable(path, _)) = self;
        path
    }
}

/// All of them in the order of their paths.
pub(super) fn files(directory: &Path) -> Result<Vec<Found>, OpsError> {
    let mut found = Vec::new();
    // The caller may name it by a link.
    let top = Dir::open_named(directory)?;
    let shown = if directory == Path::new(".") { Path::new("") } else { directory };
    look(&top, (shown, 0), &mut found)?;
    found.sort_unstable_by(|one, other| one.path().cmp(other.path()));
    Ok(found)
}

fn look(dir: &Dir, (shown, depth): (&Path, usize), found: &mut Vec<Found>) -> Result<(), OpsError> {
    let too_large = || UsageError::TooManyFiles(shown.to_owned());
    if depth == MAX_DEPTH {
        return Err(too_large().into());
    }
    let Some(names) = seen(dir.names(MAX_ENTRIES), shown, found) else { return Ok(()) };
    let names = names.ok_or_else(too_large)?;
    if depth > 0 && names.iter().any(|name| name == CACHE) {
        return Ok(());
    }
    for name in names.iter().filter(|name| !hidden(name) && !delivered(name, &names)) {
        let path = shown.join(name);
        let is_ours = path.extension().is_some_and(|extension| extension == "kiln" || extension == "lock");
        let Some(stat) = seen(dir.entry(name), &path, found) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                if let Some(below) = seen(dir.directory(name), &path, found) {
                    look(&below, (&path, depth + 1), found)?;
                }
            }
            // A link to a recipe is a recipe, as for every command.
            FileType::RegularFile | FileType::Symlink if is_ours => found.push(Found::File(path)),
            // Not opened: there may be nobody at the other end of a pipe. Other programs have such locks.
            _ if path.extension().is_some_and(|extension| extension == "kiln") => {
                found.push(Found::Unreadable(path, "a named pipe, a socket or a device, not a file".to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What was looked at. Of what is gone by now there is nothing to say: somebody works here.
fn seen<T>(looked: Result<T, WorldError>, path: &Path, found: &mut Vec<Found>) -> Option<T> {
    match looked {
        Ok(value) => return Some(value),
        Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => found.push(Found::Unreadable(path.to_owned(), error.to_string())),
    }
    None
}

/// The lock in a build that was pulled: its recipe is elsewhere. That of a recipe beside it is any lock.
fn delivered(name: &OsStr, beside: &[std::ffi::OsString]) -> bool {
    let has = |other: &str| beside.iter().any(|name| name == other);
    name == manifest::LOCK_FILE && has(manifest::FILE) && !has("kiln.kiln")
}

/// What belongs to version control and to editors.
fn hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
