//! The index as bytes, and from bytes that anybody may have sent.
//!
//! ```text
//! "kiln chunks 2\n"
//! size, cluster bits, level, zstd version, part bits   what the qcow2 writer was given, and which one it was; see `parts`
//! count, then of each part with extents: bytes, and 8 bytes of its SHA-256
//! count, then of each part with clusters: the same
//! the parts with extents: blocks * 2 + 1 and 8 bytes of SHA-256 (a chunk), or blocks * 2 (zeros)
//! the parts with clusters: clusters passed over, bytes of the zstd frame or 0 (stored as it is)
//! ```
//!
//! All numbers are LEB128. What describes no image of the size that it is said to have is refused. Nothing in a part says where it is,
//! neither on the disk nor in the image: what moves stays the same part. Where clusters are in the image follows from their sizes, as it
//! does when the image is written.

use super::cut::BLOCK;
use super::fields::{BEHIND, EARLY, MAGIC, MANY, MAX_CLUSTERS, NOT_IN_IMAGE, OTHER_DISK, add, read_extent};
use super::index::most_content;
use super::numbers::{Rest, put};
use super::parts::{self, IndexHead};
use super::{ChunkId, ChunkIndex, ChunkIndexError, Extent, first};
use crate::format::qcow2::{PackedCluster, lay_out};

impl ChunkIndex {
    /// The bytes of the index.
    pub fn write(&self) -> Vec<u8> {
        let bits = parts::bits(self.extents.len());
        let [extents, clusters] = self.parts(bits);
        let mut out = MAGIC.to_vec();
        let numbers = [self.size, u64::from(self.cluster_bits), self.writer.level, self.writer.zstd, u64::from(bits)];
        numbers.into_iter().for_each(|number| put(&mut out, number));
        for list in [&extents, &clusters] {
            put(&mut out, list.len() as u64);
            for part in list {
                put(&mut out, part.len() as u64);
                out.extend_from_slice(&ChunkId::of(part).0);
            }
        }
        extents.iter().chain(&clusters).for_each(|part| out.extend_from_slice(part));
        out
    }

    /// Reads an index of an image of so many bytes.
    pub fn read(bytes: &[u8], image_size: u64) -> Result<ChunkIndex, ChunkIndexError> {
        let index = match bytes.starts_with(MAGIC) {
            true => ChunkIndex::read_this(bytes, image_size)?,
            false => first::read(bytes, image_size)?,
        };
        let content: u64 = index.chunks().map(|(_, blocks, _)| blocks * BLOCK as u64).sum();
        // Clusters are written as a whole, whatever of them is in chunks.
        let written = (index.clusters.len() as u64) << index.cluster_bits;
        if content.max(written) > most_content(image_size) {
            return Err(ChunkIndexError("its content is too large for its image"));
        }
        Ok(index)
    }

    fn read_this(bytes: &[u8], image_size: u64) -> Result<ChunkIndex, ChunkIndexError> {
        let head = IndexHead::read(bytes)?;
        let (size, cluster_bits, writer) = (head.size, head.cluster_bits, head.writer);
        if bytes.len() as u64 != head.total() {
            return Err(if (bytes.len() as u64) < head.total() { EARLY } else { BEHIND_END });
        }
        if head.parts().any(|part| ChunkId::of(&bytes[part.range()]) != part.name) {
            return Err(ChunkIndexError("it has a part by the name of another"));
        }
        let (extents, clusters) = bytes[head.length as usize..].split_at(head.extents_length() as usize);
        let extents = read_extents(Rest(extents), size)?;
        let packed = read_clusters(Rest(clusters), (size, cluster_bits, image_size))?;
        let laid_out = lay_out((size, cluster_bits), &packed).ok().filter(|(_, end)| *end == image_size);
        let (clusters, _) = laid_out.ok_or(NOT_IN_IMAGE)?;
        Ok(ChunkIndex { size, cluster_bits, writer, extents, clusters })
    }
}

const BEHIND_END: ChunkIndexError = ChunkIndexError("it goes on behind its end");

fn read_extents(mut rest: Rest<'_>, size: u64) -> Result<Vec<Extent>, ChunkIndexError> {
    let (mut extents, mut left) = (Vec::new(), size.div_ceil(BLOCK as u64));
    while !rest.0.is_empty() {
        add(&mut extents, read_extent::<{ ChunkId::BYTES }>(&mut rest, &mut left)?)?;
    }
    if left == 0 { Ok(extents) } else { Err(OTHER_DISK) }
}

fn read_clusters(
    mut rest: Rest<'_>,
    (size, bits, image_size): (u64, u32, u64),
) -> Result<Vec<PackedCluster>, ChunkIndexError> {
    let (mut clusters, mut next, mut bytes) = (Vec::new(), 0u64, 0u64);
    while !rest.0.is_empty() {
        let passed = rest.number().ok_or(EARLY)?;
        let number = next.checked_add(passed).filter(|number| *number < size.div_ceil(1 << bits)).ok_or(BEHIND)?;
        let frame = Some(rest.number().ok_or(EARLY)?).filter(|length| *length != 0);
        bytes = bytes.saturating_add(frame.unwrap_or(1 << bits));
        if clusters.len() == MAX_CLUSTERS {
            return Err(MANY);
        }
        clusters.push(PackedCluster { number, frame });
        next = number + 1;
    }
    if bytes <= image_size { Ok(clusters) } else { Err(NOT_IN_IMAGE) }
}
