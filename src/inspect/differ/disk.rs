//! Disks, read at any place: raw ones, and what a guest sees of a qcow2.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Differences, bytes, ext4, table};
use crate::format::gpt::{self, Table};
use crate::format::qcow2::Qcow2Reader;
use crate::world::fs;

/// Bytes that are compared at a time; a block of every ext4 that kiln makes.
pub(super) const BLOCK: usize = 4096;

enum Source {
    Raw(File),
    Qcow2(Box<Qcow2Reader<File>>),
}

/// A disk, or the part of it that is looked at.
pub(super) struct Disk {
    source: Source,
    start: u64,
    size: u64,
}

impl Disk {
    /// A disk, when the file is one; archives and other files are not.
    fn open(path: &Path) -> Option<Disk> {
        let file = fs::open(path).ok()?;
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).ok()?;
        if &magic == b"QFI\xfb" {
            let image = Box::new(Qcow2Reader::new(file).ok()?);
            return Some(Disk { start: 0, size: image.size(), source: Source::Qcow2(image) });
        }
        let size = file.metadata().ok()?.len();
        let mut disk = Disk { source: Source::Raw(file), start: 0, size };
        (ext4::is_one(&mut disk) || disk.table().is_some()).then_some(disk)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = self.start + offset;
        match &mut self.source {
            Source::Raw(file) => file.read_exact_at(buffer, offset),
            Source::Qcow2(image) => image.read_at(offset, buffer),
        }
    }

    /// The partition table, if there is one.
    pub(super) fn table(&mut self) -> Option<Table> {
        let mut head = vec![0; gpt::HEAD];
        self.read_at(0, &mut head).ok()?;
        gpt::read(&head)
    }

    /// Looks at a part only, while `work` is being done.
    pub(super) fn narrowed(&mut self, range: Range<u64>) -> Narrowed<'_> {
        let whole = (self.start, self.size);
        let end = range.end.min(self.size);
        (self.start, self.size) = (self.start + range.start, end.saturating_sub(range.start));
        Narrowed { disk: self, whole }
    }

    /// The block that begins here; shorter at the end of the disk.
    pub(super) fn block(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; (self.size().saturating_sub(offset)).min(BLOCK as u64) as usize];
        self.read_at(offset, &mut block)?;
        Ok(block)
    }
}

/// A part of a disk; the whole again when this goes.
pub(super) struct Narrowed<'a> {
    pub(super) disk: &'a mut Disk,
    whole: (u64, u64),
}

impl Drop for Narrowed<'_> {
    fn drop(&mut self) {
        (self.disk.start, self.disk.size) = self.whole;
    }
}

/// Compares two disks; `false` when they are none.
pub(super) fn compare(one: &Path, two: &Path, found: &mut Differences) -> bool {
    let (Some(mut one), Some(mut two)) = (Disk::open(one), Disk::open(two)) else { return false };
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
        _ => blocks(one, two, found),
    }
}

pub(super) fn blocks(one: &mut Disk, two: &mut Disk, found: &mut Differences) -> io::Result<()> {
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
