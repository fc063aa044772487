//! What an archive says about one file: kiln's own model, never filled from `stat`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::TarError;

/// Longest path or link target: Linux's `PATH_MAX`, which counts the final NUL.
const PATH_LIMIT: usize = 4095;
/// Longest file name: Linux's `NAME_MAX`.
const NAME_LIMIT: usize = 255;

/// A relative path in normal form: no `.`, no `..`, no empty part, no slash at either end. The root is empty.
///
/// Ordered by bytes, which is the order of a canonical archive. Its clones share the bytes: a tree has every path several times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TarPath(Arc<[u8]>);

impl TarPath {
    /// The directory that holds everything.
    pub fn root() -> TarPath {
        TarPath(Arc::default())
    }

    /// Normalises `./usr//bin/` to `usr/bin`; refuses absolute paths, `..`, NUL and what Linux could not hold.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<TarPath, TarError> {
        let bytes = bytes.as_ref();
        let refuse = |what| Err(TarError::Path { path: lossy(bytes), what });
        if bytes.first() == Some(&b'/') {
            return refuse("an absolute path");
        }
        if bytes.contains(&0) {
            return refuse("a NUL in a path");
        }
        if bytes.len() > PATH_LIMIT {
            return refuse("a path longer than 4095 bytes");
        }
        let mut normal = Vec::with_capacity(bytes.len());
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return refuse("a path with '..'"),
                long if long.len() > NAME_LIMIT => return refuse("a file name longer than 255 bytes"),
                _ => {}
            }
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(part);
        }
        Ok(TarPath(normal.into()))
    }

    /// The bytes, `usr/bin`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the directory that holds everything.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory that holds this; `None` for the root.
    pub fn parent(&self) -> Option<TarPath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(TarPath(self.0[..end].into()))
    }

    /// The last part; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The parts from the top down.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// This path with one more part; refused when the part is not a plain file name.
    pub fn join(&self, part: &[u8]) -> Result<TarPath, TarError> {
        let mut bytes = self.0.to_vec();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(part);
        TarPath::new(bytes)
    }
}

impl fmt::Display for TarPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TarPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// A device number; Linux has 12 bits of major and 20 bits of minor (`include/linux/kdev_t.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// What kind of file an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarEntryKind {
    /// A regular file; its bytes follow.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; the target is kept as it is, since only the guest follows it.
    Symlink(Vec<u8>),
    /// Another name of a file that came earlier in the archive.
    Hardlink(TarPath),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    pub path: TarPath,
    pub kind: TarEntryKind,
    /// Permission bits with setuid, setgid and sticky: at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Bytes of a regular file; 0 for everything else.
    pub size: u64,
    /// Extended attributes by full name (`security.capability`), raw values.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl TarEntry {
    /// A regular file of root's.
    pub fn file(path: TarPath, mode: u32, mtime: i64, size: u64) -> TarEntry {
        TarEntry { size, ..TarEntry::plain(path, TarEntryKind::File, mode, mtime) }
    }

    /// A directory of root's.
    pub fn directory(path: TarPath, mode: u32, mtime: i64) -> TarEntry {
        TarEntry::plain(path, TarEntryKind::Directory, mode, mtime)
    }

    /// A symbolic link of root's.
    pub fn symlink(path: TarPath, target: impl Into<Vec<u8>>, mtime: i64) -> TarEntry {
        TarEntry::plain(path, TarEntryKind::Symlink(target.into()), 0o777, mtime)
    }

    fn plain(path: TarPath, kind: TarEntryKind, mode: u32, mtime: i64) -> TarEntry {
        TarEntry { path, kind, mode, uid: 0, gid: 0, mtime, size: 0, xattrs: BTreeMap::new() }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == TarEntryKind::Directory
    }
}

/// Checks the target of a symbolic link: not empty, no NUL, not longer than Linux takes.
pub(super) fn check_target(target: &[u8]) -> Result<(), &'static str> {
    match target {
        [] => Err("a symbolic link without a target"),
        long if long.len() > PATH_LIMIT => Err("a symbolic link whose target is longer than 4095 bytes"),
        text if text.contains(&0) => Err("a NUL in the target of a symbolic link"),
        _ => Ok(()),
    }
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
