//! The files that every file system has for itself: what is kept for growing, and the journal.

use super::super::{BLOCK, GROUP};
use super::Writer;
use super::content::Stretch;
use super::extents::Extent;
use super::fields::put;
use super::inode::{EXTENTS_FLAG, InodeFields};
use super::space::Run;

const RESIZE_INODE: u64 = 7;
const JOURNAL_INODE: u64 = 8;
/// A plain file that root alone reads and writes.
pub(super) const PRIVATE: u32 = 0o100_600;
/// Numbers of blocks in a block.
const NUMBERS: u64 = BLOCK / 4;
/// Blocks that an inode without extents refers to by itself, and where it has the one that refers to blocks of references.
const DIRECT: u64 = 12;
const DOUBLE_INDIRECT: usize = 13;

impl Writer<'_> {
    /// Gives both their blocks; what the superblock has again of the journal comes out.
    pub(super) fn own_files(&mut self) -> ([u8; 60], u64) {
        self.resize_inode();
        self.journal()
    }

    pub(super) fn plain(&self, size: u64, blocks: u64, block: [u8; 60]) -> InodeFields {
        InodeFields {
            mode: PRIVATE,
            uid: 0,
            gid: 0,
            size,
            time: self.options.time,
            links: 1,
            flags: EXTENTS_FLAG,
            blocks,
            block,
            attributes: 0,
            rest: Vec::new(),
        }
    }

    /// The inode that owns the blocks behind the descriptors, so that there may be more of them one day: an old tree of
    /// references, in which each of these blocks refers to those of the same place behind the other copies.
    fn resize_inode(&mut self) {
        let geometry = self.geometry;
        let others: Vec<u64> = geometry.backups().skip(1).collect();
        let mut references = vec![0; BLOCK as usize];
        for number in geometry.descriptor_blocks..geometry.descriptor_blocks + geometry.reserved {
            let block = 1 + number;
            put(&mut references, (number % NUMBERS * 4) as usize, 4, block);
            if !others.is_empty() {
                let copies: Vec<u8> =
                    others.iter().flat_map(|group| ((block + group * GROUP) as u32).to_le_bytes()).collect();
                self.disk.put(block * BLOCK, &copies);
            }
        }
        let top = self.space.take(1)[0].first;
        self.disk.put(top * BLOCK, &references);
        let mut block = [0; 60];
        put(&mut block, DOUBLE_INDIRECT * 4, 4, top);
        let size = (NUMBERS * NUMBERS + NUMBERS + DIRECT) * BLOCK;
        let blocks = 1 + geometry.reserved * (1 + others.len() as u64);
        let fields = InodeFields { flags: 0, ..self.plain(size, blocks, block) };
        self.put_inode(RESIZE_INODE, &fields);
    }

    /// An empty journal: its superblock is all of it that is written (`journal_superblock_t` of JBD2, big-endian).
    fn journal(&mut self) -> ([u8; 60], u64) {
        let blocks = self.geometry.journal_blocks;
        let runs = self.space.take_behind(self.geometry.journal_goal(), blocks);
        let extents = super::extents::of_runs(&runs, 0, false);
        let (root, nodes) = self.tree(JOURNAL_INODE, &extents);
        let mut bytes = vec![0; 1024];
        // The magic and the kind of block; bytes of a block, blocks, the first of the log; the first transaction; one user.
        for (at, number) in
            [(0x0, 0xc03b_3998), (0x4, 4), (0xc, BLOCK as u32), (0x10, blocks as u32), (0x14, 1), (0x18, 1), (0x40, 1)]
        {
            bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        bytes[0x30..0x40].copy_from_slice(&self.options.uuid);
        self.disk.put(runs[0].first * BLOCK, &bytes);
        let fields = self.plain(blocks * BLOCK, blocks + nodes, root);
        self.put_inode(JOURNAL_INODE, &fields);
        (root, blocks * BLOCK)
    }

    /// The swap file, if there is one.
    pub(super) fn swap_file(&mut self, number: u64) {
        let Some(swap) = &self.options.swap else { return };
        let blocks = swap.bytes / BLOCK;
        let mut extents = super::extents::place(&mut self.space, &[Stretch { first: 0, blocks: 1 }], false);
        self.disk.put(extents[0].run.first * BLOCK, &swap.page);
        let rest = Stretch { first: 1, blocks: blocks - 1 };
        extents.extend(super::extents::place(&mut self.space, &[rest], true));
        let (root, nodes) = self.tree(number, &extents);
        let fields = self.plain(swap.bytes, blocks + nodes, root);
        self.put_inode(number, &fields);
    }

    /// The extents of blocks that hold these bytes, which go there.
    pub(super) fn put_whole(&mut self, number: u64, bytes: &[u8]) -> ([u8; 60], u64) {
        let stretch = Stretch { first: 0, blocks: (bytes.len() as u64).div_ceil(BLOCK) };
        let (extents, root, blocks): (Vec<Extent>, _, _) = self.place(number, &[stretch], false);
        self.put_bytes(&extents, bytes);
        (root, blocks)
    }

    /// One block for this.
    pub(super) fn block(&mut self) -> u64 {
        let Run { first, .. } = self.space.take(1)[0];
        first
    }
}
