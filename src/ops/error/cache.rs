//! Why caches cannot be used as they were named, or were not filled.

use std::path::PathBuf;

use super::ErrorClass;
use crate::base::Foreign;

/// A cache that was named cannot be one, or was not filled.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A word that names no cache.
    #[error("{origin}: {problem}, found `{}`", Foreign(word))]
    Place {
        /// The option, the variable, or the file.
        origin: String,
        /// What stands there.
        word: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A web server takes nothing.
    #[error(
        "{}: kiln does not write to web servers\n  help: push into a directory, and copy it to where the server has its files, or push into a \
         repository of a container registry",
        Foreign(.0)
    )]
    ReadOnly(String),
    /// A directory with other files.
    #[error(
        "{path}: neither empty nor a cache, which has a directory `results`\n  help: name a new directory; to have a cache among these files, \
         make that directory: mkdir {path}/results",
        path = Foreign(.0.display())
    )]
    NoCache(PathBuf),
    /// Nothing to compare.
    #[error("no cache is named: name one, or list caches in kiln/caches of the user's configuration")]
    NoCaches,
}

impl CacheError {
    /// Whose failure it is.
    pub(super) fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }
}
