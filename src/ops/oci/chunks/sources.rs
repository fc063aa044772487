//! Where the store has chunks: in disks that it has, the newest first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;

use super::{IMAGE, index};
use crate::base::Digest;
use crate::format::chunks::{BLOCK, ChunkId, ChunkIndex};
use crate::format::qcow2::Qcow2Reader;
use crate::store::{Store, StoreError};
use crate::world::fs;

/// Disks that are read through: one that kiln has not read before takes seconds.
const MAX_DISKS: usize = 4;

/// A disk of the store.
pub(super) struct Earlier {
    pub(super) index: ChunkIndex,
    disk: Qcow2Reader<File>,
}

impl Earlier {
    /// The newest ones. A disk that cannot be read is none.
    pub(super) fn all(store: &Store) -> Result<Vec<Earlier>, StoreError> {
        let open = |(digest, path): (Digest, PathBuf)| {
            let file = fs::open(&path).ok()?;
            let index = ChunkIndex::read(&index(store, &digest, &file)?, file.metadata().ok()?.len()).ok()?;
            Some(Earlier { index, disk: Qcow2Reader::new(file).ok()? })
        };
        Ok(store.beginning_with(IMAGE, MAX_DISKS)?.into_iter().filter_map(open).collect())
    }
}

/// Chunks in disks of the store.
pub(super) struct Sources {
    disks: Vec<Qcow2Reader<File>>,
    /// In which disk a chunk is, and where.
    places: BTreeMap<ChunkId, (usize, u64)>,
}

impl Sources {
    /// Looks for chunks, in the newest disk first.
    pub(super) fn of(earlier: Vec<Earlier>, wanted: &ChunkIndex) -> Sources {
        let mut missing: BTreeSet<ChunkId> = wanted.chunks().map(|(_, _, id)| id).collect();
        let mut sources = Sources { disks: Vec::new(), places: BTreeMap::new() };
        for Earlier { index, disk } in earlier {
            for (at, _, id) in index.chunks().filter(|(_, _, id)| missing.remove(id)) {
                sources.places.insert(id, (sources.disks.len(), at));
            }
            sources.disks.push(disk);
        }
        sources
    }

    /// A chunk, if it is still what it was.
    pub(super) fn read(&mut self, id: &ChunkId, blocks: u64) -> Option<Vec<u8>> {
        let (disk, at) = *self.places.get(id)?;
        let mut bytes = vec![0; blocks as usize * BLOCK];
        self.disks[disk].read_at(at, &mut bytes).ok()?;
        (ChunkId::of(&bytes) == *id).then_some(bytes)
    }
}
