//! What stops a bill of materials.

use std::path::PathBuf;

use super::{EmulatorProblem, ErrorClass};
use crate::base::Foreign;
use crate::recipe::local::LocalReader;

/// A result directory about which not enough is known.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// No lock that it was built from.
    #[error(
        "{}: the lock that it was built from is neither in it (kiln.lock) nor in the project that it stands in or the working \
         directory (`lockfiles/NAME.lock`, `NAME.lock`)\n  help: name the lock with --lock, or the recipe instead of the directory",
        Foreign(.0.display())
    )]
    NoLock(PathBuf),
    /// A lock that was named, and that it was not built from.
    #[error("{}: not the lock that {} was built from: {problem}", Foreign(lock.display()), Foreign(directory.display()))]
    OtherLock {
        /// The lock.
        lock: PathBuf,
        /// The directory.
        directory: PathBuf,
        /// What does not agree.
        problem: EmulatorProblem,
    },
    /// Something out of a directory of whoever built it.
    #[error(
        "{}: {} a local directory, which no lock pins, so the lock does not say what is in it",
        Foreign(directory.display()), Foreign(reader.past())
    )]
    Local {
        /// The result directory.
        directory: PathBuf,
        /// What was made from it.
        reader: LocalReader,
    },
}

impl SbomError {
    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            SbomError::NoLock(_) => ErrorClass::Usage,
            SbomError::OtherLock { .. } | SbomError::Local { .. } => ErrorClass::Mismatch,
        }
    }
}
