//! Extended attributes, behind the fields of an inode and in a block of their own.

use std::collections::BTreeMap;

use super::error::Ext4Error;
use super::inode::Inode;
use super::layout::number;
use super::volume::Volume;
use crate::format::disk::ReadAt;

pub(super) const MAGIC: u64 = 0xea02_0000;
/// Bytes before the entries in an inode, and in a block.
const INODE_HEAD: usize = 4;
const BLOCK_HEAD: usize = 32;
const ENTRY: usize = 16;
/// `system.posix_acl_access` and `system.posix_acl_default`, which are stored in another form than programs see.
pub(super) const ACLS: [u64; 2] = [2, 3];
/// What a name begins with, by number.
pub(super) const PREFIXES: [(u64, &str); 7] = [
    (0, ""),
    (1, "user."),
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (4, "trusted."),
    (6, "security."),
    (7, "system."),
];

/// Entries of such a list for one named user or group, which alone have a number on the disk.
pub(super) const NAMED: [u64; 2] = [0x02, 0x08];

/// All attributes of an inode, as programs see them.
pub(super) fn read<R: ReadAt>(volume: &mut Volume<R>, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Ext4Error> {
    let mut found = BTreeMap::new();
    if number(&inode.rest, 0, 4) == MAGIC {
        let area = &inode.rest[INODE_HEAD..];
        entries((area, 0), area, inode, &mut found)?;
    }
    if inode.attributes != 0 {
        let block = volume.block(inode.attributes)?;
        if number(&block, 0, 4) != MAGIC {
            return Err(Ext4Error::damaged(inode.number, "the block of its extended attributes is invalid"));
        }
        volume.checksums.attributes(inode.attributes, &block)?;
        entries((&block, BLOCK_HEAD), &block, inode, &mut found)?;
    }
    Ok(found)
}

/// The entries from a place on; offsets of values count from the start of `values`.
fn entries(
    (area, mut at): (&[u8], usize),
    values: &[u8],
    inode: &Inode,
    found: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<(), Ext4Error> {
    let damaged = || Ext4Error::damaged(inode.number, "an extended attribute is invalid");
    while number(area, at, 4) != 0 {
        let entry = area.get(at..at + ENTRY).ok_or_else(damaged)?;
        let (length, prefix) = (usize::from(entry[0]), u64::from(entry[1]));
        let (offset, elsewhere) = (number(entry, 2, 2) as usize, number(entry, 4, 4));
        let size = number(entry, 8, 4) as usize;
        let name = area.get(at + ENTRY..at + ENTRY + length).ok_or_else(damaged)?;
        if elsewhere != 0 {
            let what = format!("inode {} has an extended attribute in an inode of its own", inode.number);
            return Err(Ext4Error::Unsupported(what));
        }
        let value = values.get(offset..offset.saturating_add(size)).ok_or_else(damaged)?;
        let known = PREFIXES.iter().find(|(number, _)| *number == prefix);
        let (_, begin) = known.ok_or_else(damaged)?;
        let value = if ACLS.contains(&prefix) { acl(value).ok_or_else(damaged)? } else { value.to_vec() };
        found.insert([begin.as_bytes(), name].concat(), value);
        at += (ENTRY + length).next_multiple_of(4);
    }
    Ok(())
}

/// An access control list as `getfattr` shows it (`struct posix_acl_xattr_header`), of the one on the disk (`ext4_acl_header`).
fn acl(stored: &[u8]) -> Option<Vec<u8>> {
    let mut rest = stored.get(4..).filter(|_| number(stored, 0, 4) == 1)?;
    let mut shown = 2u32.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let is_named = NAMED.contains(&number(rest, 0, 2));
        let (entry, next) = rest.split_at_checked(if is_named { 8 } else { 4 })?;
        shown.extend_from_slice(&entry[..4]);
        shown.extend_from_slice(if is_named { &entry[4..] } else { &[0xff; 4] });
        rest = next;
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_control_list_has_the_form_that_programs_see() {
        // user::rwx, user:1000:r-x, group::r-x, mask::r-x, other::---
        let stored = [
            &[1, 0, 0, 0][..],
            &[1, 0, 7, 0],
            &[2, 0, 5, 0, 0xe8, 3, 0, 0],
            &[4, 0, 5, 0],
            &[0x10, 0, 5, 0],
            &[0x20, 0, 0, 0],
        ];
        let shown = acl(&stored.concat()).unwrap();
        assert_eq!((shown.len(), &shown[..4]), (4 + 5 * 8, &[2, 0, 0, 0][..]));
        assert_eq!(&shown[4..20], [1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 5, 0, 0xe8, 3, 0, 0]);
        assert_eq!(acl(&[1, 0, 0, 0, 2, 0, 5, 0]), None, "a named entry without its number");
        assert_eq!(acl(&[9, 0, 0, 0]), None);
    }
}
