//! Artifacts that refer to a build: signatures, attestations, SBOMs.
//!
//! Input: files that say something of a build, or a place that has some. Output: an artifact of its own for each, whose subject is the
//! build. Anybody who may push may add some, so those that are read are bounded in number and bytes, and whatever is wrong with one
//! hides no other.

use std::collections::BTreeMap;

use super::place::Place;
use super::{ATTESTATION, CYCLONEDX, SIGNATURE, SPDX};
use crate::oci::{ArtifactManifest, Descriptor, EMPTY, EMPTY_TYPE, MANIFEST_TYPE, OciError, Upload};
use crate::ops::error::OpsError;

/// A manifest of one has a few layers.
const MANIFEST_LIMIT: u64 = 16 << 10;
/// So many are looked at, the latest first: whoever may push may add some that are none.
const MAX_CANDIDATES: usize = 1024;
/// So many bytes of them.
const MAX_BYTES: u64 = 256 << 20;

/// What is said of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReferrerKind {
    /// `signed.json`, and a signature over it.
    Signature,
    /// A DSSE envelope with an in-toto statement.
    Attestation,
    /// An SBOM in SPDX's JSON.
    Spdx,
    /// An SBOM in CycloneDX's JSON.
    CycloneDx,
}

impl ReferrerKind {
    /// By which registries list them.
    pub(super) fn artifact_type(self) -> &'static str {
        match self {
            ReferrerKind::Signature => SIGNATURE,
            ReferrerKind::Attestation => ATTESTATION,
            ReferrerKind::Spdx => SPDX,
            ReferrerKind::CycloneDx => CYCLONEDX,
        }
    }
}

/// Files that say something of a build.
pub(super) struct Referrer {
    pub(super) kind: ReferrerKind,
    pub(super) layers: Vec<(Descriptor, Upload)>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Referrer {
    /// One file, of the type that its artifact has.
    pub(super) fn file(kind: ReferrerKind, (title, bytes): (&str, Vec<u8>)) -> Referrer {
        let layer = (Descriptor::of(kind.artifact_type(), &bytes).titled(title), Upload::Bytes(bytes));
        Referrer { kind, layers: vec![layer], annotations: BTreeMap::new() }
    }

    /// Pushes it beside what it is of. The same files again are the same artifact.
    pub(super) fn push(&self, place: &Place<'_>, subject: &Descriptor) -> Result<(), OpsError> {
        let empty = (Descriptor::of(EMPTY_TYPE, EMPTY), Upload::Bytes(EMPTY.to_vec()));
        let blobs: Vec<_> = self.layers.iter().chain([&empty]).map(|(layer, upload)| (layer, upload)).collect();
        place.put(&blobs, &|_| ())?;
        let layers = self.layers.iter().map(|(layer, _)| layer.clone()).collect();
        let mut manifest = ArtifactManifest::new(self.kind.artifact_type(), layers, self.annotations.clone());
        manifest.subject = Some(Descriptor::new(MANIFEST_TYPE, subject.digest.0, subject.size));
        Ok(place.refer(subject.digest, &manifest)?)
    }
}

/// What takes an artifact that refers to a build, and reads what it needs of its layers.
pub(super) type Take<'a> = &'a mut dyn FnMut(&mut ReferrerReader<'_>, &ArtifactManifest) -> Result<(), OciError>;

/// How artifacts were read.
pub(super) struct ReadReferrers {
    /// The first failure that may be due to one of them alone.
    pub(super) failure: Option<OciError>,
    /// How many were left out, since there are too many or they are too large.
    pub(super) left: usize,
}

/// Reads artifacts that refer to a build.
pub(super) struct ReferrerReader<'a> {
    place: &'a Place<'a>,
    kind: ReferrerKind,
    /// What was read so far.
    bytes: u64,
}

impl ReferrerReader<'_> {
    /// Hands on all of a kind that a place has of a build, the latest first.
    pub(super) fn all(
        place: &Place<'_>,
        (subject, kind): (&Descriptor, ReferrerKind),
        take: Take<'_>,
    ) -> Result<ReadReferrers, OpsError> {
        let mut reader = ReferrerReader { place, kind, bytes: 0 };
        let candidates = place.referrers(subject.digest, kind.artifact_type())?;
        let (mut failure, mut left) = (None, candidates.len());
        for candidate in candidates.iter().rev().take(MAX_CANDIDATES) {
            if reader.bytes > MAX_BYTES {
                break;
            }
            left -= 1;
            match reader.candidate(candidate, subject, take) {
                Ok(()) => {}
                // Whoever may push may add what is none, or lacks its files.
                Err(error) if error.is_of_one() => {
                    let is_other = error.is_mismatch() || matches!(error, OciError::NoArtifact(_));
                    failure = failure.or(Some(error).filter(|_| !is_other));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ReadReferrers { failure, left })
    }

    fn candidate(&mut self, candidate: &Descriptor, subject: &Descriptor, take: Take<'_>) -> Result<(), OciError> {
        let text = self.read("manifests", candidate, MANIFEST_LIMIT)?;
        let artifact = ArtifactManifest::read(&candidate.digest.to_string(), self.kind.artifact_type(), &text)?;
        let is_of = artifact.subject.as_ref().is_some_and(|found| found.digest == subject.digest);
        if is_of { take(self, &artifact) } else { Ok(()) }
    }

    /// The bytes of a layer, which is refused unread if it is said to be larger than `limit`.
    pub(super) fn layer(&mut self, layer: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        self.read("blobs", layer, limit)
    }

    fn read(&mut self, kind: &str, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        if descriptor.size <= limit {
            // What is read in vain counts as well.
            self.bytes += descriptor.size;
        }
        self.place.unproven(kind, descriptor, limit)
    }
}
