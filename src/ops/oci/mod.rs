//! Result directories as OCI artifacts: pushed to a registry or an image layout, and pulled from there.
//!
//! An artifact is an OCI image manifest of kiln's own type with an empty configuration and one layer for each file:
//!
//! ```text
//! manifest.json                 the manifest of the result directory
//! NAME.lock                     the lock that it was built from
//! disk.qcow2, launch.json, ...  what the manifest lists
//! disk.qcow2.chunks             what a disk consists of, for whoever has an earlier one
//! qemu/PACKAGE.deb              the packages of the locked QEMU of each machine
//! ```
//!
//! Whoever pulls believes nothing: manifest and lock name every layer by digest, and a layer that neither names is refused. Titles of
//! layers never become paths. QEMU is unpacked from its packages by the step that the lock and the manifest agree on.

mod attached;
mod attestation;
mod chunks;
mod content;
mod deltas;
mod emulators;
mod fetch;
mod land;
mod layers;
mod place;
mod pull;
mod pulled;
mod push;
mod referrer;
mod signature;

pub(super) use attestation::all as attestations;
pub use chunks::RebuiltDisk;
pub use pull::{PullRequest, Pulled, pull};
pub use push::{PushRequest, Pushed, TakenTag, push};
pub use signature::SignatureNeed;

use std::sync::atomic::Ordering;

use crate::exec::interrupt;

/// The type of an artifact that is a result directory.
const RESULT: &str = "application/vnd.kiln.result.v1";
/// The type of an artifact that is a signature over one.
const SIGNATURE: &str = "application/vnd.kiln.signature.v1";
/// The type of an artifact that makes a disk of an earlier one, and of the file in it.
const DELTA: &str = "application/vnd.kiln.delta.v1";
/// The annotations with the SHA-256 of the disk that there was, and of the one that is made of it.
const DELTA_FROM: &str = "dev.kiln.delta.from";
const DELTA_TO: &str = "dev.kiln.delta.to";
/// The types of artifacts that are attestations and SBOMs, and of the one file in each: those that others know.
const ATTESTATION: &str = "application/vnd.dsse.envelope.v1+json";
const SPDX: &str = "application/spdx+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// Types of layers.
const MANIFEST: &str = "application/vnd.kiln.manifest.v1+json";
const LOCK: &str = "application/vnd.kiln.lock.v1+toml";
const ARTIFACT: &str = "application/vnd.kiln.artifact.v1";
const CHUNKS: &str = "application/vnd.kiln.chunks.v1";
const PACKAGE: &str = "application/vnd.debian.binary-package";
const STATEMENT: &str = "application/vnd.kiln.statement.v1+json";
const SSH_SIGNATURE: &str = "application/vnd.kiln.signature.ssh.v1";
const MINISIGN_SIGNATURE: &str = "application/vnd.kiln.signature.minisign.v1";

/// Whether the user has asked for an end.
pub(super) fn stopped() -> bool {
    interrupt::flag().load(Ordering::Relaxed)
}
