//! An ext4 file system of a tree: always the same bytes for the same tree.
//!
//! Input: files and names, and where contents are; the size, identities and the time. Output: what lies where on the disk
//! ([`DiskMap`]): tables are in memory, contents stay where they are. It must not know where trees come from.
//!
//! The features are those that `mke2fs` gives a file system by default: `has_journal ext_attr resize_inode dir_index filetype
//! extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum`, with blocks of 4096 bytes,
//! inodes of 256, one inode for 16 KiB, and the room that it keeps for growing.
//!
//! What lies where follows one rule, so that little moves when little changes. First comes what depends on the size alone:
//! tables, the journal, the swap file, `lost+found`. Then files, directories and links, each with its blocks behind those of
//! the one before, and with its inode behind the one before: first what is older than the time of the build, which is what
//! packages bring, then what a build made; of each, archive by archive, in the order of the paths. So another file of the
//! recipe moves what was made by the build and comes behind it, and nothing of any package. Blocks of zeros are holes. A
//! directory has its names in the order of their bytes and no index.

mod content;
mod directory;
mod disk;
mod extents;
mod fields;
mod geometry;
mod inode;
mod own;
mod space;
mod tables;
mod tree;
mod xattr;

use std::collections::BTreeMap;
use std::io;

pub use content::ContentSource;
pub use disk::{DiskMap, MappedDisk};

use super::crc32c::crc32c;
use super::{BLOCK, RESERVED_INODES, Space, room};
use crate::base::Foreign;
use crate::format::tar::{TarEntry, TarPath};
use content::Stretch;
use disk::Origin;
use extents::{Extent, ExtentTree};
use geometry::Geometry;
use inode::InodeFields;
use space::{FreeSpace, Run};

/// One file, whatever its names are.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its path is one of its names, and says nothing here.
    pub entry: TarEntry,
    /// Which of the sources has its content, if it has any.
    pub source: usize,
    /// Where in that.
    pub offset: u64,
}

/// What a file system is to hold.
#[derive(Debug, Clone, Copy)]
pub struct DiskTree<'a> {
    pub files: &'a [SourceFile],
    /// Every name with the file that it is the name of, by its place. Every directory above a name is a name, the root too.
    pub names: &'a BTreeMap<TarPath, usize>,
}

/// A file whose blocks are there, and of which nothing but the first is written.
#[derive(Debug, Clone)]
pub struct SwapFile {
    /// A name that the tree has not, in a directory of the tree.
    pub path: TarPath,
    /// A multiple of [`BLOCK`].
    pub bytes: u64,
    /// Its first block.
    pub page: Vec<u8>,
}

/// A file system.
#[derive(Debug, Clone)]
pub struct Ext4Options {
    /// Bytes of the disk; those behind the last group that is worth its tables stay unused.
    pub bytes: u64,
    pub uuid: [u8; 16],
    /// What names are hashed with.
    pub hash_seed: [u8; 16],
    /// At most 16 bytes.
    pub label: String,
    /// When it was made, and everything on it that no entry has the time of.
    pub time: i64,
    pub swap: Option<SwapFile>,
}

