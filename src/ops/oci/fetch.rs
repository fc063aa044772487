//! Blobs of an artifact, from where it is into the store: several at a time, each going on where an earlier pull stopped.
//!
//! A blob grows in `part/SHA256` of the store, as every download does, and becomes one of the store's own only if it is what its
//! descriptor says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::place::Place;
use super::{PACKAGE, stopped};
use crate::base::Hasher;
use crate::exec::event::StepEvent;
use crate::oci::{Descriptor, OciError};
use crate::ops::error::{OpsError, RemoteError};
use crate::ops::event::OpsEvent;
use crate::ops::session::Session;
use crate::store::{Store, Visibility};
use crate::world::download::Sink;
use crate::world::fs;

/// Blobs at a time.
const PARALLEL: usize = 4;

/// Refuses files that the disk of the store cannot hold, before any of them is fetched: whoever pushes states sizes as they like.
pub(super) fn fits(store: &Store, what: &str, files: &[Descriptor]) -> Result<(), OpsError> {
    let begun = |file: &&Descriptor| store.part_path(&file.digest.0).metadata().map_or(0, |begun| begun.len());
    let missing = missing(store, files);
    let left = missing.iter().map(|file| file.size.saturating_sub(begun(file)));
    let bytes = left.fold(0, u64::saturating_add);
    match store.free() {
        Some(free) if bytes > free => {
            Err(RemoteError::NoRoom { reference: what.to_owned(), bytes, store: store.root().to_owned(), free }.into())
        }
        _ => Ok(()),
    }
}

fn missing<'a>(store: &Store, files: &'a [Descriptor]) -> Vec<&'a Descriptor> {
    let mut seen = std::collections::BTreeSet::new();
    files.iter().filter(|file| seen.insert(file.digest) && !store.has(&file.digest.0)).collect()
}

/// Fetches what the store lacks.
pub(super) fn all(
    session: &Session<'_>,
    store: &Store,
    (place, files): (&Place<'_>, &[Descriptor]),
) -> Result<(), OpsError> {
    let missing = missing(store, files);
    if missing.is_empty() {
        return Ok(());
    }
    let bytes = missing.iter().map(|file| file.size).sum();
    let steps = crate::ops::event::Steps::start(session.listener);
    session.on(OpsEvent::Step(StepEvent::FetchPlanned { files: missing.len() as u64, bytes }));
    let (next, error) = (AtomicUsize::new(0), Mutex::new(None));
    let failed = || error.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(missing.len()) {
            scope.spawn(|| {
                while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !failed()) {
                    if let Err(why) = one(session, store, (place, file)) {
                        error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                    }
                }
            });
        }
    });
    drop(steps);
    error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn one(session: &Session<'_>, store: &Store, (place, file): (&Place<'_>, &Descriptor)) -> Result<(), OpsError> {
    let digest = file.digest.0;
    let _alone = store.lock(&digest, &stopped)?;
    if store.has(&digest) {
        session.on(OpsEvent::Step(StepEvent::FetchProgress { bytes: file.size }));
        return Ok(());
    }
    let part = store.part_path(&digest);
    let told = |bytes| session.on(OpsEvent::Step(StepEvent::FetchProgress { bytes }));
    loop {
        let mut sink = Part::open(store, file, &told)?;
        let resumed = sink.have() > 0;
        if sink.have() < file.size {
            place.blob(file, &mut sink).map_err(|error| in_store(store, error))?;
        }
        let (_, found, found_size) = sink.hasher.finish();
        if (found, found_size) == (digest, file.size) {
            // Packages are public; a disk may have private files in it, and nobody says which.
            let visibility = if file.media_type == PACKAGE { Visibility::Everybody } else { Visibility::Owner };
            store.adopt_as(&part, digest, visibility)?;
            let label = file.title().unwrap_or_default().to_owned();
            session.on(OpsEvent::Step(StepEvent::Fetched { label }));
            return Ok(());
        }
        fs::remove_file(&part)?;
        // The wrong bytes may be those of an earlier pull from somewhere else, which this one only continued.
        if !resumed {
            let what = file.title().unwrap_or_default().to_owned();
            let (expected, expected_size) = (digest, file.size);
            return Err(OciError::Wrong { what, expected, expected_size, found, found_size }.into());
        }
    }
}

/// A disk that is full is told as such.
fn in_store(store: &Store, error: OciError) -> OpsError {
    match error {
        OciError::World(error @ crate::world::WorldError::File { .. }) => store.failure(error).into(),
        other => other.into(),
    }
}

/// The beginning of a blob, which grows in the store.
struct Part<'a> {
    file: File,
    path: PathBuf,
    hasher: Hasher<io::Sink>,
    told: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Part<'a> {
    fn open(store: &Store, file: &Descriptor, told: &'a (dyn Fn(u64) + Sync)) -> Result<Part<'a>, OpsError> {
        let path = store.part_path(&file.digest.0);
        if path.metadata().is_ok_and(|known| known.len() > file.size) {
            fs::remove_file(&path)?;
        }
        let grown = store.open_part(&file.digest.0)?;
        let mut hasher = Hasher::new(io::sink());
        let read = io::copy(&mut (&grown).take(file.size), &mut hasher);
        fs::context("read", &path, read).map_err(|error| store.failure(error))?;
        told(hasher.count());
        Ok(Part { file: grown, path, hasher, told })
    }

    fn done(&self, verb: &'static str, result: io::Result<()>) -> Result<(), OciError> {
        Ok(fs::context(verb, &self.path, result)?)
    }
}

impl Sink for Part<'_> {
    type Error = OciError;

    fn have(&self) -> u64 {
        self.hasher.count()
    }

    fn restart(&mut self) -> Result<(), OciError> {
        self.hasher = Hasher::new(io::sink());
        self.done("truncate", self.file.set_len(0))
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), OciError> {
        let written = self.file.write_all(piece).and_then(|()| self.hasher.write_all(piece));
        self.done("write", written)?;
        (self.told)(piece.len() as u64);
        Ok(())
    }
}
