//! Signatures of result directories, as artifacts that refer to the one that they are of.
//!
//! Anybody who may push may add some, so what is found is a guess until its keys are looked up: those that are no statement about
//! this build are passed over, and one by a trusted key is preferred to a newer one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::{MINISIGN_SIGNATURE, SIGNATURE, SSH_SIGNATURE, STATEMENT};
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
/// So many are looked at.
const MAX_CANDIDATES: usize = 16;

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

/// The signatures of a build that a place has, newest first.
pub(super) fn all(place: &Place<'_>, subject: &Descriptor, manifest: &Manifest) -> Result<Vec<Signature>, OpsError> {
    let mut found = Vec::new();
    for candidate in place.referrers(subject.digest, SIGNATURE)?.iter().rev().take(MAX_CANDIDATES) {
        match read(place, (candidate, subject), manifest) {
            Ok(Some(signature)) => found.push(signature),
            Ok(None) => {}
            // Whoever may push may add what is none.
            Err(error) if error.is_mismatch() || matches!(error, OciError::NoArtifact(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_by_key(|signature| std::cmp::Reverse(signature.statement.signed));
    Ok(found)
}

fn read(
    place: &Place<'_>,
    (candidate, subject): (&Descriptor, &Descriptor),
    manifest: &Manifest,
) -> Result<Option<Signature>, OciError> {
    let text = place.manifest_of(candidate)?;
    let artifact = ArtifactManifest::read(&candidate.digest.to_string(), SIGNATURE, &text)?;
    if artifact.subject.as_ref().map(|found| found.digest) != Some(subject.digest) {
        return Ok(None);
    }
    let mut files = BTreeMap::new();
    for name in statement::NAMES {
        let of = |layer: &&Descriptor| layer.title() == Some(name) && layer.media_type == media_type(name);
        if let Some(layer) = artifact.layers.iter().find(of) {
            files.insert(name, place.small(layer, limit(name))?);
        }
    }
    let statement = files.get(statement::FILE).and_then(|text| BuildStatement::read(text));
    let statement = statement.filter(|statement| statement.is_of(manifest) && files.len() > 1);
    Ok(statement.map(|statement| Signature { files, statement }))
}

/// What is asked of signatures.
pub(super) struct Wanted<'a> {
    pub(super) need: SignatureNeed,
    /// What is pulled, as it is called in errors.
    pub(super) what: &'a str,
    /// Files of trusted keys besides the user's own.
    pub(super) trusted: &'a [PathBuf],
}

/// Writes one of them into a directory: the newest by a trusted key, or else the newest. Who is trusted and signed it.
pub(super) fn choose(
    session: &Session<'_>,
    (directory, manifest): (&Path, &Manifest),
    (signatures, wanted): (&[Signature], &Wanted<'_>),
) -> Result<Vec<sign::Signer>, OpsError> {
    let (recipe, trusted) = (Some(manifest.recipe.clone()), wanted.trusted.to_vec());
    let signed = SignedRequest { directory: directory.to_owned(), recipe, trusted };
    // A signature that is there already is as good as one that comes.
    let known = of_directory(directory, manifest).ok().flatten();
    let mut refused = None;
    for signature in signatures.iter().chain(&known) {
        signature.write(directory)?;
        match sign::verify_known(session, &signed, (manifest, manifest.artifacts.len())) {
            Ok(report) => return Ok(report.signers),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match signatures.iter().chain(&known).next() {
        Some(newest) => newest.write(directory)?,
        None => remove(directory)?,
    }
    match (wanted.need, refused) {
        (SignatureNeed::None, _) => Ok(Vec::new()),
        (SignatureNeed::Trusted, Some(error)) => Err(named(wanted.what, error)),
        (SignatureNeed::Trusted, None) => {
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
