//! How much an ext4 file system holds; below it, a writer and a reader of such file systems.
//!
//! Input: bytes of a file system, or what is to be put on one. Output: blocks and inodes. Nothing is read or written here: this
//! is the arithmetic of `ext2fs_initialize` (e2fsprogs, `lib/ext2fs/initialize.c`), compared with `mke2fs` in tests.

mod checksum;
mod content;
mod crc32c;
mod error;
mod inode;
mod layout;
mod owners;
mod read;
mod volume;
pub mod write;
mod xattr;

pub use content::Ext4Content;
pub use error::Ext4Error;
pub use inode::Inode;
pub use layout::{BlockPlace, Ext4Layout, SUPERBLOCK, is_ext4, number};
pub use read::Ext4Reader;

/// Bytes of a block.
pub const BLOCK: u64 = 4096;
/// Blocks that one block of the bitmap describes.
const GROUP: u64 = 8 * BLOCK;
/// One inode for so many bytes of the file system, of so many bytes each.
const INODE_RATIO: u64 = 16_384;
const INODE_SIZE: u64 = 256;
/// Group descriptors of a 64-bit file system in a block.
const DESCRIPTORS: u64 = BLOCK / 64;
/// Inodes that are taken from the start: ten are reserved, the next is `lost+found`.
const RESERVED_INODES: u64 = 11;
/// A last group that holds no more than this besides its own tables is left out.
const SMALLEST_GROUP: u64 = 50;
/// The root directory, `lost+found`, and what refers to blocks that are kept for growing.
const DIRECTORIES: u64 = 1 + 4 + 1;

/// Bytes of a directory entry without its name (`struct ext4_dir_entry_2`); entries are whole multiples of four.
const ENTRY: u64 = 8;
/// Bytes of a directory's block that hold entries: its end holds a checksum.
const ENTRIES: u64 = BLOCK - 12;
/// Longest target of a symbolic link that is in its inode.
const SHORT_LINK: u64 = 59;
/// Stretches of a file that its inode refers to, blocks of a stretch, and stretches that a block refers to.
const EXTENTS: u64 = 4;
const EXTENT: u64 = 32_768;
const EXTENTS_OF_BLOCK: u64 = 340;

/// Blocks and inodes: what files need, or what a file system has for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Blocks of [`BLOCK`] bytes.
    pub blocks: u64,
    /// Files, directories and links; names of one file count once.
    pub inodes: u64,
}

impl Space {
    /// Whether this holds the other.
    pub fn holds(self, needed: Space) -> bool {
        self.blocks >= needed.blocks && self.inodes >= needed.inodes
    }
}

/// What a new file system of so many bytes has for files; nothing when it is too small to be one.
pub fn room(bytes: u64) -> Space {
    let Some((blocks, layout)) = shape(bytes) else { return Space::default() };
    let backups = (0..layout.groups).filter(|group| is_backed_up(*group)).count() as u64;
    let (journal, index) = journal(blocks);
    let overhead = layout.groups * layout.tables + backups * layout.backup + journal + index + DIRECTORIES;
    Space {
        blocks: blocks.saturating_sub(overhead),
        inodes: (layout.inodes * layout.groups).saturating_sub(RESERVED_INODES),
    }
}

/// Blocks of a file system of so many bytes, and what lies in its groups; nothing when it is too small to be one.
fn shape(bytes: u64) -> Option<(u64, Layout)> {
    let mut blocks = bytes / BLOCK;
    // A last group that is left out takes no inodes away.
    let inodes = bytes / INODE_RATIO;
    loop {
        let layout = Layout::new(blocks, inodes)?;
        let last = blocks % GROUP;
        let own = layout.tables + if is_backed_up(layout.groups - 1) { layout.backup } else { 0 };
        if last == 0 || last >= own + SMALLEST_GROUP {
            return Some((blocks, layout));
        }
        blocks -= last;
    }
}

/// The smallest multiple of `step` bytes whose file system holds so much; nothing when none of at most `largest` does.
pub fn smallest(needed: Space, step: u64, largest: u64) -> Option<u64> {
    // A larger file system holds more but for the journal and the last group, whose bounds are multiples of a step.
    let least = (needed.blocks.saturating_mul(BLOCK)).max(needed.inodes.saturating_mul(INODE_RATIO));
    let mut bytes = least.checked_next_multiple_of(step)?.max(step);
    while bytes <= largest {
        if room(bytes).holds(needed) {
            return Some(bytes);
        }
        // Overhead is a few per cent: a few steps for small ones, a share of the size for large ones.
        bytes += (bytes / 64).next_multiple_of(step);
    }
    None
}

