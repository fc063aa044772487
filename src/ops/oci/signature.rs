//! Signatures of result directories, as artifacts that refer to the one that they are of.
//!
//! Anybody who may push may add some, so what is found is a guess until its keys are looked up: those that are no statement about
//! this build are passed over, and one by a trusted key is preferred to a newer one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::{MINISIGN_SIGNATURE, SIGNATURE, SSH_SIGNATURE, STATEMENT};
use crate::base::Timestamp;
use crate::deliver::manifest::Manifest;
use crate::deliver::statement::{self, BuildStatement};
use crate::oci::{ArtifactManifest, Descriptor, EMPTY, EMPTY_TYPE, MANIFEST_TYPE, OciError, Upload};
use crate::ops::error::{OpsError, SignedError, SignerProblem};
use crate::ops::session::Session;
use crate::ops::sign::{self, SignedRequest};
use crate::world::OutputDirectory;
use crate::world::dir::Dir;
use crate::world::plain::Odd;

/// No signature is larger.
const LIMIT: u64 = 64 << 10;
/// A manifest of one has three layers at most.
const MANIFEST_LIMIT: u64 = 16 << 10;
/// What a statement may have besides what kiln writes.
const SLACK: u64 = 4 << 10;
/// So many are looked at, the latest first: whoever may push may add some that are none.
const MAX_CANDIDATES: usize = 1024;
/// So many bytes of them.
const MAX_BYTES: u64 = 256 << 20;

/// Whose signature a build must have to be pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignatureNeed {
    /// Nobody's.
    #[default]
    None,
    /// That of a key which is trusted with the recipe.
    Trusted,
}

/// A statement and the signatures over it, by file name.
pub(super) struct Signature {
    files: BTreeMap<&'static str, Vec<u8>>,
    statement: BuildStatement,
}

fn media_type(file: &str) -> &'static str {
    match file {
        statement::SSH_SIGNATURE => SSH_SIGNATURE,
        statement::MINISIGN_SIGNATURE => MINISIGN_SIGNATURE,
        _ => STATEMENT,
    }
}

fn limit(file: &str) -> u64 {
    if file == statement::FILE { statement::LIMIT } else { LIMIT }
}

/// The signature of a directory, if it has one; an error where it is of another build.
pub(super) fn of_directory(directory: &Path, manifest: &Manifest) -> Result<Option<Signature>, OpsError> {
    let refuse = |problem| OpsError::from(SignedError::Directory { directory: directory.to_owned(), problem });
    let home = Dir::open_named(directory)?;
    let mut files = BTreeMap::new();
    for name in statement::NAMES {
        let plain = match home.plain(name) {
            Err(Odd::Missing) => continue,
            other => other.map_err(|odd| refuse(SignerProblem::Unsigned(format!("{name}: {odd}"))))?,
        };
        let bytes = crate::world::fs::context("read", &directory.join(name), plain.read(limit(name)))?;
        if bytes.len() as u64 > limit(name) {
            return Err(refuse(SignerProblem::Unsigned(format!("{name}: it is larger than {} bytes", limit(name)))));
        }
        files.insert(name, bytes);
    }
    let Some(text) = files.get(statement::FILE) else { return Ok(None) };
    let statement = BuildStatement::read(text)
        .ok_or_else(|| refuse(SignerProblem::Unsigned(format!("{} is not a statement of kiln", statement::FILE))))?;
    if !statement.is_of(manifest) {
        return Err(refuse(SignerProblem::OtherBuild(statement.recipe)));
    }
    Ok(Some(Signature { files, statement }))
}

impl Signature {
    /// Pushes it beside what it is of.
    pub(super) fn push(&self, place: &Place<'_>, subject: &Descriptor) -> Result<(), OpsError> {
        let layer = |(name, bytes): (&&'static str, &Vec<u8>)| {
            (Descriptor::of(media_type(name), bytes).titled(name), Upload::Bytes(bytes.clone()))
        };
        let layers: Vec<(Descriptor, Upload)> = self.files.iter().map(layer).collect();
        let empty = (Descriptor::of(EMPTY_TYPE, EMPTY), Upload::Bytes(EMPTY.to_vec()));
        let blobs: Vec<_> = layers.iter().chain([&empty]).map(|(layer, upload)| (layer, upload)).collect();
        place.put(&blobs, &|_| ())?;
        let descriptors = layers.iter().map(|(layer, _)| layer.clone()).collect();
        let mut manifest = ArtifactManifest::new(SIGNATURE, descriptors, BTreeMap::new());
        manifest.subject = Some(Descriptor::new(MANIFEST_TYPE, subject.digest.0, subject.size));
        Ok(place.refer(subject.digest, &manifest)?)
    }

    /// Writes it beside the files that it is of.
    fn write(&self, directory: &Path) -> Result<(), OpsError> {
        remove(directory)?;
        let home = OutputDirectory::open(directory)?;
        for (name, bytes) in &self.files {
            home.write(OsStr::new(name), bytes, 0o644)?;
        }
        Ok(())
    }
}

/// Removes the signature of what was in a directory before.
pub(super) fn remove(directory: &Path) -> Result<(), OpsError> {
    let home = OutputDirectory::open(directory)?;
    for name in statement::NAMES {
        home.remove(OsStr::new(name))?;
    }
    Ok(())
}

/// What a place has said of a build.
#[derive(Default)]
pub(super) struct Found {
    /// Newest first.
    signatures: Vec<Signature>,
    /// The first that could not be fetched.
    failure: Option<OciError>,
}

