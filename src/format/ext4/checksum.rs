//! Checksums of an ext4 file system's own structures (`metadata_csum`), compared where they are read.
//!
//! Input: the bytes of a superblock, group descriptor, inode, node of extents, block of a directory or of attributes. Output: an
//! error that names what does not have its checksum. They find damage, not intent: whoever prepares a disk can write the
//! right ones, or none at all, so that nothing else is believed because of them. The contents of files have none.

use super::crc32c::crc32c;
use super::error::Ext4Error;
use super::inode::Inode;
use super::layout::{Ext4Layout, SUPERBLOCK, number};
use crate::format::disk::ReadAt;

/// `RO_COMPAT_METADATA_CSUM` in `s_feature_ro_compat`.
const METADATA: u64 = 0x400;
/// `INCOMPAT_CSUM_SEED` in `s_feature_incompat`: what checksums begin with is in the superblock, not made of the UUID.
const SEEDED: u32 = 0x2000;
/// `s_checksum_type`: CRC32C, the only one.
const CRC32C: u64 = 1;
/// Where the checksums are: of a superblock, of a group descriptor, and the two halves of that of an inode.
const IN_SUPERBLOCK: usize = 0x3fc;
const IN_DESCRIPTOR: usize = 0x1e;
const IN_INODE: (usize, usize) = (0x7c, 0x82);
/// Of a block of attributes.
const IN_ATTRIBUTES: usize = 0x10;
/// `i_extra_isize` from which an inode has the second half.
const BOTH_HALVES: u64 = 4;
/// Bytes of every inode before the fields that only some have.
const OLD_INODE: usize = 128;
/// Bytes of an entry of extents, and of the node's head.
const EXTENT: usize = 12;
/// The last entry of a block of a directory: without a name, with this in place of a kind, and the checksum.
const TAIL: usize = 12;
const TAIL_HEAD: [u8; 8] = [0, 0, 0, 0, 12, 0, 0, 0xde];
/// Where the counts of an index are in its root, behind `.`, `..` and its own head, and in its other nodes.
const IN_ROOT: usize = 32;
const IN_NODE: usize = 8;
const INDEX_ENTRY: usize = 8;

/// The checksums of a file system, if it has any.
pub(super) struct Checksums {
    seed: Option<u32>,
}

impl Checksums {
    /// Compares those of the superblock and of all group descriptors.
    pub(super) fn read(disk: &mut dyn ReadAt, layout: &Ext4Layout) -> Result<Checksums, Ext4Error> {
        let mut head = vec![0; (SUPERBLOCK.end - SUPERBLOCK.start) as usize];
        disk.read_at(SUPERBLOCK.start, &mut head)?;
        if number(&head, 0x64, 4) & METADATA == 0 {
            return Ok(Checksums { seed: None });
        }
        let kind = number(&head, 0x175, 1);
        if kind != CRC32C {
            return Err(Ext4Error::Unsupported(format!("checksums of type {kind}")));
        }
        compare(|| "its superblock".to_owned(), crc32c(!0, &head[..IN_SUPERBLOCK]), number(&head, IN_SUPERBLOCK, 4))?;
        let seed =
            if layout.features & SEEDED != 0 { number(&head, 0x270, 4) as u32 } else { crc32c(!0, &layout.uuid) };
        let size = layout.descriptor_size as usize;
        let mut table = vec![0; layout.group_count() * size];
        disk.read_at(layout.descriptors, &mut table)?;
        for (group, bytes) in (0u32..).zip(table.chunks(size)) {
            let (before, after) = (&bytes[..IN_DESCRIPTOR], &bytes[IN_DESCRIPTOR + 2..]);
            let crc =
                [&group.to_le_bytes()[..], before, &[0; 2], after].iter().fold(seed, |crc, part| crc32c(crc, part));
            compare(|| format!("the descriptor of group {group}"), crc & 0xffff, number(bytes, IN_DESCRIPTOR, 2))?;
        }
        Ok(Checksums { seed: Some(seed) })
    }

