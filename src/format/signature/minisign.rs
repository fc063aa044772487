//! Public keys and signatures of minisign.

use blake2::Digest as _;

use super::SignatureError;
use crate::base::base64;

const PUBLIC: &str = "a minisign public key (RW...)";
const SIGNATURE: &str = "a minisign signature";
pub(super) const UNTRUSTED: &str = "untrusted comment: ";
pub(super) const TRUSTED: &str = "trusted comment: ";
/// Over the message itself, and over its BLAKE2b hash.
pub(super) const PLAIN: &[u8; 2] = b"Ed";
pub(super) const HASHED: &[u8; 2] = b"ED";

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinisignPublic {
    /// Chosen at random by whoever made the key.
    pub number: [u8; 8],
    pub(super) key: [u8; 32],
}

impl MinisignPublic {
    /// Reads the one word of a key: `RW...`.
    pub fn read(text: &str) -> Result<MinisignPublic, SignatureError> {
        let bytes = base64::decode(text).ok_or(SignatureError::Syntax(PUBLIC))?;
        let bytes: [u8; 42] = bytes.try_into().map_err(|_| SignatureError::Syntax(PUBLIC))?;
        let (algorithm, rest) = split::<2>(&bytes);
        let (number, rest) = split::<8>(rest);
        let (key, _) = split::<32>(rest);
        if algorithm == *PLAIN { Ok(MinisignPublic { number, key }) } else { Err(SignatureError::Algorithm) }
    }

    /// Whether a text is the file of one.
    pub fn is_file(text: &str) -> bool {
        let mut lines = text.lines();
        lines.next().is_some_and(|line| line.starts_with(UNTRUSTED))
            && lines.next().is_some_and(|line| MinisignPublic::read(line.trim()).is_ok())
    }

    /// The bytes of the key itself, which another format may have, too.
    pub fn ed25519(&self) -> [u8; 32] {
        self.key
    }

    /// The number, as minisign shows it.
    pub fn id(&self) -> String {
        format!("minisign {:016X}", u64::from_le_bytes(self.number))
    }
}

/// The first bytes of as many as there must be, and the others.
pub(super) fn split<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = bytes.split_first_chunk::<N>().expect("the caller has counted the bytes");
    (*first, rest)
}

pub(super) fn hash(message: &[u8]) -> Vec<u8> {
    blake2::Blake2b512::digest(message).to_vec()
}

/// A signature that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinisignSignature {
    /// Whose key it says it was made with.
    pub number: [u8; 8],
    hashed: bool,
    signature: [u8; 64],
    comment: String,
    global: [u8; 64],
}

impl MinisignSignature {
    /// Reads the four lines.
    pub fn read(text: &str) -> Result<MinisignSignature, SignatureError> {
        let wrong = SignatureError::Syntax(SIGNATURE);
        let lines: Vec<&str> = text.lines().collect();
        let [untrusted, line, trusted, global] = lines[..] else { return Err(wrong) };
        let comment = trusted.strip_prefix(TRUSTED).filter(|_| untrusted.starts_with(UNTRUSTED)).ok_or(wrong)?;
        let bytes: [u8; 74] = base64::decode(line).ok_or(wrong)?.try_into().map_err(|_| wrong)?;
        let global = base64::decode(global).ok_or(wrong)?.try_into().map_err(|_| wrong)?;
        let (algorithm, rest) = split::<2>(&bytes);
        let (number, rest) = split::<8>(rest);
        let (signature, _) = split::<64>(rest);
        let hashed = match &algorithm {
            HASHED => true,
            PLAIN => false,
            _ => return Err(SignatureError::Algorithm),
        };
        Ok(MinisignSignature { number, hashed, signature, comment: comment.to_owned(), global })
    }

    /// Whether a key made it over these bytes.
    pub fn verify(&self, key: &MinisignPublic, message: &[u8]) -> Result<(), SignatureError> {
        if key.number != self.number {
            return Err(SignatureError::Wrong);
        }
        match self.hashed {
            true => super::verify(&key.key, &hash(message), &self.signature)?,
            false => super::verify(&key.key, message, &self.signature)?,
        }
        let global = [self.signature.as_slice(), self.comment.as_bytes()].concat();
        super::verify(&key.key, &global, &self.global)
    }
}
