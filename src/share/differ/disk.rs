//! Disks, read at any place: raw ones, and what a guest sees of a qcow2.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Differences, bytes, ext4};
use crate::format::qcow2::Qcow2Reader;
use crate::world::fs;

/// Bytes that are compared at a time; a block of every ext4 that kiln makes.
pub(super) const BLOCK: usize = 4096;

pub(super) enum Disk {
    Raw(File, u64),
    Qcow2(Box<Qcow2Reader<File>>),
}

impl Disk {
    /// A disk, when the file is one; archives and other files are not.
    fn open(path: &Path) -> Option<Disk> {
        let file = fs::open(path).ok()?;
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).ok()?;
        if &magic == b"QFI\xfb" {
            return Some(Disk::Qcow2(Box::new(Qcow2Reader::new(file).ok()?)));
        }
        let size = file.metadata().ok()?.len();
        let mut disk = Disk::Raw(file, size);
        ext4::is_one(&mut disk).then_some(disk)
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Disk::Raw(_, size) => *size,
            Disk::Qcow2(image) => image.size(),
        }
    }

    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Disk::Raw(file, _) => file.read_exact_at(buffer, offset),
            Disk::Qcow2(image) => image.read_at(offset, buffer),
        }
    }

    /// The block that begins here; shorter at the end of the disk.
    pub(super) fn block(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; (self.size().saturating_sub(offset)).min(BLOCK as u64) as usize];
        self.read_at(offset, &mut block)?;
        Ok(block)
    }
}

/// Compares two disks; `false` when they are none.
pub(super) fn compare(one: &Path, two: &Path, found: &mut Differences) -> bool {
    let (Some(mut one), Some(mut two)) = (Disk::open(one), Disk::open(two)) else { return false };
    if one.size() != two.size() {
        found.add("", format!("the disk has {} bytes then {}", one.size(), two.size()));
    }
    if let Err(error) = blocks(&mut one, &mut two, found) {
        found.add("", format!("cannot be read: {error}"));
    }
    if found.count() == 0 {
        found.add("", "the guest sees the same disk; the image file is laid out differently");
    }
    true
}

fn blocks(one: &mut Disk, two: &mut Disk, found: &mut Differences) -> io::Result<()> {
    let known = ext4::is_one(one) && ext4::is_one(two);
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
