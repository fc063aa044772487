//! Artifacts that refer to a build: signatures, attestations, SBOMs, deltas of disks.
//!
//! Input: files that say something of a build, or a place that has some. Output: an artifact of its own for each, whose subject is the
//! build. Anybody who may push may add some, so those that are read are bounded in number and bytes, and whatever is wrong with one
//! hides no other.

use std::collections::BTreeMap;

use super::place::Place;
use super::{ATTESTATION, CYCLONEDX, DELTA, SIGNATURE, SPDX};
use crate::oci::{
    ArtifactManifest, Descriptor, EMPTY, EMPTY_TYPE, ListEnd, MANIFEST_TYPE, OciError, ReferrerList, Upload,
};
use crate::ops::error::OpsError;

/// A manifest of one has a few layers.
pub(super) const MANIFEST_LIMIT: u64 = 16 << 10;
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
    /// What makes a disk of an earlier one.
    Delta,
}

impl ReferrerKind {
    /// By which registries list them.
    pub(super) fn artifact_type(self) -> &'static str {
        match self {
            ReferrerKind::Signature => SIGNATURE,
            ReferrerKind::Attestation => ATTESTATION,
            ReferrerKind::Spdx => SPDX,
            ReferrerKind::CycloneDx => CYCLONEDX,
            ReferrerKind::Delta => DELTA,
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
    /// Whether the list of them was read to its end.
    pub(super) end: ListEnd,
}

impl ReadReferrers {
    /// What was left out, in words.
    pub(super) fn left_out(&self) -> Option<String> {
        let left =
            (self.left > 0).then(|| format!("{} of them were not read: they are too many or too large", self.left));
        let cut = (self.end == ListEnd::Cut).then(|| "its list of them was not read to the end".to_owned());
        let words: Vec<String> = left.into_iter().chain(cut).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// The first failure that may be due to one artifact alone.
struct Failures(Option<OciError>);

impl Failures {
    /// Passes over what is wrong with one artifact: whoever may push may add what is none, or lacks its files.
    fn pass<T>(&mut self, result: Result<T, OciError>) -> Result<Option<T>, OpsError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_of_one() => {
                let is_other = error.is_mismatch() || matches!(error, OciError::NoArtifact { .. });
                self.0 = self.0.take().or(Some(error).filter(|_| !is_other));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads artifacts that refer to a build.
pub(super) struct ReferrerReader<'a> {
    place: &'a Place<'a>,
    kind: ReferrerKind,
    /// What was read so far.
    bytes: u64,
}

impl ReferrerReader<'_> {
    /// Hands on all of a kind that a place has of a build, the latest first; of attestations, the small ones.
    pub(super) fn all(
        place: &Place<'_>,
        (subject, kind): (&Descriptor, ReferrerKind),
        take: Take<'_>,
    ) -> Result<ReadReferrers, OpsError> {
        let mut reader = ReferrerReader { place, kind, bytes: 0 };
        let ReferrerList { manifests: candidates, end } = place.referrers(subject.digest, kind.artifact_type())?;
        let mut failures = Failures(None);
        let mut artifacts = Vec::new();
        for candidate in candidates.iter().rev().take(MAX_CANDIDATES) {
            artifacts.extend(failures.pass(reader.artifact(candidate, subject))?.flatten());
        }
        if kind == ReferrerKind::Attestation {
            // What is huge takes nothing from what is not.
            let size = |artifact: &ArtifactManifest| {
                artifact.layers.iter().fold(0, |sum: u64, it| sum.saturating_add(it.size))
            };
            artifacts.sort_by_key(size);
        }
        let mut left = candidates.len().saturating_sub(MAX_CANDIDATES);
        for (at, artifact) in artifacts.iter().enumerate() {
            if reader.bytes > MAX_BYTES {
                left += artifacts.len() - at;
                break;
            }
            failures.pass(take(&mut reader, artifact))?;
        }
        Ok(ReadReferrers { failure: failures.0, left, end })
    }

    /// An artifact, if it refers to the build as it is listed.
    fn artifact(&mut self, candidate: &Descriptor, subject: &Descriptor) -> Result<Option<ArtifactManifest>, OciError> {
        let text = self.read("manifests", candidate, MANIFEST_LIMIT)?;
        let artifact = ArtifactManifest::read(&candidate.digest.to_string(), self.kind.artifact_type(), &text)?;
        let is_of = artifact.subject.as_ref().is_some_and(|found| found.digest == subject.digest);
        Ok(Some(artifact).filter(|_| is_of))
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
