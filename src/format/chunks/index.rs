//! The index of a disk, as it is read from a qcow2 image.

use std::io::{self, Read, Seek};

use super::ChunkId;
use super::cut::{self, BLOCK, BlockKind};
use crate::format::qcow2::{Qcow2Options, Qcow2Reader, StoredCluster, lay_out};

/// No index is larger: one of 32 MiB is of a disk with some 60 GiB of content.
pub const LIMIT: u64 = 32 << 20;
/// No disk is larger, as no artifact is.
pub(super) const LARGEST: u64 = 256 << 30;
/// A disk whose content is so many times larger than its image is not described: to rebuild it would take more room than its sender
/// has paid for.
const MAX_GROWTH: u64 = 64;
/// What may be added to that.
const FREE_GROWTH: u64 = 64 << 20;

/// Which writer of qcow2 images: another one may write other bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterVersion {
    /// Zstd level.
    pub level: u64,
    /// Version of the zstd library.
    pub zstd: u64,
}

/// This one. Its layout is that of `format/qcow2`, which has had no other; if it changes, so does the first line of an index.
pub const WRITER: fn() -> WriterVersion = || WriterVersion {
    level: Qcow2Options::default().level as u64,
    zstd: u64::from(zstd::zstd_safe::version_number()),
};

/// Blocks in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Zeros { blocks: u64 },
    Chunk { blocks: u64, id: ChunkId },
}

impl Extent {
    /// How many blocks.
    pub fn blocks(&self) -> u64 {
        match *self {
            Extent::Zeros { blocks } | Extent::Chunk { blocks, .. } => blocks,
        }
    }
}

/// What a disk consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkIndex {
    /// Bytes that the guest sees.
    pub size: u64,
    pub cluster_bits: u32,
    pub writer: WriterVersion,
    /// All blocks, in order; the last one is filled up with zeros.
    pub extents: Vec<Extent>,
    /// The clusters that the image has, in order. One that was read from an index of this version has no byte too many.
    pub clusters: Vec<StoredCluster>,
}

/// Why bytes are no index of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an index of chunks: {0}")]
pub struct ChunkIndexError(pub(super) &'static str);

impl ChunkIndex {
    /// Reads the whole content of an image of so many bytes; one that describes more than is worth an index is refused before.
    pub fn of<R: Read + Seek>(image: &mut Qcow2Reader<R>, image_size: u64) -> io::Result<ChunkIndex> {
        let (size, cluster_bits) = (image.size(), image.cluster_bits());
        let large =
            |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what} is too large for an index"));
        if size > LARGEST {
            return Err(large("the disk"));
        }
        let mut clusters = image.stored()?;
        if (clusters.len() as u64) << cluster_bits > most_content(image_size) {
            return Err(large("its content"));
        }
        let per_cluster = (1u64 << cluster_bits) / BLOCK as u64;
        let (mut extents, mut collected, mut block) = (Extents::default(), Vec::new(), vec![0; BLOCK]);
        let mut at = 0;
        for cluster in clusters.iter().map(|stored| stored.number) {
            let first = cluster * per_cluster;
            if first > at {
                extents.chunk(&mut collected);
                extents.zeros(first - at);
            }
            at = (first + per_cluster).min(size.div_ceil(BLOCK as u64));
            for number in first..at {
                image.read_at(number * BLOCK as u64, &mut block)?;
                let kind = cut::kind(&block, (collected.len() / BLOCK) as u32);
                match kind {
                    BlockKind::Zero => {
                        extents.chunk(&mut collected);
                        extents.zeros(1);
                    }
                    BlockKind::Inner => collected.extend_from_slice(&block),
                    BlockKind::Last => {
                        collected.extend_from_slice(&block);
                        extents.chunk(&mut collected);
                    }
                }
            }
        }
        extents.chunk(&mut collected);
        extents.zeros(size.div_ceil(BLOCK as u64) - at);
        exactly(&mut clusters, image, image_size)?;
        Ok(ChunkIndex { size, cluster_bits, writer: WRITER(), extents: extents.0, clusters })
    }

    /// Its chunks: where each begins, how many blocks it has, and its name.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, u64, ChunkId)> {
        let mut block = 0;
        self.extents.iter().filter_map(move |extent| {
            let at = block * BLOCK as u64;
            block += extent.blocks();
            match *extent {
                Extent::Chunk { blocks, id } => Some((at, blocks, id)),
                Extent::Zeros { .. } => None,
            }
        })
    }
}

/// Replaces the clusters by what the index says of them, which has to lead to where they are.
fn exactly<R: Read + Seek>(
    clusters: &mut Vec<StoredCluster>,
    image: &mut Qcow2Reader<R>,
    image_size: u64,
) -> io::Result<()> {
    let packed: io::Result<Vec<_>> = clusters.iter().map(|stored| image.packed(stored)).collect();
    let other = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let (laid_out, size) =
        lay_out((image.size(), image.cluster_bits()), &packed?).map_err(|error| other(&error.to_string()))?;
    let is_same = size == image_size && laid_out.iter().zip(&*clusters).all(|(one, known)| one.offset == known.offset);
    *clusters = laid_out;
    if is_same { Ok(()) } else { Err(other("an image that kiln lays out in another way")) }
}

/// The most content of an image of this size.
pub(super) fn most_content(image_size: u64) -> u64 {
    image_size.saturating_mul(MAX_GROWTH).saturating_add(FREE_GROWTH)
}

/// Extents as they are found.
#[derive(Default)]
struct Extents(Vec<Extent>);

impl Extents {
    fn chunk(&mut self, collected: &mut Vec<u8>) {
        if !collected.is_empty() {
            let (blocks, id) = ((collected.len() / BLOCK) as u64, ChunkId::of(collected));
            self.0.push(Extent::Chunk { blocks, id });
            collected.clear();
        }
    }

    fn zeros(&mut self, count: u64) {
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some(Extent::Zeros { blocks }) => *blocks += count,
            _ => self.0.push(Extent::Zeros { blocks: count }),
        }
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
pub(super) mod tests;
