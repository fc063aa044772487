//! Why a build was not attested.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::Foreign;
use crate::recipe::local::LocalReader;

/// A build was not attested, or attestations were asked for where there cannot be any.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// An option that brings in what others have built.
    #[error("{0}: an attestation says that every step was carried out here, from scratch")]
    Option(&'static str),
    /// A build with somebody else's results, or of somebody else.
    #[error(
        "{}: this store does not show that all of it was built here, from what the lock pins\n  help: run `kiln attest RECIPE`, which builds what \
         is missing", Foreign(.0.display())
    )]
    NotOwn(PathBuf),
    /// A build of what no lock pins.
    #[error("{}: {} a directory that no lock pins; nobody else can build the same", Foreign(directory.display()), Foreign(reader.past()))]
    Local {
        /// The result directory.
        directory: PathBuf,
        /// What was made from a directory.
        reader: LocalReader,
    },
    /// A directory that is not known to be built from any lock.
    #[error("{}: its lock was not found\n  help: name the lock with --lock, or attest the recipe", Foreign(.0.display()))]
    NoLock(PathBuf),
    /// Another lock than that of the build.
    #[error("{}: the lock is not the one that it was built from", Foreign(.0.display()))]
    OtherLock(PathBuf),
    /// A recipe that another name was expected of.
    #[error("{}: it is of recipe `{}`, not of `{}`", Foreign(directory.display()), Foreign(found), Foreign(expected))]
    OtherRecipe {
        /// What was looked at.
        directory: PathBuf,
        /// What it is.
        found: String,
        /// What was asked for.
        expected: String,
    },
}

impl AttestError {
    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            AttestError::OtherLock(_) | AttestError::OtherRecipe { .. } => ErrorClass::Mismatch,
            _ => ErrorClass::Usage,
        }
    }
}
