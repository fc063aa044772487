//! Disks, read at any place: raw ones, and what a guest sees of a qcow2.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::format::disk::{DiskReader, ReadAt};
use crate::format::gpt::{self, Table};
use crate::world::fs;

/// Bytes that are compared at a time; a block of every ext4 that kiln makes.
pub(super) const BLOCK: usize = 4096;

/// A disk, or the part of it that is looked at.
pub(super) struct Disk {
    source: DiskReader,
    start: u64,
    size: u64,
}

impl Disk {
    /// What the file would be as a disk; `None` for one that cannot be read as such.
    pub(super) fn open(path: &Path) -> Option<Disk> {
        let file = fs::open(path).ok()?;
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).ok()?;
        let source = if &magic == b"QFI\xfb" { DiskReader::qcow2(file) } else { DiskReader::raw(file) }.ok()?;
        Some(Disk { start: 0, size: source.size(), source })
    }

    /// Whether its format says that it is a disk; any file may be a raw one.
    pub(super) fn is_image(&self) -> bool {
        matches!(self.source, DiskReader::Qcow2(_))
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.source.read_at(self.start + offset, buffer)
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

impl ReadAt for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        Disk::read_at(self, offset, buffer)
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
