//! What says of all blocks and inodes whose they are: bitmaps, group descriptors, and the superblock with its copies.

use std::ops::Range;

use super::super::{BLOCK, GROUP, SUPERBLOCK, is_backed_up};
use super::Ext4Options;
use super::disk::{DiskMap, Origin};
use super::fields::{put, put_halves};
use super::geometry::{FLEX_BITS, Geometry};
use super::inode;
use crate::format::ext4::crc32c::crc32c;

const DESCRIPTOR: usize = 64;
/// `EXT4_BG_INODE_UNINIT`, `EXT4_BG_BLOCK_UNINIT`: the bitmap was never written, and says what follows from the layout.
const NO_INODE_BITMAP: u64 = 1;
const NO_BLOCK_BITMAP: u64 = 2;
/// `EXT4_BG_INODE_ZEROED`
const ZEROED: u64 = 4;
/// Features as `src/format/ext4/write/mod.rs` lists them: compatible, incompatible, compatible for readers.
const FEATURES: [u64; 3] = [0x4 | 0x8 | 0x10 | 0x20, 0x2 | 0x40 | 0x80 | 0x200, 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400];
/// One block of a hundred is kept for root.
const RESERVED_SHARE: u64 = 100;

/// What the tables say.
pub(super) struct Usage<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) options: &'a Ext4Options,
    /// The checksum of the identity, which all others begin with.
    pub(super) seed: u32,
    /// What is free, in order.
    pub(super) free: Vec<Range<u64>>,
    /// Inodes from the first on, all of them in use, as they are stored.
    pub(super) inodes: &'a [u8],
    /// How many of the inodes of each group are directories.
    pub(super) directories: &'a [u64],
    /// The root of the journal's extents, and its bytes, which the superblock has again.
    pub(super) journal: ([u8; 60], u64),
}

