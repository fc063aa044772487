//! Two disks, or parts of them, block by block: as ext4 where both are, else as bytes.

use std::io;

use super::disk::{BLOCK, Disk};
use super::{Differences, bytes, ext4};
use crate::format::ext4::is_ext4;

pub(super) fn compare(one: &mut Disk, two: &mut Disk, found: &mut Differences) -> io::Result<()> {
    let known = is_ext4(one) && is_ext4(two);
    let mut ext4 = None;
    let end = one.size().min(two.size());
    for offset in (0..end).step_by(BLOCK) {
        let (left, right) = (one.block(offset)?, two.block(offset)?);
        if left == right {
            continue;
        }
        if found.full() {
            return Ok(());
        }
        if known {
            // Names and places are those of the first disk.
            if ext4.is_none() {
                ext4 = Some(ext4::Ext4::read(one)?);
            }
            if let Some(ext4) = &ext4 {
                ext4.explain(offset, (&left, &right), found);
            }
        } else {
            bytes::tell("", offset, (&left, &right), found);
        }
    }
    Ok(())
}
