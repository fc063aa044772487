//! What can go wrong with a sandbox, in words that say what the machine forbids and how to allow it.

use serde::{Deserialize, Serialize};

use super::Exceeded;

/// A sandbox could not be made, or ended without an answer.
///
/// It crosses process borders (the process that fails is not the one that reports), hence strings and serde.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SandboxError {
    /// The kernel gives this user no user namespace.
    #[error("this host does not allow user namespaces ({reason}): {remedy}")]
    NoUserNamespace {
        /// The kernel's words.
        reason: String,
        /// What to change.
        remedy: String,
    },
    /// The user has no subordinate ids.
    #[error(
        "user {user} has no range of {needed} subordinate ids in {file}: \
         run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}` as root; \
         run `kiln doctor` to see what else is needed"
    )]
    NoIdRange {
        /// Name or number.
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
    NoHelper {
        /// The program.
        helper: String,
    },
    /// `newuidmap` or `newgidmap` refused.
    #[error("{helper} rejected the id map: {reason}")]
    HelperRefused {
        /// The program.
        helper: String,
        /// Its words.
        reason: String,
    },
    /// A step of building the sandbox failed.
    #[error("cannot set up the sandbox: {what}: {reason}")]
    Setup {
        /// What was tried.
        what: String,
        /// The kernel's words.
        reason: String,
    },
    /// The program could not be started.
    #[error("cannot start {program} in the sandbox: {reason}")]
    Program {
        /// Its path inside.
        program: String,
        /// Why.
        reason: String,
    },
    /// It was ended for passing a bound.
    #[error("{0}")]
    Limit(Exceeded),
    /// What ran inside says why it failed.
    #[error("{0}")]
    Failed(String),
    /// No answer: something killed the sandbox, the kernel short of memory for example.
    #[error("the sandbox exited unexpectedly ({0}): it was killed, or the host ran out of memory")]
    Lost(String),
    /// [`super::cancel_all`] was called.
    #[error("interrupted")]
    Cancelled,
}

impl SandboxError {
    /// A failed step of building the sandbox.
    pub(super) fn setup(what: impl Into<String>, reason: impl ToString) -> SandboxError {
        SandboxError::Setup { what: what.into(), reason: reason.to_string() }
    }
}
