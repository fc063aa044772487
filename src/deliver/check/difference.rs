//! What is wrong with a directory that is said to be a build.

use std::fmt;

use serde::Serialize;

use crate::base::Digest;
use crate::base::Foreign;
use crate::world::plain::FileKind;

/// One difference; files are named relative to the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// The manifest names it, and it is not there.
    Missing { file: String },
    /// It is there and no plain file: a link, a pipe, a device.
    NotAFile { file: String, found: FileKind },
    /// It cannot be read.
    Unreadable { file: String, reason: String },
    /// Another number of bytes.
    Size {
        file: String,
        /// Bytes found; no more than one byte beyond `expected` was read.
        found: u64,
        /// Bytes that the manifest says.
        expected: u64,
    },
    /// Other bytes.
    Digest {
        file: String,
        /// Digest found.
        found: Digest,
        /// Digest that the manifest says.
        expected: Digest,
    },
    /// It was changed while it was read.
    Changing { file: String },
    /// It is there, and no build left it.
    Extra {
        /// The file or directory.
        file: String,
    },
    /// There are more of those than are worth a line each.
    ManyExtra {
        /// The lines there are.
        told: usize,
    },
    /// The manifest is none.
    Manifest { reason: String },
    /// The manifest lists neither a machine nor an image, and every build has one of them.
    Nothing,
    /// The manifest does not list a file that every such build has.
    NotListed { file: String },
    /// A `launch.json` that cannot be trusted.
    Launch { file: String, reason: String },
    /// A `launch.json` of another machine than the manifest says.
    Machine { file: String, found: String, expected: String },
    /// A `launch.json` that gives a file another size or digest than the manifest.
    Disagree {
        /// The `launch.json`.
        launch: String,
        file: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Difference::*;
        match self {
            Missing { file } => write!(f, "{}: it is missing", Foreign(file)),
            NotAFile { file, found } => write!(f, "{}: it is {}, not a file", Foreign(file), found.words()),
            Unreadable { file, reason } => write!(f, "{}: it cannot be read: {}", Foreign(file), Foreign(reason)),
            Size { file, found, expected } => {
                write!(f, "{}: has {found} bytes, expected {expected}", Foreign(file))
            }
            Digest { file, found, expected } => {
                write!(f, "{}: has digest {found}, expected {expected}", Foreign(file))
            }
            Changing { file } => write!(f, "{}: it changed while it was read", Foreign(file)),
            Extra { file } => write!(f, "{}: not listed in the manifest", Foreign(file)),
            ManyExtra { told } => write!(f, "and more files that are not listed in the manifest (first {told} shown)"),
            Manifest { reason } => write!(f, "manifest.json: {reason}"),
            Nothing => write!(f, "manifest.json: it lists no machine and no image, so the build is incomplete"),
            NotListed { file } => {
                write!(f, "{}: every build has this file, but the manifest does not list it", Foreign(file))
            }
            Launch { file, reason } => write!(f, "{}: {reason}", Foreign(file)),
            Machine { file, found, expected } => {
                write!(f, "{}: it belongs to machine {}, expected {}", Foreign(file), Foreign(found), Foreign(expected))
            }
            Disagree { launch, file } => {
                write!(f, "{}: its size or digest of {} does not match the manifest", Foreign(launch), Foreign(file))
            }
        }
    }
}
