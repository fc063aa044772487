//! Plain files in a [`Dir`]: what a reader of a foreign directory may open, and what is there instead.
//!
//! A pipe would never end, a device would act, and a link would lead to a file of the reader's own.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::dir::Dir;
use super::{WorldError, fs};

/// What an entry is, as far as a reader minds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A device.
    Device,
    /// A socket, or something newer.
    Other,
}

impl FileKind {
    /// In words: `a named pipe`.
    pub fn words(self) -> &'static str {
        match self {
            FileKind::File => "a file",
            FileKind::Directory => "a directory",
            FileKind::Link => "a symbolic link",
            FileKind::Pipe => "a named pipe",
            FileKind::Device => "a device",
            FileKind::Other => "neither a file nor a directory",
        }
    }

    fn of(found: FileType) -> FileKind {
        match found {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Link,
            FileType::Fifo => FileKind::Pipe,
            FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
            _ => FileKind::Other,
        }
    }
}

/// Why there is no plain file.
#[derive(Debug, thiserror::Error)]
pub enum Odd {
    /// Nothing has that name.
    #[error("it is missing")]
    Missing,
    /// Something else has that name, or stands where a directory should.
    #[error("it is {}", .0.words())]
    Is(FileKind),
    /// It cannot be had.
    #[error("it cannot be read: {0}")]
    Failed(std::io::Error),
}

impl From<Errno> for Odd {
    fn from(error: Errno) -> Odd {
        match error {
            Errno::NOENT => Odd::Missing,
            Errno::LOOP => Odd::Is(FileKind::Link),
            // An open socket; what it was a moment ago is known better.
            Errno::NXIO => Odd::Is(FileKind::Other),
            error => Odd::Failed(error.into()),
        }
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    changed: [i128; 2],
}

/// An open plain file.
#[derive(Debug)]
pub struct Plain {
    pub file: File,
    /// Bytes when it was opened.
    pub size: u64,
}

impl Plain {
    pub fn state(&self) -> std::io::Result<FileState> {
        let Stat { st_dev, st_ino, st_size, st_mtime, st_mtime_nsec, st_ctime, st_ctime_nsec, .. } =
            rustix::fs::fstat(&self.file)?;
        let nanos = |seconds: i64, nanos: u64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let changed = [nanos(st_mtime, st_mtime_nsec), nanos(st_ctime, st_ctime_nsec)];
        Ok(FileState { device: st_dev, inode: st_ino, size: st_size as u64, changed })
    }

    /// All of it, if it is no longer than `limit`; else one byte more, which tells.
    pub fn read(&self, limit: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.file).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

impl Dir {
    /// Opens a directory that the user names, by links if that is how they name it.
    pub fn open_named(path: &Path) -> Result<Dir, WorldError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from);
        Ok(Dir { fd: fs::context("open", path, opened)?, path: path.to_owned() })
    }

    /// A directory in it.
    pub fn below(&self, name: &str) -> Result<Dir, Odd> {
        match self.kind(name)? {
            FileKind::Directory => {}
            other => return Err(Odd::Is(other)),
        }
        let descriptor = rustix::fs::openat(&self.fd, name, FLAGS | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Dir { fd: descriptor, path: self.path.join(name) })
    }

    /// A plain file in it; `name` is one component. What it is is asked before it is opened, since opening a device
    /// may already do something, and again after, since it may have been exchanged.
    pub fn plain(&self, name: &str) -> Result<Plain, Odd> {
        match self.kind(name)? {
            FileKind::File => {}
            other => return Err(Odd::Is(other)),
        }
        let file = rustix::fs::openat(&self.fd, name, FLAGS, Mode::empty())?;
        let found = rustix::fs::fstat(&file)?;
        match FileKind::of(FileType::from_raw_mode(found.st_mode)) {
            FileKind::File => Ok(Plain { file: file.into(), size: found.st_size as u64 }),
            other => Err(Odd::Is(other)),
        }
    }

    /// A plain file in it, or `DIRECTORY/FILE` in a directory of it.
    pub fn plain_below(&self, name: &str) -> Result<Plain, Odd> {
        match name.split_once('/') {
            Some((directory, file)) => self.below(directory)?.plain(file),
            None => self.plain(name),
        }
    }

    /// Removes a file or a link that has this name; it is no error when there is none.
    pub fn remove_if_there(&self, name: &str) -> Result<(), WorldError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => fs::context("remove", &self.path.join(name), Err(error.into())),
        }
    }

    /// Removes a directory that has this name, unless something is in it.
    pub fn remove_empty(&self, name: &str) -> Result<(), WorldError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(error) => fs::context("remove", &self.path.join(name), Err(error.into())),
        }
    }

    /// The first `most` entries that `wanted` wants, in no order.
    pub fn entries(&self, most: usize, wanted: &dyn Fn(&OsString) -> bool) -> Result<Vec<OsString>, WorldError> {
        let failed = |error: Errno| WorldError::File { verb: "list", path: self.path.clone(), source: error.into() };
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let name = OsString::from_vec(entry.map_err(failed)?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." && wanted(&name) {
                found.push(name);
                if found.len() == most {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// What has this name.
    pub fn kind(&self, name: &str) -> Result<FileKind, Odd> {
        let found = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileKind::of(FileType::from_raw_mode(found.st_mode)))
    }
}
