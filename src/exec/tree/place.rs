//! One place in a tree: a directory that is held open, and a name in it that nothing here follows.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};

use super::kept::Kept;
use super::{Stat, TreeError};

/// Where the kernel keeps a file's capabilities (capabilities(7)).
pub(crate) const CAPABILITY: &str = "security.capability";

/// Where something is, or may be made.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    parent: Arc<OwnedFd>,
    /// Within the tree, without a leading slash; only its last part is used, the rest is for errors.
    path: PathBuf,
    /// What stays as it is in the tree.
    kept: Kept,
}

impl Place {
    pub(super) fn new(parent: Arc<OwnedFd>, path: PathBuf, kept: Kept) -> Place {
        Place { parent, path, kept }
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether what is here stays as it is.
    pub(super) fn is_kept(&self) -> bool {
        !self.kept.is_empty() && self.stat().is_ok_and(|stat| self.kept.holds(&stat))
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(OsStr::new("."))
    }

    /// Its path within the tree, without a leading slash.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names the path in an error.
    pub(crate) fn context<T>(&self, verb: &'static str, result: io::Result<T>) -> Result<T, TreeError> {
        result.map_err(|source| TreeError::file(verb, &self.path, source))
    }

    /// The place of the same name with an extension more.
    pub(crate) fn beside(&self, extension: &str) -> Place {
        let path = self.path.with_added_extension(extension);
        Place { parent: self.parent.clone(), path, kept: self.kept.clone() }
    }

    pub(crate) fn stat(&self) -> io::Result<Stat> {
        let raw = rustix::fs::statat(&self.parent, self.name(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat::new(&raw))
    }

    /// Whether anything is there; a link counts, wherever it leads.
    pub(crate) fn taken(&self) -> bool {
        self.stat().is_ok()
    }

    /// Where a link leads.
    pub(crate) fn target(&self) -> io::Result<OsString> {
        let target = rustix::fs::readlinkat(&self.parent, self.name(), Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Opens what is there, but no link; a pipe or a device is not waited for.
    fn open_as(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.parent, self.name(), flags | careful, Mode::empty())?)
    }

    fn regular(&self, flags: OFlags) -> io::Result<(File, Stat)> {
        let opened = self.open_as(flags)?;
        let stat = Stat::new(&rustix::fs::fstat(&opened)?);
        if !stat.file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok((opened.into(), stat))
    }

    /// Opens a regular file for reading.
    pub(crate) fn read(&self) -> io::Result<(File, Stat)> {
        self.regular(OFlags::RDONLY)
    }

    /// Opens a regular file for reading and writing.
    pub(crate) fn change(&self) -> io::Result<(File, Stat)> {
        self.regular(OFlags::RDWR)
    }

    /// Opens a directory for listing.
    pub(crate) fn directory(&self) -> io::Result<OwnedFd> {
        self.open_as(OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Makes a file that nobody else may read yet; an error when anything is there.
    pub(crate) fn create(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.parent, self.name(), flags, Mode::from_raw_mode(0o600))?.into())
    }

    pub(crate) fn make_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.parent, self.name(), Mode::from_raw_mode(0o755))?)
    }

    /// Makes a symbolic link; an error when anything is there.
    pub(crate) fn make_link(&self, target: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target.as_ref(), &self.parent, self.name())?)
    }

    pub(crate) fn make_pipe(&self) -> io::Result<()> {
        Ok(rustix::fs::mkfifoat(&self.parent, self.name(), Mode::from_raw_mode(0o600))?)
    }

    /// Gives what is at `other` this name too.
    pub(crate) fn make_name_of(&self, other: &Place) -> io::Result<()> {
        Ok(rustix::fs::linkat(&other.parent, other.name(), &self.parent, self.name(), AtFlags::empty())?)
    }

    /// Moves what is here to another place, in the place of what is there.
    pub(crate) fn rename(&self, to: &Place) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.parent, self.name(), &to.parent, to.name())?)
    }

    /// Removes anything but a directory.
    pub(crate) fn unlink(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.parent, self.name(), AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.parent, self.name(), AtFlags::REMOVEDIR)?)
    }

    /// Changes the owner, also of a link itself.
    pub(crate) fn own(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        // A package may name any number; the one that means nobody leaves things as they are.
        let (uid, gid) = (uid.map(Uid::from_raw_unchecked), gid.map(Gid::from_raw_unchecked));
        Ok(rustix::fs::chownat(&self.parent, self.name(), uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets permission bits of anything but a link, which has none.
    pub(crate) fn permit(&self, mode: u32) -> io::Result<()> {
        permit(&self.open_as(OFlags::PATH)?, mode)
    }

    /// Sets the time of the last change, also of a link itself.
    pub(crate) fn set_time(&self, mtime: i64) -> io::Result<()> {
        Ok(rustix::fs::utimensat(&self.parent, self.name(), &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Sets permission bits of what a descriptor, which need not be readable, stands for.
pub(super) fn permit(opened: &OwnedFd, mode: u32) -> io::Result<()> {
    if Stat::new(&rustix::fs::fstat(opened)?).link() {
        return Err(rustix::io::Errno::LOOP.into());
    }
    // Linux changes the mode of such a descriptor only through its name in /proc (before 6.6).
    let name = format!("/proc/self/fd/{}", opened.as_raw_fd());
    Ok(rustix::fs::chmodat(CWD, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
}

/// For `futimens` and its like: the time of the last change alone.
pub(crate) fn times(mtime: i64) -> Timestamps {
    let access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access: access, last_modification: Timespec { tv_sec: mtime, tv_nsec: 0 } }
}

/// A file's capabilities, as the kernel writes them.
pub(crate) fn capability(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut value = [0; 256];
    match rustix::fs::fgetxattr(file, CAPABILITY, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file capabilities that [`capability`] read.
pub(crate) fn set_capability(file: &File, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(file, CAPABILITY, value, XattrFlags::empty())?)
}
