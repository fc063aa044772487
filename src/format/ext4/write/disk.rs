//! A disk that lies nowhere: pieces in memory and pieces of other files, at their places.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::content::ContentSource;
use crate::format::disk::ReadAt;
use crate::format::qcow2::RawDisk;

/// Bytes that are written at a time.
const CHUNK: usize = 256 << 10;

/// Where the bytes of a piece are.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// From here on in the memory of the disk.
    Memory(usize),
    /// From here on in the table of all inodes.
    Inodes(usize),
    Source {
        source: usize,
        /// Where in it.
        offset: u64,
    },
}

struct Piece {
    at: u64,
    bytes: u64,
    origin: Origin,
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.bytes
    }
}

/// What lies where on a disk; everything else on it is zeros.
pub struct DiskMap {
    size: u64,
    pieces: Vec<Piece>,
    memory: Vec<u8>,
    inodes: Vec<u8>,
}

impl DiskMap {
    pub(super) fn new(size: u64) -> DiskMap {
        DiskMap { size, pieces: Vec::new(), memory: Vec::new(), inodes: Vec::new() }
    }

    /// Puts bytes at a place, and says where they are kept, so that they can be put at others, too.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> Origin {
        let origin = Origin::Memory(self.memory.len());
        if at < self.size {
            self.memory.extend_from_slice(bytes);
            self.refer(at, bytes.len() as u64, origin);
        }
        origin
    }

    /// Has a piece of something else be at a place. What lies behind the end of the disk is left out: it did not fit.
    pub(super) fn refer(&mut self, at: u64, bytes: u64, origin: Origin) {
        if at < self.size && bytes > 0 {
            self.pieces.push(Piece { at, bytes, origin });
        }
    }

    /// Puts the pieces in order, of which no two may share a byte. Pieces of the table of inodes, which is large, are of this one.
    pub(super) fn finish(mut self, inodes: Vec<u8>) -> DiskMap {
        self.inodes = inodes;
        self.pieces.sort_by_key(|piece| piece.at);
        let is_sound = self.pieces.windows(2).all(|pair| pair[0].end() <= pair[1].at)
            && self.pieces.last().is_none_or(|last| last.end() <= self.size);
        assert!(is_sound, "every block of a file system has one owner");
        self
    }

    /// The first piece that ends behind an offset.
    fn first_behind(&self, offset: u64) -> usize {
        self.pieces.partition_point(|piece| piece.end() <= offset)
    }
}

/// A disk with the files that its contents are in.
pub struct MappedDisk<'a, S> {
    pub map: &'a DiskMap,
    pub sources: &'a [S],
}

impl<S: ContentSource> MappedDisk<'_, S> {
    /// Writes the disk into an empty file, with holes wherever nothing lies.
    pub fn write(&self, file: &File, go_on: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        file.set_len(self.map.size)?;
        let mut buffer = vec![0; CHUNK];
        for piece in &self.map.pieces {
            let mut at = piece.at;
            while at < piece.end() {
                go_on()?;
                let count = (piece.end() - at).min(CHUNK as u64) as usize;
                self.fill(&mut buffer[..count], at)?;
                file.write_all_at(&buffer[..count], at)?;
                at += count as u64;
            }
        }
        Ok(())
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.map.size);
        let end = end.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buffer.fill(0);
        for piece in &self.map.pieces[self.map.first_behind(offset)..] {
            if piece.at >= end {
                break;
            }
            let (from, to) = (piece.at.max(offset), piece.end().min(end));
            let into = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            let skipped = (from - piece.at) as usize;
            match piece.origin {
                Origin::Memory(at) => into.copy_from_slice(&self.map.memory[at + skipped..][..into.len()]),
                Origin::Inodes(at) => into.copy_from_slice(&self.map.inodes[at + skipped..][..into.len()]),
                Origin::Source { source, offset } => {
                    self.sources[source].read_content(into, offset + from - piece.at)?;
                }
            }
        }
        Ok(())
    }
}

impl<S: ContentSource> RawDisk for MappedDisk<'_, S> {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.map.size)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.fill(buffer, offset)
    }

    fn next_data(&self, from: u64, size: u64) -> io::Result<Option<Range<u64>>> {
        let next = self.map.pieces.get(self.map.first_behind(from)).filter(|piece| piece.at < size);
        Ok(next.map(|piece| piece.at.max(from)..piece.end()))
    }
}

impl<S: ContentSource> ReadAt for MappedDisk<'_, S> {
    fn size(&self) -> u64 {
        self.map.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.fill(buffer, offset)
    }
}
