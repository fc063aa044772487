//! What is known of a file without opening it.

use rustix::fs::FileType;

/// Of a file, directory or link itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: FileType,
    /// Permission bits, with set-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    /// How many names it has.
    pub(crate) links: u64,
    /// Device and number: equal for all names of one file.
    pub(crate) inode: (u64, u64),
}

impl Stat {
    pub(super) fn new(raw: &rustix::fs::Stat) -> Stat {
        Stat {
            kind: FileType::from_raw_mode(raw.st_mode),
            mode: raw.st_mode & 0o7777,
            uid: raw.st_uid,
            gid: raw.st_gid,
            size: u64::try_from(raw.st_size).unwrap_or(0),
            mtime: raw.st_mtime,
            links: raw.st_nlink,
            inode: (raw.st_dev, raw.st_ino),
        }
    }

    pub(crate) fn directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub(crate) fn file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub(crate) fn link(&self) -> bool {
        self.kind == FileType::Symlink
    }
}
