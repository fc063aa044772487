//! Signatures of `ssh-keygen -Y sign` (OpenSSH, `PROTOCOL.sshsig`).

use sha2::Digest as _;

use super::ssh::{SshReader, put, typed, untyped};
use super::{SignatureError, SshPublic};
use crate::base::base64;

/// What a signature is for. One that was made for one of these counts for none of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignaturePurpose {
    /// A whole build.
    Build,
    /// The result of one step.
    Step,
}

impl SignaturePurpose {
    /// The namespace: `ssh-keygen -Y sign -n kiln`.
    pub fn namespace(self) -> &'static str {
        match self {
            SignaturePurpose::Build => "kiln",
            SignaturePurpose::Step => "kiln-step",
        }
    }
}

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const SHA512: &[u8] = b"sha512";
const WHAT: &str = "a signature of `ssh-keygen -Y sign`";
/// Characters of a line of base64.
const WIDTH: usize = 70;

/// A signature that was read, and says itself by which key it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SshSignature {
    pub key: SshPublic,
    purpose: SignaturePurpose,
    hash: Hash,
    signature: [u8; 64],
}

/// What the message was hashed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl SshSignature {
    /// Reads an armored signature that was made for this purpose.
    pub fn read(text: &str, purpose: SignaturePurpose) -> Result<SshSignature, SignatureError> {
        let wrong = SignatureError::Syntax(WHAT);
        let body = text.trim().strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END)).ok_or(wrong)?;
        let body: String = body.split_whitespace().collect();
        let bytes = base64::decode(&body).ok_or(wrong)?;
        let mut reader = SshReader::new(bytes.strip_prefix(MAGIC).ok_or(wrong)?, WHAT);
        if reader.number()? != VERSION {
            return Err(wrong);
        }
        let key = SshPublic::decode(reader.string()?)?;
        let namespace = purpose.namespace();
        reader.expect(namespace.as_bytes(), SignatureError::Namespace(namespace))?;
        reader.string()?;
        let hash = match reader.string()? {
            SHA512 => Hash::Sha512,
            b"sha256" => Hash::Sha256,
            _ => return Err(wrong),
        };
        let signature = untyped(reader.string()?, WHAT)?;
        reader.end()?;
        Ok(SshSignature { key, purpose, hash, signature })
    }

    /// Whether it was made over these bytes.
    pub fn verify(&self, message: &[u8]) -> Result<(), SignatureError> {
        super::verify(&self.key.0, &data(message, self.purpose, self.hash), &self.signature)
    }
}

/// What is signed instead of the message itself.
pub fn signed_data(message: &[u8], purpose: SignaturePurpose) -> Vec<u8> {
    data(message, purpose, Hash::Sha512)
}

fn data(message: &[u8], purpose: SignaturePurpose, hash: Hash) -> Vec<u8> {
    let (name, digest) = match hash {
        Hash::Sha256 => (b"sha256".as_slice(), sha2::Sha256::digest(message).to_vec()),
        Hash::Sha512 => (SHA512, sha2::Sha512::digest(message).to_vec()),
    };
    let mut out = MAGIC.to_vec();
    for part in [purpose.namespace().as_bytes(), b"", name, &digest] {
        put(&mut out, part);
    }
    out
}

/// The text of a signature over [`signed_data`].
pub fn armored(key: &SshPublic, signature: &[u8; 64], purpose: SignaturePurpose) -> String {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_be_bytes());
    for part in [&typed(&key.0), purpose.namespace().as_bytes(), b"", SHA512, &typed(signature)] {
        put(&mut out, part);
    }
    let coded = base64::encode(&out);
    let lines = coded.as_bytes().chunks(WIDTH).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("{BEGIN}\n{}{END}\n", lines.collect::<String>())
}
