//! The files of an ext4 file system, as an archive has them.
//!
//! Input: a file system, which may come from anybody. Output: names, entries and contents. Everything is bounded, nothing is
//! passed over: what cannot be read as it stands is an error. Times are whole seconds, as archives of kiln have them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::content::Ext4Content;
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
            if stop() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            let inode = self.inode(number)?;
            if inode.kind()? != InodeKind::Directory {
                return Err(Ext4Error::damaged(number, "it is named as a directory and is none"));
            }
            for (name, child, is_directory) in self.directory(&inode)? {
                let path = path.join(&name)?;
                if is_directory {
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

    /// The entries of a directory but `.` and `..`. Blocks of its index look like unused entries.
    fn directory(&mut self, inode: &Inode) -> Result<Vec<(Vec<u8>, u64, bool)>, Ext4Error> {
        const DIRECTORY: u8 = 2;
        let damaged = || Ext4Error::damaged(inode.number, "an entry of this directory is invalid");
        if inode.size > MAX_DIRECTORY_BYTES {
            return Err(Ext4Error::damaged(inode.number, "it is too large for a directory"));
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.content(inode)?, &mut bytes)?;
        let mut found = Vec::new();
        for block in bytes.chunks(self.volume.block_size() as usize) {
            let mut at = 0;
            while let Some(entry) = block.get(at..).filter(|rest| rest.len() >= 8) {
                // The length of an entry that fills a block of 64 KiB has no room in its field.
                let length = match number(entry, 4, 2) as usize {
                    0 | 0xffff => block.len() - at,
                    length => length,
                };
                let name = entry.get(8..8 + usize::from(entry[6])).ok_or_else(damaged)?;
                if length < 8 + name.len() || length > entry.len() {
                    return Err(damaged());
                }
                at += length;
                let child = number(entry, 0, 4);
                if child == 0 || matches!(name, b"." | b"..") {
                    continue;
                }
                if name.is_empty() || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                    return Err(damaged());
                }
                found.push((name.to_vec(), child, entry[7] == DIRECTORY));
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
