//! The index of the disk that is wanted: the parts that those of earlier disks have, too, and the rest from the registry.
//!
//! What is put together from parts has the digest of no layer, and nobody asks for it: the index only says where bytes of the disk are
//! found, and the disk itself has to have its digest in the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::at_once::at_once;
use super::sources::Earlier;
use super::{ChunkedDisk, HEAD, NotRebuilt};
use crate::format::chunks::{self, ChunkId, ChunkIndex, IndexHead};
use crate::oci::Registry;

/// Bytes between two parts that are fetched as well, since the head of another request and of its answer have as many.
const MAX_GAP: u64 = 1 << 10;

/// The index, and how many bytes of it came from the registry.
pub(super) fn index(
    registry: &Registry<'_>,
    disk: &ChunkedDisk,
    earlier: &[Earlier],
) -> Result<(ChunkIndex, u64), NotRebuilt> {
    let told = |error: chunks::ChunkIndexError| NotRebuilt::Told(error.to_string());
    let layer = &disk.index;
    let head = layer.annotations.get(HEAD).and_then(|text| text.parse().ok());
    let (text, fetched) = match head.filter(|length| (1..layer.size).contains(length)) {
        Some(length) if layer.size <= chunks::LIMIT => {
            let begin = registry.range(layer, (0, length))?;
            let head = IndexHead::read(&begin).map_err(told)?;
            if (head.length, head.total()) != (length, layer.size) {
                let words = "the index of chunks has another size than its layer, or its head than is stated";
                return Err(NotRebuilt::Told(words.to_owned()));
            }
            let (text, missing) = known(&begin, &head, earlier);
            let (text, fetched) = (Mutex::new(text), length + missing.iter().map(|(_, size)| size).sum::<u64>());
            at_once(&missing, &|(from, size)| {
                let bytes = registry.range(layer, (*from, *size))?;
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text[*from as usize..][..bytes.len()].copy_from_slice(&bytes);
                Ok(())
            })?;
            (text.into_inner().unwrap_or_else(PoisonError::into_inner), fetched)
        }
        // One of an earlier kiln, or one that somebody copied without its annotations.
        _ => {
            let text = registry.small(layer, chunks::LIMIT)?;
            let size = text.len() as u64;
            (text, size)
        }
    };
    Ok((ChunkIndex::read(&text, disk.image.size).map_err(told)?, fetched))
}

/// The index as far as it is known, and the ranges of it that are not.
fn known(begin: &[u8], head: &IndexHead, earlier: &[Earlier]) -> (Vec<u8>, Vec<(u64, u64)>) {
    let mut text = begin.to_vec();
    text.resize(head.total() as usize, 0);
    let parts: BTreeMap<ChunkId, Vec<u8>> = earlier.iter().flat_map(|earlier| head.parts_of(&earlier.index)).collect();
    let mut missing: Vec<(u64, u64)> = Vec::new();
    for part in head.parts() {
        if let Some(bytes) = parts.get(&part.name).filter(|bytes| bytes.len() as u64 == part.length) {
            text[part.offset as usize..][..bytes.len()].copy_from_slice(bytes);
            continue;
        }
        let end = part.offset + part.length;
        match missing.last_mut().filter(|(from, size)| part.offset <= from + size + MAX_GAP) {
            Some((from, size)) => *size = end - *from,
            None => missing.push((part.offset, part.length)),
        }
    }
    (text, missing)
}
