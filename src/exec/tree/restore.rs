//! A canonical tar back to a tree on disk, with owners, modes, times, capabilities and hard links.
//!
//! The archive is one that [`super::pack`] wrote, and its digest was checked. Its paths are sorted, so that a directory
//! comes before what is in it; everything below `/dev` is left out, since a normal user can make no devices and the tar of
//! the result has its own.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use super::{Cursor, Place, RootError, Times, Tree, TreeError};
use crate::exec::interrupt;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader};
use crate::world::fs;

type Archive = TarReader<BufReader<File>>;

/// Writes everything in `archive` to `tree`, which is empty; `times` learns the times of what is in it.
pub(crate) fn restore(archive: &Path, tree: &Tree, times: &mut Times) -> Result<(), RootError> {
    let mut reader = TarReader::new(BufReader::with_capacity(1 << 20, fs::open(archive)?));
    let mut cursor = Cursor::new(tree);
    let mut directories = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        if entry.path.as_bytes().starts_with(b"dev/") {
            continue;
        }
        let failed = |error| TreeError::file("restore", name(&entry.path), error);
        if interrupt::stopped() {
            return Err(failed(io::ErrorKind::Interrupted.into()).into());
        }
        times.learn(entry.mtime);
        let place = cursor.at(name(&entry.path)).map_err(failed)?;
        make(tree, &place, &entry, &mut reader).map_err(failed)?;
        if entry.is_directory() {
            directories.push(entry);
        }
    }
    // From the leaves up: whatever is put into a directory changes its time.
    for entry in directories.into_iter().rev() {
        let dressed = cursor.at(name(&entry.path)).and_then(|place| dress(&place, &entry));
        dressed.map_err(|error| TreeError::file("set the attributes of", name(&entry.path), error))?;
    }
    Ok(())
}

fn name(path: &TarPath) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes()))
}

fn make(tree: &Tree, place: &Place, entry: &TarEntry, content: &mut Archive) -> io::Result<()> {
    match &entry.kind {
        TarEntryKind::Directory if entry.path.is_root() => return Ok(()),
        TarEntryKind::Directory => return place.make_directory(),
        TarEntryKind::Hardlink(target) => return place.make_name_of(&tree.at(name(target))?),
        TarEntryKind::Symlink(target) => place.make_link(OsStr::from_bytes(target))?,
        TarEntryKind::File => {
            let mut file = place.create()?;
            io::copy(content, &mut file)?;
            return dress_file(&file, entry);
        }
        TarEntryKind::Fifo => place.make_pipe()?,
        TarEntryKind::CharDevice(_) | TarEntryKind::BlockDevice(_) => {
            return Err(io::Error::other("a device outside of /dev"));
        }
    }
    dress(place, entry)
}

/// The owner first: changing it clears set-uid bits and capabilities.
fn dress_file(file: &File, entry: &TarEntry) -> io::Result<()> {
    if (entry.uid, entry.gid) != (0, 0) {
        fchown(file, Some(entry.uid), Some(entry.gid))?;
    }
    file.set_permissions(Permissions::from_mode(entry.mode))?;
    if let Some(value) = entry.xattrs.get(super::CAPABILITY.as_bytes()) {
        super::set_capability(file, value)?;
    }
    Ok(rustix::fs::futimens(file, &super::times(entry.mtime))?)
}

fn dress(place: &Place, entry: &TarEntry) -> io::Result<()> {
    if (entry.uid, entry.gid) != (0, 0) {
        place.own(Some(entry.uid), Some(entry.gid))?;
    }
    if !matches!(entry.kind, TarEntryKind::Symlink(_)) {
        place.permit(entry.mode)?;
    }
    place.set_time(entry.mtime)
}
