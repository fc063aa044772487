//! What an inode says of its file.

use super::error::Ext4Error;
use super::layout::number;
use crate::format::tar::{Device, TarEntryKind};

/// `EXT4_INDEX_FL`
const INDEX: u32 = 0x1000;
/// `EXT4_EXTENTS_FL`
const EXTENTS: u32 = 0x8_0000;
/// `EXT4_INLINE_DATA_FL`, `EXT4_ENCRYPT_FL`, `EXT4_COMPR_FL`: the content is not where the extents say, or not as it stands.
const UNREADABLE: [(u32, &str); 3] =
    [(0x1000_0000, "has its content in its inode"), (0x800, "is encrypted"), (0x4, "is compressed")];
/// Longest target of a symbolic link that stands in the inode itself.
const SHORT_LINK: u64 = 59;
/// Where the fields end that every inode has.
const OLD_SIZE: usize = 128;

/// One file, directory or link.
#[derive(Debug, Clone)]
pub struct Inode {
    pub number: u64,
    /// Permission bits, and the kind above them.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    pub(super) flags: u32,
    /// `i_generation`, which checksums begin with.
    pub(super) generation: u32,
    /// `i_block`: the root of the extents, a short target, or a device's number.
    pub(super) block: Vec<u8>,
    /// The block with attributes that the inode has no room for; 0 when there is none.
    pub(super) attributes: u64,
    /// What follows the fields: attributes.
    pub(super) rest: Vec<u8>,
}

/// What kind of file an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind {
    File,
    Directory,
    Link,
    Character,
    Block,
    Pipe,
}

impl Inode {
    pub(super) fn read(number_of: u64, bytes: &[u8]) -> Result<Inode, Ext4Error> {
        let wide = |low: usize, high: usize| (number(bytes, low, 2) | number(bytes, high, 2) << 16) as u32;
        let flags = number(bytes, 0x20, 4) as u32;
        let inode = Inode {
            number: number_of,
            mode: number(bytes, 0, 2) as u32,
            uid: wide(2, 0x78),
            gid: wide(0x18, 0x7a),
            mtime: mtime(bytes),
            size: number(bytes, 4, 4) | number(bytes, 0x6c, 4) << 32,
            links: number(bytes, 0x1a, 2),
            flags,
            generation: number(bytes, 0x64, 4) as u32,
            block: bytes.get(0x28..0x64).unwrap_or_default().to_vec(),
            attributes: number(bytes, 0x68, 4) | number(bytes, 0x76, 2) << 32,
            rest: bytes.get(OLD_SIZE + extra(bytes)..).unwrap_or_default().to_vec(),
        };
        match UNREADABLE.iter().find(|(flag, _)| flags & flag != 0) {
            Some((_, what)) => Err(Ext4Error::Unsupported(format!("inode {number_of} {what}"))),
            None => Ok(inode),
        }
    }

    pub fn kind(&self) -> Result<InodeKind, Ext4Error> {
        Ok(match self.mode & 0xf000 {
            0x8000 => InodeKind::File,
            0x4000 => InodeKind::Directory,
            0xa000 => InodeKind::Link,
            0x2000 => InodeKind::Character,
            0x6000 => InodeKind::Block,
            0x1000 => InodeKind::Pipe,
            0xc000 => return Err(Ext4Error::Unsupported(format!("inode {} is a socket", self.number))),
            _ => return Err(Ext4Error::damaged(self.number, "it is of no kind")),
        })
    }

    /// Whether extents say where its content is.
    pub(super) fn has_extents(&self) -> bool {
        self.flags & EXTENTS != 0
    }

    /// Whether it is a directory with an index of its names.
    pub(super) fn is_indexed(&self) -> bool {
        self.flags & INDEX != 0
    }

    /// The target of a link that is short enough to stand in the inode.
    pub(super) fn short_target(&self) -> Option<&[u8]> {
        let fits = self.size <= SHORT_LINK && !self.has_extents();
        self.block.get(..self.size as usize).filter(|_| fits)
    }

    /// A device as archives have it (`new_decode_dev` of Linux, and the older numbers of 8 bits each).
    pub(super) fn device(&self) -> Device {
        let word = |at| number(&self.block, at, 4) as u32;
        match (word(0), word(4)) {
            (0, new) => Device { major: (new & 0xfff00) >> 8, minor: (new & 0xff) | ((new >> 12) & 0xfff00) },
            (old, _) => Device { major: (old >> 8) & 0xff, minor: old & 0xff },
        }
    }

    /// The kind as archives have it, of what is no file, directory or link.
    pub(super) fn special(&self) -> Result<Option<TarEntryKind>, Ext4Error> {
        Ok(match self.kind()? {
            InodeKind::Character => Some(TarEntryKind::CharDevice(self.device())),
            InodeKind::Block => Some(TarEntryKind::BlockDevice(self.device())),
            InodeKind::Pipe => Some(TarEntryKind::Fifo),
            InodeKind::File | InodeKind::Directory | InodeKind::Link => None,
        })
    }
}

/// Bytes of the fields that newer inodes have.
fn extra(bytes: &[u8]) -> usize {
    number(bytes, OLD_SIZE, 2) as usize
}

/// Seconds since 1970: 32 bits with a sign, and two more bits that count its overflows.
fn mtime(bytes: &[u8]) -> i64 {
    let low = i64::from(number(bytes, 0x10, 4) as u32 as i32);
    let has_more = extra(bytes) >= 0x8c - OLD_SIZE;
    low + if has_more { ((number(bytes, 0x88, 4) & 3) as i64) << 32 } else { 0 }
}
