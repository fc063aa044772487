//! Clusters of an image that was written before, for one that is mostly the same.
//!
//! Input: an image of this very writer ([`writer`]); whoever hands it over answers for that. A cluster is taken from it only where
//! its content, unpacked, is byte for byte what the new image has at this place: a frame depends on nothing but that content, so it is
//! what compressing would give. Whatever cannot be read, or is something else, is compressed anew.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use zstd::bulk::Decompressor;

use super::{Qcow2Options, Qcow2Reader, StoredCluster};

/// Clusters that may differ, beside as many as were equal, before nothing more is looked up: a disk whose files have moved is
/// compressed sooner than compared.
const MISSES: usize = 64;

/// What decides the bytes of a frame besides its content. An image of another writer is none to take clusters from.
pub fn writer(options: Qcow2Options) -> String {
    let Qcow2Options { cluster_bits, level } = options;
    format!("qcow2 1, clusters of {cluster_bits} bits, zstd {} level {level}", zstd::zstd_safe::version_number())
}

/// The clusters of an earlier image.
pub struct EarlierImage {
    file: File,
    bits: u32,
    /// In the guest's order.
    stored: Vec<StoredCluster>,
    hits: AtomicUsize,
    misses: AtomicUsize,
}

/// What an earlier image has of a cluster.
pub(super) enum Found {
    Frame(Vec<u8>),
    /// It is stored as it is.
    Plain,
}

impl EarlierImage {
    /// Reads the tables of an image.
    pub fn read(file: File) -> io::Result<EarlierImage> {
        let mut reader = Qcow2Reader::new(&file)?;
        let (bits, stored) = (reader.cluster_bits(), reader.stored()?);
        Ok(EarlierImage { file, bits, stored, hits: AtomicUsize::new(0), misses: AtomicUsize::new(0) })
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// What there is for a cluster with this content; `scratch` has the size of a cluster.
    pub(super) fn find(&self, number: u64, content: &[u8], unpack: &mut (Decompressor<'_>, Vec<u8>)) -> Option<Found> {
        if content.len() != 1 << self.bits || self.is_of_no_use() {
            return None;
        }
        let at = self.stored.binary_search_by_key(&number, |stored| stored.number).ok()?;
        let found = self.compare(&self.stored[at], content, unpack);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn is_of_no_use(&self) -> bool {
        self.misses.load(Ordering::Relaxed) > MISSES + self.hits.load(Ordering::Relaxed)
    }

    fn compare(
        &self,
        stored: &StoredCluster,
        content: &[u8],
        (decompressor, scratch): &mut (Decompressor<'_>, Vec<u8>),
    ) -> Option<Found> {
        let mut bytes = vec![0; usize::try_from(stored.length).ok()?.min(2 * content.len())];
        self.fill(&mut bytes, stored.offset)?;
        if !stored.compressed {
            return (bytes == content).then_some(Found::Plain);
        }
        let length = zstd::zstd_safe::find_frame_compressed_size(&bytes).ok()?;
        // A frame that is no smaller than its cluster is none that is stored.
        if length >= content.len() {
            return None;
        }
        bytes.truncate(length);
        scratch.resize(content.len(), 0);
        let unpacked = decompressor.decompress_to_buffer(&bytes, &mut scratch[..]).ok()?;
        (scratch[..unpacked] == *content).then_some(Found::Frame(bytes))
    }

    /// The last frame of an image may end in its last sector without filling it.
    fn fill(&self, bytes: &mut [u8], offset: u64) -> Option<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        bytes[done..].fill(0);
        (done > 0).then_some(())
    }
}

#[cfg(test)]
#[path = "earlier_tests.rs"]
mod tests;
