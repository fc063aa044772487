//! Trees of extents: which blocks a file has.

use super::super::{BLOCK, EXTENT, EXTENTS, EXTENTS_OF_BLOCK};
use super::content::Stretch;
use super::fields::{put, put_halves};
use super::space::{FreeSpace, Run};
use crate::format::ext4::crc32c::crc32c;

const MAGIC: u64 = 0xf30a;
const ENTRY: usize = 12;
/// Blocks of a stretch that was never written; its length says so by that much more.
const UNWRITTEN: u64 = EXTENT - 1;

/// One stretch of a file on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) logical: u64,
    pub(super) run: Run,
    /// Whether it reads as zeros whatever is there.
    pub(super) unwritten: bool,
}

/// Blocks for stretches, in order, as extents.
pub(super) fn place(space: &mut FreeSpace, stretches: &[Stretch], unwritten: bool) -> Vec<Extent> {
    let placed = |stretch: &Stretch| of_runs(&space.take(stretch.blocks), stretch.first, unwritten);
    stretches.iter().flat_map(placed).collect()
}

/// The extents of blocks of a file from `logical` on, which have these places.
pub(super) fn of_runs(runs: &[Run], mut logical: u64, unwritten: bool) -> Vec<Extent> {
    let longest = if unwritten { UNWRITTEN } else { EXTENT };
    let mut extents = Vec::new();
    for Run { mut first, mut blocks } in runs.iter().copied() {
        while blocks > 0 {
            let run = Run { first, blocks: blocks.min(longest) };
            extents.push(Extent { logical, run, unwritten });
            (logical, first, blocks) = (logical + run.blocks, first + run.blocks, blocks - run.blocks);
        }
    }
    extents
}

/// A tree: its root, which stands in the inode, and its other nodes with their blocks.
pub(super) struct ExtentTree {
    pub(super) root: [u8; 60],
    pub(super) nodes: Vec<(u64, Vec<u8>)>,
}

/// The tree of these extents; `seed` is the checksum of what every block of the inode begins with.
pub(super) fn tree(space: &mut FreeSpace, extents: &[Extent], seed: u32) -> ExtentTree {
    let mut entries: Vec<(u64, [u8; ENTRY])> = extents.iter().map(leaf).collect();
    let (mut nodes, mut depth) = (Vec::new(), 0);
    while entries.len() > EXTENTS as usize {
        let blocks = entries.len().div_ceil(EXTENTS_OF_BLOCK as usize) as u64;
        let places = space.take(blocks).into_iter().flat_map(|run| run.first..run.first + run.blocks);
        let children = entries.chunks(EXTENTS_OF_BLOCK as usize).zip(places);
        let above = children.map(|(entries, block)| {
            let mut node = vec![0; BLOCK as usize];
            fill(&mut node, entries, (EXTENTS_OF_BLOCK, depth));
            let end = ENTRY * (1 + EXTENTS_OF_BLOCK as usize);
            let sum = crc32c(seed, &node[..end]);
            put(&mut node, end, 4, sum.into());
            nodes.push((block, node));
            (entries[0].0, index(entries[0].0, block))
        });
        entries = above.collect();
        depth += 1;
    }
    let mut root = [0; 60];
    fill(&mut root, &entries, (EXTENTS, depth));
    ExtentTree { root, nodes }
}

fn fill(node: &mut [u8], entries: &[(u64, [u8; ENTRY])], (most, depth): (u64, u64)) {
    for (at, number) in [(0, MAGIC), (2, entries.len() as u64), (4, most), (6, depth)] {
        put(node, at, 2, number);
    }
    for (at, (_, entry)) in entries.iter().enumerate() {
        node[ENTRY * (1 + at)..][..ENTRY].copy_from_slice(entry);
    }
}

fn leaf(extent: &Extent) -> (u64, [u8; ENTRY]) {
    let Extent { logical, run, unwritten } = *extent;
    let mut entry = [0; ENTRY];
    put(&mut entry, 0, 4, logical);
    put(&mut entry, 4, 2, run.blocks + if unwritten { EXTENT } else { 0 });
    put(&mut entry, 8, 4, run.first);
    put(&mut entry, 6, 2, run.first >> 32);
    (logical, entry)
}

fn index(logical: u64, block: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    put(&mut entry, 0, 4, logical);
    put_halves(&mut entry, (4, 8), 4, block);
    entry
}
