//! What makes a disk of one earlier disk: much less than the clusters that differ, for whoever has just that one.
//!
//! ```text
//! "kiln delta 1\n"
//! size, cluster bits, level, zstd version   what the qcow2 writer was given, and which one it was
//! new blocks, bytes of all steps, bytes of them as a zstd frame
//! the steps, packed: blocks * 4 + 0 (zeros), + 1 (new blocks), or + 2 (a copy) and blocks passed over in the earlier disk (zigzag)
//! the new blocks as a zstd frame, with the blocks that the earlier disk has in their place as its prefix
//! ```
//!
//! A cluster is compressed by itself and fetched whole, so that another file of 800 bytes costs two of them: its own, and that with its
//! inode. What is here is compressed against what it replaces. Numbers are LEB128. Anybody may have written it: a step that leaves the
//! disk, or more content than its image is worth, is refused before anything is read.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};

use super::cut::BLOCK;
use super::fields;
use super::index::{LARGEST, most_content};
use super::numbers::{Rest, put};
use super::{ChunkId, ChunkIndex, Extent, WriterVersion};
use crate::format::qcow2::Qcow2Reader;

const MAGIC: &[u8] = b"kiln delta 1\n";
/// Blocks that a delta brings, 32 MiB: what they replace is held in memory, as is what is made of them. Where more is new, chunks
/// do as well.
const MAX_NEW: u64 = 8 << 10;
/// Bytes that they are packed to. Content of which no more than half repeats anything is in chunks as small.
const MAX_PACKED: usize = 16 << 20;
/// Bytes of all steps.
const MAX_STEPS: u64 = 4 << 20;
/// Of a window, as a power of two: the new blocks and what they replace.
const MAX_WINDOW_LOG: u32 = 27;
/// Deltas are small, and written once.
const LEVEL: i32 = 12;
/// Of the table that finds what content repeats, as a power of two: four times more, as the level has it, finds next to nothing more.
const HASH_LOG: u32 = 21;
/// Blocks that are copied at once.
const AT_ONCE: u64 = 64;

/// Bytes of the largest delta.
pub const DELTA_LIMIT: u64 = MAX_PACKED as u64 + MAX_STEPS + (1 << 20);

/// Why bytes are no delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a delta of a disk: {0}")]
pub struct DeltaError(&'static str);

const EARLY: DeltaError = DeltaError("it ends too early, or has a number that is too large");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeltaStep {
    Zeros { blocks: u64 },
    New { blocks: u64 },
    Copy { blocks: u64, from: u64 },
}

/// A delta that describes a whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDelta {
    /// Bytes that the guest sees.
    pub size: u64,
    pub cluster_bits: u32,
    pub writer: WriterVersion,
    steps: Vec<DeltaStep>,
    new_blocks: u64,
    /// The new blocks, packed.
    packed: Vec<u8>,
}

/// Steps as they are found; neighbours of one kind are one step.
#[derive(Default)]
struct Steps(Vec<DeltaStep>);

impl Steps {
    fn add(&mut self, step: DeltaStep) {
        match (self.0.last_mut(), step) {
            (Some(DeltaStep::Zeros { blocks }), DeltaStep::Zeros { blocks: more })
            | (Some(DeltaStep::New { blocks }), DeltaStep::New { blocks: more }) => *blocks += more,
            (Some(DeltaStep::Copy { blocks, from }), DeltaStep::Copy { blocks: more, from: next })
                if *from + *blocks == next =>
            {
                *blocks += more;
            }
            _ => self.0.push(step),
        }
    }
}

