//! The lock: exactly which bits a recipe means.
//!
//! Input: a checked recipe and what the archives offer (`resolve`), or the text of a lock (`read`). Output: [`Lock`],
//! valid by construction, and its one canonical spelling (`write`). It must not know stores, steps or sandboxes.

#![warn(missing_docs)]

mod canonical;
mod contents;
mod described;
mod diff;
mod lines;
mod merge;
mod mismatch;
mod place;
mod purl;
mod read;
pub mod resolve;
mod salvage;
mod satisfies;
mod sides;
mod wire;
mod write;
mod written;

pub use described::recipe_digest;
pub use diff::{Change, diff};
pub use lines::{EditedLine, compared};
pub use merge::{Contested, Settled, has_sides, settle};
pub use mismatch::{LockLine, Mismatch};
pub use place::{NotAPlace, SourcePlace, public_url};
pub use purl::package_url;
pub use read::{ReadError, Remedy, read, read_changed};
pub use resolve::first_layer;
pub use salvage::{Lost, salvage, with_remedy};
pub use satisfies::satisfies;
pub use write::{inputs_digest, write};
pub use written::{OddPath, is_written, mended, odd_lines, stated_checksum, take_odd};

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Arch, Digest, Timestamp};
use crate::debian::archive::ArchiveRef;
use crate::debian::solve::Why;

/// Version of the file format.
pub const FORMAT: u32 = 1;
/// Rises whenever the bytes that kiln writes for the same lock would change; part of every step id.
pub const OUTPUT: u32 = 1;

/// No file is larger; so the sum of all sizes that a lock may state is a number that can be counted with.
pub const MAX_FILE: u64 = 1 << 40;

/// A set has at most so many layers: each of them is an archive of the whole root file system in a store.
pub const MAX_LAYERS: usize = 4;

/// Everything a build needs to know, and nothing that the builder's machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// [`OUTPUT`] of the kiln that wrote it.
    pub output_version: u32,
    /// Which recipe this is the lock of.
    pub recipe: LockedRecipe,
    /// `SOURCE_DATE_EPOCH`: the newest signed `Date` of the archives used, or the recipe's.
    pub epoch: Timestamp,
    /// Every UUID, GUID and hash seed is derived from it.
    pub seed: Digest,
    /// The archives of the recipe, and earlier states of them that still have something of this lock.
    pub archives: BTreeMap<ArchiveRef, LockedArchive>,
    /// Package sets by name, each in configure order. An image's set bears the image's name, a kernel's set the
    /// kernel's name with a suffix; see [`crate::recipe::packages::PackageSet::name`].
    pub sets: BTreeMap<String, Vec<LockedPackage>>,
    /// Of sets to which packages were added later: the layers below the last one, which are configured before it and stay as
    /// they are. The order of a set is that of its layers.
    pub layers: BTreeMap<String, Vec<LockedLayer>>,
    /// Files that are not binary packages: tarballs and Debian source packages, by name.
    pub sources: BTreeMap<String, LockedSource>,
    /// Kernels that the recipe compiles from a directory, and sources of builds that are one outside of its root, by the name of
    /// their [`crate::recipe::local::LocalReader`]: nothing here says what is in them.
    pub local: BTreeSet<String>,
    /// Kernels by name.
    pub kernels: BTreeMap<String, LockedKernel>,
    /// The uid and gid table of each image.
    pub images: BTreeMap<String, LockedImage>,
    /// Machines by name.
    pub machines: BTreeMap<String, LockedMachine>,
    /// Steps by name: the id that [`crate::plan`] gives them.
    pub steps: BTreeMap<String, Digest>,
    /// Artifacts by `MACHINE/FILE` or `IMAGE.FORMAT`, once built.
    pub outputs: BTreeMap<String, LockedOutput>,
}

/// The recipe's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedRecipe {
    /// Its stem.
    pub name: String,
    /// Digest over `files` and `params` in their canonical spelling.
    pub digest: Digest,
    /// Every file by path relative to the recipe's root.
    pub files: BTreeMap<String, Digest>,
    /// Every parameter.
    pub params: BTreeMap<String, String>,
}

/// One suite as it was when the lock was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedArchive {
    /// Suite.
    pub suite: String,
    /// Components read.
    pub components: Vec<String>,
    /// Whose packages were read.
    pub architecture: Arch,
    /// Repository on the snapshot service and in the mirror table.
    pub repository: String,
    /// The newest `Date` among the archives of this lock, where the snapshot service is asked.
    pub snapshot: Timestamp,
    /// SHA-256 of the signed `InRelease`, or of the `Release` that `Release.gpg` signs.
    pub inrelease: Digest,
    /// Fingerprints of the listed keys that signed it, upper-case hexadecimal.
    pub signed_by: Vec<String>,
    /// Its `Date`.
    pub date: Timestamp,
    /// Its `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// Every index read, by path relative to the suite's directory.
    pub indexes: BTreeMap<String, LockedFile>,
}

/// A file of a known size and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedFile {
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest,
}

/// One package of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Name.
    pub name: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Version.
    pub version: String,
    /// Key of [`Lock::archives`].
    pub archive: ArchiveRef,
    /// Path relative to the repository: `pool/main/...`.
    pub path: String,
    /// Its `.deb`.
    pub file: LockedFile,
    /// Why it is there.
    pub why: Why,
}

/// Packages of a set that were there before others were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedLayer {
    /// How many.
    pub packages: usize,
    /// [`Lock::epoch`] as it was when they were the whole set.
    pub epoch: Timestamp,
}

/// A source file or the files of a Debian source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSource {
    /// By file name.
    pub files: BTreeMap<String, LockedSourceFile>,
}

/// One file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSourceFile {
    /// Where it is published.
    pub place: SourcePlace,
    /// What it is.
    pub file: LockedFile,
}

/// What is known of a kernel before and after it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedKernel {
    /// Digest of the resolved `.config`, once configured.
    pub config: Option<Digest>,
    /// `uname -r` of the kernel, when known.
    pub release: Option<String>,
}

/// The users of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// Whether the next build may add users and groups, after which the table is complete.
    pub open: bool,
    /// uid by user name.
    pub users: BTreeMap<String, u32>,
    /// gid by group name.
    pub groups: BTreeMap<String, u32>,
}

/// The machine as it will be launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedMachine {
    /// Upstream QEMU version: `11.1.3`. Of one that is built, what the recipe says, which is compared once it is built.
    pub qemu: String,
    /// The output of a build that is this QEMU, `qemu from BUILD`, where it does not come from packages.
    pub qemu_output: Option<String>,
    /// `pc-q35-11.1`
    pub machine_type: String,
    /// The argv, with artifacts as placeholders.
    pub argv: Vec<String>,
    /// Once built: the properties in it that QEMU was asked about, and knows: `-device cxl-type3: addr, lsa, sn`.
    pub asked: Vec<String>,
}

/// One artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedOutput {
    /// Size and digest.
    pub file: LockedFile,
}

#[cfg(test)]
mod tests;
