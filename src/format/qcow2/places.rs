//! Where clusters and frames go in an image. The writer asks, and so does whoever knows of the frames nothing but their sizes.

use super::Qcow2Error;
use super::header::{Geometry, virtual_size};

/// Bytes of the smallest zstd frame: a shorter one is none, and so many of them in one cluster could not be counted.
const SMALLEST_FRAME: u64 = 9;

/// Hands out clusters and counts who refers to them; cluster 0 is the header's.
pub(super) struct Places {
    geometry: Geometry,
    /// How often each cluster is referred to; its length is the number of clusters.
    refcounts: Vec<u16>,
    /// The cluster that frames are being packed into, and how many of its bytes they have.
    open: Option<(u64, u64)>,
}

/// What stands behind the clusters and the second-level tables.
pub(super) struct End {
    pub(super) l1_first: u64,
    pub(super) table_first: u64,
    pub(super) block_first: u64,
    /// Blocks of refcounts, the last clusters of the image.
    pub(super) blocks: u64,
    pub(super) refcounts: Vec<u16>,
}

/// Where an image has a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCluster {
    /// Which one of the guest's.
    pub number: u64,
    /// Where it begins in the image.
    pub offset: u64,
    /// Bytes there. Tables of an image tell only the sector that a zstd frame ends in, so they have it with the rest of that sector.
    pub length: u64,
    /// Whether it is a zstd frame.
    pub compressed: bool,
}

/// A cluster of which nothing is known but what it was packed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedCluster {
    /// Which one of the guest's.
    pub number: u64,
    /// Bytes of its frame; none, if it is stored as it is.
    pub frame: Option<u64>,
}

/// Where an image has these clusters, which are in the guest's order, and how many bytes it has in all.
pub fn lay_out(
    (size, cluster_bits): (u64, u32),
    clusters: &[PackedCluster],
) -> Result<(Vec<StoredCluster>, u64), Qcow2Error> {
    let geometry = Geometry::new(super::Qcow2Options { cluster_bits, ..Default::default() })?;
    let l1_entries = geometry.l1_entries(virtual_size(size))?;
    let (mut places, mut table, mut stored) = (Places::new(geometry), None, Vec::with_capacity(clusters.len()));
    for PackedCluster { number, frame } in clusters.iter().copied() {
        let of = number / geometry.l2_entries();
        // A second-level table is written when the guest's order has passed it.
        if table.replace(of).is_some_and(|before| before != of) {
            places.plain();
        }
        stored.push(match frame {
            Some(length) if (SMALLEST_FRAME..geometry.cluster()).contains(&length) => {
                StoredCluster { number, offset: places.frame(length), length, compressed: true }
            }
            Some(_) => return Err(Qcow2Error::Options("no frame of a cluster has this size")),
            None => StoredCluster { number, offset: places.plain(), length: geometry.cluster(), compressed: false },
        });
    }
    table.iter().for_each(|_| _ = places.plain());
    let end = places.end(l1_entries);
    Ok((stored, (end.block_first + end.blocks) * geometry.cluster()))
}

impl Places {
    pub(super) fn new(geometry: Geometry) -> Places {
        Places { geometry, refcounts: vec![1], open: None }
    }

    /// The offset of a whole cluster.
    pub(super) fn plain(&mut self) -> u64 {
        self.refcounts.push(1);
        (self.refcounts.len() as u64 - 1) * self.geometry.cluster()
    }

    /// The offset of a frame: right behind the one before, as QEMU does it. It may cross into the next cluster when that one follows in
    /// the file.
    pub(super) fn frame(&mut self, length: u64) -> u64 {
        let size = self.geometry.cluster();
        let (cluster, used) = match self.open.take() {
            Some((cluster, used)) if length <= size - used || cluster + 1 == self.refcounts.len() as u64 => {
                (cluster, used)
            }
            _ => (self.fresh(), 0),
        };
        self.count(cluster);
        let end = used + length;
        self.open = if end < size {
            Some((cluster, end))
        } else if end == size {
            None
        } else {
            let next = self.fresh();
            self.count(next);
            Some((next, end - size))
        };
        cluster * size + used
    }

    /// First-level table, refcount table and refcounts, which count themselves too.
    pub(super) fn end(&mut self, l1_entries: u64) -> End {
        let l1_first = self.refcounts.len() as u64;
        let table_first = l1_first + (l1_entries * 8).div_ceil(self.geometry.cluster());
        let (table_clusters, blocks) = self.refcount_shape(table_first);
        let block_first = table_first + table_clusters;
        self.refcounts.resize((block_first + blocks) as usize, 1);
        End { l1_first, table_first, block_first, blocks, refcounts: std::mem::take(&mut self.refcounts) }
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

    /// A cluster for frames; each frame counts it.
    fn fresh(&mut self) -> u64 {
        self.refcounts.push(0);
        self.refcounts.len() as u64 - 1
    }

    fn count(&mut self, cluster: u64) {
        let count = &mut self.refcounts[cluster as usize];
        // No frame has fewer than nine bytes, and no cluster more than 256 KiB.
        *count = count.checked_add(1).expect("a cluster cannot hold 65536 frames");
    }
}