/// Where packed blocks go, as long as they are few enough.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full |= self.bytes.len() + bytes.len() > MAX_PACKED;
        if !self.is_full {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskDelta {
    /// What makes a disk of another; nothing where so much is new that a delta is of no use.
    pub fn between<R: Read + Seek>(
        (old, old_index): (&mut Qcow2Reader<R>, &ChunkIndex),
        (new, new_index): (&mut Qcow2Reader<R>, &ChunkIndex),
    ) -> io::Result<Option<DiskDelta>> {
        let at_block: BTreeMap<u64, ChunkId> = old_index.chunks().map(|(at, _, id)| (at / BLOCK as u64, id)).collect();
        let places: BTreeMap<ChunkId, u64> = at_block.iter().map(|(block, id)| (*id, *block)).collect();
        let (mut steps, mut new_blocks) = (Steps::default(), 0);
        // Where the earlier disk is expected to go on.
        let mut next = 0u64;
        for extent in &new_index.extents {
            let blocks = extent.blocks();
            let step = match extent {
                Extent::Zeros { .. } => DeltaStep::Zeros { blocks },
                Extent::Chunk { id, .. } if at_block.get(&next) == Some(id) => DeltaStep::Copy { blocks, from: next },
                Extent::Chunk { id, .. } => match places.get(id) {
                    Some(from) => DeltaStep::Copy { blocks, from: *from },
                    None => DeltaStep::New { blocks },
                },
            };
            match step {
                DeltaStep::New { .. } => {
                    new_blocks += blocks;
                    if new_blocks > MAX_NEW {
                        return Ok(None);
                    }
                    next += blocks;
                }
                DeltaStep::Copy { from, .. } => next = from + blocks,
                DeltaStep::Zeros { .. } => next += blocks,
            }
            steps.add(step);
        }
        let mut delta = DiskDelta {
            size: new_index.size,
            cluster_bits: new_index.cluster_bits,
            writer: new_index.writer,
            steps: steps.0,
            new_blocks,
            packed: Vec::new(),
        };
        if delta.steps().len() as u64 > MAX_STEPS {
            return Ok(None);
        }
        let Some(packed) = delta.pack(new, &delta.replaced(old)?)? else { return Ok(None) };
        delta.packed = packed;
        Ok(Some(delta))
    }

    /// The new blocks, with what they replace. They are read as they are packed, and the packer is told how much they are, which
    /// is what it then holds of them. Nothing where that is of no use.
    fn pack<R: Read + Seek>(&self, new: &mut Qcow2Reader<R>, replaced: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(Packed::default(), LEVEL, replaced)?;
        let length = self.new_blocks * BLOCK as u64;
        let window = (length + replaced.len() as u64).next_power_of_two().ilog2();
        encoder.window_log(window.clamp(10, MAX_WINDOW_LOG))?;
        // Blocks go far before their like are found where much is new.
        encoder.long_distance_matching(window > 22)?;
        if window > 22 {
            encoder.set_parameter(zstd::zstd_safe::CParameter::HashLog(HASH_LOG))?;
        }
        encoder.set_pledged_src_size(Some(length))?;
        let (mut at, mut bytes) = (0, vec![0; AT_ONCE as usize * BLOCK]);
        for step in &self.steps {
            let (DeltaStep::Zeros { blocks } | DeltaStep::New { blocks } | DeltaStep::Copy { blocks, .. }) = *step;
            if let DeltaStep::New { .. } = step {
                for done in (0..blocks).step_by(AT_ONCE as usize) {
                    let bytes = &mut bytes[..AT_ONCE.min(blocks - done) as usize * BLOCK];
                    new.read_at((at + done) * BLOCK as u64, bytes)?;
                    encoder.write_all(bytes)?;
                    if encoder.get_ref().is_full {
                        return Ok(None);
                    }
                }
            }
            at += blocks;
        }
        let packed = encoder.finish()?;
        Ok(Some(packed.bytes).filter(|_| !packed.is_full))
    }

    /// What the earlier disk has in the place of the new blocks.
    fn replaced<R: Read + Seek>(&self, old: &mut Qcow2Reader<R>) -> io::Result<Vec<u8>> {
        let (mut replaced, mut next) = (Vec::new(), 0u64);
        for step in &self.steps {
            next = match *step {
                DeltaStep::New { blocks } => {
                    let begin = replaced.len();
                    replaced.resize(begin + blocks as usize * BLOCK, 0);
                    // What is behind the end is zeros.
                    old.read_at(next * BLOCK as u64, &mut replaced[begin..])?;
                    next + blocks
                }
                DeltaStep::Zeros { blocks } => next + blocks,
                DeltaStep::Copy { blocks, from } => from + blocks,
            };
        }
        Ok(replaced)
    }

    fn steps(&self) -> Vec<u8> {
        let (mut out, mut next) = (Vec::new(), 0u64);
        for step in &self.steps {
            next = match *step {
                DeltaStep::Zeros { blocks } => {
                    put(&mut out, blocks << 2);
                    next + blocks
                }
                DeltaStep::New { blocks } => {
                    put(&mut out, blocks << 2 | 1);
                    next + blocks
                }
                DeltaStep::Copy { blocks, from } => {
                    put(&mut out, blocks << 2 | 2);
                    let passed = from.wrapping_sub(next) as i64;
                    put(&mut out, ((passed << 1) ^ (passed >> 63)) as u64);
                    from + blocks
                }
            };
        }
        out
    }

    /// Its bytes.
    pub fn write(mut self) -> io::Result<Vec<u8>> {
        let steps = self.steps();
        let packed = zstd::stream::encode_all(steps.as_slice(), LEVEL)?;
        let mut head = MAGIC.to_vec();
        let disk = [self.size, u64::from(self.cluster_bits), self.writer.level, self.writer.zstd];
        let numbers = disk.into_iter().chain([self.new_blocks, steps.len() as u64, packed.len() as u64]);
        numbers.for_each(|number| put(&mut head, number));
        head.extend_from_slice(&packed);
        // In place: they may be all that there is memory for.
        self.packed.splice(0..0, head);
        Ok(self.packed)
    }

    /// Reads a delta to an image of so many bytes.
    pub fn read(bytes: &[u8], image_size: u64) -> Result<DiskDelta, DeltaError> {
        let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(DeltaError("it is of another format"))?);
        let disk = fields::read_disk(&mut rest).map_err(|_| DeltaError("no disk is like that"))?;
        let (size, cluster_bits, writer) = disk;
        let mut number = || rest.number().ok_or(EARLY);
        let (new_blocks, length, packed) = (number()?, number()?, number()?);
        if new_blocks > MAX_NEW || length > MAX_STEPS {
            return Err(DeltaError("it is larger than any"));
        }
        let packed = usize::try_from(packed).ok().filter(|packed| *packed <= rest.0.len()).ok_or(EARLY)?;
        let (steps, packed) = rest.0.split_at(packed);
        let steps = unpack_steps(steps, length).ok_or(EARLY)?;
        let steps = read_steps(Rest(&steps), size, most_content(image_size))?;
        let found: u64 = steps.iter().map(|step| if let DeltaStep::New { blocks } = step { *blocks } else { 0 }).sum();
        match found == new_blocks {
            true => Ok(DiskDelta { size, cluster_bits, writer, steps, new_blocks, packed: packed.to_vec() }),
            false => Err(DeltaError("it has other new blocks than it says")),
        }
    }

    /// Puts the content of the disk where `take` says, all that is no zeros.
    pub fn apply<R: Read + Seek>(
        &self,
        old: &mut Qcow2Reader<R>,
        take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let replaced = self.replaced(old)?;
        let mut new = zstd::stream::read::Decoder::with_ref_prefix(self.packed.as_slice(), &replaced)?;
        new.window_log_max(MAX_WINDOW_LOG)?;
        let (mut at, mut bytes) = (0, vec![0; AT_ONCE as usize * BLOCK]);
        for step in &self.steps {
            let (blocks, from) = match *step {
                DeltaStep::Zeros { blocks } => {
                    at += blocks * BLOCK as u64;
                    continue;
                }
                DeltaStep::New { blocks } => (blocks, None),
                DeltaStep::Copy { blocks, from } => (blocks, Some(from)),
            };
            for done in (0..blocks).step_by(AT_ONCE as usize) {
                let bytes = &mut bytes[..AT_ONCE.min(blocks - done) as usize * BLOCK];
                match from {
                    Some(from) => old.read_at((from + done) * BLOCK as u64, bytes)?,
                    None => new.read_exact(bytes)?,
                }
                take(at, bytes)?;
                at += bytes.len() as u64;
            }
        }
        Ok(())
    }
}

