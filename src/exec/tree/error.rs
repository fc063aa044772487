//! Errors name the path as the tree's own programs know it.

use std::io;
use std::path::{Path, PathBuf};

/// Why something in a tree could not be done.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file operation failed.
    #[error("cannot {verb} {path} in the tree: {source}", path = path.display())]
    File {
        /// `read`, `write`, `remove`, ...
        verb: &'static str,
        /// The absolute path within the tree.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The root of the tree could not be made or opened.
    #[error("cannot open the tree {path}: {source}", path = path.display())]
    Root {
        /// Where it is on the host.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel cannot resolve paths within a tree.
    #[error(
        "this Linux cannot keep paths within a tree (openat2: {0})\n  help: kiln needs Linux 5.6 or newer; in a container, \
         let its seccomp filter allow openat2"
    )]
    Kernel(io::Error),
}

impl TreeError {
    /// An error about a path within a tree.
    pub(crate) fn file(verb: &'static str, path: impl AsRef<Path>, source: io::Error) -> TreeError {
        let path = path.as_ref();
        TreeError::File { verb, path: Path::new("/").join(path.strip_prefix("/").unwrap_or(path)), source }
    }
}