    /// Of the bytes of an inode.
    pub(super) fn inode(&self, inode: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        let Some(seed) = self.of_inode(inode, number(bytes, 0x64, 4)) else { return Ok(()) };
        let mut blank = bytes.to_vec();
        let (low, high) = IN_INODE;
        blank[low..low + 2].fill(0);
        let mut found = number(bytes, low, 2);
        let both = bytes.len() > OLD_INODE && number(bytes, OLD_INODE, 2) >= BOTH_HALVES;
        if both {
            blank[high..high + 2].fill(0);
            found |= number(bytes, high, 2) << 16;
        }
        let crc = crc32c(seed, &blank);
        compare(|| format!("inode {inode}"), if both { crc } else { crc & 0xffff }, found)
    }

    /// Of a block with a node of extents, whose checksum is behind as many entries as it has room for.
    pub(super) fn extents(&self, inode: &Inode, block: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        let Some(seed) = self.of_inode(inode.number, u64::from(inode.generation)) else { return Ok(()) };
        let end = EXTENT + EXTENT * number(bytes, 4, 2) as usize;
        let what = || format!("the extents of inode {} in block {block}", inode.number);
        match bytes.get(..end).filter(|_| end + 4 <= bytes.len()) {
            Some(covered) => compare(what, crc32c(seed, covered), number(bytes, end, 4)),
            None => Err(Ext4Error::Checksum(what())),
        }
    }

    /// Of a block of a directory, by its place there: one of entries, or one of its index.
    pub(super) fn directory(&self, inode: &Inode, place: usize, bytes: &[u8]) -> Result<(), Ext4Error> {
        let Some(seed) = self.of_inode(inode.number, u64::from(inode.generation)) else { return Ok(()) };
        let what = || format!("block {place} of directory inode {}", inode.number);
        if let Some(counts) = index(inode, place, bytes) {
            // As many entries as there are, and at the end of as many as there is room for, the checksum behind four bytes.
            let (room, used) = (number(bytes, counts, 2) as usize, number(bytes, counts + 2, 2) as usize);
            let (covered, tail) = (bytes.get(..counts + used * INDEX_ENTRY), counts + room * INDEX_ENTRY);
            return match (covered, bytes.get(tail..tail + 8)) {
                (Some(covered), Some(tail)) if used <= room => {
                    let crc = crc32c(crc32c(crc32c(seed, covered), &tail[..4]), &[0; 4]);
                    compare(what, crc, number(tail, 4, 4))
                }
                _ => Err(Ext4Error::Checksum(what())),
            };
        }
        let (covered, tail) = bytes.split_at(bytes.len() - TAIL);
        if tail[..8] == TAIL_HEAD {
            compare(what, crc32c(seed, covered), number(tail, 8, 4))
        } else {
            Err(Ext4Error::Checksum(what()))
        }
    }

    /// Of a block with extended attributes, which several inodes may share.
    pub(super) fn attributes(&self, block: u64, bytes: &[u8]) -> Result<(), Ext4Error> {
        let Some(seed) = self.seed else { return Ok(()) };
        let (before, after) = (&bytes[..IN_ATTRIBUTES], &bytes[IN_ATTRIBUTES + 4..]);
        let crc = [&block.to_le_bytes()[..], before, &[0; 4], after].iter().fold(seed, |crc, part| crc32c(crc, part));
        compare(|| format!("the extended attributes in block {block}"), crc, number(bytes, IN_ATTRIBUTES, 4))
    }

    /// What checksums of an inode and of its blocks begin with.
    fn of_inode(&self, inode: u64, generation: u64) -> Option<u32> {
        let numbers = [(inode as u32).to_le_bytes(), (generation as u32).to_le_bytes()].concat();
        self.seed.map(|seed| crc32c(seed, &numbers))
    }
}

/// Where the counts of an index are, in a block that is part of one (`get_dx_countlimit` of Linux).
fn index(inode: &Inode, place: usize, bytes: &[u8]) -> Option<usize> {
    if !inode.is_indexed() {
        return None;
    }
    let length = |at: usize| number(bytes, at + 4, 2) as usize;
    let is_node = number(bytes, 0, 4) == 0 && (length(0) == bytes.len() || bytes.len() > 0xffff && length(0) == 0xffff);
    match place {
        0 => Some(IN_ROOT),
        _ => is_node.then_some(IN_NODE),
    }
}

fn compare(what: impl Fn() -> String, computed: u32, found: u64) -> Result<(), Ext4Error> {
    if u64::from(computed) == found { Ok(()) } else { Err(Ext4Error::Checksum(what())) }
}
