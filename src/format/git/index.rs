//! The index of a git working tree: which paths are tracked.
//!
//! Input: the bytes of `.git/index` in the versions 2, 3 and 4, of repositories with SHA-1 or SHA-256. Output: sorted paths.
//! The format is that of git's `Documentation/gitformat-index.txt`.

use std::collections::BTreeSet;

/// Bytes of an index; that of Linux has 10 MB.
pub const MAX_BYTES: u64 = 256 << 20;
/// Bytes in front of an entry's object id.
const STAT: usize = 40;
/// Bytes of a path that Linux opens (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// Lengths of object ids: SHA-1 and SHA-256.
const OBJECT_IDS: [usize; 2] = [20, 32];
const EXTENDED: u16 = 0x4000;
const KIND: u32 = 0o170_000;
const SUBMODULE: u32 = 0o160_000;

/// Tracked paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackedPaths(BTreeSet<Vec<u8>>);

/// Why an index cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitIndexError {
    /// Other bytes.
    #[error("its index is damaged")]
    Damaged,
    /// A newer format.
    #[error("its index has version {0}, and kiln reads versions 2 to 4")]
    Version(u32),
    /// Most of it is in another file.
    #[error("its index is split in two; run `git update-index --no-split-index`")]
    Split,
    /// Directories instead of files.
    #[error("its index is sparse; run `git sparse-checkout disable`")]
    Sparse,
    /// Another repository, whose files are in no index.
    #[error("`{0}` is a submodule, and kiln takes none")]
    Submodule(String),
}

impl TrackedPaths {
    /// Reads an index.
    pub fn read(bytes: &[u8]) -> Result<TrackedPaths, GitIndexError> {
        let version = number(bytes, 4).filter(|_| bytes.starts_with(b"DIRC")).ok_or(GitIndexError::Damaged)?;
        if !(2..=4).contains(&version) {
            return Err(GitIndexError::Version(version));
        }
        let read = OBJECT_IDS.iter().find_map(|id| Reader { bytes, at: 12, version, id: *id }.all());
        let Contents { paths, split, sparse, submodule } = read.ok_or(GitIndexError::Damaged)?;
        match (split, sparse, submodule) {
            (true, ..) => Err(GitIndexError::Split),
            (_, true, _) => Err(GitIndexError::Sparse),
            (.., Some(path)) => Err(GitIndexError::Submodule(String::from_utf8_lossy(&path).into_owned())),
            _ => Ok(TrackedPaths(paths)),
        }
    }

    /// Whether a file is tracked.
    pub fn has(&self, path: &[u8]) -> bool {
        self.0.contains(path)
    }

    /// Whether anything below a directory is.
    pub fn has_below(&self, directory: &[u8]) -> bool {
        let prefix = [directory, b"/"].concat();
        self.0.range(prefix.clone()..).next().is_some_and(|path| path.starts_with(&prefix))
    }
}

#[derive(Default)]
struct Contents {
    paths: BTreeSet<Vec<u8>>,
    split: bool,
    sparse: bool,
    submodule: Option<Vec<u8>>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    version: u32,
    /// Bytes of an object id.
    id: usize,
}

