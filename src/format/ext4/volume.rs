//! The blocks and inodes of an ext4 file system.

use std::io;

use super::checksum::Checksums;
use super::error::Ext4Error;
use super::inode::Inode;
use super::layout::Ext4Layout;
use super::owners::BlockOwners;
use crate::format::disk::ReadAt;

/// `s_feature_incompat`: file types in directories, extents, numbers of 64 bits, groups of block groups, a seed of checksums,
/// large directories. None of them changes where the content of a file is found.
const KNOWN: u32 = FILE_TYPE | 0x40 | 0x80 | 0x200 | 0x2000 | 0x4000;
/// Directories say of which kind a file is.
const FILE_TYPE: u32 = 0x2;
/// The journal has changes that are not in their places yet.
const RECOVER: u32 = 0x4;

/// The blocks of a file system.
pub(super) struct Volume<R> {
    disk: R,
    pub(super) layout: Ext4Layout,
    pub(super) owners: BlockOwners,
    pub(super) checksums: Checksums,
}

impl<R: ReadAt> Volume<R> {
    /// Reads its superblock, and looks at the checksums of it and of all groups.
    pub(super) fn new(mut disk: R) -> Result<Volume<R>, Ext4Error> {
        let layout = Ext4Layout::read(&mut disk)?;
        match layout.features & !KNOWN {
            0 => {
                let checksums = Checksums::read(&mut disk, &layout)?;
                Ok(Volume { disk, layout, owners: BlockOwners::default(), checksums })
            }
            others if others & RECOVER != 0 => {
                let what = "changes in its journal: it was in use when it was copied".to_owned();
                Err(Ext4Error::Unsupported(what))
            }
            others => Err(Ext4Error::Unsupported(format!("features 0x{others:x}"))),
        }
    }

    /// Whether entries of directories say of which kind a file is.
    pub(super) fn has_kinds_in_directories(&self) -> bool {
        self.layout.features & FILE_TYPE != 0
    }

    pub(super) fn block_size(&self) -> u64 {
        self.layout.block_size
    }

    pub(super) fn blocks(&self) -> u64 {
        self.layout.blocks
    }

    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buffer)
    }

    pub(super) fn block(&mut self, block: u64) -> Result<Vec<u8>, Ext4Error> {
        let mut bytes = vec![0; self.layout.block_size as usize];
        let at = block.checked_mul(self.layout.block_size).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        self.disk.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// An inode by its number.
    pub(super) fn inode(&mut self, inode: u64) -> Result<Inode, Ext4Error> {
        let bytes = self.layout.inode(&mut self.disk, inode)?;
        let bytes = bytes.ok_or(Ext4Error::damaged(inode, "there is no such inode"))?;
        self.checksums.inode(inode, &bytes)?;
        Inode::read(inode, &bytes)
    }
}
