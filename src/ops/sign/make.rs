//! Signs a result directory.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::key::{KeyFile, SigningKey};
use super::trust::Key;
use super::unchanged;
use crate::base::Timestamp;
use crate::deliver::statement::{self, BuildStatement};
use crate::format::signature::SignaturePurpose;
use crate::ops::error::OpsError;
use crate::ops::session::Session;
use crate::world::OutputDirectory;

const DAY: i64 = 86_400;

/// What is to be signed, and how.
#[derive(Debug, Clone)]
pub struct SignRequest {
    /// The result directory.
    pub directory: PathBuf,
    /// Whose signature it will be.
    pub key: KeyFile,
    /// For how many days it counts.
    pub days: Option<u32>,
}

/// Signs a directory that is a build, whole and unchanged; the file with the signature.
pub fn sign(session: &Session<'_>, request: &SignRequest) -> Result<PathBuf, OpsError> {
    let (manifest, _) = unchanged(session, &request.directory)?;
    let now = session.world.now();
    let expires = request.days.map(|days| Timestamp(now.0 + i64::from(days) * DAY));
    let text = BuildStatement::of(&manifest, now, expires).write();
    let key = SigningKey::open(session.world, &request.key)?;
    let signature = key.sign(text.as_bytes(), SignaturePurpose::Build)?;
    let name = match key.public() {
        Key::Ssh(_) => statement::SSH_SIGNATURE,
        Key::Minisign(_) => statement::MINISIGN_SIGNATURE,
    };
    let home = OutputDirectory::open(&request.directory)?;
    // What was signed before is not what is signed now.
    for name in statement::NAMES {
        home.remove(OsStr::new(name))?;
    }
    home.write(OsStr::new(statement::FILE), text.as_bytes(), 0o644)?;
    home.write(OsStr::new(name), signature.as_bytes(), 0o644)?;
    Ok(request.directory.join(name))
}
