//! Where the store has chunks: in disks that it has, the newest first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use super::{IMAGE, index};
use crate::format::chunks::{BLOCK, ChunkId, ChunkIndex};
use crate::format::qcow2::Qcow2Reader;
use crate::store::{Store, StoreError};
use crate::world::fs;

/// Disks that are read through: one that kiln has not read before takes seconds.
const MAX_DISKS: usize = 4;

/// Chunks in disks of the store.
pub(super) struct Sources {
    disks: Vec<Qcow2Reader<File>>,
    /// In which disk a chunk is, and where.
    places: BTreeMap<ChunkId, (usize, u64)>,
}

/// Whether there may be any.
pub(super) fn are_there(store: &Store) -> Result<bool, StoreError> {
    Ok(!store.beginning_with(IMAGE, 1)?.is_empty())
}

impl Sources {
    /// Looks for chunks until all are found. A disk that cannot be read has none.
    pub(super) fn open(store: &Store, wanted: &ChunkIndex) -> Result<Sources, StoreError> {
        let mut missing: BTreeSet<ChunkId> = wanted.chunks().map(|(_, _, id)| id).collect();
        let mut sources = Sources { disks: Vec::new(), places: BTreeMap::new() };
        for (digest, path) in store.beginning_with(IMAGE, MAX_DISKS)? {
            if missing.is_empty() {
                break;
            }
            let found = || {
                let file = fs::open(&path).ok()?;
                let known = ChunkIndex::read(&index(store, &digest, &file)?, file.metadata().ok()?.len()).ok()?;
                Some((known, Qcow2Reader::new(file).ok()?))
            };
            let Some((known, disk)) = found() else { continue };
            for (at, _, id) in known.chunks().filter(|(_, _, id)| missing.remove(id)) {
                sources.places.insert(id, (sources.disks.len(), at));
            }
            sources.disks.push(disk);
        }
        Ok(sources)
    }

    /// A chunk, if it is still what it was.
    pub(super) fn read(&mut self, id: &ChunkId, blocks: u64) -> Option<Vec<u8>> {
        let (disk, at) = *self.places.get(id)?;
        let mut bytes = vec![0; blocks as usize * BLOCK];
        self.disks[disk].read_at(at, &mut bytes).ok()?;
        (ChunkId::of(&bytes) == *id).then_some(bytes)
    }
}
