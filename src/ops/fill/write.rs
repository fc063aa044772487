//! Writing files of a cache: what a result consists of, and what is signed about it. What is there already is compared before it is
//! relied on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use super::target::{CacheTarget, Fill};
use crate::base::{Digest, Hasher};
use crate::exec::interrupt;
use crate::oci::Connection;
use crate::ops::cache::config::CachePlace;
use crate::ops::cache::place::{Part, ReadProblem, Reader};
use crate::ops::cache::statement::SignedResult;
use crate::ops::cache::{RESULT_LIMIT, WINDOW_LOG, blob_name, most_compressed, result_name};
use crate::ops::error::OpsError;
use crate::ops::sign::Key;
use crate::store::{Output, Presence, Store, StoreError};
use crate::world::{World, fs};

/// zstd's own default: a third of the size in a hundredth of the time that a step takes.
const LEVEL: i32 = 3;

/// A cache that is filled from a store.
pub(super) struct CacheWriter<'a> {
    pub(super) store: &'a Store,
    world: &'a dyn World,
    place: &'a CachePlace,
    target: CacheTarget<'a>,
    files: Cell<u64>,
    bytes: Cell<u64>,
}

impl<'a> CacheWriter<'a> {
    pub(super) fn open(
        connection: Connection<'a>,
        store: &'a Store,
        place: &'a CachePlace,
    ) -> Result<CacheWriter<'a>, OpsError> {
        let (world, target) = (connection.world, CacheTarget::open(connection, store, place)?);
        Ok(CacheWriter { store, world, place, target, files: Cell::new(0), bytes: Cell::new(0) })
    }

    /// Files and bytes that were written.
    pub(super) fn written(&self) -> (u64, u64) {
        (self.files.get(), self.bytes.get())
    }

    fn reader(&self) -> Reader<'a> {
        Reader { world: self.world, stop: &interrupt::stopped }
    }

    /// What a result consists of. False for what this store does not have: it took the result and never needed its content, or
    /// has lost it. Whoever takes the result builds that step when the content is needed.
    pub(super) fn content(&self, output: &Output, mode: u32) -> Result<bool, OpsError> {
        match output {
            Output::File { digest, size, .. } => self.blob((digest, *size), mode),
            Output::Tree { root, messages, messages_size, .. } => {
                let is_whole = matches!(self.store.output(output)?, Presence::Good(_));
                if !is_whole || !self.store.has_sized(messages, *messages_size) {
                    return Ok(false);
                }
                self.blob((messages, *messages_size), mode)?;
                let name = blob_name(root);
                if self.target.may_be_read((Part::Trees, &name), mode)? && self.has_tree(&name, output)? {
                    return Ok(true);
                }
                self.write((Part::Trees, &name), mode, &mut |out| {
                    let mut compressor = compressor(out)?;
                    self.store.pack_tree(output, &mut compressor)?;
                    finished(compressor.finish().map(drop))
                })?;
                Ok(true)
            }
        }
    }

    fn blob(&self, (digest, size): (&Digest, u64), mode: u32) -> Result<bool, OpsError> {
        let Presence::Good(path) = self.store.check(digest)? else { return Ok(false) };
        let name = blob_name(digest);
        if self.target.may_be_read((Part::Blobs, &name), mode)? && self.has_blob(&name, digest, size)? {
            return Ok(true);
        }
        self.write((Part::Blobs, &name), mode, &mut |out| {
            let mut compressor = compressor(out)?;
            fs::context("compress", &path, io::copy(&mut fs::open(&path)?, &mut compressor))?;
            finished(compressor.finish().map(drop))
        })?;
        Ok(true)
    }

    /// Whether a file of the cache is what it should be: one that is not is written anew.
    fn has_blob(&self, name: &str, digest: &Digest, size: u64) -> Result<bool, OpsError> {
        Ok(self.uncompressed((Part::Blobs, name), size)? == Some(*digest))
    }

    /// The same of a tree: its stream must be the one that would be written.
    fn has_tree(&self, name: &str, tree: &Output) -> Result<bool, OpsError> {
        let found = self.uncompressed((Part::Trees, name), self.store.packed_size(tree)?)?;
        if found.is_none() {
            return Ok(false);
        }
        let mut expected = Hasher::new(io::sink());
        self.store.pack_tree(tree, &mut expected)?;
        Ok(found == Some(expected.finish().1))
    }

    /// The digest of what a file of the cache holds, if there is one that holds no more than so many bytes.
    fn uncompressed(&self, (part, name): (Part, &str), size: u64) -> Result<Option<Digest>, OpsError> {
        let content = Limited { hasher: Hasher::new(io::sink()), most: size };
        let mut decoder = zstd::stream::write::Decoder::new(content).map_err(cannot)?;
        decoder.window_log_max(WINDOW_LOG).map_err(cannot)?;
        let mut take = |piece: &[u8]| decoder.write_all(piece).map_err(|error| ReadProblem::Bad(error.to_string()));
        let read = self.reader().pour(self.place, (part, name), (most_compressed(size), &mut take));
        if !there(read)? || decoder.flush().is_err() {
            return Ok(None);
        }
        Ok(Some(decoder.into_inner().hasher.finish().1))
    }

    /// Whether the cache has this very result, signed by this key: whoever writes the cache decides what lies under its name.
    pub(super) fn says(&self, key: &Key, action: &Digest, outputs: &BTreeMap<String, Output>) -> bool {
        let name = &result_name(action, &key.file_name());
        let read = self.reader().small(self.place, (Part::Results, name), RESULT_LIMIT);
        let Some(signed) = read.ok().and_then(|bytes| SignedResult::read(&bytes).ok()) else { return false };
        let same = signed.statement(action).is_ok_and(|statement| statement.outputs() == *outputs);
        // Of minisign, the signature cannot be checked without the key: it is made anew.
        same && signed.key(None).is_ok_and(|signer| signer == *key)
    }

    pub(super) fn result(&self, name: &str, (signed, mode): (&SignedResult, u32)) -> Result<(), OpsError> {
        let text = signed.write();
        self.write((Part::Results, name), mode, &mut |out| {
            Ok(fs::context("write", Path::new(name), out.write_all(text.as_bytes()))?)
        })
    }

    fn write(&self, (part, name): (Part, &str), mode: u32, fill: Fill<'_>) -> Result<(), OpsError> {
        if interrupt::stopped() {
            return Err(OpsError::Interrupted);
        }
        if let Some(bytes) = self.target.write((part, name), mode, fill)? {
            self.files.set(self.files.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
        }
        Ok(())
    }
}

