//! Parts of an index: whoever has an index of an earlier disk lacks few of them, and fetches those alone.
//!
//! A part ends where its last entry says so, as a chunk does: one changed entry changes one part, and parts behind it stay what they are.

use std::ops::Range;

use super::fields::{self, EARLY};
use super::numbers::{Rest, put};
use super::{ChunkId, ChunkIndex, ChunkIndexError, Extent, LIMIT, WriterVersion};

/// A part has some `1 << bits` entries; so many bits are allowed.
const BITS: std::ops::RangeInclusive<u32> = 2..=12;
/// No part has more than so many times that.
const MOST: usize = 8;

/// How large parts are. The head names all of them and a change costs a whole one, so that both grow with the root of the entries:
/// fewest bytes are sent for some four changes.
pub(super) fn bits(entries: usize) -> u32 {
    (entries.max(1).ilog2() / 2).saturating_sub(1).clamp(*BITS.start(), *BITS.end())
}

/// The beginning of an index, which names its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexHead {
    pub(super) size: u64,
    pub(super) cluster_bits: u32,
    pub(super) writer: WriterVersion,
    bits: u32,
    extents: Vec<IndexPart>,
    clusters: Vec<IndexPart>,
    /// Its own bytes.
    pub length: u64,
}

/// One part: what it is called, and where it is in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPart {
    pub name: ChunkId,
    pub offset: u64,
    pub length: u64,
}

impl IndexPart {
    pub(super) fn range(&self) -> Range<usize> {
        self.offset as usize..(self.offset + self.length) as usize
    }
}

impl IndexHead {
    /// Reads the head; what follows it need not be there.
    pub fn read(bytes: &[u8]) -> Result<IndexHead, ChunkIndexError> {
        let mut rest = Rest(bytes.strip_prefix(fields::MAGIC).ok_or(ChunkIndexError("it is of another format"))?);
        let (size, cluster_bits, writer) = fields::read_disk(&mut rest)?;
        let bits = rest.number().and_then(|bits| u32::try_from(bits).ok()).filter(|bits| BITS.contains(bits));
        let bits = bits.ok_or(ChunkIndexError("its parts have no size that parts have"))?;
        let mut end = 0;
        let (mut extents, mut clusters) = (list(&mut rest, &mut end)?, list(&mut rest, &mut end)?);
        let length = (bytes.len() - rest.0.len()) as u64;
        extents.iter_mut().chain(&mut clusters).for_each(|part| part.offset += length);
        Ok(IndexHead { size, cluster_bits, writer, bits, extents, clusters, length })
    }

    /// All parts, in the order of the index.
    pub fn parts(&self) -> impl Iterator<Item = &IndexPart> {
        self.extents.iter().chain(&self.clusters)
    }

    /// Bytes of the whole index.
    pub fn total(&self) -> u64 {
        self.parts().last().map_or(self.length, |part| part.offset + part.length)
    }

    /// Bytes of the parts with extents.
    pub(super) fn extents_length(&self) -> u64 {
        self.extents.iter().map(|part| part.length).sum()
    }

    /// What another disk has of such parts.
    pub fn parts_of(&self, other: &ChunkIndex) -> impl Iterator<Item = (ChunkId, Vec<u8>)> {
        other.parts(self.bits).into_iter().flatten().map(|part| (ChunkId::of(&part), part))
    }
}

fn list(rest: &mut Rest<'_>, end: &mut u64) -> Result<Vec<IndexPart>, ChunkIndexError> {
    let count = rest.number().ok_or(EARLY)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let length = rest.number().filter(|length| (1..=LIMIT - *end).contains(length)).ok_or(EARLY)?;
        parts.push(IndexPart { name: ChunkId(rest.bytes().ok_or(EARLY)?), offset: *end, length });
        *end += length;
    }
    Ok(parts)
}

impl ChunkIndex {
    /// Extents and clusters, cut into parts.
    pub(super) fn parts(&self, bits: u32) -> [Vec<Vec<u8>>; 2] {
        let mut extents = Parts::new(bits);
        for extent in &self.extents {
            match extent {
                Extent::Zeros { blocks } => extents.add(None, |out| put(out, blocks << 1)),
                Extent::Chunk { blocks, id } => extents.add(Some(u64::from_be_bytes(id.0)), |out| {
                    put(out, blocks << 1 | 1);
                    out.extend_from_slice(&id.0);
                }),
            }
        }
        let (mut clusters, mut next) = (Parts::new(bits), 0);
        for cluster in &self.clusters {
            let frame = Some(cluster.length).filter(|_| cluster.compressed);
            // Multiplied, because lengths of frames have no bits that are evenly spread.
            clusters.add(frame.map(|length| length.wrapping_mul(0x9e37_79b9_7f4a_7c15)), |out| {
                put(out, cluster.number - next);
                put(out, frame.unwrap_or(0));
            });
            next = cluster.number + 1;
        }
        [extents.done(), clusters.done()]
    }
}

/// Parts as they are cut.
struct Parts {
    bits: u32,
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
    entries: usize,
}

impl Parts {
    fn new(bits: u32) -> Parts {
        Parts { bits, done: Vec::new(), current: Vec::new(), entries: 0 }
    }

    /// Adds an entry, which ends a part if its hash begins with enough zeros.
    fn add(&mut self, hash: Option<u64>, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.current);
        self.entries += 1;
        if self.entries >= MOST << self.bits || hash.is_some_and(|hash| hash.leading_zeros() >= self.bits) {
            self.done.push(std::mem::take(&mut self.current));
            self.entries = 0;
        }
    }

    fn done(mut self) -> Vec<Vec<u8>> {
        self.done.extend(Some(self.current).filter(|rest| !rest.is_empty()));
        self.done
    }
}