/// What lies in every group of a file system of so many blocks and inodes.
struct Layout {
    groups: u64,
    /// Inodes of each.
    inodes: u64,
    /// Blocks of each: two bitmaps and the inodes.
    tables: u64,
    /// Blocks of those with a copy of the superblock: that, the descriptors, and what is kept for more of them.
    backup: u64,
    /// Blocks of descriptors among these.
    descriptors: u64,
}

impl Layout {
    fn new(blocks: u64, inodes: u64) -> Option<Layout> {
        let groups = blocks.div_ceil(GROUP);
        if groups == 0 {
            return None;
        }
        let inodes = inodes.div_ceil(groups);
        let inode_blocks = (inodes * INODE_SIZE).div_ceil(BLOCK);
        let descriptors = groups.div_ceil(DESCRIPTORS);
        // Room for descriptors of a file system a thousand times as large, as long as blocks have 32-bit numbers.
        let largest = (blocks.saturating_mul(1024)).min(u64::from(u32::MAX));
        let kept = largest.div_ceil(GROUP).div_ceil(DESCRIPTORS).saturating_sub(descriptors).min(BLOCK / 4);
        Some(Layout {
            groups,
            inodes: inode_blocks * (BLOCK / INODE_SIZE),
            tables: 2 + inode_blocks,
            backup: 1 + descriptors + kept,
            descriptors,
        })
    }
}

/// Groups with a copy of the superblock: 0, 1, and powers of 3, 5 and 7.
fn is_backed_up(group: u64) -> bool {
    let power = |base: u64| std::iter::successors(Some(base), move |power| power.checked_mul(base));
    group <= 1 || [3, 5, 7].into_iter().any(|base| power(base).take_while(|power| *power <= group).any(|p| p == group))
}

/// Blocks of the journal (`ext2fs_default_journal_size`), and of what refers to the parts of a large one.
fn journal(blocks: u64) -> (u64, u64) {
    const SIZES: [(u64, u64); 7] = [
        (32_768, 1024),
        (256 << 10, 4096),
        (512 << 10, 8192),
        (4096 << 10, 16_384),
        (8192 << 10, 32_768),
        (16_384 << 10, 65_536),
        (32_768 << 10, 131_072),
    ];
    let size = SIZES.iter().find(|(below, _)| blocks < *below).map_or(262_144, |(_, size)| *size);
    (size, u64::from(size.div_ceil(EXTENT) > EXTENTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes, free blocks and free inodes, as `dumpe2fs -h` (1.47) says of empty file systems that `mke2fs` made.
    const MADE: [(u64, u64, u64); 16] = [
        (64 << 20, 15_087, 4085),
        (100 << 20, 24_154, 6389),
        (127 << 20, 30_955, 8117),
        (128 << 20, 28_135, 8181),
        (129 << 20, 28_131, 8245),
        (160 << 20, 36_172, 10_229),
        (200 << 20, 46_242, 12_789),
        (257 << 20, 60_336, 16_437),
        (300 << 20, 71_414, 19_189),
        (512 << 20, 124_719, 32_757),
        (1000 << 20, 247_252, 63_989),
        (1 << 30, 249_189, 65_525),
        (2 << 30, 498_132, 131_061),
        (3 << 30, 755_396, 196_597),
        (8 << 30, 2_038_641, 524_277),
        (64 << 30, 16_369_541, 4_194_293),
    ];

    #[test]
    fn a_file_system_has_the_room_that_mke2fs_leaves() {
        let other =
            MADE.iter().filter(|(bytes, blocks, inodes)| room(*bytes) != Space { blocks: *blocks, inodes: *inodes });
        let other: Vec<_> = other.map(|made| (made, room(made.0))).collect();
        assert!(other.is_empty(), "{other:?}");
        assert_eq!(room(4095), Space::default());
    }

    #[test]
    fn the_smallest_file_system_holds_what_it_is_for_and_the_next_smaller_one_does_not() {
        for blocks in [1, 10_000, 36_172, 40_000, 100_000, 1_000_000] {
            let needed = Space { blocks, inodes: 100 };
            let bytes = smallest(needed, 64 << 20, 1 << 41).unwrap();
            assert!(room(bytes).holds(needed), "{blocks}");
            assert!(bytes == 64 << 20 || bytes >= 1 << 30 || !room(bytes - (64 << 20)).holds(needed), "{blocks}");
        }
        let many = Space { blocks: 1, inodes: 9000 };
        assert_eq!(smallest(many, 64 << 20, 1 << 41), Some(192 << 20));
        assert_eq!(smallest(Space { blocks: u64::MAX, inodes: 0 }, 64 << 20, 1 << 41), None);
    }
}
