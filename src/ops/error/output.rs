//! What nothing is written to.

use std::path::PathBuf;

use crate::base::Foreign;

/// What `--output` names is no place for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Something has the file's name.
    #[error("{} exists already\n  help: name another file, or pass --force to replace it", Foreign(.0.display()))]
    Taken(PathBuf),
    /// A directory has the file's name.
    #[error("{} is a directory: name a file", Foreign(.0.display()))]
    Directory(PathBuf),
    /// Standard output takes text.
    #[error("{0} is not written to standard output: name a file\n  help: for a file called `-` write ./-")]
    StandardOutput(String),
    /// A pipe or a device takes text.
    #[error("{} is a pipe or a device, and {what} is written to a file: name one", Foreign(path.display()))]
    Stream {
        /// Where.
        path: PathBuf,
        /// What is written.
        what: String,
    },
}
