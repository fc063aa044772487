//! Which builds this store has carried out by itself, step by step: only those can be attested with a key of its user.
//!
//! Input: a manifest, and what the build has come from. Output: a note of the store, which `kiln gc` removes when it is old, as any
//! note: the build can be attested by its recipe then.

use super::error::OpsError;
use crate::base::Digest;
use crate::deliver::manifest::Manifest;
use crate::exec::Realized;
use crate::store::Store;

fn name(manifest: &Manifest) -> Digest {
    let manifest = Digest::of(manifest.write().as_bytes());
    Digest::of(format!("build {manifest}, all steps of which were carried out in this store").as_bytes())
}

/// Whether every step of a build is this store's own, from nothing, and out of what the lock pins.
pub(super) fn is_own(manifest: &Manifest, realized: &Realized) -> bool {
    realized.taken().next().is_none() && manifest.incremental.is_empty() && manifest.local.is_empty()
}

/// Remembers such a build.
pub(super) fn remember(store: &Store, (manifest, realized): (&Manifest, &Realized)) -> Result<(), OpsError> {
    if is_own(manifest, realized) {
        store.note(&name(manifest), b"")?;
    }
    Ok(())
}

/// Whether a build with this manifest was one.
pub(super) fn has(store: &Store, manifest: &Manifest) -> bool {
    store.recall(&name(manifest)).is_some()
}
