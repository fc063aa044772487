//! Two ext4 file systems, block by block: what a block is for, and which field of what differs in it.
//!
//! Numbers and names of fields are those of the kernel's `Documentation/filesystems/ext4`.

mod fields;
mod names;

use std::io;

use names::Names;

use super::bytes;
use super::disk::Disk;
use super::{Differences, Rule};
use crate::format::ext4::{BlockPlace, Ext4Layout, SUPERBLOCK};

/// What is known of a file system.
pub(super) struct Ext4 {
    layout: Ext4Layout,
    names: Names,
}

impl Ext4 {
    pub(super) fn read(disk: &mut Disk) -> io::Result<Ext4> {
        let layout = Ext4Layout::read(disk)?;
        let names = Names::read(disk, &layout)?;
        Ok(Ext4 { layout, names })
    }

    /// Tells what differs in the block at `offset`.
    pub(super) fn explain(&self, offset: u64, (one, two): (&[u8], &[u8]), found: &mut Differences) {
        let block = offset / self.layout.block_size;
        match self.layout.place(block) {
            BlockPlace::Super => superblock(offset, (one, two), found),
            BlockPlace::Descriptors => {
                let at = bytes::first(one, two).unwrap_or_default() as u64 + offset - self.layout.descriptors;
                let place = format!("descriptor of block group {}", at / self.layout.descriptor_size);
                bytes::tell(&place, offset, (one, two), found);
            }
            BlockPlace::Bitmap(what, group) => {
                bytes::tell(&format!("{what} of group {group}"), offset, (one, two), found)
            }
            BlockPlace::Inodes(first) => self.inodes(first, (one, two), found),
            BlockPlace::Other => match self.names.owner(block) {
                Some((inode, within)) => {
                    let place = self.names.name(inode);
                    bytes::tell(&place, within * self.layout.block_size, (one, two), found);
                }
                None => bytes::tell(&format!("block {block}"), offset, (one, two), found),
            },
        }
    }

    /// A block of an inode table whose first inode is `first`.
    fn inodes(&self, first: u64, (one, two): (&[u8], &[u8]), found: &mut Differences) {
        let size = self.layout.inode_size as usize;
        for (number, (one, two)) in (first..).zip(one.chunks(size).zip(two.chunks(size))) {
            if one != two {
                let place = format!("inode {number} ({})", self.names.name(number));
                fields::tell(&place, &fields::INODE, (one, two), found);
            }
        }
    }
}

fn superblock(offset: u64, (one, two): (&[u8], &[u8]), found: &mut Differences) {
    let range = (SUPERBLOCK.start - offset.min(SUPERBLOCK.start)) as usize..;
    let (one, two) = (&one[range.clone()], &two[range]);
    fields::tell("superblock", &fields::SUPER, (one, two), found);
    // Only the block that begins the disk has anything before it: room for a boot loader.
    found.help(Rule::Identity);
}
