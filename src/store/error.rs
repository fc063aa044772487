//! What can go wrong with a store.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::{Digest, Foreign};
use crate::world::WorldError;

/// The store, or the disk below it, did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No environment variable says where.
    #[error("cannot locate the store: set KILN_STORE or HOME")]
    Nowhere,
    /// Nothing is there, and a question makes no store.
    #[error("there is no store at {}: check KILN_STORE; the first build or pull makes one", Foreign(.0.display()))]
    Absent(PathBuf),
    /// The disk, or the user's share of it, is full.
    #[error("no space left for the store at {}: free some, run `kiln gc`, or set KILN_STORE to another disk", .0.display())]
    Full(PathBuf),
    /// Root would use the store of somebody else, who then could not, and whose files root would believe.
    #[error(
        "the store at {root} belongs to user {uid}: run kiln as that user, or set KILN_STORE to a directory of your own",
        root = root.display()
    )]
    Foreign {
        root: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Something that this user may neither read nor replace, as root of a user namespace may not what belongs to others outside.
    #[error(
        "{} is damaged or closed, and belongs to another user or user namespace: run kiln as whoever made the store, or keep to what \
         can be read there\n  help: KILN_STORE=DIR KILN_STORE_BELOW=trusted={}, where DIR is a directory of your own",
        Foreign(path.display()), Foreign(root.display())
    )]
    OfOthers { root: PathBuf, path: PathBuf },
    /// The store cannot be written.
    #[error("cannot write to the store at {root} ({source}): set KILN_STORE to a directory of your own", root = root.display())]
    Unwritable { root: PathBuf, source: Box<WorldError> },
    /// A store below cannot be used.
    #[error("cannot read the store below at {}: {problem}", Foreign(.path.display()))]
    Below {
        path: PathBuf,
        /// Why.
        #[source]
        problem: Box<BelowProblem>,
    },
    /// Another file operation failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Nobody knows what a root keeps.
    #[error("root `{0}` cannot be read, so that nothing may be removed: add it again, or run `kiln root remove {0}`")]
    Root(String),
    /// Bytes are not those that were announced.
    #[error("expected {expected} ({expected_size} bytes), got {found} ({found_size} bytes)")]
    Wrong {
        expected: Digest,
        expected_size: u64,
        found: Digest,
        /// Bytes found.
        found_size: u64,
    },
    /// A blob is not there.
    #[error("blob {0} is not in the store")]
    Missing(Digest),
    /// A blob or tree was changed behind the store's back.
    #[error("blob {digest} is corrupt; it was moved to {aside}", aside = aside.display())]
    Damaged {
        digest: Digest,
        /// Where it is now.
        aside: PathBuf,
    },
    /// What a step left cannot be taken; a sentence about the step.
    #[error("{0}")]
    Output(String),
    /// A directory holds what a tree cannot.
    #[error("cannot store {path} in a tree: {refusal}")]
    Tree {
        /// The file, on one line.
        path: String,
        refusal: TreeRefusal,
    },
    /// Garbage collection found the store in use.
    #[error("another kiln process is using the store; try again when it has finished")]
    Busy,
    /// The wait for another process was called off.
    #[error("interrupted")]
    Interrupted,
}

/// Why a directory is no store to read from.
#[derive(Debug, thiserror::Error)]
pub enum BelowProblem {
    /// Nothing is there, for the moment perhaps.
    #[error("it is not there")]
    Missing,
    /// Its owner shares it with nobody.
    #[error("its {0} cannot be read: its owner can open it with `kiln store share`")]
    Closed(&'static str),
    /// Another thing.
    #[error("it is not a store of kiln: it has no directory `{0}`")]
    Other(&'static str),
    /// Somebody else could put another store, or results, into its place.
    #[error("`{}` may be written by, or belongs to, others than root, you and the owner of that store", Foreign(.0.display()))]
    Open(PathBuf),
    /// Its results are the word of somebody whom nobody has called trusted.
    #[error("it belongs to user {0}, whose results count if you write `trusted=` before its path")]
    Foreign(u32),
    /// What is written there would be read from below.
    #[error("it is the user's own store")]
    Own,
    /// The system does not let it be read.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// Why a directory cannot become a tree. It is always the directory's doing, never the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeRefusal {
    /// Too many entries.
    #[error("more than {0} files")]
    Entries(usize),
    /// Too much in names alone.
    #[error("its paths have more than {0} bytes in total")]
    Paths(usize),
    /// Too many directories within each other.
    #[error("it is nested too deeply")]
    Depth,
    /// A name that no message of the remote execution can hold.
    #[error("its name is not UTF-8")]
    Name,
    /// The same of where a link points.
    #[error("its target is not UTF-8")]
    Target,
    /// A pipe, a socket or a device.
    #[error("it is {0}, not a file, directory or link")]
    Kind(&'static str),
}

impl StoreError {
    /// A failed file operation in the store at `root`, sorted by what the user can do about it.
    pub(super) fn at(root: &Path, error: WorldError) -> StoreError {
        let kind = match &error {
            WorldError::File { source, .. } => source.kind(),
            _ => return StoreError::World(error),
        };
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::Full(root.to_owned())
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
                StoreError::Unwritable { root: root.to_owned(), source: Box::new(error) }
            }
            _ => StoreError::World(error),
        }
    }

    /// The same error, now that the store is known.
    pub fn of(self, root: &Path) -> StoreError {
        match self {
            StoreError::World(error) => StoreError::at(root, error),
            other => other,
        }
    }
}
