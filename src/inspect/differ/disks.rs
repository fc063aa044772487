//! Two files as disks: partition by partition, or as one file system.

use std::io;
use std::path::Path;

use super::disk::Disk;
use super::{Differences, blocks, table};
use crate::format::ext4::is_ext4;

/// Compares two disks; `false` when they are none.
pub(super) fn compare(one: &Path, two: &Path, found: &mut Differences) -> bool {
    let (Some(mut one), Some(mut two)) = (open(one), open(two)) else { return false };
    if one.size() != two.size() {
        found.add("", format!("the disk has {}, then {} bytes", one.size(), two.size()));
    }
    if let Err(error) = parts(&mut one, &mut two, found) {
        found.add("", format!("cannot be read: {error}"));
    }
    if found.count() == 0 {
        found.add("", "the content of the disk is equal; the image file is laid out differently");
    }
    true
}

/// Partition by partition where both disks have the same ones, else all at once.
fn parts(one: &mut Disk, two: &mut Disk, found: &mut Differences) -> io::Result<()> {
    match (one.table(), two.table()) {
        (Some(first), Some(second)) => table::compare((one, &first), (two, &second), found),
        _ => blocks::compare(one, two, found),
    }
}

/// A disk, when the file is one; archives and other files are not.
fn open(path: &Path) -> Option<Disk> {
    let mut disk = Disk::open(path)?;
    (disk.is_image() || is_ext4(&mut disk) || disk.table().is_some()).then_some(disk)
}
