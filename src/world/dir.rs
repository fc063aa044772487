//! Directories that somebody else has written into, by descriptor.
//!
//! A path is resolved anew by every call, and whoever may write a directory on its way decides what it means then. Here
//! a directory is opened once, and names below it are resolved from its descriptor without ever following a link
//! (`openat2(2)`); what was found is held by a descriptor as well, which can be asked what it is before anything is
//! opened: a named pipe cannot make its reader wait, and a device is not touched.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::WorldError;
use super::fs::context;

/// How often somebody who waits for a lock looks again.
const LOCK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(20);
/// Below the directory, and through no link at all.
const STRICT: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// An open directory; the path is for messages.
#[derive(Debug)]
pub struct Dir {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

/// What lies under a name, held but not opened.
#[derive(Debug)]
pub struct HeldEntry {
    fd: OwnedFd,
    stat: Stat,
    path: PathBuf,
}

impl Dir {
    /// Opens a directory; its last part may not be a link.
    pub fn open(path: &Path) -> Result<Dir, WorldError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = named("open", path, rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Dir { fd, path: path.to_owned() })
    }

    /// Makes a directory where nothing is, with exactly this mode whatever the umask.
    pub fn make(path: &Path, mode: u32) -> Result<Dir, WorldError> {
        named("create directory", path, rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)))?;
        let dir = Dir::open(path)?;
        dir.set_mode(mode)?;
        Ok(dir)
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the kernel knows of it.
    pub fn stat(&self) -> Result<Stat, WorldError> {
        named("look at", &self.path, rustix::fs::fstat(&self.fd))
    }

    /// Whether a directory that was looked at otherwise is this one.
    pub fn is(&self, other: &Stat) -> bool {
        self.stat().is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (other.st_dev, other.st_ino))
    }

    /// Sets its permission bits.
    pub fn set_mode(&self, mode: u32) -> Result<(), WorldError> {
        named("set the mode of", &self.path, rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode)))
    }

    /// The names in it, sorted; `None` when there are more than `most`.
    pub fn names(&self, most: usize) -> Result<Option<Vec<OsString>>, WorldError> {
        let mut names = Vec::new();
        for entry in named("list", &self.path, rustix::fs::Dir::read_from(&self.fd))? {
            let entry = named("list", &self.path, entry)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                return Ok(None);
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        names.sort();
        Ok(Some(names))
    }

    /// Waits until no other process holds its lock, or `stop` says so, and holds it as long as the directory is open. `false` if it
    /// was stopped; where the file system locks no directories, nobody is waited for.
    pub fn lock(&self, stop: &dyn Fn() -> bool) -> bool {
        while rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            if stop() {
                return false;
            }
            std::thread::sleep(LOCK_INTERVAL);
        }
        true
    }

    /// What is known of an entry, which is not followed when it is a link.
    pub fn entry(&self, name: &OsStr) -> Result<Stat, WorldError> {
        named("look at", &self.path.join(name), rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Where a link in it points.
    pub fn link(&self, name: &OsStr) -> Result<OsString, WorldError> {
        let target = named("read link", &self.path.join(name), rustix::fs::readlinkat(&self.fd, name, Vec::new()))?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// What lies at a path below it; `None` when nothing does. A link on the way is an error, one at the end is found.
    pub fn look(&self, below: impl AsRef<Path>) -> Result<Option<HeldEntry>, WorldError> {
        let path = self.path.join(&below);
        match self.resolve(below.as_ref(), OFlags::PATH | OFlags::NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            fd => {
                let fd = named("look at", &path, fd)?;
                let stat = named("look at", &path, rustix::fs::fstat(&fd))?;
                Ok(Some(HeldEntry { fd, stat, path }))
            }
        }
    }

    /// Makes a named pipe where nothing is, for this user alone, and opens it to read what others write.
    pub fn make_pipe(&self, name: &str) -> Result<(HeldEntry, File), WorldError> {
        let path = self.path.join(name);
        named("make a pipe at", &path, rustix::fs::mkfifoat(&self.fd, name, Mode::from_raw_mode(0o600)))?;
        let found = self.look(name)?.filter(|found| found.kind() == FileType::Fifo);
        let held = named("open", &path, found.ok_or(Errno::STALE))?;
        // Nobody writes yet, and nobody is waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = named("open", &path, rustix::fs::open(held.held(), flags, Mode::empty()))?;
        Ok((held, File::from(pipe)))
    }

    /// A directory below it; itself when the path is empty.
    pub fn directory(&self, below: impl AsRef<Path>) -> Result<Dir, WorldError> {
        let below = if below.as_ref().as_os_str().is_empty() { Path::new(".") } else { below.as_ref() };
        let path = self.path.join(below);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        Ok(Dir { fd: named("open", &path, self.resolve(below, flags))?, path })
    }

    /// Moves an entry of it to a path of kiln's own.
    pub fn rename_to(&self, name: impl AsRef<Path>, to: &Path) -> Result<(), WorldError> {
        let moved = rustix::fs::renameat(&self.fd, name.as_ref(), rustix::fs::CWD, to);
        named("rename", &self.path.join(name), moved)
    }

    /// Moves a file of kiln's own over an entry of it.
    pub fn rename_from(&self, from: &Path, name: impl AsRef<Path>) -> Result<(), WorldError> {
        named("rename", from, rustix::fs::renameat(rustix::fs::CWD, from, &self.fd, name.as_ref()))
    }

    /// Removes an entry that is no directory.
    pub fn remove(&self, name: &str) -> Result<(), WorldError> {
        named("remove", &self.path.join(name), rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()))
    }

    /// Sets the times of a link in it, counted from 1970.
    pub fn set_link_time(&self, below: &Path, time: std::time::Duration) -> Result<(), WorldError> {
        let time = rustix::fs::Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let set = rustix::fs::utimensat(&self.fd, below, &times, AtFlags::SYMLINK_NOFOLLOW);
        named("set the times of", &self.path.join(below), set)
    }

    fn resolve(&self, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.fd, below, flags | OFlags::CLOEXEC, Mode::empty(), STRICT)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl HeldEntry {
    /// What the kernel knows of it.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether an entry that was looked at otherwise is this one.
    pub fn is(&self, other: &Stat) -> bool {
        (self.stat.st_dev, self.stat.st_ino) == (other.st_dev, other.st_ino)
    }

    /// Opens it for reading. Only a regular file can be: nothing else is read.
    pub fn open(&self) -> Result<File, WorldError> {
        if self.kind() != FileType::RegularFile {
            return context("read", &self.path, Err(std::io::Error::other(format!("it is {}", noun(self.kind())))));
        }
        // This very file and no other, whatever its name means by now.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        named("open", &self.path, rustix::fs::open(self.held(), flags, Mode::empty())).map(File::from)
    }

    /// [`HeldEntry::open`], giving its owner the right to read it first where that was taken away.
    pub fn open_own(&self) -> Result<File, WorldError> {
        match self.open() {
            Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                self.let_owner_in()?;
                self.open()
            }
            other => other,
        }
    }

    /// Lets its owner read, write and search it.
    pub fn let_owner_in(&self) -> Result<(), WorldError> {
        let mode = Mode::from_raw_mode(self.stat.st_mode & 0o777 | 0o700);
        named("set the mode of", &self.path, rustix::fs::chmod(self.held(), mode))
    }

    /// Gives it to somebody.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), WorldError> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        let given = rustix::fs::chownat(&self.fd, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH);
        named("set the owner of", &self.path, given)
    }

    /// Where it was found.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's own way to what the descriptor holds.
    pub(super) fn held(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string())
    }
}

/// A type in words.
pub fn noun(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of no known type",
    }
}

/// A foreign name as it may stand in a message: on one line.
pub fn shown(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).escape_debug().to_string()
}

fn named<T>(verb: &'static str, path: &Path, result: rustix::io::Result<T>) -> Result<T, WorldError> {
    context(verb, path, result.map_err(std::io::Error::from))
}
