//! What all operations on files share: errors that say what was done and to which path, which files are plain, and names
//! that nobody can guess.

use std::fs::{File, Metadata};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::WorldError;

/// Names the path in an error.
pub fn context<T>(verb: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, WorldError> {
    result.map_err(|source| WorldError::File { verb, path: path.to_owned(), source })
}

/// A file that was opened, if it is a plain one.
pub(super) fn plain(verb: &'static str, path: &Path, file: File) -> Result<File, WorldError> {
    context(verb, path, file.metadata().and_then(|found| is_plain(&found)))?;
    Ok(file)
}

pub(super) fn is_plain(found: &Metadata) -> std::io::Result<()> {
    let kind = found.file_type();
    let noun = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("it is {noun}, not a regular file")))
}

/// A word that nobody can guess, to be part of a name.
pub fn random() -> Result<String, WorldError> {
    let mut bytes = [0; 8];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    context("read", Path::new("/dev/urandom"), drawn.map_err(std::io::Error::from))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