fn unpack_steps(packed: &[u8], length: u64) -> Option<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::new(packed).ok()?;
    decoder.window_log_max(MAX_WINDOW_LOG).ok()?;
    let mut steps = Vec::new();
    decoder.take(length + 1).read_to_end(&mut steps).ok()?;
    Some(steps).filter(|steps| steps.len() as u64 == length)
}

fn read_steps(mut rest: Rest<'_>, size: u64, most: u64) -> Result<Vec<DeltaStep>, DeltaError> {
    let (mut steps, mut left, mut next, mut content) = (Vec::new(), size.div_ceil(BLOCK as u64), 0u64, 0u64);
    while !rest.0.is_empty() {
        let word = rest.number().ok_or(EARLY)?;
        let blocks = word >> 2;
        left = left.checked_sub(blocks).filter(|_| blocks > 0).ok_or(DeltaError("its steps are those of no disk"))?;
        let step = match word & 3 {
            0 => DeltaStep::Zeros { blocks },
            1 => DeltaStep::New { blocks },
            2 => {
                let passed = rest.number().ok_or(EARLY)?;
                let passed = (passed >> 1) as i64 ^ -((passed & 1) as i64);
                let from = next.checked_add_signed(passed);
                let is_on_disk = |end: u64| end <= LARGEST / BLOCK as u64;
                let from = from.filter(|from| from.checked_add(blocks).is_some_and(is_on_disk));
                DeltaStep::Copy { blocks, from: from.ok_or(DeltaError("it copies what no disk has"))? }
            }
            _ => return Err(DeltaError("it has a step of another kind")),
        };
        next = if let DeltaStep::Copy { from, .. } = step { from } else { next } + blocks;
        content += if let DeltaStep::Zeros { .. } = step { 0 } else { blocks * BLOCK as u64 };
        steps.push(step);
    }
    if left > 0 {
        return Err(DeltaError("its steps are those of no disk"));
    }
    if content > most { Err(DeltaError("its content is too large for its image")) } else { Ok(steps) }
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
