//! A directory that is held by its descriptor, for results and locks: what kiln puts into somebody's working directory.
//!
//! A working directory may come from a stranger, with links in it where kiln is going to write. So a path that kiln
//! writes to is walked part by part, and a link on the way is refused; a file is written under a random name, which
//! is created and never opened, and then takes the place of whatever had its name: a link there is replaced.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::WorldError;
use super::fs::{context, plain};

/// Random names that are tried; a second one is never needed.
const TRIES: u32 = 8;

/// A directory, whatever happens to its path.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// The directory that kiln writes to at this path, made where it is missing. Below the working directory no part
    /// of the path may be a link; of other paths, which the user spelled out, the last part may be none.
    pub fn open(path: &Path) -> Result<Directory, WorldError> {
        let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if path.components().all(below) {
            let here = Directory::at(CWD, OsStr::new("."), PathBuf::new())?;
            return here.descend(path);
        }
        let Some(name) = path.file_name() else { return Directory::given(path) };
        let parent = path.parent().unwrap_or(Path::new("/"));
        super::fs::create_dir_all(parent)?;
        Directory::given(parent)?.child(name)
    }

    /// The directory that holds a file, wherever links in the file's path lead, and the file's name.
    pub fn holding(path: &Path) -> Result<(Directory, &OsStr), WorldError> {
        let name = path.file_name().ok_or(Errno::ISDIR.into());
        let name = context("write", path, name)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok((Directory::given(parent.unwrap_or(Path::new(".")))?, name))
    }

    /// A directory below this one, made where it is missing; no part of the path may be a link.
    pub fn descend(self, path: &Path) -> Result<Directory, WorldError> {
        path.components().try_fold(self, |at, part| match part {
            Component::CurDir => Ok(at),
            Component::Normal(name) => at.child(name),
            _ => context("write to", path, Err(Errno::INVAL.into())),
        })
    }

    /// The directory of that name in this one, made where it is missing.
    fn child(&self, name: &OsStr) -> Result<Directory, WorldError> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => Directory::at(self.fd.as_fd(), name, path),
            Err(error) => context("create directory", &path, Err(error.into())),
        }
    }

    /// A path as the user gave it.
    fn given(path: &Path) -> Result<Directory, WorldError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Into::into);
        Ok(Directory { fd: context("open", path, fd)?, path: path.to_owned() })
    }

    fn at(parent: impl AsFd, name: &OsStr, path: PathBuf) -> Result<Directory, WorldError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Directory { fd, path }),
            Err(_) if is_link(parent.as_fd(), name) => Err(WorldError::Link { path }),
            Err(error) => context("open directory", &path, Err(error.into())),
        }
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it, refused when it is a link, no plain file, or larger than `limit`.
    pub fn read(&self, name: &OsStr, limit: u64) -> Result<Vec<u8>, WorldError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(Into::into);
        let file = plain("open", &path, File::from(context("open", &path, file)?))?;
        let mut bytes = Vec::new();
        context("read", &path, file.take(limit + 1).read_to_end(&mut bytes))?;
        if bytes.len() as u64 > limit { Err(WorldError::TooLarge { path, limit }) } else { Ok(bytes) }
    }

    /// Writes a file so that a reader sees the old bytes or the new ones, never a mixture, with this mode whatever the
    /// umask.
    pub fn write(&self, name: &OsStr, bytes: &[u8], mode: u32) -> Result<(), WorldError> {
        let mut new = self.begin()?;
        let written = new.file.write_all(bytes);
        context("write", &self.path.join(name), written)?;
        new.finish(name, mode)
    }

    /// Removes a file; it is no error when there is none.
    pub fn remove(&self, name: &OsStr) -> Result<(), WorldError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => context("remove", &self.path.join(name), Err(error.into())),
        }
    }

    /// A new file that has no name of its own yet.
    pub fn begin(&self) -> Result<NewFile<'_>, WorldError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut tries = 0;
        loop {
            let name = random_name();
            let created = rustix::fs::openat(&self.fd, &name, flags, Mode::RUSR | Mode::WUSR);
            tries += 1;
            match created {
                Err(Errno::EXIST) if tries < TRIES => {}
                created => {
                    let file = context("create a file in", &self.shown(), created.map_err(Into::into))?;
                    return Ok(NewFile { directory: self, name: Some(name), file: File::from(file) });
                }
            }
        }
    }

    fn shown(&self) -> PathBuf {
        if self.path.as_os_str().is_empty() { PathBuf::from(".") } else { self.path.clone() }
    }
}

/// A file that is being written; without [`NewFile::finish`] it goes away.
pub struct NewFile<'a> {
    directory: &'a Directory,
    name: Option<OsString>,
    /// To be written to.
    pub file: File,
}

impl NewFile<'_> {
    /// Gives it its name, which is taken from whatever had it.
    pub fn finish(mut self, name: &OsStr, mode: u32) -> Result<(), WorldError> {
        let path = self.directory.path.join(name);
        let protected = rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(Into::into);
        context("set the mode of", &path, protected)?;
        context("sync", &path, self.file.sync_all())?;
        if let Some(random) = &self.name {
            let fd = &self.directory.fd;
            context("write", &path, rustix::fs::renameat(fd, random, fd, name).map_err(Into::into))?;
            self.name = None;
        }
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // The error that matters is the first one; a left-over temporary file is only untidy.
            let _ = rustix::fs::unlinkat(&self.directory.fd, name, AtFlags::empty());
        }
    }
}

fn is_link(parent: impl AsFd, name: &OsStr) -> bool {
    let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink())
}

/// A name that nobody can foresee, and so nobody can have prepared.
fn random_name() -> OsString {
    let mut bytes = [0; 16];
    // The kernel gives so few bytes whole, or waits; were it to refuse, exclusive creation still protects the file.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    OsString::from(format!(".kiln-{hex}.tmp"))
}
