//! Disks, read at any place: raw ones, and what a guest sees of a qcow2 that kiln wrote.
//!
//! Input: a file. Output: its bytes as a guest would read them, and where there may be any that are not zeros.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::qcow2::Qcow2Reader;
use crate::base::holes;

/// How many bytes of content a file may have for each of its own. A disk whose content is so many times larger than its file
/// would take more room than its sender has paid for.
const MAX_GROWTH: u64 = 64;
/// What may be added to that, and the most in all.
const FREE_GROWTH: u64 = 1 << 30;
const MAX_CONTENT: u64 = 1 << 40;

/// Something with bytes that can be read in any order.
pub trait ReadAt {
    /// How many bytes there are.
    fn size(&self) -> u64;
    /// Fills `buffer` from `offset` on.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// A disk in one of the formats that builds deliver.
pub enum DiskReader {
    Raw(File, u64),
    Qcow2(Box<Qcow2Reader<File>>),
}

impl DiskReader {
    /// A file whose bytes are the disk's.
    pub fn raw(file: File) -> io::Result<DiskReader> {
        let size = file.metadata()?.len();
        Ok(DiskReader::Raw(file, size))
    }

    /// A qcow2; other ones than kiln writes are refused.
    pub fn qcow2(file: File) -> io::Result<DiskReader> {
        Ok(DiskReader::Qcow2(Box::new(Qcow2Reader::new(file)?)))
    }

    /// The most bytes that are written of what is on it, where holes of files count too: nobody's disk is filled by a few kilobytes.
    pub fn most_content(&self) -> u64 {
        let stored = match self {
            DiskReader::Raw(_, size) => *size,
            DiskReader::Qcow2(image) => image.stored_bytes(),
        };
        stored.saturating_mul(MAX_GROWTH).saturating_add(FREE_GROWTH).min(MAX_CONTENT)
    }

    /// Refuses an image whose tables have the same clusters again and again, or say of few bytes that they are many. Reads its
    /// tables alone, as long as `go_on` has no error.
    pub fn check_content(&mut self, go_on: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        let most = self.most_content();
        let DiskReader::Qcow2(image) = self else { return Ok(()) };
        let (mut found, mut at) = (0, 0);
        while let Some(data) = image.next_data(at, go_on)? {
            (found, at) = (found + data.end - data.start, data.end);
            if found > most {
                let what = format!("it has more than {most} bytes of content, far more than its file can hold");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(())
    }

    /// The first stretch at or after `from` that is not known to be zeros; none when there is none up to the end.
    fn next_data(&mut self, from: u64, go_on: &dyn Fn() -> io::Result<()>) -> io::Result<Option<Range<u64>>> {
        match self {
            DiskReader::Raw(file, size) => holes::next_data(file, from, *size),
            DiskReader::Qcow2(image) => image.next_data(from, go_on),
        }
    }
}

/// Hands on every piece of a disk that has anything but zeros, with its number, as long as `go_on` has no error for the byte that
/// is looked at; the last one is filled up with zeros.
pub fn pieces(
    disk: &mut DiskReader,
    piece: u64,
    go_on: &dyn Fn(u64) -> io::Result<()>,
    take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let size = disk.size();
    let mut buffer = vec![0; piece as usize];
    let mut at = 0;
    while let Some(data) = disk.next_data(at, &|| go_on(at))? {
        go_on(data.start)?;
        let number = data.start / piece;
        let count = piece.min(size - number * piece) as usize;
        buffer[count..].fill(0);
        disk.read_at(number * piece, &mut buffer[..count])?;
        if buffer.iter().any(|byte| *byte != 0) {
            take(number, &buffer)?;
        }
        at = (number + 1) * piece;
    }
    Ok(())
}

impl ReadAt for DiskReader {
    fn size(&self) -> u64 {
        match self {
            DiskReader::Raw(_, size) => *size,
            DiskReader::Qcow2(image) => image.size(),
        }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            DiskReader::Raw(file, _) => file.read_exact_at(buffer, offset),
            DiskReader::Qcow2(image) => image.read_at(offset, buffer),
        }
    }
}

/// A part of a disk.
pub struct DiskPart<R> {
    disk: R,
    range: Range<u64>,
}

impl<R: ReadAt> DiskPart<R> {
    /// These bytes of it, as far as it has them.
    pub fn new(disk: R, range: Range<u64>) -> DiskPart<R> {
        let end = range.end.min(disk.size());
        DiskPart { disk, range: range.start.min(end)..end }
    }
}

impl<R: ReadAt> ReadAt for DiskPart<R> {
    fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.size() => self.disk.read_at(self.range.start + offset, buffer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
