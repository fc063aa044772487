//! What a disk consists of: chunks of its uncompressed content, and where a qcow2 image has the clusters that they lie in.
//!
//! Input: a qcow2 image that kiln wrote, or the text of an index. Output: a [`ChunkIndex`]. Whoever has an earlier version of the disk
//! reads the chunks that both have from there, and of the new image only the clusters with the others. The content is written as qcow2
//! again, which gives the same bytes (see [`super::qcow2`]): no second copy of a disk is kept anywhere.
//!
//! ext4 moves files by whole blocks of 4 KiB, so chunks begin and end at multiples of that: where, depends on what is in the blocks
//! alone. Blocks of zeros are no part of any chunk.

mod cut;
mod delta;
mod fields;
mod first;
mod index;
mod numbers;
mod parts;
mod text;

pub use cut::BLOCK;
pub use delta::{DELTA_LIMIT, DeltaError, DiskDelta};
pub use index::{ChunkIndex, ChunkIndexError, Extent, LIMIT, WRITER, WriterVersion};
pub use parts::{IndexHead, IndexPart};

use crate::base::Digest;

/// Names a chunk, or a part of an index: the beginning of the SHA-256 of its bytes.
///
/// It says where bytes are likely to be found; whether a disk was rebuilt well, the digest of the whole image says. So eight bytes do:
/// two of a million chunks have one name once in 40 million disks, and who makes such two on purpose (some 2^32 tries) and has one of them
/// in an earlier disk and the other in the new one gains that the new disk is fetched whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; ChunkId::BYTES]);

impl ChunkId {
    const BYTES: usize = 8;

    /// Of bytes.
    pub fn of(bytes: &[u8]) -> ChunkId {
        ChunkId::beginning(Digest::of(bytes).as_bytes())
    }

    /// From a longer beginning of the same digest.
    fn beginning(digest: &[u8]) -> ChunkId {
        let mut id = [0; ChunkId::BYTES];
        id.copy_from_slice(&digest[..ChunkId::BYTES]);
        ChunkId(id)
    }
}
