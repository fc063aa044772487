//! Where the content of a file lies, and its bytes.

use std::io::{self, Read};

use super::error::Ext4Error;
use super::inode::Inode;
use super::layout::number;
use super::volume::Volume;
use crate::format::disk::ReadAt;

/// Levels of a tree of extents that the format allows.
const DEPTH: u64 = 5;
/// Stretches of one file: every other block of one of 16 GiB.
const MAX_RUNS: usize = 1 << 21;
/// Nodes of the tree of one file, which refer to at least one stretch each.
const MAX_NODES: usize = 1 << 14;
/// What a node of the tree begins with.
const MAGIC: u64 = 0xf30a;
const ENTRY: usize = 12;
/// Longest stretch; one that is said to be longer is that much shorter, and was never written.
const LONGEST: u64 = 32_768;

/// Blocks of a file that lie beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Where in the file, in blocks.
    logical: u64,
    /// Where in the file system.
    physical: u64,
    blocks: u64,
}

/// The stretches that were written, in order.
pub(super) fn runs<R: ReadAt>(volume: &mut Volume<R>, inode: &Inode) -> Result<Vec<Run>, Ext4Error> {
    let damaged = |what| Err(Ext4Error::damaged(inode.number, what));
    if !inode.has_extents() {
        let what = format!("inode {} has its blocks in a list instead of extents", inode.number);
        return if inode.size == 0 { Ok(Vec::new()) } else { Err(Ext4Error::Unsupported(what)) };
    }
    let mut runs: Vec<Run> = Vec::new();
    // A file may be read more than once; its blocks are its own since the first time.
    let is_new = volume.owners.begin(inode.number);
    let mut nodes = 0;
    // The next node is the last one here, so that stretches come in order.
    let mut open = vec![(None, DEPTH)];
    while let Some((block, level)) = open.pop() {
        let node = match block {
            None => inode.block.clone(),
            Some(block) => {
                if is_new {
                    volume.owners.take(inode.number, block, 1)?;
                }
                let bytes = volume.block(block)?;
                volume.checksums.extents(inode, block, &bytes)?;
                bytes
            }
        };
        let (count, depth) = (number(&node, 2, 2) as usize, number(&node, 6, 2));
        // Only the tree of an empty file has a node without entries.
        let is_sound = match block {
            None => depth <= level && (count > 0 || depth == 0),
            Some(_) => depth == level && count > 0,
        };
        if number(&node, 0, 2) != MAGIC || !is_sound || (count + 1) * ENTRY > node.len() {
            return damaged("a node of its extents is invalid");
        }
        nodes += 1;
        if nodes > MAX_NODES || runs.len() + open.len() + count > MAX_RUNS {
            return damaged("it has too many extents");
        }
        let entries = node.chunks_exact(ENTRY).skip(1).take(count);
        if depth > 0 {
            let child = |entry: &[u8]| (Some(number(entry, 4, 4) | number(entry, 8, 2) << 32), depth - 1);
            open.extend(entries.rev().map(child));
            continue;
        }
        for entry in entries {
            let (logical, length) = (number(entry, 0, 4), number(entry, 4, 2));
            let (blocks, is_written) = if length > LONGEST { (length - LONGEST, false) } else { (length, true) };
            let run = Run { logical, physical: number(entry, 8, 4) | number(entry, 6, 2) << 32, blocks };
            if runs.last().is_some_and(|last| last.logical + last.blocks > logical) {
                return damaged("its extents overlap");
            }
            if blocks == 0 || run.physical + blocks > volume.blocks() {
                return damaged("its extents end outside of the file system");
            }
            if is_new {
                volume.owners.take(inode.number, run.physical, blocks)?;
            }
            runs.extend(is_written.then_some(run));
        }
    }
    Ok(runs)
}

/// Whether these stretches are the whole of a file of so many blocks.
pub(super) fn are_whole(runs: &[Run], blocks: u64) -> bool {
    let end = runs.iter().try_fold(0, |end, run| (run.logical == end).then_some(end + run.blocks));
    end == Some(blocks)
}

/// The bytes of a file; what was never written reads as zeros.
pub struct Ext4Content<'a, R> {
    volume: &'a mut Volume<R>,
    runs: std::iter::Peekable<std::vec::IntoIter<Run>>,
    at: u64,
    size: u64,
}

impl<'a, R: ReadAt> Ext4Content<'a, R> {
    pub(super) fn new(volume: &'a mut Volume<R>, inode: &Inode) -> Result<Ext4Content<'a, R>, Ext4Error> {
        let runs = runs(volume, inode)?.into_iter().peekable();
        Ok(Ext4Content { volume, runs, at: 0, size: inode.size })
    }
}

impl<R: ReadAt> Read for Ext4Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let block = self.volume.block_size();
        while self.runs.next_if(|run| (run.logical + run.blocks) * block <= self.at).is_some() {}
        let left = self.size - self.at;
        let most = left.min(buffer.len() as u64);
        let (count, from) = match self.runs.peek() {
            Some(run) if run.logical * block <= self.at => {
                let within = self.at - run.logical * block;
                (most.min(run.blocks * block - within), Some(run.physical * block + within))
            }
            Some(run) => (most.min(run.logical * block - self.at), None),
            None => (most, None),
        };
        let buffer = &mut buffer[..count as usize];
        match from {
            Some(from) => self.volume.read_at(from, buffer)?,
            None => buffer.fill(0),
        }
        self.at += count;
        Ok(buffer.len())
    }
}
