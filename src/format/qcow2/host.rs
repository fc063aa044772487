//! The image file: hands out clusters, packs frames, counts references.

use std::io::{Seek, SeekFrom, Write};

use super::Qcow2Error;
use super::header::{self, COPIED, Geometry, Tables};

/// An image file that grows cluster by cluster; cluster 0 is the header's.
pub(super) struct HostFile<W> {
    out: W,
    position: u64,
    geometry: Geometry,
    /// How often each cluster is referred to; its length is the number of clusters.
    refcounts: Vec<u16>,
    /// The cluster that frames are being packed into.
    open: Option<Open>,
}

struct Open {
    cluster: u64,
    bytes: Vec<u8>,
}

impl<W: Write + Seek> HostFile<W> {
    pub(super) fn new(out: W, geometry: Geometry) -> Self {
        // Forces a seek before the first write: the caller's position does not matter.
        HostFile { out, position: u64::MAX, geometry, refcounts: vec![1], open: None }
    }

    /// Stores a whole cluster; gives its table entry.
    pub(super) fn put_plain(&mut self, bytes: &[u8]) -> Result<u64, Qcow2Error> {
        let offset = self.allocate() * self.geometry.cluster();
        self.write_at(offset, bytes)?;
        Ok(offset | COPIED)
    }

    /// Stores a frame right behind the one before, as QEMU does: it may cross into the next cluster when that one
    /// follows in the file. Gives its table entry.
    pub(super) fn put_frame(&mut self, frame: &[u8]) -> Result<u64, Qcow2Error> {
        let size = self.geometry.cluster();
        let mut open = match self.open.take() {
            Some(open) if self.has_room(&open, frame.len()) => open,
            Some(full) => {
                self.close(full)?;
                self.fresh()
            }
            None => self.fresh(),
        };
        let offset = open.cluster * size + open.bytes.len() as u64;
        let head = frame.len().min(size as usize - open.bytes.len());
        self.count(open.cluster);
        open.bytes.extend_from_slice(&frame[..head]);
        if open.bytes.len() as u64 == size {
            self.close(open)?;
            if head < frame.len() {
                let mut next = self.fresh();
                self.count(next.cluster);
                next.bytes.extend_from_slice(&frame[head..]);
                self.open = Some(next);
            }
        } else {
            self.open = Some(open);
        }
        Ok(self.geometry.descriptor(offset, frame.len() as u64))
    }

    /// Writes tables, refcounts and the header; gives the writer and the size of the file.
    pub(super) fn finish(mut self, size: u64, l1: &[u64]) -> Result<(W, u64), Qcow2Error> {
        if let Some(open) = self.open.take() {
            self.close(open)?;
        }
        let cluster = self.geometry.cluster();
        let l1_clusters = (l1.len() as u64 * 8).div_ceil(cluster);
        let l1_first = self.refcounts.len() as u64;
        let (table_clusters, blocks) = self.refcount_shape(l1_first + l1_clusters);
        let table_first = l1_first + l1_clusters;
        let block_first = table_first + table_clusters;
        self.refcounts.resize((block_first + blocks) as usize, 1);
        self.write_table(l1_first, l1)?;
        let entries: Vec<u64> = (0..blocks).map(|block| (block_first + block) * cluster).collect();
        self.write_table(table_first, &entries)?;
        let counts = std::mem::take(&mut self.refcounts);
        for (block, counts) in counts.chunks(self.geometry.block_entries() as usize).enumerate() {
            let mut bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
            bytes.resize(cluster as usize, 0);
            self.write_at((block_first + block as u64) * cluster, &bytes)?;
        }
        let tables = Tables {
            size,
            l1_entries: l1.len() as u64,
            l1_offset: if l1.is_empty() { 0 } else { l1_first * cluster },
            refcount_offset: table_first * cluster,
            refcount_clusters: table_clusters,
        };
        let mut head = header::encode(self.geometry, &tables);
        head.resize(cluster as usize, 0);
        self.write_at(0, &head)?;
        self.out.flush().map_err(Qcow2Error::Write)?;
        Ok((self.out, (block_first + blocks) * cluster))
    }

    /// Clusters of the refcount table and of its blocks, which count themselves too.
    fn refcount_shape(&self, others: u64) -> (u64, u64) {
        let (mut table, mut blocks) = (1, 1);
        loop {
            let needed = (others + table + blocks).div_ceil(self.geometry.block_entries());
            let next = ((needed * 8).div_ceil(self.geometry.cluster()), needed);
            if next == (table, blocks) {
                return next;
            }
            (table, blocks) = next;
        }
    }

    fn write_table(&mut self, first: u64, entries: &[u64]) -> Result<(), Qcow2Error> {
        let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(self.geometry.cluster() as usize), 0);
        self.write_at(first * self.geometry.cluster(), &bytes)
    }

    fn has_room(&self, open: &Open, length: usize) -> bool {
        let free = self.geometry.cluster() as usize - open.bytes.len();
        length <= free || open.cluster + 1 == self.refcounts.len() as u64
    }

    fn allocate(&mut self) -> u64 {
        self.refcounts.push(1);
        self.refcounts.len() as u64 - 1
    }

    /// A cluster for frames; each frame counts it.
    fn fresh(&mut self) -> Open {
        self.refcounts.push(0);
        let cluster = self.refcounts.len() as u64 - 1;
        Open { cluster, bytes: Vec::with_capacity(self.geometry.cluster() as usize) }
    }

    fn count(&mut self, cluster: u64) {
        let count = &mut self.refcounts[cluster as usize];
        // The smallest frame has more than ten bytes, the largest cluster 256 KiB.
        *count = count.checked_add(1).expect("a cluster cannot hold 65536 frames");
    }

    fn close(&mut self, mut open: Open) -> Result<(), Qcow2Error> {
        let size = self.geometry.cluster();
        open.bytes.resize(size as usize, 0);
        self.write_at(open.cluster * size, &open.bytes)
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