/// Hashes so many bytes and no more: whoever writes a cache decides how many a compressed file holds.
struct Limited {
    hasher: Hasher<io::Sink>,
    most: u64,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.hasher.count().saturating_add(bytes.len() as u64) > self.most {
            return Err(io::Error::other("more bytes than expected"));
        }
        self.hasher.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compressor<W: Write>(out: W) -> Result<zstd::Encoder<'static, W>, OpsError> {
    let mut compressor = zstd::Encoder::new(out, LEVEL).map_err(cannot)?;
    // Digests say more.
    compressor.include_checksum(false).map_err(cannot)?;
    Ok(compressor)
}

fn finished(result: io::Result<()>) -> Result<(), OpsError> {
    Ok(fs::context("write to", Path::new("the cache"), result)?)
}

fn cannot(error: io::Error) -> OpsError {
    OpsError::parse("zstd", error)
}

/// Whether a file was read to its end.
fn there(read: Result<(), ReadProblem>) -> Result<bool, OpsError> {
    match read {
        Ok(()) => Ok(true),
        Err(ReadProblem::Stopped) => Err(OpsError::Interrupted),
        Err(ReadProblem::Store(error)) => Err(StoreError::into(error)),
        Err(ReadProblem::Missing | ReadProblem::Bad(_) | ReadProblem::Down(_)) => Ok(false),
    }
}
