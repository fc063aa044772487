//! Which directories of the host cannot be shown to a guest.

use std::path::PathBuf;

use crate::base::Foreign;
use crate::machine::argv::MAX_SHARES;

/// A tag of 9p has no more bytes (`MAX_TAG_LEN` in QEMU's hw/9pfs/9p.h, with its NUL).
pub const MAX_NAME_BYTES: usize = 31;

/// What cannot be shared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The words are none that ask for a share.
    #[error("expected NAME=DIR or NAME=DIR:ro, such as code=../linux")]
    Form,
    /// A guest could not mount it by this name, or not where it belongs.
    #[error(
        "`{}` is not a name of a share: it has letters, digits, `_` and `-`, begins with a letter, and has at most \
         {MAX_NAME_BYTES} characters", Foreign(.0)
    )]
    Name(String),
    /// Two directories in one place.
    #[error("--share: the name `{0}` is given more than once")]
    Twice(String),
    /// More than a machine has room for.
    #[error("--share: {0} directories are given (limit {MAX_SHARES})")]
    Many(usize),
    /// It is not there, or is no directory.
    #[error("--share {name}: {}: {reason}", Foreign(directory.display()))]
    Directory {
        /// Of the share.
        name: String,
        /// As it was written.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A guest could change what kiln trusts.
    #[error(
        "--share {name}: with {}, the guest could write to {} ({what})\n  help: share a directory apart from it, or share \
         it read-only (`:ro`)", Foreign(directory.display()), Foreign(place.display())
    )]
    Own {
        /// Of the share.
        name: String,
        /// The directory, without links.
        directory: PathBuf,
        /// What is kiln's.
        place: PathBuf,
        /// What that is, in words.
        what: &'static str,
    },
}
