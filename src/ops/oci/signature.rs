//! Signatures of result directories, as artifacts that refer to the one that they are of.
//!
//! Anybody who may push may add some, so what is found is a guess until its keys are looked up: those that are no statement about
//! this build are passed over, and one by a trusted key is preferred to a newer one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::referrer::{Referrer, ReferrerKind, ReferrerReader};
use super::{MINISIGN_SIGNATURE, SSH_SIGNATURE, STATEMENT};
use crate::base::Timestamp;
use crate::deliver::manifest::Manifest;
use crate::deliver::statement::{self, BuildStatement};
use crate::oci::{ArtifactManifest, Descriptor, OciError, Upload};
use crate::ops::error::{OpsError, SignedError, SignerProblem};
use crate::ops::session::Session;
use crate::ops::sign::{self, SignedRequest};
use crate::world::OutputDirectory;
use crate::world::dir::Dir;
use crate::world::plain::Odd;

/// No signature is larger.
const LIMIT: u64 = 64 << 10;
/// What a statement may have besides what kiln writes.
const SLACK: u64 = 4 << 10;

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
    /// The artifact that it is pushed as.
    pub(super) fn referrer(&self) -> Referrer {
        let layer = |(name, bytes): (&&'static str, &Vec<u8>)| {
            (Descriptor::of(media_type(name), bytes).titled(name), Upload::Bytes(bytes.clone()))
        };
        let layers = self.files.iter().map(layer).collect();
        Referrer { kind: ReferrerKind::Signature, layers, annotations: BTreeMap::new() }
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
    let mut signatures = Vec::new();
    let longest = BuildStatement::of(manifest, Timestamp(i64::MAX), Some(Timestamp(i64::MAX))).write().len() as u64;
    // No statement about this build is longer.
    let longest = (longest + SLACK).min(statement::LIMIT);
    let read = ReferrerReader::all(place, (subject, ReferrerKind::Signature), &mut |reader, artifact| {
        signatures.extend(candidate(reader, artifact, (manifest, longest))?);
        Ok(())
    })?;
    signatures.sort_by_key(|signature: &Signature| std::cmp::Reverse(signature.statement.signed));
    Ok(Found { signatures, failure: read.failure })
}

fn candidate(
    reader: &mut ReferrerReader<'_>,
    artifact: &ArtifactManifest,
    (manifest, longest): (&Manifest, u64),
) -> Result<Option<Signature>, OciError> {
    let mut files = BTreeMap::new();
    for name in statement::NAMES {
        let of = |layer: &&Descriptor| layer.title() == Some(name) && layer.media_type == media_type(name);
        if let Some(layer) = artifact.layers.iter().find(of) {
            let limit = if name == statement::FILE { longest } else { LIMIT };
            files.insert(name, reader.layer(layer, limit)?);
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

/// Chooses one, of those that came and the one that is there: the newest by a trusted key, or else the newest. They are tried out in a directory of their own, so that the one
/// that is built stays as it is where none will do.
pub(super) fn choose(
    session: &Session<'_>,
    (stage, directory, manifest): (&Path, &Path, &Manifest),
    (found, wanted): (Found, &Wanted<'_>),
) -> Result<Choice, OpsError> {
    let (recipe, trusted) = (Some(manifest.recipe.clone()), wanted.trusted.to_vec());
    let signed = SignedRequest { directory: stage.to_owned(), recipe, trusted };
    let Found { mut signatures, failure } = found;
    // A signature that is there already is as good as one that comes; one's own may be newer.
    signatures.extend(of_directory(directory, manifest).ok().flatten());
    signatures.sort_by_key(|signature| std::cmp::Reverse(signature.statement.signed));
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
