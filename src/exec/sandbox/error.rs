//! What can go wrong with a sandbox, in words that say what the machine forbids and how to allow it.

use std::io::{self, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Exceeded;
use crate::base::Foreign;

/// A sandbox could not be made, or ended without an answer.
///
/// It crosses process borders (the process that fails is not the one that reports), hence strings and serde.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SandboxError {
    /// The kernel gives this user no user namespace.
    #[error("this host does not allow user namespaces ({reason}): {remedy}")]
    NoUserNamespace { reason: String, remedy: String },
    /// The user has no subordinate ids.
    #[error(
        "user {user} has no range of {needed} subordinate ids in {file}: \
         run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}` as root; \
         run `kiln doctor` to see what else is needed"
    )]
    NoIdRange {
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: String,
        /// Ids wanted.
        needed: u32,
    },
    /// kiln itself runs in a namespace that has too few ids to give a range away.
    #[error(
        "kiln runs as root of a container whose id map ({map}) has fewer than 65536 ids for a sandbox: \
         run kiln outside of it, or give the container a larger range"
    )]
    NarrowIdMap {
        /// `/proc/self/uid_map` on one line.
        map: String,
    },
    /// `newuidmap` or `newgidmap` is not there.
    #[error(
        "{helper} is not installed, and a normal user needs it to map subordinate ids: install it (Debian: apt install uidmap); \
         run `kiln doctor` to see what else is needed"
    )]
    NoHelper { helper: String },
    /// `newuidmap` or `newgidmap` refused.
    #[error("{helper} rejected the id map: {reason}")]
    HelperRefused { helper: String, reason: String },
    /// A step of building the sandbox failed.
    #[error("cannot set up the sandbox: {what}: {reason}")]
    Setup { what: String, reason: String },
    /// The program could not be started.
    #[error("cannot start {program} in the sandbox: {reason}")]
    Program { program: String, reason: String },
    /// It was ended for passing a bound.
    #[error("{0}")]
    Limit(Exceeded),
    /// The tree that was to be the sandbox's root cannot be one: a mount point in it is no directory, or leads nowhere.
    #[error("cannot create the mount point {path} in the root of the sandbox: {reason}", path = Foreign(path))]
    Root {
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A function of kiln that ran inside says why it failed.
    #[error("{message}")]
    Failed {
        /// In words.
        message: String,
        /// Its own error, for whoever knows the function; null when there are only words.
        data: serde_json::Value,
    },
    /// A function of kiln that ran inside panicked.
    #[error("kiln panicked in the sandbox: {0}")]
    Panicked(String),
    /// The processes of a sandbox, which are all kiln, did not understand each other.
    #[error("invalid message between kiln and its sandbox: {0}")]
    Misuse(String),
    /// No answer: something killed the sandbox, the kernel short of memory for example.
    #[error("the sandbox exited unexpectedly ({0}): it was killed, or the host ran out of memory")]
    Lost(String),
    /// [`super::cancel_all`] was called.
    #[error("interrupted")]
    Cancelled,
}

/// Why a function of kiln failed that ran inside.
#[derive(Debug)]
pub struct EntryError {
    /// In words.
    pub message: String,
    /// The error itself, for whoever called the function.
    pub data: serde_json::Value,
}

impl From<String> for EntryError {
    fn from(message: String) -> EntryError {
        EntryError { message, data: serde_json::Value::Null }
    }
}

impl From<EntryError> for SandboxError {
    fn from(EntryError { message, data }: EntryError) -> SandboxError {
        SandboxError::Failed { message, data }
    }
}

impl SandboxError {
    /// A mount point could not be made: where something else is in its place, that came with the tree.
    pub(super) fn place(path: &Path, error: &io::Error) -> SandboxError {
        let (path, reason) = (path.display().to_string(), error.to_string());
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                SandboxError::Root { path, reason }
            }
            _ => SandboxError::Setup { what: format!("make {path}"), reason },
        }
    }

    /// A failed step of building the sandbox.
    pub(crate) fn setup(what: impl Into<String>, reason: impl ToString) -> SandboxError {
        SandboxError::Setup { what: what.into(), reason: reason.to_string() }
    }
}
