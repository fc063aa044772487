//! A canonical tar back to a tree on disk, with owners, modes, times, capabilities and hard links.
//!
//! The archive is one that [`super::pack`] wrote, and its digest was checked. Its paths are sorted, so that a directory
//! comes before what is in it; everything below `/dev` is left out, since a normal user can make no devices and the tar of
//! the result has its own.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, fchown};
use std::path::Path;

use rayon::prelude::*;

use super::{Cursor, Place, RootError, Times, Tree, TreeError};
use crate::exec::interrupt;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath, TarReader};
use crate::world::fs;

/// Bytes of a content that are copied at a time.
const PIECE: usize = 256 << 10;
/// Entries that one task writes in a row: those of a directory mostly stand beside each other.
const RUN: usize = 64;

/// An entry, and where its content is.
type Located = (TarEntry, u64);

/// Writes everything in `archive` to `tree`, which is empty; `times` learns the times of what is in it.
///
/// First all headers are read and directories made, then everything else on all processors.
pub(crate) fn restore(archive: &Path, tree: &Tree, times: &mut Times) -> Result<(), RootError> {
    let file = fs::open(archive)?;
    let mut reader = TarReader::of_headers(&file);
    let mut cursor = Cursor::new(tree);
    let (mut directories, mut files, mut names) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(entry) = reader.next_entry()? {
        let offset = reader.offset();
        reader.pass_content()?;
        if entry.path.as_bytes().starts_with(b"dev/") {
            continue;
        }
        times.learn(entry.mtime);
        match entry.kind {
            TarEntryKind::Directory => {
                if !entry.path.is_root() {
                    let made = cursor.at(name(&entry.path)).and_then(|place| place.make_directory());
                    made.map_err(|error| failed(&entry, error))?;
                }
                directories.push(entry);
            }
            TarEntryKind::Hardlink(_) => names.push(entry),
            _ => files.push((entry, offset)),
        }
    }
    files.par_chunks(RUN).try_for_each(|run| write(&file, run, tree))?;
    for entry in &names {
        if let TarEntryKind::Hardlink(target) = &entry.kind {
            let made = cursor.at(name(&entry.path)).and_then(|place| place.make_name_of(&tree.at(name(target))?));
            made.map_err(|error| failed(entry, error))?;
        }
    }
    // From the leaves up: whatever is put into a directory changes its time.
    for entry in directories.into_iter().rev() {
        let dressed = cursor.at(name(&entry.path)).and_then(|place| dress(&place, &entry));
        dressed.map_err(|error| TreeError::file("set the attributes of", name(&entry.path), error))?;
    }
    Ok(())
}

fn failed(entry: &TarEntry, error: io::Error) -> TreeError {
    TreeError::file("restore", name(&entry.path), error)
}

/// Writes entries whose directories are there.
fn write(archive: &File, run: &[Located], tree: &Tree) -> Result<(), TreeError> {
    let mut cursor = Cursor::new(tree);
    let mut buffer = Vec::new();
    for (entry, offset) in run {
        let failed = |error| failed(entry, error);
        if interrupt::stopped() {
            return Err(failed(io::ErrorKind::Interrupted.into()));
        }
        let place = cursor.at(name(&entry.path)).map_err(failed)?;
        make(&place, entry, (archive, *offset, &mut buffer)).map_err(failed)?;
    }
    Ok(())
}

fn name(path: &TarPath) -> &Path {
    Path::new(OsStr::from_bytes(path.as_bytes()))
}

fn make(place: &Place, entry: &TarEntry, content: (&File, u64, &mut Vec<u8>)) -> io::Result<()> {
    match &entry.kind {
        TarEntryKind::Symlink(target) => place.make_link(OsStr::from_bytes(target))?,
        TarEntryKind::File => {
            let mut file = place.create()?;
            copy(content, entry.size, &mut file)?;
            return dress_file(&file, entry);
        }
        TarEntryKind::Fifo => place.make_pipe()?,
        TarEntryKind::Directory | TarEntryKind::Hardlink(_) => {}
        TarEntryKind::CharDevice(_) | TarEntryKind::BlockDevice(_) => {
            return Err(io::Error::other("a device outside of /dev"));
        }
    }
    dress(place, entry)
}

fn copy(
    (archive, mut offset, buffer): (&File, u64, &mut Vec<u8>),
    mut left: u64,
    to: &mut impl Write,
) -> io::Result<()> {
    while left > 0 {
        let count = left.min(PIECE as u64) as usize;
        if buffer.len() < count {
            buffer.resize(count, 0);
        }
        archive.read_exact_at(&mut buffer[..count], offset)?;
        to.write_all(&buffer[..count])?;
        (offset, left) = (offset + count as u64, left - count as u64);
    }
    Ok(())
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
