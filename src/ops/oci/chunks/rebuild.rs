//! One disk: its content out of earlier disks and ranges of the new image, then the image out of its content.
//!
//! The content grows in a file of the store's `part` directory: an interrupted pull leaves it, and the next one goes on with the chunks
//! in it that are what the index says.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::at_once::at_once;
use super::ranges::{FetchRange, ranges};
use super::sources::{Earlier, Sources};
use super::{ChunkedDisk, NotRebuilt, wanted};
use crate::base::{Digest, Foreign, Hasher};
use crate::exec::event::StepEvent;
use crate::format::chunks::{BLOCK, ChunkId, ChunkIndex, WRITER};
use crate::format::qcow2::{Qcow2Options, write_qcow2_until};
use crate::oci::{Descriptor, Registry};
use crate::ops::error::OpsError;
use crate::ops::event::OpsEvent;
use crate::ops::oci::stopped;
use crate::ops::session::Session;
use crate::store::{Store, Visibility};
use crate::world::fs;

/// If more of the image is missing than this many parts of a hundred, it is fetched whole.
const WORTHWHILE: u64 = 80;

/// A disk that is to be rebuilt.
pub(super) struct Rebuild<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) store: &'a Store,
    pub(super) registry: &'a Registry<'a>,
    /// The artifact that the disk is of.
    pub(super) subject: &'a Descriptor,
    pub(super) disk: &'a ChunkedDisk,
}

/// A chunk that no earlier disk has: where it begins, how many bytes it has, and its name.
type Missing = (u64, usize, ChunkId);

/// The content of a disk, as it grows.
pub(super) struct Content {
    pub(super) file: File,
    path: PathBuf,
}

