//! Extended attributes, behind the fields of an inode as far as there is room, and else in a block of their own.

use std::collections::BTreeMap;

use super::super::BLOCK;
use super::super::layout::number;
use super::super::xattr::{MAGIC, PREFIXES};
use super::fields::put;
use crate::format::ext4::crc32c::crc32c;

/// Bytes behind the fields of an inode.
pub(super) const IN_INODE: usize = 96;
const INODE_HEAD: usize = 4;
const BLOCK_HEAD: usize = 32;
const ENTRY: usize = 16;
/// The mark behind the last entry.
const END: usize = 4;

/// An attribute as the disk has it. Ordered as entries of a block are.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    prefix: u8,
    length: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The attributes of one file.
#[derive(Default)]
pub(super) struct Attributes {
    /// What stands behind the fields of the inode; nothing when that is empty.
    pub(super) inode: Vec<u8>,
    /// The block, whose checksum is not there yet.
    pub(super) block: Option<Vec<u8>>,
}

/// Lays attributes out; nothing when they do not fit, or cannot be on a disk.
pub(super) fn attributes(given: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Attributes> {
    let mut attributes: Vec<Attribute> =
        given.iter().map(|(name, value)| attribute(name, value)).collect::<Option<_>>()?;
    attributes.sort();
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let mut room = IN_INODE - INODE_HEAD - END;
    for attribute in attributes {
        let size = attribute.size();
        if size <= room {
            room -= size;
            inside.push(attribute);
        } else {
            outside.push(attribute);
        }
    }
    let outside_size: usize = outside.iter().map(Attribute::size).sum();
    if outside_size + BLOCK_HEAD + END > BLOCK as usize {
        return None;
    }
    let mut laid = Attributes::default();
    if !inside.is_empty() {
        laid.inode = vec![0; IN_INODE];
        put(&mut laid.inode, 0, 4, MAGIC);
        fill(&mut laid.inode[INODE_HEAD..], 0, &inside);
    }
    if !outside.is_empty() {
        let mut block = vec![0; BLOCK as usize];
        let hash = fill(&mut block, BLOCK_HEAD, &outside);
        // One file and one block; the rest of the head is its hash and, later, its checksum.
        for (at, number) in [(0, MAGIC), (4, 1), (8, 1), (12, hash.into())] {
            put(&mut block, at, 4, number);
        }
        laid.block = Some(block);
    }
    Some(laid)
}

/// Gives such a block its checksum, which depends on where it lies.
pub(super) fn seal(block: &mut [u8], at: u64, seed: u32) {
    let sum = crc32c(crc32c(seed, &at.to_le_bytes()), block);
    put(block, 16, 4, sum.into());
}

fn attribute(name: &[u8], value: &[u8]) -> Option<Attribute> {
    let begins = |begin: &&(u64, &str)| !begin.1.is_empty() && name.starts_with(begin.1.as_bytes());
    let (prefix, begin) = PREFIXES.iter().filter(begins).max_by_key(|(_, begin)| begin.len()).unwrap_or(&PREFIXES[0]);
    // Linux has no names without a prefix, and no others that begin with `system.` than the two lists: it would show none of them.
    if matches!(*prefix, 0 | 7) {
        return None;
    }
    let rest = &name[begin.len()..];
    let is_list = super::super::xattr::ACLS.contains(prefix);
    // A name behind the prefix, unless that is the whole name.
    if rest.is_empty() != is_list || rest.len() > 255 {
        return None;
    }
    let value = if is_list { acl(value)? } else { value.to_vec() };
    Some(Attribute { prefix: *prefix as u8, length: rest.len(), name: rest.to_vec(), value })
}

/// An access control list as the disk has it, of the form that programs see; the reverse of the reader's.
fn acl(shown: &[u8]) -> Option<Vec<u8>> {
    let entries = shown.get(4..).filter(|_| number(shown, 0, 4) == 2)?;
    let (entries, rest) = entries.as_chunks::<8>();
    let mut stored = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        stored.extend_from_slice(&entry[..4]);
        if super::super::xattr::NAMED.contains(&number(entry, 0, 2)) {
            stored.extend_from_slice(&entry[4..]);
        }
    }
    rest.is_empty().then_some(stored)
}

impl Attribute {
    /// Bytes of its entry and of its value.
    fn size(&self) -> usize {
        self.entry() + self.value.len().next_multiple_of(4)
    }

    fn entry(&self) -> usize {
        (ENTRY + self.length).next_multiple_of(4)
    }

    /// `ext2fs_ext_attr_hash_entry` of e2fsprogs, `ext4_xattr_hash_entry` of Linux.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        let word = |bytes: &[u8]| number(bytes, 0, bytes.len()) as u32;
        self.value.chunks(4).fold(name, |hash, bytes| hash.rotate_left(16) ^ word(bytes))
    }
}

/// Puts entries at a place and their values at the end, from where their offsets count; gives the hash of them all.
fn fill(area: &mut [u8], start: usize, attributes: &[Attribute]) -> u32 {
    let (mut at, mut end, mut whole) = (start, area.len(), Some(0u32));
    for attribute in attributes {
        end -= attribute.value.len().next_multiple_of(4);
        area[end..][..attribute.value.len()].copy_from_slice(&attribute.value);
        let hash = attribute.hash();
        let offset = if attribute.value.is_empty() { 0 } else { end as u64 };
        area[at] = attribute.length as u8;
        area[at + 1] = attribute.prefix;
        put(area, at + 2, 2, offset);
        put(area, at + 8, 4, attribute.value.len() as u64);
        put(area, at + 12, 4, hash.into());
        area[at + ENTRY..][..attribute.length].copy_from_slice(&attribute.name);
        at += attribute.entry();
        // One entry without a hash, and there is none of the block.
        whole = whole.filter(|_| hash != 0).map(|whole| whole.rotate_left(16) ^ hash);
    }
    whole.unwrap_or(0)
}
