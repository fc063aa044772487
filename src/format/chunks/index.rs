//! The index of a disk: read from a qcow2 image, written as bytes, and read from bytes that anybody may have sent.
//!
//! ```text
//! "kiln chunks 1\n"
//! size, cluster bits, level, zstd version          what the qcow2 writer was given, and which one it was
//! count, then of each extent: blocks * 2 + 1 and 16 bytes of SHA-256 (a chunk), or blocks * 2 (zeros)
//! count, then of each cluster that the image has: clusters passed over, bytes passed over, bytes * 2 + 1 (zstd) or * 2 (plain)
//! ```
//!
//! All numbers are LEB128. What describes no image of the size that it is said to have is refused.

use std::io::{self, Read, Seek};

use super::ChunkId;
use super::cut::{self, BLOCK, BlockKind, MAX_BLOCKS};
use super::numbers::{Rest, put};
use crate::format::qcow2::{Qcow2Options, Qcow2Reader, StoredCluster};

const MAGIC: &[u8] = b"kiln chunks 1\n";
/// No index is larger: one of 32 MiB is of a disk with some 60 GiB of content.
pub const LIMIT: u64 = 32 << 20;
/// No disk is larger, as no artifact is.
const LARGEST: u64 = 256 << 30;
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

/// This one. Its layout is that of `format/qcow2`, which has had no other; if it changes, so does the magic of an index.
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
    /// The clusters that the image has, in order.
    pub clusters: Vec<StoredCluster>,
}

/// Why bytes are no index of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an index of chunks: {0}")]
pub struct ChunkIndexError(&'static str);

impl ChunkIndex {
    /// Reads the whole content of an image of so many bytes; one that describes more than is worth an index is refused before.
    pub fn of<R: Read + Seek>(image: &mut Qcow2Reader<R>, image_size: u64) -> io::Result<ChunkIndex> {
        let (size, cluster_bits) = (image.size(), image.cluster_bits());
        let large =
            |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what} is too large for an index"));
        if size > LARGEST {
            return Err(large("the disk"));
        }
        let clusters = image.stored()?;
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
        Ok(ChunkIndex { size, cluster_bits, writer: WRITER(), extents: extents.0, clusters })
    }

    /// The bytes of the index.
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for number in [self.size, u64::from(self.cluster_bits), self.writer.level, self.writer.zstd] {
            put(&mut out, number);
        }
        put(&mut out, self.extents.len() as u64);
        for extent in &self.extents {
            match extent {
                Extent::Zeros { blocks } => put(&mut out, blocks << 1),
                Extent::Chunk { blocks, id } => {
                    put(&mut out, blocks << 1 | 1);
                    out.extend_from_slice(&id.0);
                }
            }
        }
        put(&mut out, self.clusters.len() as u64);
        let (mut number, mut end) = (0, 0);
        for cluster in &self.clusters {
            put(&mut out, cluster.number - number);
            // Frames are listed with all bytes of the sector that they end in, so one may begin before the end of the one before.
            put(&mut out, zigzag(cluster.offset.wrapping_sub(end) as i64));
            put(&mut out, cluster.length << 1 | u64::from(cluster.compressed));
            (number, end) = (cluster.number + 1, cluster.offset + cluster.length);
        }
        out
    }

    /// Reads an index of an image of so many bytes.
    pub fn read(bytes: &[u8], image_size: u64) -> Result<ChunkIndex, ChunkIndexError> {
        let wrong = ChunkIndexError;
        let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(wrong("it is of another format"))?);
        let mut number = || rest.number().ok_or(wrong("it ends too early, or has a number that is too large"));
        let (size, bits, level, zstd) = (number()?, number()?, number()?, number()?);
        let cluster_bits = u32::try_from(bits).ok().filter(|bits| (12..=18).contains(bits));
        let cluster_bits = cluster_bits.ok_or(wrong("a cluster has 12 to 18 bits"))?;
        if size > LARGEST || !size.is_multiple_of(512) {
            return Err(wrong("no disk has this size"));
        }
        let writer = WriterVersion { level, zstd };
        let extents = read_extents(&mut rest, size)?;
        let clusters = read_clusters(&mut rest, (size, cluster_bits, image_size))?;
        if !rest.0.is_empty() {
            return Err(wrong("it goes on behind its end"));
        }
        let index = ChunkIndex { size, cluster_bits, writer, extents, clusters };
        let content: u64 = index.chunks().map(|(_, blocks, _)| blocks * BLOCK as u64).sum();
        if content > most_content(image_size) {
            return Err(wrong("its content is too large for its image"));
        }
        Ok(index)
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

/// The most content of an image of this size.
fn most_content(image_size: u64) -> u64 {
    image_size.saturating_mul(MAX_GROWTH).saturating_add(FREE_GROWTH)
}

fn read_extents(rest: &mut Rest<'_>, size: u64) -> Result<Vec<Extent>, ChunkIndexError> {
    let wrong = ChunkIndexError;
    let early = wrong("it ends too early, or has a number that is too large");
    let (count, mut left) = (rest.number().ok_or(early)?, size.div_ceil(BLOCK as u64));
    let mut extents = Vec::new();
    for _ in 0..count {
        let word = rest.number().ok_or(early)?;
        let (blocks, is_chunk) = (word >> 1, word & 1 == 1);
        if blocks == 0 || blocks > left || (is_chunk && blocks > u64::from(MAX_BLOCKS)) {
            return Err(wrong("its chunks are not those of a disk of its size"));
        }
        left -= blocks;
        extents.push(match is_chunk {
            true => Extent::Chunk { blocks, id: ChunkId(rest.bytes().ok_or(early)?) },
            false => Extent::Zeros { blocks },
        });
    }
    if left == 0 { Ok(extents) } else { Err(wrong("its chunks are not those of a disk of its size")) }
}

fn read_clusters(
    rest: &mut Rest<'_>,
    (size, bits, image_size): (u64, u32, u64),
) -> Result<Vec<StoredCluster>, ChunkIndexError> {
    let wrong = ChunkIndexError;
    let early = wrong("it ends too early, or has a number that is too large");
    let (count, most) = (rest.number().ok_or(early)?, size.div_ceil(1 << bits));
    let (mut clusters, mut next, mut end) = (Vec::new(), 0u64, 0u64);
    for _ in 0..count {
        let number = rest.number().and_then(|passed| next.checked_add(passed)).filter(|number| *number < most);
        let number = number.ok_or(wrong("it has a cluster behind the end of the disk"))?;
        let offset = end.wrapping_add(unzigzag(rest.number().ok_or(early)?) as u64);
        let word = rest.number().ok_or(early)?;
        let (length, compressed) = (word >> 1, word & 1 == 1);
        // A frame is smaller than its cluster, and listed with up to two sectors that it shares.
        let longest = (1 << bits) + if compressed { 1024 } else { 0 };
        let last = offset.checked_add(length).filter(|last| *last <= image_size);
        let last = last.filter(|_| length > 0 && length <= longest && (compressed || length == 1 << bits));
        end = last.ok_or(wrong("it has a cluster that its image does not have"))?;
        clusters.push(StoredCluster { number, offset, length, compressed });
        next = number + 1;
    }
    Ok(clusters)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
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
mod tests;
