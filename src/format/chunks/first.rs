//! The first version of an index, which artifacts of the registries still have: one list, with names of 16 bytes and places of clusters.
//!
//! ```text
//! "kiln chunks 1\n"
//! size, cluster bits, level, zstd version          what the qcow2 writer was given, and which one it was
//! count, then of each extent: blocks * 2 + 1 and 16 bytes of SHA-256 (a chunk), or blocks * 2 (zeros)
//! count, then of each cluster that the image has: clusters passed over, bytes passed over, bytes * 2 + 1 (zstd) or * 2 (plain)
//! ```

use super::cut::BLOCK;
use super::fields::{self, BEHIND, EARLY, NOT_IN_IMAGE, OTHER_DISK};
use super::numbers::Rest;
use super::{ChunkIndex, ChunkIndexError};
use crate::format::qcow2::StoredCluster;

const MAGIC: &[u8] = b"kiln chunks 1\n";
/// Bytes of a chunk's name.
const NAME: usize = 16;

pub(super) fn read(bytes: &[u8], image_size: u64) -> Result<ChunkIndex, ChunkIndexError> {
    let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(ChunkIndexError("it is of another format"))?);
    let (size, cluster_bits, writer) = fields::read_disk(&mut rest)?;
    let (count, mut left) = (rest.number().ok_or(EARLY)?, size.div_ceil(BLOCK as u64));
    let mut extents = Vec::new();
    for _ in 0..count {
        fields::add(&mut extents, fields::read_extent::<NAME>(&mut rest, &mut left)?)?;
    }
    if left > 0 {
        return Err(OTHER_DISK);
    }
    let clusters = read_clusters(&mut rest, (size, cluster_bits, image_size))?;
    match rest.0.is_empty() {
        true => Ok(ChunkIndex { size, cluster_bits, writer, extents, clusters }),
        false => Err(ChunkIndexError("it goes on behind its end")),
    }
}

fn read_clusters(
    rest: &mut Rest<'_>,
    (size, bits, image_size): (u64, u32, u64),
) -> Result<Vec<StoredCluster>, ChunkIndexError> {
    let (count, most) = (rest.number().ok_or(EARLY)?, size.div_ceil(1 << bits));
    let (mut clusters, mut next, mut end) = (Vec::new(), 0u64, 0u64);
    for _ in 0..count {
        let number = rest.number().and_then(|passed| next.checked_add(passed)).filter(|number| *number < most);
        let number = number.ok_or(BEHIND)?;
        // Frames are listed with all bytes of the sector that they end in, so one may begin before the end of the one before.
        let offset = end.wrapping_add(unzigzag(rest.number().ok_or(EARLY)?) as u64);
        let word = rest.number().ok_or(EARLY)?;
        let (length, compressed) = (word >> 1, word & 1 == 1);
        // A frame is smaller than its cluster, and listed with up to two sectors that it shares.
        let longest = (1 << bits) + if compressed { 1024 } else { 0 };
        let last = offset.checked_add(length).filter(|last| *last <= image_size);
        let last = last.filter(|_| length > 0 && length <= longest && (compressed || length == 1 << bits));
        end = last.ok_or(NOT_IN_IMAGE)?;
        if clusters.len() == fields::MAX_CLUSTERS {
            return Err(fields::MANY);
        }
        clusters.push(StoredCluster { number, offset, length, compressed });
        next = number + 1;
    }
    Ok(clusters)
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What kiln wrote then.
#[cfg(test)]
pub(super) fn write(index: &ChunkIndex, names: impl Fn(super::ChunkId) -> [u8; NAME]) -> Vec<u8> {
    use super::Extent;
    use super::numbers::put;
    let mut out = MAGIC.to_vec();
    for number in [index.size, u64::from(index.cluster_bits), index.writer.level, index.writer.zstd] {
        put(&mut out, number);
    }
    put(&mut out, index.extents.len() as u64);
    for extent in &index.extents {
        match *extent {
            Extent::Zeros { blocks } => put(&mut out, blocks << 1),
            Extent::Chunk { blocks, id } => {
                put(&mut out, blocks << 1 | 1);
                out.extend_from_slice(&names(id));
            }
        }
    }
    put(&mut out, index.clusters.len() as u64);
    let (mut number, mut end) = (0, 0);
    for cluster in &index.clusters {
        put(&mut out, cluster.number - number);
        let passed = cluster.offset.wrapping_sub(end) as i64;
        put(&mut out, ((passed << 1) ^ (passed >> 63)) as u64);
        put(&mut out, cluster.length << 1 | u64::from(cluster.compressed));
        (number, end) = (cluster.number + 1, cluster.offset + cluster.length);
    }
    out
}
