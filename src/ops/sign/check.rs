//! Whether a result directory is signed by somebody who is trusted.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::accepted::{Accepted, AcceptedKind};
use super::trust::{Key, Trust};
use super::unchanged;
use crate::base::Timestamp;
use crate::deliver::manifest::Manifest;
use crate::deliver::statement::{self, BuildStatement};
use crate::format::signature::{MinisignSignature, SignatureError, SignaturePurpose, SshSignature};
use crate::ops::error::{OpsError, SignedError, SignerProblem};
use crate::ops::session::Session;
use crate::world::dir::Dir;
use crate::world::plain::Odd;

/// No signature is larger.
const LIMIT: u64 = 64 << 10;
/// Clocks differ.
const DAY: i64 = 86_400;

/// What is asked of a directory.
#[derive(Debug, Clone, Default)]
pub struct SignedRequest {
    /// The result directory.
    pub directory: PathBuf,
    /// The recipe that it is to be of.
    pub recipe: Option<String>,
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
}

/// The signature that a build must have before a machine of it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequiredSignature {
    /// Files of trusted keys besides the user's own.
    pub trusted: Vec<PathBuf>,
}

impl RequiredSignature {
    /// Refuses a directory without it, whose files have just been compared with this manifest.
    pub(in crate::ops) fn check(
        &self,
        session: &Session<'_>,
        directory: &Path,
        checked: (&Manifest, usize),
    ) -> Result<(), OpsError> {
        let trusted = self.trusted.clone();
        let request = SignedRequest { directory: directory.to_owned(), recipe: None, trusted };
        verify_known(session, &request, checked).map(drop)
    }
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// As the file of trusted keys calls them.
    pub name: String,
    /// Their key.
    pub key: String,
}

/// A directory that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedReport {
    /// How many files were compared.
    pub checked: usize,
    /// The recipe.
    pub recipe: String,
    /// By whom.
    pub signers: Vec<Signer>,
    /// When.
    pub signed: Timestamp,
    /// Until when it counts.
    pub expires: Option<Timestamp>,
}

/// Compares every file with the manifest, the manifest with what was signed, and the signatures with the trusted keys.
pub fn verify(session: &Session<'_>, request: &SignedRequest) -> Result<SignedReport, OpsError> {
    // Without any trusted key, nothing is read.
    Trust::read(session.world, &request.trusted)?;
    let (manifest, checked) = unchanged(session, &request.directory)?;
    verify_known(session, request, (&manifest, checked))
}

/// The same of a directory whose files have just been compared with this manifest.
pub(in crate::ops) fn verify_known(
    session: &Session<'_>,
    request: &SignedRequest,
    (manifest, checked): (&Manifest, usize),
) -> Result<SignedReport, OpsError> {
    let trust = Trust::read(session.world, &request.trusted)?;
    let refuse = |problem| OpsError::from(SignedError::Directory { directory: request.directory.clone(), problem });
    let home = Dir::open_named(&request.directory)?;
    let text = file(&home, statement::FILE, statement::LIMIT).map_err(refuse)?;
    let text = text.ok_or_else(|| refuse(SignerProblem::Unsigned(format!("it has no {}", statement::FILE))))?;
    let invalid = || SignerProblem::Unsigned(format!("{} is not a statement of kiln", statement::FILE));
    let statement = BuildStatement::read(&text).ok_or_else(|| refuse(invalid()))?;
    let keys = signed_by(&home, &trust, &text).map_err(refuse)?;
    if !statement.is_of(manifest) {
        return Err(refuse(SignerProblem::OtherBuild(statement.recipe)));
    }
    if let Some(expected) = request.recipe.as_ref().filter(|expected| **expected != statement.recipe) {
        let (found, expected) = (statement.recipe, expected.clone());
        return Err(refuse(SignerProblem::OtherRecipe { found, expected }));
    }
    let now = session.world.now();
    in_time(&statement, now).map_err(refuse)?;
    let mut accepted = Accepted::open(session.world, AcceptedKind::Signed)?;
    let mut signers = Vec::new();
    for key in keys {
        let name = trust.signer(&key, &statement.recipe, now).map_err(refuse)?;
        let key = key.shown();
        match accepted.newest(&statement.recipe, &key) {
            Some(newest) if newest > statement.signed => {
                let (signed, accepted) = (statement.signed, newest);
                return Err(refuse(SignerProblem::RolledBack { signer: name, signed, accepted }));
            }
            _ => signers.push(Signer { name, key }),
        }
    }
    for signer in &signers {
        accepted.add(&statement.recipe, &signer.key, statement.signed)?;
    }
    let BuildStatement { recipe, signed, expires, .. } = statement;
    Ok(SignedReport { checked, recipe, signers, signed, expires })
}

fn in_time(statement: &BuildStatement, now: Timestamp) -> Result<(), SignerProblem> {
    match statement.expires {
        Some(expires) if now >= expires => Err(SignerProblem::Expired(expires)),
        _ if statement.signed.0 > now.0 + DAY => Err(SignerProblem::Future(statement.signed)),
        _ => Ok(()),
    }
}

/// The keys of all signatures over the statement, each of which matches; there is at least one.
fn signed_by(home: &Dir, trust: &Trust, text: &[u8]) -> Result<Vec<Key>, SignerProblem> {
    let mut keys = Vec::new();
    if let Some(signature) = signature(home, statement::SSH_SIGNATURE)? {
        let wrong = |problem| SignerProblem::Wrong { file: statement::SSH_SIGNATURE, problem };
        let signature = SshSignature::read(&signature, SignaturePurpose::Build).map_err(wrong)?;
        signature.verify(text).map_err(wrong)?;
        keys.push(Key::Ssh(signature.key));
    }
    if let Some(signature) = signature(home, statement::MINISIGN_SIGNATURE)? {
        let wrong = |problem| SignerProblem::Wrong { file: statement::MINISIGN_SIGNATURE, problem };
        let signature = MinisignSignature::read(&signature).map_err(wrong)?;
        let number = format!("minisign {:016X}", u64::from_le_bytes(signature.number));
        let key = trust.minisign(signature.number).ok_or(SignerProblem::Unknown(number))?;
        signature.verify(&key, text).map_err(wrong)?;
        keys.push(Key::Minisign(key));
    }
    let none = || {
        SignerProblem::Unsigned(format!("it has no {} or {}", statement::SSH_SIGNATURE, statement::MINISIGN_SIGNATURE))
    };
    if keys.is_empty() { Err(none()) } else { Ok(keys) }
}

fn signature(home: &Dir, name: &'static str) -> Result<Option<String>, SignerProblem> {
    let wrong = |_| SignerProblem::Wrong { file: name, problem: SignatureError::Syntax("a text") };
    file(home, name, LIMIT)?.map(String::from_utf8).transpose().map_err(wrong)
}

/// A plain file of the directory, if there is one.
fn file(home: &Dir, name: &str, limit: u64) -> Result<Option<Vec<u8>>, SignerProblem> {
    let unsigned = |why: String| SignerProblem::Unsigned(format!("{name}: {why}"));
    let plain = match home.plain(name) {
        Err(Odd::Missing) => return Ok(None),
        other => other.map_err(|odd| unsigned(odd.to_string()))?,
    };
    let bytes = plain.read(limit).map_err(|error| unsigned(error.to_string()))?;
    if bytes.len() as u64 > limit { Err(unsigned(format!("it is larger than {limit} bytes"))) } else { Ok(Some(bytes)) }
}
