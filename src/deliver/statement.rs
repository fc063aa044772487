//! `signed.json`: what a signature says of a result directory. It is the file that is signed, so that `ssh-keygen` or minisign
//! alone can check it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::base::{Digest, Timestamp};

/// Version of the format.
const FORMAT: u32 = 1;
/// The statement, and signatures over it, beside the manifest.
pub const FILE: &str = "signed.json";
/// That of an SSH key.
pub const SSH_SIGNATURE: &str = "signed.json.sig";
/// That of minisign.
pub const MINISIGN_SIGNATURE: &str = "signed.json.minisig";
/// All names that a result directory may have besides what its manifest lists.
pub const NAMES: [&str; 3] = [FILE, SSH_SIGNATURE, MINISIGN_SIGNATURE];
/// No larger one is read.
pub const LIMIT: u64 = 4 << 20;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildStatement {
    format: u32,
    /// The recipe.
    pub recipe: String,
    /// Digest of `manifest.json`.
    pub manifest: Digest,
    /// Digest of the lock's inputs.
    pub lock: Digest,
    /// Output version of the kiln that built it.
    pub output_version: u32,
    /// Digest of every file.
    pub artifacts: BTreeMap<String, Digest>,
    /// When.
    pub signed: Timestamp,
    /// From when on it is not to be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl BuildStatement {
    /// What is to be said of a directory with this manifest.
    pub fn of(manifest: &Manifest, signed: Timestamp, expires: Option<Timestamp>) -> BuildStatement {
        BuildStatement {
            format: FORMAT,
            recipe: manifest.recipe.clone(),
            manifest: Digest::of(manifest.write().as_bytes()),
            lock: manifest.lock,
            output_version: manifest.output_version,
            artifacts: manifest.artifacts.iter().map(|(name, file)| (name.clone(), file.sha256)).collect(),
            signed,
            expires,
        }
    }

    /// Whether it says of a directory with this manifest what is true.
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        *self == BuildStatement::of(manifest, self.signed, self.expires)
    }

    /// Its text.
    pub fn write(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(self).expect("a statement has only strings and numbers"))
    }

    /// Reads a text; `None` when it is none of this version of kiln.
    pub fn read(text: &[u8]) -> Option<BuildStatement> {
        serde_json::from_slice(text).ok().filter(|statement: &BuildStatement| statement.format == FORMAT)
    }
}
