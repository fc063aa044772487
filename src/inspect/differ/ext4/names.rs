//! Which file an inode is, and which file a block belongs to: one walk through all directories.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::disk::Disk;
use crate::format::ext4::{Ext4Layout, number};

/// Files that are looked at; no image of a distribution has as many.
const FILES: usize = 4 << 20;
/// Runs of blocks of one file that are looked at.
const RUNS: usize = 1 << 16;
/// Levels of a tree of extents that the format allows.
const DEPTH: u64 = 5;
/// `EXT4_EXTENTS_FL`
const EXTENTS: u64 = 0x8_0000;
const ROOT: u64 = 2;
const RESIZE: u64 = 7;
const JOURNAL: u64 = 8;

/// What a walk found.
pub(super) struct Names {
    paths: BTreeMap<u64, String>,
    /// By first block: how many, whose, and where in the file they are.
    blocks: BTreeMap<u64, (u64, u64, u64)>,
    /// Blocks of directories that were looked at.
    read: BTreeSet<u64>,
}

impl Names {
    pub(super) fn read(disk: &mut Disk, layout: &Ext4Layout) -> io::Result<Names> {
        let paths = [(ROOT, "/"), (RESIZE, "reserved descriptors"), (JOURNAL, "journal")];
        let paths = paths.map(|(inode, name)| (inode, name.to_owned())).into();
        let mut names = Names { paths, blocks: BTreeMap::new(), read: BTreeSet::new() };
        let mut open = vec![JOURNAL, ROOT];
        while let Some(inode) = open.pop() {
            let Some(bytes) = layout.inode(disk, inode)? else { continue };
            let extents = extents(disk, layout, &bytes)?;
            if number(&bytes, 0, 2) & 0xf000 == 0x4000 {
                for (first, count, _) in &extents {
                    for block in *first..first.saturating_add(*count) {
                        names.directory(disk, layout, (inode, block), &mut open)?;
                    }
                }
            }
            names.blocks.extend(extents.into_iter().map(|(first, count, at)| (first, (count, inode, at))));
        }
        Ok(names)
    }

    /// Entries of one block of a directory. Blocks of an index look like unused entries.
    fn directory(
        &mut self,
        disk: &mut Disk,
        layout: &Ext4Layout,
        (inode, block): (u64, u64),
        open: &mut Vec<u64>,
    ) -> io::Result<()> {
        // Each once: a hostile file system may give one block to every directory.
        if !self.read.insert(block) {
            return Ok(());
        }
        let bytes = read_block(disk, layout, block)?;
        let mut at = 0;
        while let Some(entry) = bytes.get(at..).filter(|rest| rest.len() >= 8) {
            let (child, length, name) = (number(entry, 0, 4), number(entry, 4, 2) as usize, usize::from(entry[6]));
            if length < 8 {
                break;
            }
            at += length;
            let Some(name) = entry.get(8..8 + name).filter(|name| !matches!(*name, b"" | b"." | b"..")) else {
                continue;
            };
            if child != 0 && self.paths.len() < FILES && !self.paths.contains_key(&child) {
                let above = self.paths.get(&inode).map_or("", |path| path.trim_end_matches('/'));
                self.paths.insert(child, format!("{above}/{}", String::from_utf8_lossy(name)));
                open.push(child);
            }
        }
        Ok(())
    }

    pub(super) fn name(&self, inode: u64) -> String {
        self.paths.get(&inode).cloned().unwrap_or_else(|| "no file".to_owned())
    }

    /// The inode that a block belongs to, and which of its blocks it is.
    pub(super) fn owner(&self, block: u64) -> Option<(u64, u64)> {
        let (first, (count, inode, at)) = self.blocks.range(..=block).next_back()?;
        (block - first < *count).then(|| (*inode, at + block - first))
    }
}

/// Runs of blocks of an inode: the first one, how many, and where in the file.
fn extents(disk: &mut Disk, layout: &Ext4Layout, inode: &[u8]) -> io::Result<Vec<(u64, u64, u64)>> {
    let mut found = Vec::new();
    if number(inode, 0x20, 4) & EXTENTS == 0 {
        return Ok(found);
    }
    // Blocks are read when their turn comes: a level of hostile nodes has thousands of children each.
    let mut open = vec![(None, DEPTH)];
    while let Some((block, left)) = open.pop() {
        let node = match block {
            None => inode[0x28..0x64].to_vec(),
            Some(block) => read_block(disk, layout, block)?,
        };
        if number(&node, 0, 2) != 0xf30a || found.len() + open.len() > RUNS {
            continue;
        }
        let depth = number(&node, 6, 2);
        for entry in node.chunks_exact(12).skip(1).take(number(&node, 2, 2) as usize) {
            if depth == 0 {
                // More than 32768: that many less, allocated but never written.
                let count = number(entry, 4, 2);
                let count = if count > 32768 { count - 32768 } else { count };
                found.push((number(entry, 8, 4) | number(entry, 6, 2) << 32, count, number(entry, 0, 4)));
            } else if left > 0 {
                open.push((Some(number(entry, 4, 4) | number(entry, 8, 2) << 32), left - 1));
            }
        }
    }
    Ok(found)
}

fn read_block(disk: &mut Disk, layout: &Ext4Layout, block: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; layout.block_size as usize];
    disk.read_at(block.saturating_mul(layout.block_size), &mut bytes)?;
    Ok(bytes)
}
