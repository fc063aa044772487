//! Why a build was not signed, or why a signature is not to be relied on.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::{Foreign, Timestamp};
use crate::format::signature::SignatureError;

/// A build was not signed, or its signature is not to be relied on.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// A key cannot be used.
    #[error("{}: {problem}", Foreign(file.display()))]
    Key {
        /// Its file.
        file: PathBuf,
        /// Why not.
        problem: SignatureError,
    },
    /// A public key without an agent.
    #[error("{}: a public key signs with the SSH agent, but SSH_AUTH_SOCK is not set", Foreign(.0.display()))]
    NoAgent(PathBuf),
    /// The terminal or standard input does not say it.
    #[error("{}: no passphrase was given", Foreign(file.display()))]
    NoPassphrase {
        /// The file of the key.
        file: PathBuf,
        /// What the terminal said.
        source: std::io::Error,
    },
    /// A passphrase for nothing.
    #[error("{}: `--passphrase-file` is for minisign keys with a passphrase, which this is not\n  help: leave it out; the SSH agent knows the \
             passphrases of SSH keys", Foreign(.0.display()))]
    NoSuchPassphrase(PathBuf),
    /// The agent does not sign.
    #[error("{}: the SSH agent does not sign with this key; add it with `ssh-add`", Foreign(.0.display()))]
    Refused(PathBuf),
    /// A line of a file of trusted keys.
    #[error("{}, line {line}: {problem}", Foreign(file.display()))]
    Trust {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody is trusted.
    #[error("no keys are trusted: list them in {}, or name a file with --trusted-keys", Foreign(.0.display()))]
    NoTrust(PathBuf),
    /// Nowhere to remember what was accepted.
    #[error("cannot remember which builds were accepted: set XDG_STATE_HOME or HOME")]
    NoState,
    /// What was accepted cannot be read.
    #[error("{}: not a list of accepted builds; remove it to start anew", Foreign(.0.display()))]
    State(PathBuf),
    /// A directory whose signature is not to be relied on.
    #[error("{}: {problem}", Foreign(directory.display()))]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        problem: SignerProblem,
    },
}

/// Why a signature is not to be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerProblem {
    /// There is none.
    #[error("not signed: {0}")]
    Unsigned(String),
    /// What is signed is something else.
    #[error("the signature is of another build: it was made for recipe `{}`", Foreign(.0))]
    OtherBuild(String),
    /// The same for a reader who knows what they asked for.
    #[error("a build of recipe `{}`, not of `{}`", Foreign(found), Foreign(expected))]
    OtherRecipe {
        /// What it is.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The signature is none, or does not match.
    #[error("wrong signature: {file}: {problem}")]
    Wrong {
        /// Its file.
        file: &'static str,
        /// What is wrong.
        problem: SignatureError,
    },
    /// By somebody else.
    #[error("signed by a key that is not trusted: {}", Foreign(.0))]
    Unknown(String),
    /// By somebody who was trusted.
    #[error("signed by a key that was revoked: {}", Foreign(.0))]
    Revoked(String),
    /// By somebody who is trusted with other recipes.
    #[error("signed by {}, who is not trusted with recipe `{}`", Foreign(signer), Foreign(recipe))]
    NotTrustedWith {
        /// Who.
        signer: String,
        /// With what.
        recipe: String,
    },
    /// The key is no longer trusted.
    #[error("signed by {}, whose key expired at {expired}", Foreign(signer))]
    KeyExpired {
        /// Who.
        signer: String,
        /// When.
        expired: Timestamp,
    },
    /// The signature said itself how long it counts.
    #[error("the signature expired at {0}")]
    Expired(Timestamp),
    /// The clock of one of both is wrong.
    #[error("the signature was made in the future, at {0}")]
    Future(Timestamp),
    /// An older build than one that was accepted.
    #[error(
        "rolled back: it was signed at {signed}, but a build that {} signed at {accepted} was accepted before",
        Foreign(signer)
    )]
    RolledBack {
        /// Who.
        signer: String,
        /// When.
        signed: Timestamp,
        /// When the other one was.
        accepted: Timestamp,
    },
}

impl SignedError {
    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            SignedError::Directory { .. } => ErrorClass::Mismatch,
            SignedError::Refused(_) | SignedError::NoState | SignedError::State(_) => ErrorClass::Host,
            _ => ErrorClass::Usage,
        }
    }
}
