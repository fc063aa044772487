//! A canonical tar back to a tree on disk, with owners, modes, times, capabilities and hard links.
//!
//! The archive is one that [`super::pack`] wrote, and its digest was checked. Its paths are sorted, so that a directory
//! comes before what is in it; everything below `/dev` is left out, since a normal user can make no devices and the tar of
//! the result has its own.

#![allow(clippy::disallowed_methods, reason = "file operations below a root that kiln owns; errors name the path")]

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use super::times::Times;
use super::unpack::{fs_error, set_time};
use super::{RootError, tree};
use crate::exec::interrupt;
use crate::format::tar::{Entry, Kind, TarPath, TarReader};
use crate::world::fs;

type Archive = TarReader<BufReader<File>>;

/// Writes everything in `archive` below `root`, an empty directory; `times` learns the times of what is in it.
pub(super) fn restore(archive: &Path, root: &Path, times: &mut Times) -> Result<(), RootError> {
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, fs::open(archive)?));
    let mut directories = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        if entry.path.as_bytes().starts_with(b"dev/") {
            continue;
        }
        let place = place(root, &entry.path);
        if interrupt::stopped() {
            return Err(fs_error("restore", &place, io::ErrorKind::Interrupted.into()));
        }
        times.learn(entry.mtime);
        make(root, &place, &entry, &mut reader).map_err(|error| fs_error("restore", &place, error))?;
        if entry.is_directory() {
            directories.push((place, entry));
        }
    }
    // From the leaves up: whatever is put into a directory changes its time.
    for (place, entry) in directories.into_iter().rev() {
        dress(&place, &entry).map_err(|error| fs_error("set the attributes of", &place, error))?;
    }
    Ok(())
}

fn place(root: &Path, path: &TarPath) -> PathBuf {
    root.join(OsStr::from_bytes(path.as_bytes()))
}

fn make(root: &Path, place: &Path, entry: &Entry, content: &mut Archive) -> io::Result<()> {
    match &entry.kind {
        Kind::Directory if entry.path.is_root() => return Ok(()),
        Kind::Directory => return std::fs::create_dir(place),
        Kind::Hardlink(target) => return std::fs::hard_link(self::place(root, target), place),
        Kind::Symlink(target) => symlink(OsStr::from_bytes(target), place)?,
        Kind::File => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
            io::copy(content, &mut file)?;
        }
        Kind::Fifo => rustix::fs::mkfifoat(rustix::fs::CWD, place, rustix::fs::Mode::from_raw_mode(0o600))?,
        Kind::CharDevice(_) | Kind::BlockDevice(_) => {
            return Err(io::Error::other("a device outside of /dev"));
        }
    }
    dress(place, entry)
}

/// The owner first: changing it clears set-uid bits and capabilities.
fn dress(place: &Path, entry: &Entry) -> io::Result<()> {
    if (entry.uid, entry.gid) != (0, 0) {
        lchown(place, Some(entry.uid), Some(entry.gid))?;
    }
    if !matches!(entry.kind, Kind::Symlink(_)) {
        std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(entry.mode))?;
    }
    if let Some(value) = entry.xattrs.get(tree::CAPABILITY.as_bytes()) {
        tree::set_capability(place, value)?;
    }
    set_time(place, entry.mtime)
}
