//! Disks, read at any place: raw ones, and what a guest sees of a qcow2.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

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
    /// What the file would be as a disk; `None` for one that cannot be read as such.
    pub(super) fn open(path: &Path) -> Option<Disk> {
        let file = fs::open(path).ok()?;
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, 0).ok()?;
        if &magic == b"QFI\xfb" {
            let image = Box::new(Qcow2Reader::new(file).ok()?);
            return Some(Disk { start: 0, size: image.size(), source: Source::Qcow2(image) });
        }
        let size = file.metadata().ok()?.len();
        Some(Disk { source: Source::Raw(file), start: 0, size })
    }

    /// Whether its format says that it is a disk; any file may be a raw one.
    pub(super) fn is_image(&self) -> bool {
        matches!(self.source, Source::Qcow2(_))
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
