//! The blocks of a directory: names in the order of their bytes, one block after the other.

use super::super::{BLOCK, ENTRIES, ENTRY};
use super::fields::put;
use crate::format::ext4::crc32c::crc32c;

/// `ext4_dir_entry_tail`: an entry without an inode and a name, which has the checksum of the block.
const TAIL: [u8; 8] = [0, 0, 0, 0, 12, 0, 0, 0xde];

/// A name, and what it is the name of.
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u64,
    /// The kind of the inode as directories say it.
    pub(super) kind: u8,
}

/// A directory says of itself and of the one above that they are directories.
pub(super) const DIRECTORY: u8 = 2;

/// The blocks of a directory with these names, at least so many; `seed` is the checksum of what every block of the inode
/// begins with.
pub(super) fn blocks(names: &[Name<'_>], least: usize, seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut at, mut last) = (ENTRIES as usize, 0);
    for name in names {
        let length = (ENTRY as usize + name.name.len()).next_multiple_of(4);
        if at + length > ENTRIES as usize {
            close(&mut bytes, last, seed);
            at = 0;
            bytes.resize(bytes.len() + BLOCK as usize, 0);
        }
        last = bytes.len() - BLOCK as usize + at;
        entry(&mut bytes[last..], name, length);
        at += length;
    }
    close(&mut bytes, last, seed);
    while bytes.len() < least * BLOCK as usize {
        last = bytes.len();
        bytes.resize(last + BLOCK as usize, 0);
        close(&mut bytes, last, seed);
    }
    bytes
}

fn entry(bytes: &mut [u8], name: &Name<'_>, length: usize) {
    put(bytes, 0, 4, name.inode);
    put(bytes, 4, 2, length as u64);
    bytes[6] = name.name.len() as u8;
    bytes[7] = name.kind;
    bytes[8..8 + name.name.len()].copy_from_slice(name.name);
}

/// Lets the last entry of the last block take what is left of it, and puts the checksum behind.
fn close(bytes: &mut [u8], last: usize, seed: u32) {
    let Some(start) = bytes.len().checked_sub(BLOCK as usize) else { return };
    let tail = start + ENTRIES as usize;
    put(bytes, last + 4, 2, (tail - last) as u64);
    let sum = crc32c(seed, &bytes[start..tail]);
    bytes[tail..][..8].copy_from_slice(&TAIL);
    put(bytes, tail + 8, 4, sum.into());
}
