//! Which blocks of a file system belong to a file that was read: no two files share one.
//!
//! Input: the stretches of files, as they are found. Output: an error at the first block that was taken before. So the contents
//! of all files are no larger than the file system but for their holes, and no tree of extents is larger either.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Ext4Error;

/// The blocks that are taken.
#[derive(Default)]
pub(super) struct BlockOwners {
    /// Ends of stretches by where they begin; none touches another.
    taken: BTreeMap<u64, u64>,
    /// Files whose blocks are among them.
    files: BTreeSet<u64>,
}

impl BlockOwners {
    /// Whether a file is read for the first time.
    pub(super) fn begin(&mut self, inode: u64) -> bool {
        self.files.insert(inode)
    }

    /// Gives blocks to a file.
    pub(super) fn take(&mut self, inode: u64, first: u64, blocks: u64) -> Result<(), Ext4Error> {
        let end = first.saturating_add(blocks);
        let before = self.taken.range(..end).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, taken)| taken > first) {
            return Err(Ext4Error::damaged(inode, "it has a block that is used twice"));
        }
        // What is read in order is one stretch.
        match before {
            Some((start, taken)) if taken == first => self.taken.insert(start, end),
            _ => self.taken.insert(first, end),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_one_owner() {
        let mut owners = BlockOwners::default();
        assert!(owners.begin(12) && !owners.begin(12) && owners.begin(13));
        for (first, blocks) in [(10, 5), (15, 5), (30, 1), (5, 5), (20, 10)] {
            owners.take(12, first, blocks).unwrap();
        }
        for (first, blocks) in [(5, 1), (9, 2), (14, 1), (19, 1), (4, 2), (0, 100), (30, 1), (30, u64::MAX)] {
            assert!(owners.take(13, first, blocks).is_err(), "{first} {blocks}");
        }
        owners.take(13, 31, 1).unwrap();
        owners.take(13, 0, 5).unwrap();
    }
}