impl Reader<'_> {
    /// Everything, if the bytes are an index with ids of this length from the first to the last.
    fn all(mut self) -> Option<Contents> {
        let mut contents = Contents::default();
        let mut path = Vec::new();
        for _ in 0..number(self.bytes, 8)? {
            let mode = self.entry(&mut path)?;
            if mode & KIND == SUBMODULE {
                contents.submodule.get_or_insert_with(|| path.clone());
            }
            contents.paths.insert(path.clone());
        }
        let end = self.bytes.len().checked_sub(self.id)?;
        while self.at < end {
            let name = self.bytes.get(self.at..self.at + 4)?;
            contents.split |= name == b"link";
            contents.sparse |= name == b"sdir";
            self.at = self.at.checked_add(8)?.checked_add(number(self.bytes, self.at + 4)? as usize)?;
        }
        (self.at == end).then_some(contents)
    }

    /// The mode of the next entry, whose path takes the place of the one before.
    fn entry(&mut self, path: &mut Vec<u8>) -> Option<u32> {
        let start = self.at;
        let mode = number(self.bytes, start + 24)?;
        let flags = self.bytes.get(start + STAT + self.id..start + STAT + self.id + 2)?;
        let flags = u16::from_be_bytes([flags[0], flags[1]]);
        let extended = flags & EXTENDED != 0;
        if extended && self.version < 3 {
            return None;
        }
        self.at = start + STAT + self.id + if extended { 4 } else { 2 };
        if self.version == 4 {
            let dropped = self.offset()?;
            path.truncate(path.len().checked_sub(dropped)?);
        } else {
            path.clear();
        }
        let name = self.bytes.get(self.at..)?;
        let length = name.iter().position(|byte| *byte == 0)?;
        // No path that a kernel opens is longer; in version 4, a few bytes could otherwise state gigabytes of them.
        if path.len() + length > MAX_PATH {
            return None;
        }
        path.extend_from_slice(&name[..length]);
        self.at += length + 1;
        if self.version < 4 {
            // An entry's length is a multiple of eight, and its name ends with a NUL at least.
            self.at = start + (self.at - start).next_multiple_of(8);
        }
        (!path.is_empty()).then_some(mode)
    }

    /// A number as in pack files: seven bits a byte.
    fn offset(&mut self) -> Option<usize> {
        let mut value: usize = 0;
        for first in [true, false, false, false, false] {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            let base = if first { 0 } else { (value + 1) << 7 };
            value = base + usize::from(byte & 127);
            if byte & 128 == 0 {
                return Some(value);
            }
        }
        None
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32, count: u32) -> Vec<u8> {
        [b"DIRC".as_slice(), &version.to_be_bytes(), &count.to_be_bytes()].concat()
    }

    fn entry(mode: u32, path: &[u8], id: usize) -> Vec<u8> {
        let mut bytes = vec![0; STAT + id];
        bytes[24..28].copy_from_slice(&mode.to_be_bytes());
        bytes.extend((path.len() as u16).to_be_bytes());
        bytes.extend(path);
        bytes.resize((bytes.len() + 1).next_multiple_of(8), 0);
        bytes
    }

    fn index(entries: &[(u32, &str)], id: usize, extension: &[u8]) -> Vec<u8> {
        let mut bytes = header(2, entries.len() as u32);
        entries.iter().for_each(|(mode, path)| bytes.extend(entry(*mode, path.as_bytes(), id)));
        if !extension.is_empty() {
            bytes.extend([extension, &3u32.to_be_bytes(), b"abc"].concat());
        }
        bytes.extend(vec![7; id]);
        bytes
    }

    #[test]
    fn tracked_paths_are_read_from_both_kinds_of_repository() {
        for id in OBJECT_IDS {
            let tracked = TrackedPaths::read(&index(&[(0o100_644, "a"), (0o120_000, "d/e")], id, b"TREE")).unwrap();
            assert!(tracked.has(b"a") && tracked.has(b"d/e") && !tracked.has(b"d"), "{id}");
            assert!(tracked.has_below(b"d") && !tracked.has_below(b"a") && !tracked.has_below(b"d/e"), "{id}");
        }
    }

    /// An index of version 4: of each path the bytes of the one before that it drops, and what it adds.
    fn shortened(entries: &[(u8, &str)]) -> Vec<u8> {
        let mut bytes = header(4, entries.len() as u32);
        for (dropped, rest) in entries {
            let mut entry = vec![0; STAT + 20];
            entry[24..28].copy_from_slice(&0o100_644u32.to_be_bytes());
            entry.extend([0, 0, *dropped]);
            entry.extend(rest.as_bytes());
            entry.push(0);
            bytes.extend(entry);
        }
        bytes.extend([0; 20]);
        bytes
    }

    #[test]
    fn version_four_shortens_names() {
        let tracked = TrackedPaths::read(&shortened(&[(0, "drivers/cxl/mem.c"), (5, "pci.c")])).unwrap();
        assert!(tracked.has(b"drivers/cxl/mem.c") && tracked.has(b"drivers/cxl/pci.c"));
    }

    #[test]
    fn no_path_is_longer_than_a_kernel_opens() {
        let long = "d/".repeat(MAX_PATH / 2);
        assert!(TrackedPaths::read(&shortened(&[(0, &long)])).is_ok());
        assert_eq!(TrackedPaths::read(&shortened(&[(0, &long), (0, "x")])).unwrap_err(), GitIndexError::Damaged);
    }

    #[test]
    fn what_cannot_be_used_is_told_apart() {
        let read = |bytes: &[u8]| TrackedPaths::read(bytes).unwrap_err();
        assert_eq!(read(&index(&[(0o100_644, "a")], 20, b"link")), GitIndexError::Split);
        assert_eq!(read(&index(&[(0o040_000, "a")], 20, b"sdir")), GitIndexError::Sparse);
        assert_eq!(read(&index(&[(0o160_000, "sub")], 20, b"")), GitIndexError::Submodule("sub".to_owned()));
        assert_eq!(read(&header(5, 0)), GitIndexError::Version(5));
        let whole = index(&[(0o100_644, "a"), (0o100_644, "b")], 20, b"TREE");
        // Without its extension and the digest of all, it is one of another length.
        for length in 0..whole.len() - 11 {
            assert_eq!(read(&whole[..length]), GitIndexError::Damaged, "{length}");
        }
        assert_eq!(read(&header(2, u32::MAX)), GitIndexError::Damaged);
    }
}
