//! Keys that sign: files of SSH and minisign keys, and SSH's agent.
//!
//! Input: the file of a key, texts. Output: signatures over the texts, for one purpose each.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::trust::Key;
use crate::base::Foreign;
use crate::format::signature::{
    self, MinisignKey, MinisignPublic, SignatureError, SignaturePurpose, SshKey, SshPublic, SshSignature,
};
use crate::ops::error::{OpsError, SignedError};
use crate::world::{World, agent, passphrase};

/// No key is larger.
const LIMIT: u64 = 64 << 10;

/// The file of a key that is to sign.
#[derive(Debug, Clone, Default)]
pub struct KeyFile {
    path: PathBuf,
    passphrase: Option<PathBuf>,
    /// The passphrase once it is known: it is asked for once, whatever is signed.
    known: Arc<OnceLock<Passphrase>>,
}

/// What no message shows.
#[derive(Clone)]
struct Passphrase(Vec<u8>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a passphrase")
    }
}

impl KeyFile {
    /// A private key, or a public one whose private half an SSH agent has. The first line of `passphrase` is that of a minisign key;
    /// without it, the user is asked at the terminal.
    #[must_use]
    pub fn new(path: PathBuf, passphrase: Option<PathBuf>) -> KeyFile {
        KeyFile { path, passphrase, known: Arc::default() }
    }

    /// The passphrase; `None` where there is nobody to ask.
    fn passphrase(&self, world: &dyn World) -> Result<Option<Passphrase>, OpsError> {
        if let Some(known) = self.known.get() {
            return Ok(Some(known.clone()));
        }
        let given = self.given(world)?.map(Passphrase);
        Ok(given.map(|given| self.known.get_or_init(|| given).clone()))
    }

    fn given(&self, world: &dyn World) -> Result<Option<Vec<u8>>, OpsError> {
        let unread = |source| SignedError::NoPassphrase { file: self.path.clone(), source };
        let Some(file) = &self.passphrase else {
            let prompt = format!("passphrase of {} (not shown):", Foreign(self.path.display()));
            return Ok(passphrase::ask(&prompt).map_err(unread)?);
        };
        let mut text = match file.as_os_str() == "-" {
            true => passphrase::from_standard_input().map_err(unread)?,
            false => world.read(file, passphrase::LIMIT as u64)?,
        };
        if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            text.truncate(end);
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        Ok(Some(text))
    }

    fn minisign(&self, world: &dyn World, text: &str) -> Result<MinisignKey, OpsError> {
        let wrong = |problem| SignedError::Key { file: self.path.clone(), problem };
        match MinisignKey::read(text, None) {
            Err(SignatureError::MinisignPassphrase) => {
                let passphrase = self.passphrase(world)?;
                Ok(MinisignKey::read(text, passphrase.as_ref().map(|given| given.0.as_slice())).map_err(wrong)?)
            }
            Ok(_) if self.passphrase.is_some() => Err(SignedError::NoSuchPassphrase(self.path.clone()).into()),
            read => Ok(read.map_err(wrong)?),
        }
    }
}

/// A key that signs.
pub(in crate::ops) struct SigningKey {
    file: PathBuf,
    half: PrivateHalf,
}

/// Who has the half that is secret.
enum PrivateHalf {
    Ssh(SshKey),
    Minisign(MinisignKey),
    /// An SSH agent, at this socket.
    Agent(SshPublic, PathBuf),
}

impl SigningKey {
    /// Reads a private key, or a public one whose private half an agent has.
    pub(in crate::ops) fn open(world: &dyn World, key: &KeyFile) -> Result<SigningKey, OpsError> {
        let file = &key.path;
        let wrong = |problem| SignedError::Key { file: file.to_owned(), problem };
        let text = String::from_utf8(world.read(file, LIMIT)?).map_err(|_| wrong(SignatureError::Syntax("a key")))?;
        let half = if MinisignKey::is_one(&text) {
            PrivateHalf::Minisign(key.minisign(world, &text)?)
        } else if key.passphrase.is_some() {
            return Err(SignedError::NoSuchPassphrase(file.clone()).into());
        } else if SshKey::is_one(&text) {
            PrivateHalf::Ssh(SshKey::read(&text).map_err(wrong)?)
        } else if MinisignPublic::is_file(&text) {
            return Err(wrong(SignatureError::MinisignPublic).into());
        } else {
            let public = SshPublic::read_file(&text).map_err(wrong)?;
            let socket = world.env("SSH_AUTH_SOCK").ok_or_else(|| SignedError::NoAgent(file.to_owned()))?;
            PrivateHalf::Agent(public, socket.into())
        };
        Ok(SigningKey { file: file.clone(), half })
    }

    /// The half that others have.
    pub(in crate::ops) fn public(&self) -> Key {
        match &self.half {
            PrivateHalf::Ssh(key) => Key::Ssh(key.public),
            PrivateHalf::Agent(public, _) => Key::Ssh(*public),
            PrivateHalf::Minisign(key) => Key::Minisign(key.public()),
        }
    }

    /// The plain Ed25519 signature over bytes that say themselves what they are: an agent signs them as they are, and no tool takes
    /// them for something else.
    pub(in crate::ops) fn sign_bytes(&self, bytes: &[u8]) -> Result<[u8; 64], OpsError> {
        match &self.half {
            PrivateHalf::Minisign(key) => Ok(key.sign_bytes(bytes)),
            PrivateHalf::Ssh(key) => Ok(key.sign(bytes)),
            PrivateHalf::Agent(public, socket) => {
                let answer = agent::ask(socket, &signature::agent_request(public, bytes))?;
                let refused = || SignedError::Refused(self.file.clone());
                let signed = signature::agent_signature(&answer).ok_or_else(refused)?;
                // An agent may answer anything.
                let good = signature::verify_bytes(&public.0, bytes, &signed);
                good.map_err(|problem| SignedError::Key { file: self.file.clone(), problem })?;
                Ok(signed)
            }
        }
    }

    /// The text of a signature over a text.
    pub(in crate::ops) fn sign(&self, text: &[u8], purpose: SignaturePurpose) -> Result<String, OpsError> {
        let data = signature::signed_data(text, purpose);
        let (public, signed) = match &self.half {
            PrivateHalf::Minisign(key) => return Ok(key.sign(text, comment(purpose))),
            PrivateHalf::Ssh(key) => (key.public, key.sign(&data)),
            PrivateHalf::Agent(public, socket) => {
                let answer = agent::ask(socket, &signature::agent_request(public, &data))?;
                let refused = || SignedError::Refused(self.file.clone());
                (*public, signature::agent_signature(&answer).ok_or_else(refused)?)
            }
        };
        let armored = signature::armored(&public, &signed, purpose);
        // An agent may answer anything.
        let good = SshSignature::read(&armored, purpose).and_then(|signature| signature.verify(text));
        good.map_err(|problem| SignedError::Key { file: self.file.clone(), problem })?;
        Ok(armored)
    }
}

/// What minisign shows of a signature. What it is for is told by the text that is signed.
fn comment(purpose: SignaturePurpose) -> &'static str {
    match purpose {
        SignaturePurpose::Build => "kiln: result directory",
        SignaturePurpose::Step => "kiln: result of a step",
    }
}
