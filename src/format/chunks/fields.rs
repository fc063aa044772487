//! What indexes of all versions have in common, as bytes, and what is wrong with those that are none.

use super::cut::MAX_BLOCKS;
use super::index::LARGEST;
use super::numbers::Rest;
use super::{ChunkId, ChunkIndexError, Extent, WriterVersion};

pub(super) const MAGIC: &[u8] = b"kiln chunks 2\n";
pub(super) const EARLY: ChunkIndexError = ChunkIndexError("it ends too early, or has a number that is too large");
pub(super) const OTHER_DISK: ChunkIndexError = ChunkIndexError("its chunks are not those of a disk of its size");
pub(super) const BEHIND: ChunkIndexError = ChunkIndexError("it has a cluster behind the end of the disk");
/// Clusters of an image that is worth an index: no more are listed of one either.
pub(super) const MAX_CLUSTERS: usize = 4 << 20;
/// Extents of the largest disk, if its chunks were of the smallest size.
const MAX_EXTENTS: usize = 8 << 20;
pub(super) const MANY: ChunkIndexError = ChunkIndexError("it has more clusters than are listed");
pub(super) const NOT_IN_IMAGE: ChunkIndexError = ChunkIndexError("it has a cluster that its image does not have");

/// What every index begins with.
pub(super) fn read_disk(rest: &mut Rest<'_>) -> Result<(u64, u32, WriterVersion), ChunkIndexError> {
    let mut number = || rest.number().ok_or(EARLY);
    let (size, bits, level, zstd) = (number()?, number()?, number()?, number()?);
    let cluster_bits = u32::try_from(bits).ok().filter(|bits| (12..=18).contains(bits));
    let cluster_bits = cluster_bits.ok_or(ChunkIndexError("a cluster has 12 to 18 bits"))?;
    if size > LARGEST || !size.is_multiple_of(512) {
        return Err(ChunkIndexError("no disk has this size"));
    }
    Ok((size, cluster_bits, WriterVersion { level, zstd }))
}

/// An extent whose chunk, if it is one, has a name of so many bytes, which begins with that of a [`ChunkId`].
pub(super) fn read_extent<const NAME: usize>(rest: &mut Rest<'_>, left: &mut u64) -> Result<Extent, ChunkIndexError> {
    let word = rest.number().ok_or(EARLY)?;
    let (blocks, is_chunk) = (word >> 1, word & 1 == 1);
    if blocks == 0 || blocks > *left || (is_chunk && blocks > u64::from(MAX_BLOCKS)) {
        return Err(OTHER_DISK);
    }
    *left -= blocks;
    Ok(match is_chunk {
        true => Extent::Chunk { blocks, id: ChunkId::beginning(&rest.bytes::<NAME>().ok_or(EARLY)?) },
        false => Extent::Zeros { blocks },
    })
}

/// Adds an extent. One that is listed takes a byte of the index and more of memory.
pub(super) fn add(extents: &mut Vec<Extent>, extent: Extent) -> Result<(), ChunkIndexError> {
    if extents.len() == MAX_EXTENTS {
        return Err(ChunkIndexError("it has more extents than a disk that is worth an index"));
    }
    extents.push(extent);
    Ok(())
}
