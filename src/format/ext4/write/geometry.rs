//! Where the tables of a file system lie.
//!
//! Sixteen groups have their bitmaps and inode tables beside each other in the first of them, behind the copy of the
//! superblock if that group has one: block bitmaps, inode bitmaps, inode tables.

use std::ops::Range;

use super::super::{GROUP, Layout, journal, shape};

/// Groups whose tables lie together, as a power of two.
pub(super) const FLEX_BITS: u32 = 4;
const FLEX: u64 = 1 << FLEX_BITS;
/// A journal of more blocks than this begins in the first group behind which there is room for it in as few extents as can be.
const SMALL_JOURNAL: u64 = 65_536;
const ROOMY_GROUP: u64 = 2 * FLEX;

/// The numbers of a file system, and what they say about places.
pub(super) struct Geometry {
    pub(super) blocks: u64,
    pub(super) groups: u64,
    pub(super) inodes_per_group: u64,
    pub(super) descriptor_blocks: u64,
    /// Blocks that are kept behind the descriptors for more of them.
    pub(super) reserved: u64,
    pub(super) journal_blocks: u64,
    /// Blocks of a group's inode table.
    pub(super) table: u64,
}

impl Geometry {
    /// That of a file system of so many bytes; nothing when it is too small to be one.
    pub(super) fn new(bytes: u64) -> Option<Geometry> {
        let (blocks, layout) = shape(bytes)?;
        let Layout { groups, inodes, tables, backup, descriptors } = layout;
        let reserved = backup - 1 - descriptors;
        let (journal, _) = journal(blocks);
        Some(Geometry {
            blocks,
            groups,
            inodes_per_group: inodes,
            descriptor_blocks: descriptors,
            reserved,
            journal_blocks: journal,
            table: tables - 2,
        })
    }

    pub(super) fn inodes(&self) -> u64 {
        self.groups * self.inodes_per_group
    }

    /// Blocks at the start of a group with a copy of the superblock.
    pub(super) fn backup(&self) -> u64 {
        1 + self.descriptor_blocks + self.reserved
    }

    /// Groups with a copy of the superblock.
    pub(super) fn backups(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.groups).filter(|group| super::super::is_backed_up(*group))
    }

    /// Its blocks.
    pub(super) fn group(&self, group: u64) -> Range<u64> {
        group * GROUP..((group + 1) * GROUP).min(self.blocks)
    }

    /// Where the tables of the groups that this one belongs to begin, the first of these groups, and how many they are.
    fn flex(&self, group: u64) -> (u64, u64, u64) {
        let first = group / FLEX * FLEX;
        let backup = if super::super::is_backed_up(first) { self.backup() } else { 0 };
        (first * GROUP + backup, first, FLEX.min(self.groups - first))
    }

    pub(super) fn block_bitmap(&self, group: u64) -> u64 {
        let (at, first, _) = self.flex(group);
        at + group - first
    }

    pub(super) fn inode_bitmap(&self, group: u64) -> u64 {
        let (at, first, groups) = self.flex(group);
        at + groups + group - first
    }

    pub(super) fn inode_table(&self, group: u64) -> u64 {
        let (at, first, groups) = self.flex(group);
        at + 2 * groups + (group - first) * self.table
    }

    /// Blocks that no file gets, in order.
    pub(super) fn own(&self) -> Vec<Range<u64>> {
        let mut own: Vec<Range<u64>> =
            self.backups().map(|group| group * GROUP..group * GROUP + self.backup()).collect();
        own.extend((0..self.groups).step_by(FLEX as usize).map(|group| {
            let (at, _, groups) = self.flex(group);
            at..at + groups * (2 + self.table)
        }));
        own.sort_by_key(|range| range.start);
        own
    }

    /// Before which block the journal does not begin.
    pub(super) fn journal_goal(&self) -> u64 {
        if self.journal_blocks > SMALL_JOURNAL { ROOMY_GROUP * GROUP } else { 0 }
    }
}
