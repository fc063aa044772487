//! Attestations: what a builder says of a build, as an in-toto statement (v1) with SLSA provenance (v1) that a DSSE envelope carries.
//!
//! Input: a manifest and a lock, or the payload of an envelope from anybody. Output: the text of a statement, or what it claims. Whether
//! a signature counts is not known here.

mod beside;
mod dependencies;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use beside::{FILE, FILE_LIMIT, LIMIT, all_beside, envelopes};

use super::manifest::{self, Manifest};
use crate::base::{Digest, Foreign, Timestamp};
use crate::lock::Lock;

/// The type of a payload that is a statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What the statement says, which registries are told as well.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// How the parameters below are to be read.
const BUILD_TYPE: &str = "https://kiln.dev/build/v1";
/// A build has no more files.
const MAX_SUBJECTS: usize = 4096;

/// A file, a package, an address: whatever has a digest (`ResourceDescriptor` of in-toto).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Resource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    digest: BTreeMap<String, String>,
}

impl Resource {
    fn named(name: &str, digest: &Digest) -> Resource {
        Resource { name: Some(name.to_owned()), uri: None, digest: sha256(digest) }
    }
}

fn sha256(digest: &Digest) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), digest.hex())])
}

fn sha256_of(digests: &BTreeMap<String, String>) -> Option<Digest> {
    digests.get("sha256")?.parse().ok()
}

#[derive(Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Resource>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: ExternalParameters,
    internal_parameters: InternalParameters,
    #[serde(default)]
    resolved_dependencies: Vec<Resource>,
}

/// What was asked for: the lock says all else.
#[derive(Serialize, Deserialize)]
struct ExternalParameters {
    recipe: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// Digest of the lock's inputs.
    lock: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InternalParameters {
    output_version: u32,
}

#[derive(Serialize, Deserialize)]
struct RunDetails {
    builder: Builder,
    metadata: Metadata,
    #[serde(default)]
    byproducts: Vec<Resource>,
}

#[derive(Serialize, Deserialize)]
struct Builder {
    id: String,
    #[serde(default)]
    version: BTreeMap<String, String>,
}

/// The provenance's own times are those of a build, which may have been carried out over days.
#[derive(Serialize, Deserialize)]
struct Metadata {
    #[serde(rename = "kiln_attestedOn")]
    attested: Timestamp,
    #[serde(rename = "kiln_expiresOn", default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// When an attestation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttestedTime {
    /// When it was made.
    pub attested: Timestamp,
    /// From when on it no longer counts, if it says so.
    pub expires: Option<Timestamp>,
}

/// What was built, whoever did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildIdentity {
    pub recipe: String,
    /// Digest of the lock's inputs.
    pub lock: Digest,
    pub output_version: u32,
}

impl BuildIdentity {
    pub fn of(manifest: &Manifest) -> BuildIdentity {
        let Manifest { recipe, lock, output_version, .. } = manifest;
        BuildIdentity { recipe: recipe.clone(), lock: *lock, output_version: *output_version }
    }
}

/// What somebody says of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildClaim {
    pub build: BuildIdentity,
    /// Digest of every file.
    pub artifacts: BTreeMap<String, Digest>,
    /// Who says to have built it: the id that follows from a key.
    pub builder: String,
    /// When it was said, and for how long.
    pub time: AttestedTime,
    /// Digest of the build's `manifest.json`, where it is named.
    pub manifest: Option<Digest>,
}

/// A payload that says nothing of a build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not the JSON of a statement.
    #[error("not an in-toto statement with SLSA provenance of a build by kiln: {}", Foreign(.0))]
    Syntax(String),
    /// A statement about something else.
    #[error("its {what} is `{}`, not `{expected}`", Foreign(found))]
    Type { what: &'static str, found: String, expected: &'static str },
    /// A digest that is none.
    #[error("it has no SHA-256 of {}", Foreign(.0))]
    Digest(String),
    /// A file that has two digests.
    #[error("it has subject `{}` twice", Foreign(.0))]
    Twice(String),
    /// Too many files.
    #[error("it has {0} subjects (limit {MAX_SUBJECTS})")]
    Many(usize),
}

