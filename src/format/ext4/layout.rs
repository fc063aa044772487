//! Where things lie on an ext4 file system.

use std::io;

use crate::format::disk::ReadAt;

/// Where the superblock lies, and how many bytes it has.
pub const SUPERBLOCK: std::ops::Range<u64> = 1024..2048;
/// `s_magic` within it.
const MAGIC: (u64, u16) = (0x38, 0xef53);

/// More block groups than this (4 TiB in blocks of 4 KiB) are not looked at.
const GROUPS: u64 = 1 << 15;
/// Incompatible feature: numbers of blocks have 64 bits.
const WIDE: u32 = 0x80;

/// Whether there is an ext file system.
pub fn is_ext4(disk: &mut dyn ReadAt) -> bool {
    let mut magic = [0; 2];
    disk.size() >= SUPERBLOCK.end
        && disk.read_at(SUPERBLOCK.start + MAGIC.0, &mut magic).is_ok()
        && u16::from_le_bytes(magic) == MAGIC.1
}

/// Numbers of a file system, and where its tables are.
#[derive(Default)]
pub struct Ext4Layout {
    /// `s_feature_incompat`: what a reader has to know.
    pub features: u32,
    pub uuid: [u8; 16],
    pub blocks: u64,
    pub block_size: u64,
    pub inode_size: u64,
    pub inodes_per_group: u64,
    /// Byte offset of the group descriptors.
    pub descriptors: u64,
    pub descriptor_size: u64,
    groups: Vec<Group>,
}

struct Group {
    block_bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
}

/// What a block is for.
pub enum BlockPlace {
    Super,
    Descriptors,
    Bitmap(&'static str, u64),
    /// Part of an inode table, beginning with this inode.
    Inodes(u64),
    Other,
}

impl Ext4Layout {
    pub fn read(disk: &mut dyn ReadAt) -> io::Result<Ext4Layout> {
        let mut head = vec![0; (SUPERBLOCK.end - SUPERBLOCK.start) as usize];
        disk.read_at(SUPERBLOCK.start, &mut head)?;
        let features = number(&head, 0x60, 4) as u32;
        let wide = features & WIDE != 0;
        let block_size = 1024u64.checked_shl(number(&head, 0x18, 4) as u32).unwrap_or(0);
        let blocks = number(&head, 4, 4) | if wide { number(&head, 0x150, 4) << 32 } else { 0 };
        let (per_group, inodes_per_group) = (number(&head, 0x20, 4), number(&head, 0x28, 4));
        let inode_size = number(&head, 0x58, 2);
        let descriptor_size = if wide { number(&head, 0xfe, 2).max(64) } else { 32 };
        let sound = (1024..=65536).contains(&block_size)
            && (128..=block_size).contains(&inode_size)
            && inode_size.is_power_of_two()
            && per_group > 0
            && inodes_per_group > 0
            && blocks.div_ceil(per_group) <= GROUPS
            && descriptor_size <= block_size.min(1024)
            && descriptor_size.is_power_of_two();
        if !sound {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an invalid superblock"));
        }
        let descriptors = (number(&head, 0x14, 4) + 1) * block_size;
        let mut table = vec![0; (blocks.div_ceil(per_group) * descriptor_size) as usize];
        disk.read_at(descriptors, &mut table)?;
        let groups = table.chunks(descriptor_size as usize).map(|bytes| Group::read(bytes, wide)).collect();
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&head[0x68..0x78]);
        let numbers =
            Ext4Layout { features, uuid, blocks, block_size, inode_size, inodes_per_group, ..Ext4Layout::default() };
        Ok(Ext4Layout { descriptors, descriptor_size, groups, ..numbers })
    }

    /// How many groups there are.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn place(&self, block: u64) -> BlockPlace {
        let at = block * self.block_size;
        if at < SUPERBLOCK.end {
            return BlockPlace::Super;
        }
        if (self.descriptors..self.descriptors + self.groups.len() as u64 * self.descriptor_size).contains(&at) {
            return BlockPlace::Descriptors;
        }
        let table = (self.inodes_per_group * self.inode_size).div_ceil(self.block_size);
        for (number, group) in (0..).zip(&self.groups) {
            if block == group.block_bitmap {
                return BlockPlace::Bitmap("block bitmap", number);
            }
            if block == group.inode_bitmap {
                return BlockPlace::Bitmap("inode bitmap", number);
            }
            if (group.inode_table..group.inode_table.saturating_add(table)).contains(&block) {
                let before = (block - group.inode_table) * (self.block_size / self.inode_size);
                return BlockPlace::Inodes(number * self.inodes_per_group + before + 1);
            }
        }
        BlockPlace::Other
    }

    /// The bytes of an inode; `None` when there is no such inode.
    pub fn inode(&self, disk: &mut dyn ReadAt, inode: u64) -> io::Result<Option<Vec<u8>>> {
        let index = inode.wrapping_sub(1);
        let Some(group) = self.groups.get((index / self.inodes_per_group) as usize) else { return Ok(None) };
        let mut bytes = vec![0; self.inode_size as usize];
        let within = index % self.inodes_per_group * self.inode_size;
        disk.read_at(group.inode_table.saturating_mul(self.block_size).saturating_add(within), &mut bytes)?;
        Ok(Some(bytes))
    }
}

impl Group {
    fn read(bytes: &[u8], wide: bool) -> Group {
        let block = |at: usize| number(bytes, at, 4) | if wide { number(bytes, at + 0x20, 4) << 32 } else { 0 };
        Group { block_bitmap: block(0), inode_bitmap: block(4), inode_table: block(8) }
    }
}

/// A little-endian number of up to eight bytes; what is not there is zero.
pub fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    (0..length).map(|i| u64::from(bytes.get(at + i).copied().unwrap_or(0)) << (8 * i)).sum()
}