/// The signatures of a build that a place has.
pub(super) fn all(place: &Place<'_>, subject: &Descriptor, manifest: &Manifest) -> Result<Found, OpsError> {
    let (mut signatures, mut failure) = (Vec::new(), None);
    let longest = BuildStatement::of(manifest, Timestamp(i64::MAX), Some(Timestamp(i64::MAX))).write().len() as u64;
    let mut reading = Reading { place, manifest, longest: (longest + SLACK).min(statement::LIMIT), bytes: 0 };
    for candidate in place.referrers(subject.digest, SIGNATURE)?.iter().rev().take(MAX_CANDIDATES) {
        if reading.bytes > MAX_BYTES {
            break;
        }
        match reading.candidate(candidate, subject) {
            Ok(signature) => signatures.extend(signature),
            // Whoever may push may add what is none, or lacks its files.
            Err(error) if error.is_of_one() => {
                let is_other = error.is_mismatch() || matches!(error, OciError::NoArtifact(_));
                failure = failure.or(Some(error).filter(|_| !is_other));
            }
            Err(error) => return Err(error.into()),
        }
    }
    signatures.sort_by_key(|signature| std::cmp::Reverse(signature.statement.signed));
    Ok(Found { signatures, failure })
}

/// Candidates as they are read.
struct Reading<'a> {
    place: &'a Place<'a>,
    manifest: &'a Manifest,
    /// No statement about this build is longer.
    longest: u64,
    /// What was read so far.
    bytes: u64,
}

impl Reading<'_> {
    fn read(&mut self, kind: &str, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OciError> {
        if descriptor.size <= limit {
            // What is read in vain counts as well.
            self.bytes += descriptor.size;
        }
        self.place.unproven(kind, descriptor, limit)
    }

    fn candidate(&mut self, candidate: &Descriptor, subject: &Descriptor) -> Result<Option<Signature>, OciError> {
        let text = self.read("manifests", candidate, MANIFEST_LIMIT)?;
        let artifact = ArtifactManifest::read(&candidate.digest.to_string(), SIGNATURE, &text)?;
        if artifact.subject.as_ref().map(|found| found.digest) != Some(subject.digest) {
            return Ok(None);
        }
        let mut files = BTreeMap::new();
        for name in statement::NAMES {
            let of = |layer: &&Descriptor| layer.title() == Some(name) && layer.media_type == media_type(name);
            if let Some(layer) = artifact.layers.iter().find(of) {
                let limit = if name == statement::FILE { self.longest } else { LIMIT };
                files.insert(name, self.read("blobs", layer, limit)?);
            }
        }
        let statement = files.get(statement::FILE).and_then(|text| BuildStatement::read(text));
        let statement = statement.filter(|statement| statement.is_of(self.manifest) && files.len() > 1);
        Ok(statement.map(|statement| Signature { files, statement }))
    }
}

/// What is asked of signatures.
pub(super) struct Wanted<'a> {
    pub(super) need: SignatureNeed,
    /// What is pulled, as it is called in errors.
    pub(super) what: &'a str,
    /// Files of trusted keys besides the user's own.
    pub(super) trusted: &'a [PathBuf],
}

/// What was chosen of them.
#[derive(Default)]
pub(super) struct Choice {
    signature: Option<Signature>,
    /// Who is trusted and signed it.
    pub(super) signers: Vec<sign::Signer>,
}

impl Choice {
    /// Makes it the signature of a directory.
    pub(super) fn write(&self, directory: &Path) -> Result<(), OpsError> {
        match &self.signature {
            Some(signature) => signature.write(directory),
            None => remove(directory),
        }
    }
}

/// Chooses one: the newest by a trusted key, or else the newest. They are tried out in a directory of their own, so that the one
/// that is built stays as it is where none will do.
pub(super) fn choose(
    session: &Session<'_>,
    (stage, directory, manifest): (&Path, &Path, &Manifest),
    (found, wanted): (Found, &Wanted<'_>),
) -> Result<Choice, OpsError> {
    let (recipe, trusted) = (Some(manifest.recipe.clone()), wanted.trusted.to_vec());
    let signed = SignedRequest { directory: stage.to_owned(), recipe, trusted };
    let Found { mut signatures, failure } = found;
    // A signature that is there already is as good as one that comes.
    signatures.extend(of_directory(directory, manifest).ok().flatten());
    let mut refused = None;
    for at in 0..signatures.len() {
        signatures[at].write(stage)?;
        match sign::verify_known(session, &signed, (manifest, manifest.artifacts.len())) {
            Ok(report) => {
                return Ok(Choice { signature: Some(signatures.swap_remove(at)), signers: report.signers });
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match (wanted.need, refused, failure) {
        (SignatureNeed::None, ..) => Ok(Choice { signature: signatures.into_iter().next(), signers: Vec::new() }),
        (SignatureNeed::Trusted, Some(error), _) => Err(named(wanted.what, error)),
        (SignatureNeed::Trusted, None, Some(failure)) => Err(failure.into()),
        (SignatureNeed::Trusted, None, None) => {
            let problem = SignerProblem::Unsigned("no signature came with it".to_owned());
            Err(SignedError::Directory { directory: wanted.what.into(), problem }.into())
        }
    }
}

/// What is wrong with the directory that nobody has seen yet is wrong with what is pulled.
fn named(what: &str, error: OpsError) -> OpsError {
    match error {
        OpsError::Signed(error) => match *error {
            SignedError::Directory { problem, .. } => SignedError::Directory { directory: what.into(), problem }.into(),
            other => other.into(),
        },
        other => other,
    }
}