/// The text that a builder signs of a build.
pub fn statement((manifest, lock): (&Manifest, &Lock), builder: &str, time: AttestedTime) -> String {
    let AttestedTime { attested, expires } = time;
    let subject = manifest.artifacts.iter().map(|(name, file)| Resource::named(name, &file.sha256)).collect();
    let external_parameters = ExternalParameters {
        recipe: manifest.recipe.clone(),
        parameters: lock.recipe.params.clone(),
        lock: sha256(&manifest.lock),
    };
    let build_definition = BuildDefinition {
        build_type: BUILD_TYPE.to_owned(),
        external_parameters,
        internal_parameters: InternalParameters { output_version: manifest.output_version },
        resolved_dependencies: dependencies::of(lock),
    };
    let version = BTreeMap::from([("kiln".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    let run_details = RunDetails {
        builder: Builder { id: builder.to_owned(), version },
        metadata: Metadata { attested, expires },
        byproducts: vec![Resource::named(manifest::FILE, &manifest_digest(manifest))],
    };
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject,
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate { build_definition, run_details },
    };
    serde_json::to_string(&statement).expect("a statement has only strings and numbers")
}

impl BuildClaim {
    /// Reads a payload. Fields that other versions of kiln, or others, add are passed over, as in-toto wants it.
    pub fn read(payload: &[u8]) -> Result<BuildClaim, ClaimError> {
        let statement: Statement =
            serde_json::from_slice(payload).map_err(|error| ClaimError::Syntax(error.to_string()))?;
        let Statement { kind, subject, predicate_type, predicate } = statement;
        let BuildDefinition { build_type, external_parameters, internal_parameters, .. } = predicate.build_definition;
        for (what, found, expected) in [
            ("type", kind, STATEMENT_TYPE),
            ("predicate type", predicate_type, PREDICATE_TYPE),
            ("build type", build_type, BUILD_TYPE),
        ] {
            if found != expected {
                return Err(ClaimError::Type { what, found, expected });
            }
        }
        if subject.len() > MAX_SUBJECTS {
            return Err(ClaimError::Many(subject.len()));
        }
        let mut artifacts = BTreeMap::new();
        for Resource { name, digest, .. } in subject {
            let name = name.unwrap_or_default();
            let digest = sha256_of(&digest).ok_or_else(|| ClaimError::Digest(name.clone()))?;
            if artifacts.insert(name.clone(), digest).is_some() {
                return Err(ClaimError::Twice(name));
            }
        }
        let ExternalParameters { recipe, lock, .. } = external_parameters;
        let lock = sha256_of(&lock).ok_or_else(|| ClaimError::Digest("its lock".to_owned()))?;
        let build = BuildIdentity { recipe, lock, output_version: internal_parameters.output_version };
        let RunDetails { builder, metadata: Metadata { attested, expires }, byproducts } = predicate.run_details;
        let manifest = byproducts.iter().find(|one| one.name.as_deref() == Some(manifest::FILE));
        let manifest = manifest.and_then(|one| sha256_of(&one.digest));
        Ok(BuildClaim { build, artifacts, builder: builder.id, time: AttestedTime { attested, expires }, manifest })
    }

    /// Whether it is about a build with this manifest, and says of every file what the manifest does.
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        self.build == BuildIdentity::of(manifest) && self.artifacts == digests(manifest)
    }
}

/// The digest of `manifest.json` itself.
pub fn manifest_digest(manifest: &Manifest) -> Digest {
    Digest::of(manifest.write().as_bytes())
}

/// The digest of every file that a manifest lists.
pub fn digests(manifest: &Manifest) -> BTreeMap<String, Digest> {
    manifest.artifacts.iter().map(|(name, file)| (name.clone(), file.sha256)).collect()
}
