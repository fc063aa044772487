//! Deltas that are pushed with a build: what makes its disks of those that were pushed there before.
//!
//! Input: the layers of a push, and the disks of earlier ones that this store still has. Output: an artifact for each pair, which refers to
//! the build. The build itself is the same with them and without: whoever lacks the earlier disk, or the deltas, pulls chunks.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::CHUNKS_SUFFIX;
use super::referrer::{Referrer, ReferrerKind};
use super::{CHUNKS, DELTA_FROM as FROM, DELTA_TO as TO, RESULT, chunks};
use crate::base::Digest;
use crate::format::chunks::{ChunkIndex, DiskDelta};
use crate::format::qcow2::Qcow2Reader;
use crate::oci::{ArtifactManifest, Descriptor, Reference, Upload};
use crate::store::Store;
use crate::world::fs;

/// Earlier disks that a disk gets deltas from.
const MAX_EARLIER: usize = 2;
/// Digests that are remembered.
const MAX_KNOWN: usize = 4;
/// A delta has at most this part of its image: otherwise chunks do as well.
const PART: u64 = 4;

/// A build that may come after others.
pub(super) struct Successor<'a> {
    pub(super) store: &'a Store,
    pub(super) layers: &'a [(Descriptor, Upload)],
    pub(super) reference: &'a Reference,
}

/// A disk that is pushed, with its index.
struct Disk<'a> {
    name: &'a str,
    image: &'a Descriptor,
    file: &'a std::path::Path,
    index: &'a [u8],
}

impl<'a> Successor<'a> {
    /// Deltas from the disks of the artifact that had the tag (`before`) and of those that were pushed to the repository last.
    pub(super) fn deltas(&self, before: Option<&[u8]>) -> Vec<Referrer> {
        let before = before.and_then(|text| ArtifactManifest::read("", RESULT, text).ok());
        let mut deltas = Vec::new();
        for disk in self.disks() {
            let tagged = before.iter().flat_map(|artifact| &artifact.layers);
            let tagged = tagged.filter(|layer| layer.title() == Some(disk.name)).map(|layer| layer.digest.0);
            let mut seen = BTreeSet::from([disk.image.digest.0]);
            let earlier = tagged.chain(self.known(disk.name)).filter(|digest| seen.insert(*digest));
            let earlier = earlier.filter(|digest| self.store.has(digest)).take(MAX_EARLIER);
            // An earlier disk that cannot be read is none.
            deltas.extend(earlier.filter_map(|from| self.delta(&disk, &from)));
        }
        deltas
    }

    /// Remembers the disks for the next push to the repository.
    pub(super) fn remember(&self) {
        for disk in self.disks() {
            let (own, mut seen) = (disk.image.digest.0, BTreeSet::new());
            let all = std::iter::once(own).chain(self.known(disk.name)).filter(|digest| seen.insert(*digest));
            let text: String = all.take(MAX_KNOWN).map(|digest| format!("{digest}\n")).collect();
            // Not to remember costs those who pull a few bytes more.
            let _ = self.store.note(&self.note(disk.name), text.as_bytes());
        }
    }

    /// The disks; none for a layout, which is copied as a whole.
    fn disks(&self) -> Vec<Disk<'a>> {
        if matches!(self.reference, Reference::Layout(_)) {
            return Vec::new();
        }
        let named: BTreeMap<&str, &(Descriptor, Upload)> =
            self.layers.iter().filter_map(|layer| Some((layer.0.title()?, layer))).collect();
        let disk = |(layer, upload): &'a (Descriptor, Upload)| {
            let name = layer.title().filter(|_| layer.media_type == CHUNKS)?.strip_suffix(CHUNKS_SUFFIX)?;
            match (named.get(name)?, upload) {
                ((image, Upload::File(file)), Upload::Bytes(index)) => Some(Disk { name, image, file, index }),
                _ => None,
            }
        };
        self.layers.iter().filter_map(disk).collect()
    }

    fn delta(&self, disk: &Disk<'_>, from: &Digest) -> Option<Referrer> {
        let path = self.store.path(from).ok()?;
        let earlier = fs::open(&path).ok()?;
        let size = earlier.metadata().ok()?.len();
        let earlier_index = ChunkIndex::read(&chunks::index(self.store, from, &earlier)?, size).ok()?;
        let index = ChunkIndex::read(disk.index, disk.image.size).ok()?;
        let mut earlier = Qcow2Reader::new(earlier).ok()?;
        let mut new = Qcow2Reader::new(fs::open(disk.file).ok()?).ok()?;
        let delta = DiskDelta::between((&mut earlier, &earlier_index), (&mut new, &index)).ok()??;
        let bytes = delta.write().ok().filter(|bytes| bytes.len() as u64 <= disk.image.size / PART)?;
        let annotations = [(FROM, from.hex()), (TO, disk.image.digest.0.hex())];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value)).into();
        Some(Referrer { annotations, ..Referrer::file(ReferrerKind::Delta, (&format!("{}.delta", disk.name), bytes)) })
    }

    fn known(&self, disk: &str) -> Vec<Digest> {
        let text = self.store.recall(&self.note(disk)).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Under what name the disks that were pushed are remembered.
    fn note(&self, disk: &str) -> Digest {
        let place = match self.reference {
            Reference::Registry(reference) => format!("{}/{}", reference.server(), reference.name),
            Reference::Layout(_) => String::new(),
        };
        Digest::of(format!("disks pushed to {place} as {disk}").as_bytes())
    }
}
