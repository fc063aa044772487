//! Disks by their chunks: who has an earlier version of a disk fetches only what is new, as ranges of the image in the registry, and
//! rebuilds the image from both. Where the registry has a delta to one of these earlier disks, that is all that is fetched.
//!
//! Input: the artifact's index of a disk, which anybody may have written, and disks in the store. Output: the disk in the store, if its
//! bytes have the digest of the artifact's manifest; otherwise nothing, and the whole file is fetched.

mod at_once;
mod delta;
mod ranges;
mod rebuild;
mod sources;
mod wanted;

use std::fs::File;
use std::io::Read;

use serde::Serialize;

use super::place::Place;
use crate::base::{Digest, Foreign};
use crate::exec::event::StepEvent;
use crate::format::chunks::{self, ChunkIndex, IndexHead};
use crate::format::qcow2::Qcow2Reader;
use crate::oci::{Descriptor, OciError};
use crate::ops::error::OpsError;
use crate::ops::event::{OpsEvent, Steps};
use crate::ops::session::Session;
use crate::store::{Store, StoreError};
use crate::world::WorldError;
use rebuild::Rebuild;

/// What qcow2 images begin with.
const IMAGE: &[u8] = b"QFI\xfb";

/// The annotation of a layer with an index: how many bytes of it name the rest.
const HEAD: &str = "dev.kiln.chunks.head";

/// A disk of an artifact, and the layer with its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChunkedDisk {
    pub(super) image: Descriptor,
    pub(super) index: Descriptor,
}

/// A disk that was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuiltDisk {
    /// Its name in the artifact.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// How many of them came from the registry: a delta, or ranges of the image and of its index.
    pub fetched: u64,
}

/// Why a disk is not rebuilt.
#[derive(Debug, thiserror::Error)]
enum NotRebuilt {
    /// Nothing will help.
    #[error(transparent)]
    Fatal(#[from] OpsError),
    /// The whole file is fetched.
    #[error("{0}")]
    Told(String),
    /// The same, and nobody needs to know why.
    #[error("nothing to rebuild it from")]
    Useless,
}

impl From<StoreError> for NotRebuilt {
    fn from(error: StoreError) -> NotRebuilt {
        NotRebuilt::Fatal(error.into())
    }
}

impl From<WorldError> for NotRebuilt {
    fn from(error: WorldError) -> NotRebuilt {
        NotRebuilt::Fatal(error.into())
    }
}

impl From<OciError> for NotRebuilt {
    fn from(error: OciError) -> NotRebuilt {
        match error {
            OciError::Interrupted | OciError::World(WorldError::File { .. }) => NotRebuilt::Fatal(error.into()),
            other => NotRebuilt::Told(other.to_string()),
        }
    }
}

/// The index of a file, if it is a qcow2 image as kiln writes them and is worth one. It is made of the image here, whatever came with
/// it, and remembered.
pub(super) fn index(store: &Store, digest: &Digest, file: &File) -> Option<Vec<u8>> {
    let size = file.metadata().ok()?.len();
    let name = note(digest);
    let known = store.recall(&name).filter(|text| ChunkIndex::read(text, size).is_ok());
    if known.is_some() {
        return known;
    }
    let mut begin = [0; IMAGE.len()];
    Read::read_exact(&mut &*file, &mut begin).ok().filter(|()| begin == *IMAGE)?;
    let text = ChunkIndex::of(&mut Qcow2Reader::new(file).ok()?, size).ok()?.write();
    let is_sound = text.len() as u64 <= chunks::LIMIT && ChunkIndex::read(&text, size).is_ok();
    // Not to remember costs a reading later.
    let _ = store.note(&name, &text);
    is_sound.then_some(text)
}

/// The layer with an index.
pub(super) fn layer(media_type: &str, (title, index): (&str, &[u8])) -> Descriptor {
    let mut layer = Descriptor::of(media_type, index).titled(title);
    let head = IndexHead::read(index).map(|head| (HEAD.to_owned(), head.length.to_string()));
    layer.annotations.extend(head);
    layer
}

/// Under what name the index of an image is remembered.
fn note(digest: &Digest) -> Digest {
    Digest::of(format!("own chunks 2 of {digest}").as_bytes())
}

/// Rebuilds the disks that the store lacks, where it has earlier ones. What cannot be rebuilt is left to be fetched as a whole.
pub(super) fn rebuild(
    session: &Session<'_>,
    store: &Store,
    (place, subject, disks): (&Place<'_>, &Descriptor, &[ChunkedDisk]),
) -> Result<Vec<RebuiltDisk>, OpsError> {
    let mut rebuilt = Vec::new();
    // A layout is on this host: its files are copied as they are.
    let Place::Registry(registry) = place else { return Ok(rebuilt) };
    for disk in disks.iter().filter(|disk| !store.has(&disk.image.digest.0)) {
        let _steps = Steps::start(session.listener);
        let file = disk.image.title().unwrap_or_default().to_owned();
        let done = Rebuild { session, store, registry, subject, disk }.run();
        match done {
            Ok(fetched) => rebuilt.push(RebuiltDisk { file, bytes: disk.image.size, fetched }),
            Err(NotRebuilt::Fatal(error)) => return Err(error),
            Err(NotRebuilt::Useless) => {}
            Err(NotRebuilt::Told(why)) => {
                let (file, why) = (Foreign(&file), Foreign(&why));
                let message = format!("{file}: not rebuilt from earlier disks, so that it is fetched whole: {why}");
                session.on(OpsEvent::Step(StepEvent::Warning { message }));
            }
        }
    }
    Ok(rebuilt)
}
