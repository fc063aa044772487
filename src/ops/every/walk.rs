//! Recipes and locks below a directory, by name. Nothing is opened here, and no link is followed: what a path leads to is
//! judged by whoever reads it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::ops::error::{OpsError, UsageError};
use crate::world::dir::Dir;

/// Levels of directories.
const MAX_DEPTH: usize = 64;
/// Entries of one directory.
const MAX_ENTRIES: usize = 1 << 20;
/// What marks a directory whose content can be made again (the Cache Directory Tagging Specification).
const CACHE: &str = "CACHEDIR.TAG";

/// The paths in their order, as seen from the working directory.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, OpsError> {
    let mut files = Vec::new();
    // The caller may name it by a link.
    let top = Dir::open_named(directory)?;
    let shown = if directory == Path::new(".") { Path::new("") } else { directory };
    look(&top, (shown, 0), &mut files)?;
    files.sort_unstable();
    Ok(files)
}

fn look(dir: &Dir, (shown, depth): (&Path, usize), files: &mut Vec<PathBuf>) -> Result<(), OpsError> {
    let too_large = || UsageError::TooManyFiles(shown.to_owned());
    if depth == MAX_DEPTH {
        return Err(too_large().into());
    }
    let names = dir.names(MAX_ENTRIES)?.ok_or_else(too_large)?;
    if depth > 0 && names.iter().any(|name| name == CACHE) {
        return Ok(());
    }
    for name in names.iter().filter(|name| !hidden(name)) {
        let path = shown.join(name);
        match FileType::from_raw_mode(dir.entry(name)?.st_mode) {
            FileType::Directory => look(&dir.directory(name)?, (&path, depth + 1), files)?,
            // A link to a recipe is a recipe, as for every command.
            FileType::RegularFile | FileType::Symlink
                if path.extension().is_some_and(|extension| extension == "kiln" || extension == "lock") =>
            {
                files.push(path);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What belongs to version control and to editors.
fn hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
