//! File operations whose errors name the path.

#![allow(clippy::disallowed_methods, reason = "this is the door that the ban points to")]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::WorldError;

/// Names the path in an error.
pub fn context<T>(verb: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, WorldError> {
    result.map_err(|source| WorldError::File { verb, path: path.to_owned(), source })
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, WorldError> {
    context("open", path, File::open(path))
}

/// Creates a file, truncating what was there.
pub fn create(path: &Path) -> Result<File, WorldError> {
    context("create", path, File::create(path))
}

/// A whole file, refused when larger than `limit`.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
    let mut bytes = Vec::new();
    context("read", path, open(path)?.take(limit + 1).read_to_end(&mut bytes))?;
    if bytes.len() as u64 > limit {
        return Err(WorldError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// A directory with its parents.
pub fn create_dir_all(path: &Path) -> Result<(), WorldError> {
    context("create directory", path, fs::create_dir_all(path))
}

/// Moves a file into place.
pub fn rename(from: &Path, to: &Path) -> Result<(), WorldError> {
    context("rename", from, fs::rename(from, to))
}

/// Removes a file; it is no error when there is none.
pub fn remove_file(path: &Path) -> Result<(), WorldError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => context("remove", path, result),
    }
}

/// Removes a directory with all it holds; it is no error when there is none.
pub fn remove_dir_all(path: &Path) -> Result<(), WorldError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => context("remove", path, result),
    }
}

/// Writes a file so that a reader sees the old bytes or the new ones, never a mixture.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WorldError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write_synced(&temporary, bytes).and_then(|()| rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the first one; a left-over temporary file is only untidy.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), WorldError> {
    let mut file = create(path)?;
    context("write", path, std::io::Write::write_all(&mut file, bytes))?;
    context("sync", path, file.sync_all())
}
