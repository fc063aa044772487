//! What cannot be pushed, or has no place where it was to be pulled to.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::{ByteSize, Foreign};
use crate::oci::Reference;

/// An artifact was not pushed or pulled, for a reason that has nothing to do with where it is.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A directory whose QEMU cannot be pushed with it.
    #[error(
        "{}: {problem}\n  help: build it with `kiln build --with-qemu --out DIR` and push that directory: whoever pulls it \
         starts launch.sh", Foreign(directory.display())
    )]
    Emulator {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        problem: EmulatorProblem,
    },
    /// A directory that is not known to be built from any lock.
    #[error(
        "{}: without its lock, nobody knows the packages of its QEMU\n  help: name the lock with --lock, or push the recipe",
        Foreign(.0.display())
    )]
    NoLock(PathBuf),
    /// A reference that names what is there by its digest.
    #[error(
        "{}: what is written there gets a digest of its own\n  help: name a tag without a digest: {}",
        Foreign(reference),
        Foreign(tagged)
    )]
    WriteByDigest {
        /// As it was given.
        reference: String,
        /// The same with its tag alone.
        tagged: String,
    },
    /// A tag of something that a push does not take it from.
    #[error(
        "{}: tag `{}` stands for {holder}\n  help: name another tag, or pass --force to let it stand for this build",
        Foreign(reference),
        Foreign(tag)
    )]
    Tagged {
        /// Where it was to go.
        reference: String,
        /// The tag.
        tag: String,
        /// What has it.
        holder: TagHolder,
    },
    /// A tag that another push moved meanwhile.
    #[error(
        "{}: tag `{}` was moved meanwhile, by another push; it stays where that has moved it\n  help: run the command again to move it to \
         this build: all files are there already",
        Foreign(reference),
        Foreign(tag)
    )]
    Moved {
        /// Where it was to go.
        reference: String,
        /// The tag.
        tag: String,
    },
    /// A directory whose recipe has a name that no recipe has.
    #[error("{}: its manifest is of recipe `{}`, and no recipe has such a name", Foreign(directory.display()), Foreign(recipe))]
    RecipeName {
        /// The directory.
        directory: PathBuf,
        /// The name.
        recipe: String,
    },
    /// A file that was to be pushed with a build, and is nothing that says something of one.
    #[error(
        "{}: neither an attestation (a DSSE envelope) nor an SBOM (the JSON of SPDX 2 or CycloneDX)", Foreign(.0.display())
    )]
    NoReferrer(PathBuf),
    /// An artifact that the store's disk cannot hold.
    #[error(
        "{}: its files that the store lacks have {}, and the disk of {} has {} free\n  help: free some, run `kiln gc`, or set \
         KILN_STORE to another disk",
        Foreign(reference), ByteSize(*bytes).rounded(), Foreign(store.display()), ByteSize(*free).rounded()
    )]
    NoRoom {
        /// The artifact.
        reference: String,
        /// What would be fetched.
        bytes: u64,
        /// Where to.
        store: PathBuf,
        /// What fits there.
        free: u64,
    },
    /// Something else stands where an artifact is to go.
    #[error(
        "{}: neither empty nor a build of recipe `{}`; name another directory with --output", Foreign(directory.display()),
        Foreign(recipe)
    )]
    Taken {
        /// The directory.
        directory: PathBuf,
        /// The recipe of the artifact.
        recipe: String,
    },
}

impl RemoteError {
    /// A push to what is named by a digest.
    pub(in crate::ops) fn write_by_digest(reference: &Reference) -> RemoteError {
        RemoteError::WriteByDigest { reference: reference.to_string(), tagged: reference.by_tag().to_string() }
    }

    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            RemoteError::Emulator { problem: EmulatorProblem::OtherBuild(_), .. } | RemoteError::RecipeName { .. } => {
                ErrorClass::Mismatch
            }
            RemoteError::Moved { .. } | RemoteError::NoRoom { .. } => ErrorClass::Host,
            _ => ErrorClass::Usage,
        }
    }
}

/// What has a tag that a build was to get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagHolder {
    /// An image of others, or what another command of kiln has written.
    #[error("something that is no build pushed by kiln")]
    Stranger,
    /// A build of another recipe.
    #[error("a build of recipe `{}`", Foreign(.0))]
    OtherRecipe(String),
}

/// Why an artifact has no QEMU for a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmulatorProblem {
    /// Lock and manifest do not belong together.
    #[error("{0}")]
    OtherBuild(&'static str),
    /// A program that a step made.
    #[error("the QEMU of machine {0} is made by a build, which no artifact carries as a program")]
    Built(String),
    /// Packages that are files of the recipe.
    #[error("the QEMU of machine {0} has packages that the recipe brings along, which an artifact does not carry")]
    Brought(String),
    /// A step that the lock knows nothing of.
    #[error("the QEMU of machine {0} is not unpacked from a package set of the lock")]
    NoSet(String),
}