/// Why there is no file system.
#[derive(Debug, thiserror::Error)]
pub enum Ext4WriteError {
    /// The files need more than there is.
    #[error("the files do not fit")]
    Full {
        /// What they need.
        needed: Space,
        /// What there is.
        room: Space,
    },
    /// No file system is as small as that.
    #[error("a file system of {0} bytes has no room for its own tables")]
    TooSmall(u64),
    /// Something that ext4 cannot have.
    #[error("{path} {what}", path = Foreign(path))]
    File {
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A content could not be read.
    #[error("cannot read the content of {path}: {source}", path = Foreign(path))]
    Content {
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Blocks of the root directory and of `lost+found` that [`Space`] counts for no file, and the one of the inode for growing.
const LOST_AND_FOUND_BLOCKS: u64 = 4;
const UNCOUNTED_BLOCKS: u64 = 1 + LOST_AND_FOUND_BLOCKS + 1;

/// Lays a tree out; `go_on` is asked now and then, and its error ends the work.
pub fn lay_out<S: ContentSource>(
    tree: DiskTree<'_>,
    sources: &[S],
    options: &Ext4Options,
    go_on: &(dyn Fn() -> io::Result<()> + Sync),
) -> Result<DiskMap, Ext4WriteError> {
    let geometry = Geometry::new(options.bytes).ok_or(Ext4WriteError::TooSmall(options.bytes))?;
    let sorted = tree::sort(tree, options)?;
    let contents = tree::contents(tree, &sorted, sources, go_on)?;
    let mut writer = Writer {
        space: FreeSpace::between(&geometry.own(), geometry.blocks),
        disk: DiskMap::new(options.bytes),
        inodes: Vec::new(),
        directories: vec![0; geometry.groups as usize],
        seed: crc32c(!0, &options.uuid),
        geometry: &geometry,
        options,
    };
    let journal = writer.own_files();
    writer.files(tree, &sorted, &contents)?;
    writer.finish(journal)
}

/// A file system in the making.
struct Writer<'a> {
    geometry: &'a Geometry,
    options: &'a Ext4Options,
    /// The checksum of the identity.
    seed: u32,
    space: FreeSpace,
    disk: DiskMap,
    /// As they are stored, from the first on.
    inodes: Vec<u8>,
    /// How many there are in each group.
    directories: Vec<u64>,
}

impl Writer<'_> {
    /// The checksum of what every block of an inode begins with: its number, and the generation, which is 0.
    fn inode_seed(&self, number: u64) -> u32 {
        crc32c(crc32c(self.seed, &(number as u32).to_le_bytes()), &[0; 4])
    }

    fn put_inode(&mut self, number: u64, fields: &InodeFields) {
        let bytes = fields.encode(self.inode_seed(number), self.options.time);
        let at = (number - 1) as usize * inode::SIZE;
        if self.inodes.len() < at + inode::SIZE {
            self.inodes.resize(at + inode::SIZE, 0);
        }
        self.inodes[at..at + inode::SIZE].copy_from_slice(&bytes);
        let group = (number - 1) / self.geometry.inodes_per_group;
        if let Some(directories) = self.directories.get_mut(group as usize) {
            *directories += u64::from(fields.mode & tree::KIND == tree::DIRECTORY_MODE);
        }
    }

    /// Blocks for a file of these stretches: its extents, the root of their tree, and how many blocks they take.
    fn place(&mut self, number: u64, stretches: &[Stretch], unwritten: bool) -> (Vec<Extent>, [u8; 60], u64) {
        let extents = extents::place(&mut self.space, stretches, unwritten);
        let (root, nodes) = self.tree(number, &extents);
        let blocks = extents.iter().map(|extent| extent.run.blocks).sum::<u64>() + nodes;
        (extents, root, blocks)
    }

    /// The root of a tree of extents, and the number of its other nodes.
    fn tree(&mut self, number: u64, extents: &[Extent]) -> ([u8; 60], u64) {
        let seed = self.inode_seed(number);
        let ExtentTree { root, nodes } = extents::tree(&mut self.space, extents, seed);
        for (block, node) in &nodes {
            self.disk.put(block * BLOCK, node);
        }
        (root, nodes.len() as u64)
    }

    /// Puts the bytes of a file at its extents.
    fn put_bytes(&mut self, extents: &[Extent], bytes: &[u8]) {
        for Extent { logical, run: Run { first, blocks }, .. } in extents {
            let start = (logical * BLOCK) as usize;
            let end = bytes.len().min(start + (blocks * BLOCK) as usize);
            self.disk.put(first * BLOCK, &bytes[start..end]);
        }
    }

    /// Has the content of a file be at its extents.
    fn refer(&mut self, extents: &[Extent], file: &SourceFile) {
        for Extent { logical, run: Run { first, blocks }, .. } in extents {
            let start = logical * BLOCK;
            let bytes = (file.entry.size - start).min(blocks * BLOCK);
            let origin = Origin::Source { source: file.source, offset: file.offset + start };
            self.disk.refer(first * BLOCK, bytes, origin);
        }
    }

    fn finish(mut self, journal: ([u8; 60], u64)) -> Result<DiskMap, Ext4WriteError> {
        let room = room(self.options.bytes);
        let own = UNCOUNTED_BLOCKS + self.geometry.journal_blocks + super::journal(self.geometry.blocks).1;
        let inodes = (self.inodes.len() / inode::SIZE) as u64;
        let needed = Space { blocks: self.space.taken() - own, inodes: inodes - RESERVED_INODES };
        if self.space.missing() > 0 || inodes > self.geometry.inodes() {
            return Err(Ext4WriteError::Full { needed, room });
        }
        let usage = tables::Usage {
            geometry: self.geometry,
            options: self.options,
            seed: self.seed,
            free: self.space.left().collect(),
            inodes: &self.inodes,
            directories: &self.directories,
            journal,
        };
        usage.write(&mut self.disk);
        Ok(self.disk.finish(self.inodes))
    }
}
