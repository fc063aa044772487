//! A tree of files that others filled (packages, their scripts, a recipe): every path is resolved within it.
//!
//! Input: a directory of the host, once, and then paths within the tree. Output: files of the tree, read or changed. It
//! must not touch anything else, whatever links the tree holds: parents are resolved by the kernel with the tree's
//! root as `/` (`openat2(2)`, `RESOLVE_IN_ROOT`), so that an absolute link or a `..` leads to a place within the tree, as
//! it does for the system that the tree becomes; the last part of a path is acted on without following it.
//!
//! Around it is what fills a tree and writes it down, whatever the distribution: packages of any format side by side,
//! times, owners, what a recipe adds, the canonical archive. It must not know a distribution's formats, database or
//! scripts.

mod accounts;
mod claims;
mod cursor;
mod error;
mod filter;
mod host;
mod kept;
pub(crate) mod layout;
pub(crate) mod numbers;
pub(crate) mod pack;
mod package;
pub(crate) mod parts;
mod place;
pub(crate) mod restore;
mod stat;
mod table;
mod times;
mod unpack;
mod walk;
mod work;
pub(crate) mod workspace;

#[cfg(test)]
pub(crate) mod tests;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub(crate) use accounts::Accounts;
pub(crate) use claims::{Attributes, Verdict};
pub(crate) use cursor::Cursor;
pub use error::{RootError, TreeError};
pub(crate) use filter::PathFilter;
pub(crate) use host::HostPath;
pub(crate) use pack::Witness;
pub(crate) use package::{Entry, Files, Kind, Package};
pub(crate) use place::{CAPABILITY, Place, capability, set_capability, times};
pub(crate) use rustix::fs::FileType;
pub(crate) use stat::Stat;
pub(crate) use times::Times;
pub(crate) use unpack::{UnpackMode, Unpacked, unpack};
pub(crate) use walk::Go;

/// How often the kernel is asked again when something was moved anywhere while it resolved a `..` (`openat2(2)`, EAGAIN).
const MAX_RESOLVE_ATTEMPTS: usize = 1000;

/// A tree by its root, which is held open: what becomes of the root's own path does not matter any more.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Arc<OwnedFd>,
    /// What stays as it is.
    kept: kept::Kept,
}

impl Tree {
    /// What a path names, its parents resolved within the tree. Paths are relative to the tree, with or without a
    /// leading slash; the empty one is the root.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> io::Result<Place> {
        let path = relative(path.as_ref())?;
        let parent = self.parent(path.parent().unwrap_or(Path::new("")))?;
        Ok(Place::new(parent, path, self.kept.clone()))
    }

    /// A directory that something lies in; links in its path are followed within the tree.
    fn parent(&self, path: &Path) -> io::Result<Arc<OwnedFd>> {
        if path.as_os_str().is_empty() {
            return Ok(self.root.clone());
        }
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY).map(Arc::new)
    }

    /// Opens a path, all of whose links are followed within the tree, the last one too.
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        resolve(self.root.as_fd(), path, flags)
    }
}

/// `path` with `root` as `/`: for links, for `..`, and for a slash at the beginning.
fn resolve(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..MAX_RESOLVE_ATTEMPTS {
        match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), within) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// The path without slashes at its beginning and parts that mean nothing. Its last part must be a name.
fn relative(path: &Path) -> io::Result<PathBuf> {
    let part = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    let path: PathBuf = path.components().filter_map(part).collect();
    if path.as_os_str().is_empty() || path.file_name().is_some() {
        return Ok(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the path ends with `..`"))
}
