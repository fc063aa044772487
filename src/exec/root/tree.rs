//! Small operations on a tree that is being built. Paths come from kiln's own constants or were checked before.

#![allow(clippy::disallowed_methods, reason = "file operations below a root that kiln owns; errors name the path")]

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::RootError;
use super::unpack::fs_error;
use crate::world::fs;

/// Most bytes of a text file that kiln edits (`passwd`, `status`, ...).
const TEXT_LIMIT: u64 = 64 << 20;

/// Writes a new file with these permissions, whatever the umask; replaces what was there, also a link.
pub(crate) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), RootError> {
    fs::remove_file(path)?;
    std::fs::write(path, bytes).map_err(|error| fs_error("write", path, error))?;
    permit(path, mode)
}

/// The same with the bytes of another file, of any length; the caller sets the permissions.
pub(crate) fn copy(from: &Path, path: &Path) -> Result<(), RootError> {
    fs::remove_file(path)?;
    io::copy(&mut fs::open(from)?, &mut fs::create(path)?).map_err(|error| fs_error("write", path, error))?;
    Ok(())
}

/// Sets permission bits.
pub(crate) fn permit(path: &Path, mode: u32) -> Result<(), RootError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| fs_error("change mode of", path, error))
}

/// A text file; `None` when there is none.
pub(crate) fn text(path: &Path) -> Result<Option<String>, RootError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fs_error("read", path, error)),
        Ok(data) if !data.is_file() => {
            return Err(fs_error("read", path, io::Error::other("it is not a regular file")));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(path, TEXT_LIMIT)?;
    String::from_utf8(bytes).map(Some).map_err(|_| fs_error("read", path, io::Error::other("it is not UTF-8")))
}

/// Changes the content of a text file in place, so that owner and permissions stay; nothing when there is none.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&str) -> String) -> Result<(), RootError> {
    let Some(before) = text(path)? else { return Ok(()) };
    let after = change(&before);
    if after == before {
        return Ok(());
    }
    std::fs::write(path, after).map_err(|error| fs_error("write", path, error))
}

/// Removes a file, link or whole directory, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), RootError> {
    let result = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(data) if data.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    };
    result.map_err(|error| fs_error("remove", path, error))
}

/// Removes what is in a directory, and keeps the directory as it is.
pub(crate) fn empty(path: &Path) -> Result<(), RootError> {
    for entry in entries(path)? {
        remove(&entry)?;
    }
    Ok(())
}

/// Paths in a directory, sorted; none when there is no such directory.
pub(crate) fn entries(path: &Path) -> Result<Vec<PathBuf>, RootError> {
    let listing = match std::fs::read_dir(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        result => result.map_err(|error| fs_error("list", path, error))?,
    };
    let mut entries = Vec::new();
    for entry in listing {
        entries.push(entry.map_err(|error| fs_error("list", path, error))?.path());
    }
    entries.sort();
    Ok(entries)
}

/// Calls `visit` with every path below `path` that is not a directory, in order; links are not followed.
pub(crate) fn walk(path: &Path, visit: &mut dyn FnMut(&Path) -> Result<(), RootError>) -> Result<(), RootError> {
    for entry in entries(path)? {
        let data = entry.symlink_metadata().map_err(|error| fs_error("read", &entry, error))?;
        if data.is_dir() { walk(&entry, visit)? } else { visit(&entry)? }
    }
    Ok(())
}

/// Where the kernel keeps a file's capabilities (capabilities(7)).
pub(crate) const CAPABILITY: &str = "security.capability";

/// A file's capabilities, as the kernel writes them.
pub(crate) fn capability(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; 256];
    match rustix::fs::lgetxattr(path, CAPABILITY, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file capabilities that [`capability`] read.
pub(crate) fn set_capability(path: &Path, value: &[u8]) -> io::Result<()> {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(path, CAPABILITY, value, flags).map_err(io::Error::from)
}

/// Makes a symbolic link in the place of whatever is there.
pub(crate) fn link(path: &Path, target: &str) -> Result<(), RootError> {
    remove(path)?;
    symlink(target, path).map_err(|error| fs_error("link", path, error))
}

/// Makes a directory and its parents with mode 0755, whatever the umask; existing ones stay as they are.
pub(crate) fn directory(path: &Path) -> Result<(), RootError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    std::fs::create_dir(path).map_err(|error| fs_error("create directory", path, error))?;
    permit(path, 0o755)
}

/// Gives everything in a tree, and the tree itself, one time.
pub(crate) fn set_times(path: &Path, mtime: i64) -> Result<(), RootError> {
    let data = path.symlink_metadata().map_err(|error| fs_error("read", path, error))?;
    if data.is_dir() {
        for entry in entries(path)? {
            set_times(&entry, mtime)?;
        }
    }
    super::unpack::set_time(path, mtime).map_err(|error| fs_error("set the time of", path, error))
}
