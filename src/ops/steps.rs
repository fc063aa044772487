//! Which steps a build consists of, remembered by the digest of its manifest, so that its directory alone names them.
//!
//! A manifest has static ids; results are kept under resolved ones.

use std::collections::BTreeSet;

use super::error::OpsError;
use crate::base::Digest;
use crate::deliver::manifest::Manifest;
use crate::exec::Realized;
use crate::store::Store;

/// Of a manifest.
pub(super) fn digest(manifest: &Manifest) -> Digest {
    Digest::of(manifest.write().as_bytes())
}

/// The name of the note with the steps of a build.
fn note(manifest: &Digest) -> Digest {
    Digest::of(format!("steps of build {manifest}").as_bytes())
}

/// Remembers the steps of a build.
pub(super) fn remember(store: &Store, (manifest, realized): (&Manifest, &Realized)) -> Result<(), OpsError> {
    let actions: BTreeSet<&Digest> = realized.actions.values().collect();
    let bytes: Vec<u8> = actions.into_iter().flat_map(|action| *action.as_bytes()).collect();
    Ok(store.note(&note(&digest(manifest)), &bytes)?)
}

/// The resolved ids of the steps of a build, if it was built with this store.
pub(super) fn of(store: &Store, manifest: &Digest) -> Option<BTreeSet<Digest>> {
    let bytes = store.recall(&note(manifest))?;
    let (actions, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| actions.iter().map(|bytes| Digest::from_bytes(*bytes)).collect())
}
