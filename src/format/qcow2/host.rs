//! The image file: writes clusters and packed frames where [`Places`] says.

use std::io::{Seek, SeekFrom, Write};

use super::Qcow2Error;
use super::header::{self, COPIED, Geometry, Tables};
use super::places::Places;

/// An image file that grows cluster by cluster; cluster 0 is the header's.
pub(super) struct HostFile<W> {
    out: W,
    position: u64,
    geometry: Geometry,
    places: Places,
    /// Frames that are not written yet: less than a cluster, and where it begins.
    pending: (u64, Vec<u8>),
}

impl<W: Write + Seek> HostFile<W> {
    pub(super) fn new(out: W, geometry: Geometry) -> Self {
        let pending = (0, Vec::with_capacity(2 * geometry.cluster() as usize));
        // Forces a seek before the first write: the caller's position does not matter.
        HostFile { out, position: u64::MAX, geometry, places: Places::new(geometry), pending }
    }

    /// Stores a whole cluster; gives its table entry.
    pub(super) fn put_plain(&mut self, bytes: &[u8]) -> Result<u64, Qcow2Error> {
        let offset = self.places.plain();
        self.write_at(offset, bytes)?;
        Ok(offset | COPIED)
    }

    /// Stores a frame; gives its table entry.
    pub(super) fn put_frame(&mut self, frame: &[u8]) -> Result<u64, Qcow2Error> {
        let (offset, size) = (self.places.frame(frame.len() as u64), self.geometry.cluster() as usize);
        if offset != self.pending.0 + self.pending.1.len() as u64 {
            self.close()?;
            self.pending.0 = offset;
        }
        self.pending.1.extend_from_slice(frame);
        if self.pending.1.len() >= size {
            let (begin, mut bytes) = std::mem::take(&mut self.pending);
            self.write_at(begin, &bytes[..size])?;
            bytes.drain(..size);
            self.pending = (begin + size as u64, bytes);
        }
        Ok(self.geometry.descriptor(offset, frame.len() as u64))
    }

    /// Writes tables, refcounts and the header; gives the writer and the size of the file.
    pub(super) fn finish(mut self, size: u64, l1: &[u64]) -> Result<(W, u64), Qcow2Error> {
        self.close()?;
        let cluster = self.geometry.cluster();
        let end = self.places.end(l1.len() as u64);
        let blocks = end.blocks;
        let (l1_first, table_first, block_first) = (end.l1_first, end.table_first, end.block_first);
        self.write_table(l1_first, l1)?;
        let entries: Vec<u64> = (0..blocks).map(|block| (block_first + block) * cluster).collect();
        self.write_table(table_first, &entries)?;
        for (block, counts) in end.refcounts.chunks(self.geometry.block_entries() as usize).enumerate() {
            let mut bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
            bytes.resize(cluster as usize, 0);
            self.write_at((block_first + block as u64) * cluster, &bytes)?;
        }
        let tables = Tables {
            size,
            l1_entries: l1.len() as u64,
            l1_offset: if l1.is_empty() { 0 } else { l1_first * cluster },
            refcount_offset: table_first * cluster,
            refcount_clusters: block_first - table_first,
        };
        let mut head = header::encode(self.geometry, &tables);
        head.resize(cluster as usize, 0);
        self.write_at(0, &head)?;
        self.out.flush().map_err(Qcow2Error::Write)?;
        Ok((self.out, (block_first + blocks) * cluster))
    }

    fn write_table(&mut self, first: u64, entries: &[u64]) -> Result<(), Qcow2Error> {
        let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(self.geometry.cluster() as usize), 0);
        self.write_at(first * self.geometry.cluster(), &bytes)
    }

    /// Writes the frames that are left, as a whole cluster.
    fn close(&mut self) -> Result<(), Qcow2Error> {
        let (begin, mut bytes) = std::mem::take(&mut self.pending);
        if !bytes.is_empty() {
            bytes.resize(self.geometry.cluster() as usize, 0);
            self.write_at(begin, &bytes)?;
            bytes.clear();
        }
        self.pending = (begin, bytes);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Qcow2Error> {
        if self.position != offset {
            self.out.seek(SeekFrom::Start(offset)).map_err(Qcow2Error::Write)?;
        }
        self.out.write_all(bytes).map_err(Qcow2Error::Write)?;
        self.position = offset + bytes.len() as u64;
        Ok(())
    }
}
