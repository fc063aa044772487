//! Refuses archives that would lead an unpacker out of its directory.

use std::collections::BTreeMap;

use super::TarError;
use super::entry::{TarEntry, TarEntryKind, TarPath};

/// Watches entries in archive order, before they are unpacked into an empty directory.
///
/// [`TarPath`] already excludes absolute paths and `..`. What remains is a path through something that is not a
/// directory: a symbolic link made by an earlier entry, which would take the file elsewhere.
#[derive(Debug, Default)]
pub struct TreeGuard {
    kinds: BTreeMap<TarPath, Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Directory,
    File,
    Link,
    Other,
}

impl TreeGuard {
    /// Nothing seen yet.
    pub fn new() -> TreeGuard {
        TreeGuard::default()
    }

    /// Refuses an entry below a non-directory, one that replaces a directory by something else or the reverse, and a
    /// hard link to anything but a file seen before.
    pub fn admit(&mut self, entry: &TarEntry) -> Result<(), TarError> {
        let refuse = |what| Err(TarError::Path { path: entry.path.to_string(), what });
        let mut above = entry.path.parent();
        while let Some(directory) = above.filter(|directory| !directory.is_root()) {
            match self.kinds.get(&directory) {
                Some(Seen::Directory) => break,
                Some(Seen::Link) => return refuse("a path through a symbolic link of the same archive"),
                Some(_) => return refuse("a path through something that is not a directory"),
                None => {}
            }
            above = directory.parent();
            self.kinds.insert(directory, Seen::Directory);
        }
        if let TarEntryKind::Hardlink(target) = &entry.kind
            && self.kinds.get(target) != Some(&Seen::File)
        {
            return refuse("a hard link to something that is not a file seen before");
        }
        let now = seen(&entry.kind);
        match self.kinds.insert(entry.path.clone(), now) {
            Some(before) if (before == Seen::Directory) != (now == Seen::Directory) => {
                refuse("a directory and something else at the same path")
            }
            _ => Ok(()),
        }
    }
}

fn seen(kind: &TarEntryKind) -> Seen {
    match kind {
        TarEntryKind::Directory => Seen::Directory,
        TarEntryKind::File | TarEntryKind::Hardlink(_) => Seen::File,
        TarEntryKind::Symlink(_) => Seen::Link,
        TarEntryKind::CharDevice(_) | TarEntryKind::BlockDevice(_) | TarEntryKind::Fifo => Seen::Other,
    }
}
