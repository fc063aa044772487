//! What is wrong with a bundle, or with what is to become one.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::{Digest, Foreign};
use crate::deliver::check::Difference;
use crate::deliver::manifest::ManifestError;
use crate::format::tar::TarError;
use crate::lock::ReadError;

/// A bundle was not made, or not accepted.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not an archive, or a damaged one.
    #[error("{}: not a whole bundle: {source}", Foreign(file.display()))]
    Archive {
        /// The bundle.
        file: PathBuf,
        /// What is wrong with it.
        source: TarError,
    },
    /// An archive that is no bundle of kiln's.
    #[error("{}: {}: {problem}", Foreign(file.display()), Foreign(entry))]
    Entry {
        /// The bundle.
        file: PathBuf,
        /// The name in the archive.
        entry: String,
        /// What is wrong with that.
        problem: EntryProblem,
    },
    /// Bytes behind the end of the archive, or none where its last block should be.
    #[error("{}: not a whole bundle: it does not end where its archive ends", Foreign(.0.display()))]
    End(PathBuf),
    /// The recipes are not those of the lock.
    #[error("{}: the recipes in it are not those of its lock\n  {reason}", Foreign(file.display()))]
    Recipe {
        /// The bundle.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Files that neither the bundle nor the store has.
    #[error(
        "{}: it lacks {missing} files that this store does not have either, such as {}\n  help: it was made with \
         --since: unbundle the other one first", Foreign(file.display()), Foreign(label)
    )]
    Lacks {
        /// The bundle.
        file: PathBuf,
        /// How many.
        missing: usize,
        /// One of them.
        label: String,
    },
    /// Something stands where the recipes are to go.
    #[error("{}: it exists already; name a new directory", Foreign(.0.display()))]
    Taken(PathBuf),
    /// Something came to stand there meanwhile.
    #[error("{}: another process has made it meanwhile, and it stays as that has made it", Foreign(.0.display()))]
    Made(PathBuf),
    /// A path that names no new directory.
    #[error("{}: not the name of a new directory", Foreign(.0.display()))]
    NoName(PathBuf),
    /// A lock without its recipe.
    #[error("{}: its recipe is not at {}; pass the recipe, and the lock with --lock", Foreign(lock.display()), Foreign(recipe.display()))]
    NoRecipe {
        /// The lock.
        lock: PathBuf,
        /// Where it was looked for.
        recipe: PathBuf,
    },
    /// A file of the recipe that a bundle cannot carry.
    #[error("{}: {problem}, which a bundle cannot carry", Foreign(path))]
    Unfit {
        /// Its path.
        path: String,
        /// What it is.
        problem: &'static str,
    },
    /// A file of the recipe was written meanwhile.
    #[error("{} changed while it was bundled", Foreign(.0))]
    Changed(String),
    /// What a bundle is to leave out is named by something that is neither.
    #[error("{}: neither a lock, a recipe (.kiln) nor a bundle: {reason}", Foreign(file.display()))]
    Since {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What is wrong with an entry of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum EntryProblem {
    /// It stands in the place of this one.
    #[error("expected `{0}`")]
    Expected(&'static str),
    /// No bundle has such a name.
    #[error("a bundle has no such entry")]
    Unknown,
    /// Entries are sorted, and none comes twice.
    #[error("it is not in the order of a bundle")]
    Order,
    /// A pipe, a device, a hard link.
    #[error("it is not a regular file")]
    Kind,
    /// A link where the lock knows no tree.
    #[error("a symbolic link outside of the directories that the recipe copies whole")]
    Link,
    /// An owner, a time or an attribute that no bundle states, or a mode that gives others' privileges.
    #[error("its mode, owner, time or attributes are not those of a bundle")]
    Attributes,
    /// A file that nobody needs.
    #[error("the lock in the bundle does not name it")]
    NotLocked,
    /// Bytes that are not those of its name.
    #[error("expected {expected_size} bytes, got {size}")]
    Size {
        /// Bytes that the lock states.
        expected_size: u64,
        /// Bytes found.
        size: u64,
    },
    /// The same of its content.
    #[error("its bytes have digest {0}")]
    Digest(Digest),
    /// Larger than anything of its kind should be.
    #[error("it is larger than {0} bytes")]
    Large(u64),
    /// Not the JSON of a bundle.
    #[error("{}", Foreign(.0))]
    Index(String),
    /// Written by another kiln.
    #[error("it has format {found}, but this version of kiln reads format {known}")]
    Format {
        /// Its format.
        found: u32,
        /// The one that is read.
        known: u32,
    },
    /// Not a lock.
    #[error("{0}")]
    Lock(#[from] ReadError),
    /// Not the one spelling of a lock or manifest.
    #[error("it is not in canonical form")]
    Spelling,
    /// Not a manifest.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// A manifest of something else.
    #[error("it is not the manifest of a build of this recipe and lock: {0}")]
    OtherBuild(&'static str),
    /// A machine whose QEMU is the result of a step, which no bundle carries.
    #[error("it has a QEMU that a build made ({}); a bundle of outputs has QEMUs of packages only", Foreign(.0))]
    BuiltQemu(String),
    /// Artifacts that are no build, whole and unchanged.
    #[error("its artifacts are not those of a build: {0}")]
    NoBuild(Difference),
}

impl BundleError {
    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            BundleError::Taken(_)
            | BundleError::Made(_)
            | BundleError::NoName(_)
            | BundleError::NoRecipe { .. }
            | BundleError::Since { .. }
            | BundleError::Unfit { .. } => ErrorClass::Usage,
            BundleError::Lacks { .. } | BundleError::Changed(_) => ErrorClass::Host,
            _ => ErrorClass::Mismatch,
        }
    }
}
