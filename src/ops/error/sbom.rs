//! What stops a bill of materials.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::Foreign;

/// A result directory about which not enough is known.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// No lock that it was built from.
    #[error(
        "{}: the lock that it was built from is not there, nor in `lockfiles/` or the working directory\n  help: name the lock with \
         --lock, or the recipe instead of the directory",
        Foreign(.0.display())
    )]
    NoLock(PathBuf),
}

impl SbomError {
    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            SbomError::NoLock(_) => ErrorClass::Usage,
        }
    }
}
