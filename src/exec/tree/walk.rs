//! Whole directories: listed, visited, removed. Below the first one no link is followed, and each level is reached from
//! the directory above it, which is held open: what is moved meanwhile cannot lead anywhere else.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, RawDir};
use rustix::io::Errno;

use super::kept::Kept;
use super::{Place, Stat, Tree, TreeError};

/// Bytes that the kernel fills with entries at a time.
const BUFFER: usize = 1 << 15;

/// Directories within directories: each level holds a descriptor.
const DEPTH: usize = 512;

/// Whether a visit goes on below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// Into it.
    Down,
    /// Past it.
    On,
}

/// What is called with each place.
type Visitor<'a, E> = &'a mut dyn FnMut(&Place, &Stat) -> Result<Go, E>;

impl Tree {
    /// Everything below a directory, in order, each directory before what is in it; nothing when there is no directory.
    /// When `path` itself is a link to a directory of the tree, that one is meant.
    pub(crate) fn visit<E: From<TreeError>>(&self, path: impl AsRef<Path>, visitor: Visitor<'_, E>) -> Result<(), E> {
        let path = super::relative(path.as_ref()).map_err(|error| TreeError::file("list", &path, error))?;
        match self.resolve(&path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(error) if is_no_directory(&error) => Ok(()),
            Err(error) => Err(TreeError::file("list", &path, error).into()),
            Ok(directory) => {
                visit(&Level { directory: Arc::new(directory), path: &path, depth: 0, kept: &self.kept }, visitor)
            }
        }
    }

    /// What is in a directory, in order; nothing when there is no directory. When `path` itself is a link to a
    /// directory of the tree, that one is meant.
    pub(crate) fn list(&self, path: impl AsRef<Path>) -> Result<Vec<Place>, TreeError> {
        let mut places = Vec::new();
        self.visit(path, &mut |place, _| {
            places.push(place.clone());
            Ok::<Go, TreeError>(Go::On)
        })?;
        Ok(places)
    }
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// An open directory of the tree, and how far down it is.
struct Level<'a> {
    directory: Arc<OwnedFd>,
    path: &'a Path,
    depth: usize,
    kept: &'a Kept,
}

fn visit<E: From<TreeError>>(level: &Level<'_>, visitor: Visitor<'_, E>) -> Result<(), E> {
    for place in level.below().map_err(|error| TreeError::file("list", level.path, error))? {
        let stat = match place.stat() {
            // The visitor removed it when it saw another name of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            stat => place.context("read", stat)?,
        };
        if visitor(&place, &stat)? == Go::On || !stat.directory() {
            continue;
        }
        let opened = bounded(level.depth).and_then(|()| place.directory());
        let directory = Arc::new(place.context("list", opened)?);
        visit(&Level { directory, path: place.path(), depth: level.depth + 1, kept: level.kept }, visitor)?;
    }
    Ok(())
}

impl Level<'_> {
    /// The places in it, sorted.
    fn below(&self) -> io::Result<Vec<Place>> {
        let mut names = names(&self.directory)?;
        names.sort_unstable();
        let place = |name| Place::new(self.directory.clone(), self.path.join(name), self.kept.clone());
        Ok(names.into_iter().map(place).collect())
    }
}

fn names(directory: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn bounded(depth: usize) -> io::Result<()> {
    if depth < DEPTH {
        return Ok(());
    }
    Err(io::Error::other(format!("directories are nested more than {DEPTH} deep")))
}

impl Place {
    /// Removes a file, link or whole directory, if there is one, but for what stays as it is.
    pub(crate) fn remove(&self) -> Result<(), TreeError> {
        remove(self, 0).map(drop).map_err(|(path, error)| TreeError::file("remove", path, error))
    }
}

/// Says whether nothing is there any more.
fn remove(place: &Place, depth: usize) -> Result<bool, (PathBuf, io::Error)> {
    let failed = |error: io::Error| (place.path().to_owned(), error);
    if place.is_kept() {
        return Ok(false);
    }
    match place.unlink() {
        Err(error) if error.raw_os_error() == Some(Errno::ISDIR.raw_os_error()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        result => return result.map(|()| true).map_err(failed),
    }
    let directory = bounded(depth).and_then(|()| place.directory()).map(Arc::new).map_err(failed)?;
    let level = Level { directory, path: place.path(), depth, kept: place.kept() };
    let mut gone = true;
    for place in level.below().map_err(failed)? {
        gone &= remove(&place, depth + 1)?;
    }
    drop(level);
    if gone {
        place.remove_directory().map_err(failed)?;
    }
    Ok(gone)
}
