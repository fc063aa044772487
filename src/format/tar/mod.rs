//! Tar archives: one canonical way to write them, a reader that trusts nothing.
//!
//! Input: [`TarEntry`] values and content streams, or somebody's archive. Output: the archive, or the same values.
//! A root file system travels between steps as such an archive, since only it can carry owners, devices and extended
//! attributes as a normal user. It must not know the disk: nothing here calls `stat` or creates a file.

mod entry;
mod header;
mod pax;
mod reader;
mod writer;

pub use entry::{Device, TarEntry, TarEntryKind, TarPath};
pub use reader::TarReader;
pub use writer::TarWriter;

use crate::base::Foreign;

/// Why an archive was refused, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream below failed.
    #[error("tar: {0}")]
    Io(#[from] std::io::Error),
    /// The archive is damaged or hostile.
    #[error("tar, at byte {offset}: {what}")]
    Malformed {
        /// Where the header stands.
        offset: u64,
        what: String,
    },
    /// A path that could leave the place it is unpacked to.
    #[error("tar: {path:?}: {what}")]
    Path {
        /// As the archive spells it.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The caller broke the canonical order, or handed over something that tar cannot express.
    #[error("tar: {path}: {what}", path = Foreign(path))]
    Entry {
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

#[cfg(test)]
mod tests;
