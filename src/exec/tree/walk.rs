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
            Ok(directory) => visit(&Arc::new(directory), (&path, 0), visitor),
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

fn visit<E: From<TreeError>>(
    directory: &Arc<OwnedFd>,
    (path, depth): (&Path, usize),
    visitor: Visitor<'_, E>,
) -> Result<(), E> {
    for place in below(directory, path).map_err(|error| TreeError::file("list", path, error))? {
        let stat = match place.stat() {
            // The visitor removed it when it saw another name of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            stat => place.context("read", stat)?,
        };
        if visitor(&place, &stat)? == Go::On || !stat.directory() {
            continue;
        }
        let opened = bounded(depth).and_then(|()| place.directory());
        visit(&Arc::new(place.context("list", opened)?), (place.path(), depth + 1), visitor)?;
    }
    Ok(())
}

/// The places in an open directory, sorted.
fn below(directory: &Arc<OwnedFd>, path: &Path) -> io::Result<Vec<Place>> {
    let mut names = names(directory)?;
    names.sort_unstable();
    Ok(names.into_iter().map(|name| Place::new(directory.clone(), path.join(name))).collect())
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
    Err(io::Error::other(format!("more than {DEPTH} directories lie within each other")))
}

impl Place {
    /// Removes a file, link or whole directory, if there is one.
    pub(crate) fn remove(&self) -> Result<(), TreeError> {
        remove(self, 0).map_err(|(path, error)| TreeError::file("remove", path, error))
    }
}

fn remove(place: &Place, depth: usize) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error: io::Error| (place.path().to_owned(), error);
    match place.unlink() {
        Err(error) if error.raw_os_error() == Some(Errno::ISDIR.raw_os_error()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => return result.map_err(failed),
    }
    let directory = bounded(depth).and_then(|()| place.directory()).map(Arc::new).map_err(failed)?;
    for place in below(&directory, place.path()).map_err(failed)? {
        remove(&place, depth + 1)?;
    }
    drop(directory);
    place.remove_directory().map_err(failed)
}
