//! The lock as TOML sees it: shapes without meaning. [`super::read()`] turns these into a checked [`super::Lock`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

use super::{LockedFile, MAX_FILE};
use crate::base::{Arch, Digest, Timestamp};

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom(format!("a file of {size} bytes is too large (limit {MAX_FILE})"));
    if size <= MAX_FILE { Ok(size) } else { Err(wrong()) }
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireLock {
    pub version: u32,
    pub output: u32,
    pub epoch: Timestamp,
    pub seed: Digest,
    pub checksum: Option<Digest>,
    pub recipe: WireRecipe,
    #[serde(default)]
    pub archives: BTreeMap<String, WireArchive>,
    #[serde(default)]
    pub sets: BTreeMap<String, WireSet>,
    #[serde(default)]
    pub sources: BTreeMap<String, BTreeMap<String, WireSourceFile>>,
    #[serde(default)]
    pub local: BTreeSet<String>,
    #[serde(default)]
    pub kernels: BTreeMap<String, WireKernel>,
    #[serde(default)]
    pub images: BTreeMap<String, WireImage>,
    #[serde(default)]
    pub machines: BTreeMap<String, WireMachine>,
    #[serde(default)]
    pub steps: BTreeMap<String, Digest>,
    #[serde(default)]
    pub outputs: BTreeMap<String, WireFile>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireRecipe {
    pub name: String,
    pub digest: Digest,
    #[serde(default)]
    pub files: BTreeMap<String, Digest>,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WireArchive {
    pub suite: String,
    pub components: Vec<String>,
    pub architecture: Arch,
    pub repository: String,
    pub snapshot: String,
    pub inrelease: Digest,
    pub signed_by: Vec<String>,
    pub date: Timestamp,
    pub valid_until: Option<Timestamp>,
    #[serde(default)]
    pub indexes: BTreeMap<String, WireFile>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireFile {
    #[serde(deserialize_with = "size")]
    pub size: u64,
    pub sha256: Digest,
}

impl From<WireFile> for LockedFile {
    fn from(wire: WireFile) -> LockedFile {
        LockedFile { size: wire.size, sha256: wire.sha256 }
    }
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireSet {
    pub packages: Vec<WirePackage>,
    /// `NAME:ARCHITECTURE` of each, in the order in which dpkg configures them.
    pub configure: Vec<String>,
    /// The layers below the last one.
    #[serde(default)]
    pub layers: Vec<WireLayer>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireLayer {
    pub packages: usize,
    pub epoch: Timestamp,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WirePackage {
    pub name: String,
    pub architecture: String,
    pub version: String,
    pub archive: String,
    pub path: String,
    #[serde(deserialize_with = "size")]
    pub size: u64,
    pub sha256: Digest,
    pub why: String,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireSourceFile {
    pub from: String,
    #[serde(deserialize_with = "size")]
    pub size: u64,
    pub sha256: Digest,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireKernel {
    pub config: Option<Digest>,
    pub release: Option<String>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields)]
pub(super) struct WireImage {
    #[serde(default)]
    pub open: bool,
    #[serde(default)]
    pub users: BTreeMap<String, u32>,
    #[serde(default)]
    pub groups: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WireMachine {
    pub qemu: String,
    pub qemu_output: Option<String>,
    pub machine_type: String,
    #[serde(default)]
    pub argv: Vec<String>,
    #[serde(default)]
    pub asked: Vec<String>,
}