impl Usage<'_> {
    /// Puts everything at its place.
    pub(super) fn write(&self, disk: &mut DiskMap) {
        let mut free = vec![Vec::new(); self.geometry.groups as usize];
        for range in &self.free {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min((start / GROUP + 1) * GROUP);
                free[(start / GROUP) as usize].push(start..end);
                start = end;
            }
        }
        let groups = (0..).zip(&free).map(|(group, free)| self.group(group, free, disk));
        let mut descriptors: Vec<u8> = groups.flatten().collect();
        descriptors.resize(descriptors.len().next_multiple_of(BLOCK as usize), 0);
        let mut origin = None;
        for group in self.geometry.backups() {
            let at = group * GROUP * BLOCK;
            let place = if group == 0 { SUPERBLOCK.start } else { at };
            disk.put(place, &self.superblock(group));
            match origin {
                None => origin = Some(disk.put(at + BLOCK, &descriptors)),
                Some(origin) => disk.refer(at + BLOCK, descriptors.len() as u64, origin),
            }
        }
    }

    /// How many inodes are in use.
    fn used(&self) -> u64 {
        (self.inodes.len() / inode::SIZE) as u64
    }

    /// Bitmaps and inodes of a group; gives its descriptor.
    fn group(&self, group: u64, free: &[Range<u64>], disk: &mut DiskMap) -> [u8; DESCRIPTOR] {
        let geometry = self.geometry;
        let (per_group, used) = (geometry.inodes_per_group, self.used());
        let inodes = used.saturating_sub(group * per_group).min(per_group);
        let places = [geometry.block_bitmap(group), geometry.inode_bitmap(group), geometry.inode_table(group)];
        let free_blocks: u64 = free.iter().map(|range| range.end - range.start).sum();
        let own = if is_backed_up(group) { geometry.backup() } else { 0 };
        let (mut flags, mut sums) = (ZEROED, [0; 2]);
        // That of the last group says where the file system ends.
        if group + 1 < geometry.groups && free_blocks == GROUP - own {
            flags |= NO_BLOCK_BITMAP;
        } else {
            let bitmap = block_bitmap(&geometry.group(group), free);
            sums[0] = crc32c(self.seed, &bitmap);
            disk.put(places[0] * BLOCK, &bitmap);
        }
        if inodes == 0 {
            flags |= NO_INODE_BITMAP;
        } else {
            let bitmap = inode_bitmap(inodes, per_group);
            sums[1] = crc32c(self.seed, &bitmap[..(per_group / 8) as usize]);
            disk.put(places[1] * BLOCK, &bitmap);
            let first = (group * per_group) as usize * inode::SIZE;
            disk.refer(places[2] * BLOCK, inodes * inode::SIZE as u64, Origin::Inodes(first));
        }
        let mut bytes = [0; DESCRIPTOR];
        for (at, place) in [0x0, 0x4, 0x8].into_iter().zip(places) {
            put_halves(&mut bytes, (at, at + 0x20), 4, place);
        }
        let (left, directories) = (per_group - inodes, self.directories[group as usize]);
        for (at, number) in [(0xc, free_blocks), (0xe, left), (0x10, directories), (0x1c, left)] {
            let high = if at == 0x1c { 0x32 } else { at + 0x20 };
            put_halves(&mut bytes, (at, high), 2, number);
        }
        put(&mut bytes, 0x12, 2, flags);
        for (at, sum) in [0x18, 0x1a].into_iter().zip(sums) {
            put_halves(&mut bytes, (at, at + 0x20), 2, sum.into());
        }
        let sum = crc32c(crc32c(self.seed, &(group as u32).to_le_bytes()), &bytes);
        put(&mut bytes, 0x1e, 2, sum.into());
        bytes
    }

    fn superblock(&self, group: u64) -> Vec<u8> {
        let Usage { geometry, options, .. } = self;
        let free: u64 = self.free.iter().map(|range| range.end - range.start).sum();
        let own: u64 = geometry.own().iter().map(|range| range.end - range.start).sum();
        let mut bytes = vec![0; (SUPERBLOCK.end - SUPERBLOCK.start) as usize];
        let halves = [
            ((0x04, 0x150), geometry.blocks),
            ((0x08, 0x154), geometry.blocks / RESERVED_SHARE),
            ((0x0c, 0x158), free),
        ];
        halves.into_iter().for_each(|(places, number)| put_halves(&mut bytes, places, 4, number));
        let words = [
            (0x00, geometry.inodes()),
            (0x10, geometry.inodes() - self.used()),
            // Blocks and clusters of 1024 << 2 bytes.
            (0x18, 2),
            (0x1c, 2),
            (0x20, GROUP),
            (0x24, GROUP),
            (0x28, geometry.inodes_per_group),
            (0x30, options.time as u64),
            (0x40, options.time as u64),
            // The version that has inode sizes and features, the first inode for files, and the journal's.
            (0x4c, 1),
            (0x54, 11),
            (0xe0, 8),
            // Mounted with `acl` and `user_xattr`.
            (0x100, 0xc),
            (0x108, options.time as u64),
            // Hashes of names are of signed characters.
            (0x160, 1),
            (0x248, own + geometry.journal_blocks),
        ];
        words.into_iter().for_each(|(at, number)| put(&mut bytes, at, 4, number));
        FEATURES.into_iter().zip([0x5c, 0x60, 0x64]).for_each(|(features, at)| put(&mut bytes, at, 4, features));
        let shorts = [
            // Never checked for having been mounted often; the magic; goes on after an error. The copies are not clean: they
            // have the descriptors of now, so whoever needs one has to check everything (`ext2fs_flush2` of e2fsprogs).
            (0x36, 0xffff),
            (0x38, 0xef53),
            (0x3a, u64::from(group == 0)),
            (0x3c, 1),
            (0x58, inode::SIZE as u64),
            (0x5a, group),
            (0xce, geometry.reserved),
            (0xfe, DESCRIPTOR as u64),
            (0x15c, 32),
            (0x15e, 32),
        ];
        shorts.into_iter().for_each(|(at, number)| put(&mut bytes, at, 2, number));
        bytes[0x68..0x78].copy_from_slice(&options.uuid);
        let label = options.label.as_bytes();
        bytes[0x78..0x78 + label.len()].copy_from_slice(label);
        bytes[0xec..0xfc].copy_from_slice(&options.hash_seed);
        // Names are hashed by half of MD4; the journal's extents stand here again.
        (bytes[0xfc], bytes[0xfd]) = (1, 1);
        let (extents, size) = &self.journal;
        bytes[0x10c..0x148].copy_from_slice(extents);
        put(&mut bytes, 0x148, 4, size >> 32);
        put(&mut bytes, 0x14c, 4, *size);
        // The upper bytes of the four times.
        [0x274, 0x276, 0x277].into_iter().for_each(|at| bytes[at] = (options.time >> 32) as u8);
        // Checksums are CRC-32C.
        (bytes[0x174], bytes[0x175]) = (FLEX_BITS as u8, 1);
        let sum = crc32c(!0, &bytes[..0x3fc]);
        put(&mut bytes, 0x3fc, 4, sum.into());
        bytes
    }
}

/// A bit for every block of a group, and set ones for those that it would have if it were whole.
fn block_bitmap(group: &Range<u64>, free: &[Range<u64>]) -> Vec<u8> {
    let mut bitmap = vec![0xff; BLOCK as usize];
    for range in free {
        clear(&mut bitmap, range.start - group.start..range.end - group.start);
    }
    bitmap
}

/// A bit for every inode of a group: the first ones are in use. Those behind the last, which no group has, are set.
fn inode_bitmap(used: u64, per_group: u64) -> Vec<u8> {
    let mut bitmap = vec![0xff; BLOCK as usize];
    clear(&mut bitmap, used..per_group);
    bitmap
}

fn clear(bitmap: &mut [u8], bits: Range<u64>) {
    let (first, last) = (bits.start.next_multiple_of(8).min(bits.end), bits.end / 8 * 8);
    if first < last {
        bitmap[(first / 8) as usize..(last / 8) as usize].fill(0);
    }
    for bit in (bits.start..first).chain(last.max(first)..bits.end) {
        bitmap[(bit / 8) as usize] &= !(1 << (bit % 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_cleared_from_and_to_any_place() {
        for (start, end) in [(0, 0), (0, 8), (3, 5), (3, 8), (3, 16), (7, 9), (8, 17), (5, 5), (0, 24), (23, 24)] {
            let mut bitmap = vec![0xff; 3];
            clear(&mut bitmap, start..end);
            let cleared: Vec<u64> =
                (0..24).filter(|bit| bitmap[bit / 8] >> (bit % 8) & 1 == 0).map(|bit| bit as u64).collect();
            assert_eq!(cleared, (start..end).collect::<Vec<_>>(), "{start}..{end}");
        }
    }
}
