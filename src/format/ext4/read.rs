//! The files of an ext4 file system, as an archive has them.
//!
//! Input: a file system, which may come from anybody. Output: names, entries and contents. Everything is bounded, nothing is
//! passed over: what cannot be read as it stands is an error. Times are whole seconds, as archives of kiln have them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::content::{Ext4Content, are_whole, runs};
use super::error::Ext4Error;
use super::inode::{Inode, InodeKind};
use super::layout::number;
use super::volume::Volume;
use super::xattr;
use crate::format::disk::ReadAt;
use crate::format::tar::{TarEntry, TarEntryKind, TarPath};

/// Names that are read; no image of a distribution has as many.
const MAX_NAMES: usize = 4 << 20;
/// Bytes of a directory.
const MAX_DIRECTORY_BYTES: u64 = 256 << 20;
/// Longest target of a symbolic link.
const MAX_LINK: u64 = 4095;
const ROOT: u64 = 2;

/// A name in a directory.
struct DirectoryEntry {
    name: Vec<u8>,
    /// Its inode.
    child: u64,
    /// What it says that the inode is, as a number.
    kind: u8,
}

/// A file system that is read.
pub struct Ext4Reader<R> {
    volume: Volume<R>,
}

impl<R: ReadAt> Ext4Reader<R> {
    /// Reads its superblock.
    pub fn new(disk: R) -> Result<Ext4Reader<R>, Ext4Error> {
        Ok(Ext4Reader { volume: Volume::new(disk)? })
    }

    pub fn uuid(&self) -> [u8; 16] {
        self.volume.layout.uuid
    }

    /// An inode by its number.
    pub fn inode(&mut self, inode: u64) -> Result<Inode, Ext4Error> {
        self.volume.inode(inode)
    }

    /// Every name with the number of its inode, the root among them.
    pub fn names(&mut self, stop: &dyn Fn() -> bool) -> Result<BTreeMap<TarPath, u64>, Ext4Error> {
        let mut names = BTreeMap::from([(TarPath::root(), ROOT)]);
        let (mut open, mut seen) = (vec![(TarPath::root(), ROOT)], BTreeSet::from([ROOT]));
        while let Some((path, number)) = open.pop() {
            let inode = self.inode(number)?;
            if inode.kind()? != InodeKind::Directory {
                return Err(Ext4Error::damaged(number, "it is the root directory and is no directory"));
            }
            for entry in self.directory(&inode)? {
                if stop() {
                    return Err(io::Error::from(io::ErrorKind::Interrupted).into());
                }
                let (path, child) = (path.join(&entry.name)?, entry.child);
                if self.kind_of(&entry)? == InodeKind::Directory {
                    if !seen.insert(child) {
                        return Err(Ext4Error::damaged(child, "it is a directory with two names"));
                    }
                    open.push((path.clone(), child));
                }
                if names.insert(path, child).is_some() || names.len() > MAX_NAMES {
                    return Err(Ext4Error::damaged(number, "it has a name twice, or too many"));
                }
            }
        }
        Ok(names)
    }

    /// The kind of a named inode. What the directory says of it, if it says anything, has to be the same.
    fn kind_of(&mut self, entry: &DirectoryEntry) -> Result<InodeKind, Ext4Error> {
        const UNKNOWN: u8 = 0;
        let kind = self.inode(entry.child)?.kind()?;
        let said = match entry.kind {
            _ if !self.volume.has_kinds_in_directories() => kind,
            UNKNOWN => kind,
            1 => InodeKind::File,
            2 => InodeKind::Directory,
            3 => InodeKind::Character,
            4 => InodeKind::Block,
            5 => InodeKind::Pipe,
            7 => InodeKind::Link,
            _ => return Err(Ext4Error::damaged(entry.child, "a directory says that it is of no kind")),
        };
        if said == kind {
            Ok(kind)
        } else {
            Err(Ext4Error::damaged(entry.child, "a directory says that it is of another kind"))
        }
    }

    /// The entries of a directory but `.` and `..`. Blocks of its index look like unused entries.
    fn directory(&mut self, inode: &Inode) -> Result<Vec<DirectoryEntry>, Ext4Error> {
        let damaged = || Ext4Error::damaged(inode.number, "an entry of this directory is invalid");
        let size = self.volume.block_size();
        if inode.size > MAX_DIRECTORY_BYTES {
            return Err(Ext4Error::damaged(inode.number, "it is too large for a directory"));
        }
        // A hole would read as unused entries, and so would what a size that is too small leaves out.
        let runs = runs(&mut self.volume, inode)?;
        if inode.size == 0 || !inode.size.is_multiple_of(size) || !are_whole(&runs, inode.size / size) {
            return Err(Ext4Error::damaged(inode.number, "its blocks do not have the size of this directory"));
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.content(inode)?, &mut bytes)?;
        let mut found = Vec::new();
        for (place, block) in bytes.chunks(size as usize).enumerate() {
            self.volume.checksums.directory(inode, place, block)?;
            let mut at = 0;
            while at < block.len() {
                let entry = &block[at..];
                // The length of an entry that fills a block of 64 KiB has no room in its field.
                let length = match number(entry, 4, 2) as usize {
                    0 | 0xffff if block.len() > 0xffff => entry.len(),
                    length => length,
                };
                if length < 8 || length % 4 != 0 || length > entry.len() {
                    return Err(damaged());
                }
                let name = entry[8..length].get(..usize::from(entry[6])).ok_or_else(damaged)?;
                at += length;
                let child = number(entry, 0, 4);
                if child == 0 || matches!(name, b"." | b"..") {
                    continue;
                }
                if name.is_empty() || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                    return Err(damaged());
                }
                found.push(DirectoryEntry { name: name.to_vec(), child, kind: entry[7] });
            }
        }
        Ok(found)
    }

    /// What an archive says of an inode under this name, as its first.
    pub fn entry(&mut self, path: TarPath, inode: &Inode) -> Result<TarEntry, Ext4Error> {
        let kind = match (inode.special()?, inode.kind()?) {
            (Some(special), _) => special,
            (None, InodeKind::Directory) => TarEntryKind::Directory,
            (None, InodeKind::Link) => TarEntryKind::Symlink(self.target(inode)?),
            (None, _) => TarEntryKind::File,
        };
        let size = if kind == TarEntryKind::File { inode.size } else { 0 };
        let mut entry = TarEntry::file(path, inode.mode & 0o7777, inode.mtime, size);
        (entry.kind, entry.uid, entry.gid) = (kind, inode.uid, inode.gid);
        entry.xattrs = xattr::read(&mut self.volume, inode)?;
        Ok(entry)
    }

    /// The bytes of a file.
    pub fn content(&mut self, inode: &Inode) -> Result<Ext4Content<'_, R>, Ext4Error> {
        Ext4Content::new(&mut self.volume, inode)
    }

    fn target(&mut self, inode: &Inode) -> Result<Vec<u8>, Ext4Error> {
        if let Some(target) = inode.short_target() {
            return Ok(target.to_vec());
        }
        if inode.size > MAX_LINK {
            return Err(Ext4Error::damaged(inode.number, "the target of this link is too long"));
        }
        let mut target = Vec::new();
        io::Read::read_to_end(&mut self.content(inode)?, &mut target)?;
        Ok(target)
    }
}
