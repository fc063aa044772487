//! Detached signatures in the formats that people already have keys for: those of `ssh-keygen -Y` and of minisign.
//!
//! Input: the text of a key, a signature, bytes. Output: whether the key made the signature over the bytes, or a signature
//! over them. It must not know files, sockets or whom to trust. All mathematics is the crate's; only Ed25519 is known.

mod minisign;
mod minisign_key;
mod ssh;
mod ssh_agent;
mod ssh_key;
mod sshsig;
#[cfg(test)]
mod tests;

pub use minisign::{MinisignPublic, MinisignSignature};
pub use minisign_key::MinisignKey;
pub use ssh_agent::{agent_request, agent_signature};
pub use ssh_key::{SshKey, SshPublic};
pub use sshsig::{SignaturePurpose, SshSignature, armored, signed_data};

/// What is wrong with a key or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a text of this format.
    #[error("not {0}")]
    Syntax(&'static str),
    /// Another algorithm.
    #[error("not an Ed25519 key or signature, which is the only kind that kiln reads")]
    Algorithm,
    /// A key behind a passphrase.
    #[error("the key has a passphrase: name its .pub file to sign with the SSH agent, or a key without one")]
    Passphrase,
    /// The same of minisign, whose keys no agent has.
    #[error(
        "the minisign key has a passphrase, and there is no terminal to ask for it\n  help: `--passphrase-file FILE` names a file with \
         it in the first line, and `-` standard input"
    )]
    MinisignPassphrase,
    /// It opens nothing.
    #[error("the passphrase is not that of the key")]
    WrongPassphrase,
    /// Nobody is kept computing by a key.
    #[error(
        "the minisign key needs more work for its passphrase than minisign's own keys do (limits: 1 GiB, 16 rounds)"
    )]
    MinisignCosts,
    /// The half of a minisign key that cannot sign.
    #[error(
        "a minisign public key, which signs nothing\n  help: name the secret key; the SSH agent has none of minisign's"
    )]
    MinisignPublic,
    /// Made to be valid somewhere else.
    #[error("the signature was made for another purpose (its namespace is not `{0}`)")]
    Namespace(&'static str),
    /// The bytes or the key are others.
    #[error("the signature does not match what it is said to sign")]
    Wrong,
}

/// Whether an Ed25519 key made a signature over these bytes.
fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| SignatureError::Wrong)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.verify_strict(message, &signature).map_err(|_| SignatureError::Wrong)
}

/// Whether an Ed25519 key made this signature over these bytes, in the format of no tool.
pub fn verify_bytes(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let signature = signature.try_into().map_err(|_| SignatureError::Wrong)?;
    verify(key, message, signature)
}

fn sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    use ed25519_dalek::Signer;
    ed25519_dalek::SigningKey::from_bytes(seed).sign(message).to_bytes()
}
