//! Signs a result directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::unchanged;
use crate::base::Timestamp;
use crate::deliver::statement::{self, BuildStatement};
use crate::format::signature::{self, MinisignKey, SignatureError, SshKey, SshPublic, SshSignature};
use crate::ops::error::{OpsError, SignedError};
use crate::ops::session::Session;
use crate::world::{OutputDirectory, World, agent};

/// No key is larger.
const LIMIT: u64 = 64 << 10;
const DAY: i64 = 86_400;

/// What is to be signed, and how.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// The result directory.
    pub directory: PathBuf,
    /// A private key, or a public one whose private half an agent has.
    pub key: PathBuf,
    /// For how many days it counts.
    pub days: Option<u32>,
}

/// Signs a directory that is a build, whole and unchanged; the file with the signature.
pub fn sign(session: &Session<'_>, request: &SignRequest) -> Result<PathBuf, OpsError> {
    let (manifest, _) = unchanged(session, &request.directory)?;
    let now = session.world.now();
    let expires = request.days.map(|days| Timestamp(now.0 + i64::from(days) * DAY));
    let text = BuildStatement::of(&manifest, now, expires).write();
    let (name, signature) = signature(session.world, &request.key, text.as_bytes())?;
    let home = OutputDirectory::open(&request.directory)?;
    // What was signed before is not what is signed now.
    for name in statement::NAMES {
        home.remove(OsStr::new(name))?;
    }
    home.write(OsStr::new(statement::FILE), text.as_bytes(), 0o644)?;
    home.write(OsStr::new(name), signature.as_bytes(), 0o644)?;
    Ok(request.directory.join(name))
}

/// The signature over a text, and the name of its file.
fn signature(world: &dyn World, file: &Path, text: &[u8]) -> Result<(&'static str, String), OpsError> {
    let wrong = |problem| SignedError::Key { file: file.to_owned(), problem };
    let key = String::from_utf8(world.read(file, LIMIT)?).map_err(|_| wrong(SignatureError::Syntax("a key")))?;
    if MinisignKey::is_one(&key) {
        let key = MinisignKey::read(&key).map_err(wrong)?;
        return Ok((statement::MINISIGN_SIGNATURE, key.sign(text, "kiln: result directory")));
    }
    let data = signature::signed_data(text);
    let (public, signed) = if SshKey::is_one(&key) {
        let key = SshKey::read(&key).map_err(wrong)?;
        (key.public, key.sign(&data))
    } else {
        let public = SshPublic::read_file(&key).map_err(wrong)?;
        let socket = world.env("SSH_AUTH_SOCK").ok_or_else(|| SignedError::NoAgent(file.to_owned()))?;
        let answer = agent::ask(Path::new(&socket), &signature::agent_request(&public, &data))?;
        (public, signature::agent_signature(&answer).ok_or_else(|| SignedError::Refused(file.to_owned()))?)
    };
    let armored = signature::armored(&public, &signed);
    // An agent may answer anything.
    SshSignature::read(&armored).and_then(|signature| signature.verify(text)).map_err(wrong)?;
    Ok((statement::SSH_SIGNATURE, armored))
}
