//! Outputs of steps out of a cache into the store: uncompressed piece by piece, never more bytes than were signed, and an object
//! of the store only when all digests are right.

use std::io::{self, Write};

use zstd::stream::write::Decoder;

use super::config::CachePlace;
use super::place::{Part, ReadProblem, Reader};
use super::{WINDOW_LOG, blob_name, most_compressed};
use crate::base::Digest;
use crate::exec::event::{StepEvent, StepListener};
use crate::store::{BlobWriter, Output, Store, StoreError, Taking, TreeWriter, Visibility};

/// The messages of no tree are larger.
const MESSAGES_LIMIT: u64 = 256 << 20;

/// Where outputs go, and who hears of it.
pub(in crate::ops) struct FetchTarget<'a> {
    pub(in crate::ops) store: &'a Store,
    pub(in crate::ops) listener: &'a dyn StepListener,
    pub(in crate::ops) visibility: Visibility,
}

/// A file of a cache and what is wrong with it.
type Failed = ((Part, String), ReadProblem);

impl FetchTarget<'_> {
    /// Has one output be in the store.
    pub(in crate::ops) fn output(
        &self,
        reader: &Reader<'_>,
        place: &CachePlace,
        (name, output): (&str, &Output),
    ) -> Result<(), Failed> {
        match output {
            Output::File { digest, size, .. } => self.blob(reader, place, (digest, *size))?,
            Output::Tree { root, messages, messages_size, .. } => {
                let file = (Part::Trees, blob_name(root));
                if *messages_size > MESSAGES_LIMIT {
                    return Err((file, ReadProblem::Bad("it is too large a tree".to_owned())));
                }
                if !self.store.has_sized(messages, *messages_size) {
                    self.blob(reader, place, (messages, *messages_size))?;
                }
                self.tree(reader, place, output).map_err(|problem| (file, problem))?;
            }
        }
        self.listener.on(StepEvent::Fetched { label: format!("{name} from {}", place.name) });
        Ok(())
    }

    fn blob(&self, reader: &Reader<'_>, place: &CachePlace, (digest, size): (&Digest, u64)) -> Result<(), Failed> {
        let file = blob_name(digest);
        let write = || {
            let mut unpacker = Unpacker::new(self, Target::Blob(self.store.writer().map_err(sorted)?), size)?;
            let mut take = |piece: &[u8]| unpacker.take(piece);
            reader.pour(place, (Part::Blobs, &file), (most_compressed(size), &mut take))?;
            match unpacker.end()? {
                Target::Blob(writer) => writer.finish_as(&(*digest, size), self.visibility).map_err(sorted),
                Target::Tree(_) => unreachable!("a blob was begun"),
            }
        };
        write().map_err(|problem| ((Part::Blobs, file.clone()), problem))
    }

    fn tree(&self, reader: &Reader<'_>, place: &CachePlace, tree: &Output) -> Result<(), ReadProblem> {
        let Output::Tree { root, .. } = tree else { unreachable!("only trees are unpacked") };
        let size = self.store.packed_size(tree).map_err(sorted)?;
        let writer = self.store.tree_writer(tree).map_err(sorted)?;
        let mut unpacker = Unpacker::new(self, Target::Tree(writer), size)?;
        let mut take = |piece: &[u8]| unpacker.take(piece);
        reader.pour(place, (Part::Trees, &blob_name(root)), (most_compressed(size), &mut take))?;
        match unpacker.end()? {
            Target::Tree(writer) => {
                let taking = Taking { private: self.visibility == Visibility::Owner, stop: reader.stop };
                writer.finish(taking).map_err(sorted)
            }
            Target::Blob(_) => unreachable!("a tree was begun"),
        }
    }
}

/// What the cache is to blame for, and what the store is.
fn sorted(error: StoreError) -> ReadProblem {
    match error {
        StoreError::Output(_) | StoreError::Tree { .. } | StoreError::Wrong { .. } => {
            ReadProblem::Bad(error.to_string())
        }
        StoreError::Interrupted => ReadProblem::Stopped,
        other => ReadProblem::Store(other),
    }
}

/// What is being written.
enum Target<'a> {
    Blob(BlobWriter<'a>),
    Tree(TreeWriter<'a>),
}

/// Uncompresses into a target, which takes so many bytes and no more.
struct Unpacker<'a> {
    decoder: Decoder<'static, Bounded<'a>>,
}

/// The target, and why it did not take something.
struct Bounded<'a> {
    target: Target<'a>,
    left: u64,
    listener: &'a dyn StepListener,
    refused: Option<ReadProblem>,
}

impl<'a> Unpacker<'a> {
    fn new(fetch: &FetchTarget<'a>, target: Target<'a>, size: u64) -> Result<Unpacker<'a>, ReadProblem> {
        fetch.listener.on(StepEvent::FetchPlanned { files: 1, bytes: size });
        let bounded = Bounded { target, left: size, listener: fetch.listener, refused: None };
        let decoder = Decoder::new(bounded).and_then(|mut decoder| {
            decoder.window_log_max(WINDOW_LOG)?;
            Ok(decoder)
        });
        Ok(Unpacker { decoder: decoder.map_err(|error| ReadProblem::Bad(error.to_string()))? })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ReadProblem> {
        let taken = self.decoder.write_all(piece);
        self.judged(taken)
    }

    /// Why something was not taken: because of the target, or because it cannot be uncompressed.
    fn judged(&mut self, taken: io::Result<()>) -> Result<(), ReadProblem> {
        taken.map_err(|error| {
            let refused = self.decoder.get_mut().refused.take();
            refused.unwrap_or_else(|| ReadProblem::Bad(format!("it cannot be uncompressed: {error}")))
        })
    }

    fn end(mut self) -> Result<Target<'a>, ReadProblem> {
        let flushed = self.decoder.flush();
        self.judged(flushed)?;
        let Bounded { target, left, .. } = self.decoder.into_inner();
        if left > 0 { Err(ReadProblem::Bad(format!("it ends {left} bytes too early"))) } else { Ok(target) }
    }
}

impl Bounded<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ReadProblem> {
        if bytes.len() as u64 > self.left {
            return Err(ReadProblem::Bad("it has more bytes than were signed".to_owned()));
        }
        match &mut self.target {
            Target::Blob(writer) => {
                writer.write_all(bytes).map_err(|error| ReadProblem::Store(writer.failure(error)))?;
            }
            Target::Tree(writer) => writer.take(bytes).map_err(sorted)?,
        }
        self.left -= bytes.len() as u64;
        self.listener.on(StepEvent::FetchProgress { bytes: bytes.len() as u64 });
        Ok(())
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.put(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(problem) => {
                self.refused = Some(problem);
                Err(io::Error::other("refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
