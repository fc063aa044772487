//! SSH's files of Ed25519 keys: `id_ed25519.pub`, and `id_ed25519` without a passphrase.

use super::SignatureError;
use super::ssh::{SshReader, typed, untyped};
use crate::base::{Digest, base64};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";
const PUBLIC: &str = "an SSH public key (ssh-ed25519 AAAA...)";
const PRIVATE: &str = "an OpenSSH private key";

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SshPublic(pub [u8; 32]);

impl SshPublic {
    /// Reads the two words of a key: `ssh-ed25519 AAAA...`.
    pub fn read(kind: &str, text: &str) -> Result<SshPublic, SignatureError> {
        if kind.as_bytes() != super::ssh::ED25519 {
            return Err(SignatureError::Algorithm);
        }
        SshPublic::decode(&base64::decode(text).ok_or(SignatureError::Syntax(PUBLIC))?)
    }

    /// Reads a `.pub` file.
    pub fn read_file(text: &str) -> Result<SshPublic, SignatureError> {
        let mut words = text.split_whitespace();
        let (Some(kind), Some(key)) = (words.next(), words.next()) else { return Err(SignatureError::Syntax(PUBLIC)) };
        SshPublic::read(kind, key)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<SshPublic, SignatureError> {
        untyped(bytes, PUBLIC).map(SshPublic)
    }

    /// `SHA256:...`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        let digest = base64::encode(Digest::of(&typed(&self.0)).as_bytes());
        format!("SHA256:{}", digest.trim_end_matches('='))
    }
}

/// A private key: its seed, which no message shows.
pub struct SshKey {
    seed: [u8; 32],
    /// The other half.
    pub public: SshPublic,
}

impl SshKey {
    /// Whether a text is meant to be one.
    pub fn is_one(text: &str) -> bool {
        text.trim_start().starts_with(BEGIN)
    }

    /// Reads a file of one key without a passphrase.
    pub fn read(text: &str) -> Result<SshKey, SignatureError> {
        let wrong = SignatureError::Syntax(PRIVATE);
        let body = text.trim().strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)).ok_or(wrong)?;
        let body: String = body.split_whitespace().collect();
        let bytes = base64::decode(&body).ok_or(wrong)?;
        let mut reader = SshReader::new(bytes.strip_prefix(MAGIC).ok_or(wrong)?, PRIVATE);
        let (cipher, kdf) = (reader.string()?, reader.string()?);
        reader.string()?;
        if (cipher, kdf) != (b"none", b"none") {
            return Err(SignatureError::Passphrase);
        }
        if reader.number()? != 1 {
            return Err(wrong);
        }
        let public = SshPublic::decode(reader.string()?)?;
        let mut inner = SshReader::new(reader.string()?, PRIVATE);
        if inner.number()? != inner.number()? {
            return Err(wrong);
        }
        inner.expect(super::ssh::ED25519, SignatureError::Algorithm)?;
        let (stated, both): ([u8; 32], [u8; 64]) = (inner.exactly()?, inner.exactly()?);
        let (seed, _) = both.split_first_chunk::<32>().ok_or(wrong)?;
        let key = SshKey { seed: *seed, public };
        let derived = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes();
        if derived == stated && derived == public.0 { Ok(key) } else { Err(wrong) }
    }

    /// The signature over bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        super::sign(&self.seed, message)
    }
}