impl Rebuild<'_> {
    /// Has the disk be in the store; gives the bytes that were fetched.
    pub(super) fn run(&self) -> Result<u64, NotRebuilt> {
        let digest = self.disk.image.digest.0;
        let _alone = self.store.lock(&digest, &stopped)?;
        if self.store.has(&digest) {
            return Err(NotRebuilt::Useless);
        }
        match self.by_delta() {
            Ok(Some(fetched)) => return Ok(fetched),
            // Chunks do as well.
            Ok(None) | Err(NotRebuilt::Useless) => {}
            Err(NotRebuilt::Told(why)) => self.warn("a delta to it is of no use", &why),
            Err(fatal) => return Err(fatal),
        }
        let earlier = Earlier::all(self.store)?;
        if earlier.is_empty() {
            return Err(NotRebuilt::Useless);
        }
        let (index, of_index) = wanted::index(self.registry, self.disk, &earlier)?;
        if index.writer != WRITER() {
            return Err(NotRebuilt::Told("it was written by another version of kiln".to_owned()));
        }
        let content = self.content("content")?;
        let done = self.rebuild((&index, earlier), &content);
        // What an interrupted pull has found is used by the next one; what led to other bytes is not.
        if !matches!(done, Err(NotRebuilt::Fatal(_))) {
            content.remove()?;
        }
        // The index is not remembered: others may describe the same image, and a push sends the one that kiln makes of it.
        Ok(done? + of_index)
    }

    /// The file that the content grows in.
    pub(super) fn content(&self, what: &str) -> Result<Content, NotRebuilt> {
        let path = self.store.part_path(&Digest::of(format!("{what} of {}", self.disk.image.digest.0).as_bytes()));
        Ok(Content { file: fs::open_edit(&path)?, path })
    }

    pub(super) fn warn(&self, what: &str, why: &str) {
        let (file, why) = (Foreign(self.disk.image.title().unwrap_or_default()), Foreign(why));
        self.session.on(OpsEvent::Step(StepEvent::Warning { message: format!("{file}: {what}: {why}") }));
    }

    fn rebuild(&self, (index, earlier): (&ChunkIndex, Vec<Earlier>), content: &Content) -> Result<u64, NotRebuilt> {
        let missing = self.take_known(index, Sources::of(earlier, index), content)?;
        let cluster = 1u64 << index.cluster_bits;
        let wanted: BTreeSet<u64> =
            missing.iter().flat_map(|(at, size, _)| at / cluster..=(at + *size as u64 - 1) / cluster).collect();
        let ranges = ranges(&index.clusters, &wanted);
        let fetched = ranges.iter().map(|range| range.length).sum();
        if fetched > self.disk.image.size / 100 * WORTHWHILE {
            return Err(NotRebuilt::Useless);
        }
        self.fetch(&ranges, (content, index.cluster_bits))?;
        for (at, size, id) in &missing {
            if !content.has(*at, *size, id)? {
                let words = "the registry has other bytes than its index of chunks says";
                return Err(NotRebuilt::Told(words.to_owned()));
            }
        }
        self.finish((index.size, index.cluster_bits), content)?;
        Ok(fetched)
    }

    /// Takes what earlier disks and an earlier pull have; gives what is missing.
    fn take_known(
        &self,
        index: &ChunkIndex,
        mut sources: Sources,
        content: &Content,
    ) -> Result<Vec<Missing>, NotRebuilt> {
        let is_begun = fs::context("look at", &content.path, content.file.metadata())?.len() > 0;
        content.done(content.file.set_len(index.size.next_multiple_of(BLOCK as u64)))?;
        let mut missing = Vec::new();
        for (at, blocks, id) in index.chunks() {
            if stopped() {
                return Err(OpsError::Interrupted.into());
            }
            let size = blocks as usize * BLOCK;
            match sources.read(&id, blocks) {
                Some(bytes) => content.done(content.file.write_all_at(&bytes, at))?,
                None if is_begun && content.has(at, size, &id)? => {}
                None => missing.push((at, size, id)),
            }
        }
        Ok(missing)
    }

    /// Fetches ranges, several at a time; the first failure ends it.
    fn fetch(&self, ranges: &[FetchRange], (content, bits): (&Content, u32)) -> Result<(), NotRebuilt> {
        let bytes = ranges.iter().map(|range| range.length).sum();
        self.session.on(OpsEvent::Step(StepEvent::FetchPlanned { files: 1, bytes }));
        at_once(ranges, &|range| self.fetch_range(range, (content, bits)))?;
        let label = self.disk.image.title().unwrap_or_default().to_owned();
        self.session.on(OpsEvent::Step(StepEvent::Fetched { label }));
        Ok(())
    }

    fn fetch_range(&self, range: &FetchRange, (content, bits): (&Content, u32)) -> Result<(), NotRebuilt> {
        let bytes = self.registry.range(&self.disk.image, (range.offset, range.length))?;
        for cluster in &range.clusters {
            if stopped() {
                return Err(OpsError::Interrupted.into());
            }
            let from = (cluster.offset - range.offset) as usize;
            let unpacked = cluster.unpack(&bytes[from..from + cluster.length as usize], bits);
            let unpacked = unpacked.map_err(|error| {
                NotRebuilt::Told(format!("cluster {} of the image cannot be read: {error}", cluster.number))
            })?;
            content.done(content.file.write_all_at(&unpacked, cluster.number << bits))?;
        }
        self.session.on(OpsEvent::Step(StepEvent::FetchProgress { bytes: range.length }));
        Ok(())
    }

    /// Writes the image, and takes it into the store if it is the one that is wanted.
    pub(super) fn finish(&self, (size, cluster_bits): (u64, u32), content: &Content) -> Result<(), NotRebuilt> {
        // Clusters reach behind the end of a disk whose size is no multiple of theirs.
        content.done(content.file.set_len(size))?;
        let path = self.store.scratch("rebuild")?.join("disk");
        let image = fs::create_new(&path)?;
        let options = Qcow2Options { cluster_bits, ..Qcow2Options::default() };
        let written = write_qcow2_until(&content.file, &image, options, (&mut |_, _| {}, &stopped));
        if stopped() {
            return Err(OpsError::Interrupted.into());
        }
        written.map_err(|error| NotRebuilt::Told(error.to_string()))?;
        let mut hasher = Hasher::new(io::sink());
        fs::context("read", &path, io::copy(&mut fs::open(&path)?, &mut hasher))?;
        let (_, found, size) = hasher.finish();
        if (found, size) != (self.disk.image.digest.0, self.disk.image.size) {
            fs::remove_file(&path)?;
            return Err(NotRebuilt::Told("what was rebuilt is another image".to_owned()));
        }
        Ok(self.store.adopt_as(&path, found, Visibility::Owner)?)
    }
}

impl Content {
    pub(super) fn remove(&self) -> Result<(), NotRebuilt> {
        Ok(fs::remove_file(&self.path)?)
    }

    pub(super) fn done<T>(&self, result: io::Result<T>) -> Result<T, NotRebuilt> {
        Ok(fs::context("write", &self.path, result)?)
    }

    /// Whether a chunk is there.
    fn has(&self, at: u64, size: usize, id: &ChunkId) -> Result<bool, NotRebuilt> {
        let mut bytes = vec![0; size];
        self.done(self.file.read_exact_at(&mut bytes, at))?;
        Ok(ChunkId::of(&bytes) == *id)
    }
}
