//! What the unpacker asks of a package, of whatever format: its files, one after the other.

use std::io::Read;

use super::RootError;
use super::claims::Attributes;

/// A package as an unpacker sees it.
pub(crate) trait Package: Sync {
    /// What is kept of it beside its files.
    type Head: Send;

    /// Its name, for messages.
    fn name(&self) -> &str;

    /// How many bytes it has, by which work is shared out.
    fn size(&self) -> Result<u64, RootError>;

    /// Whether this file of it is not unpacked. It stays in the list of the package's files, as dpkg has it.
    fn leaves_out(&self, _entry: &Entry) -> bool {
        false
    }

    /// Opens it; its files are checked one by one while they are read.
    fn open(&self) -> Result<(Self::Head, Box<dyn Files>), RootError>;
}

/// Files of a package, one after the other. Reading yields the content of the entry that `next` gave last.
pub(crate) trait Files: Read {
    fn next(&mut self) -> Result<Option<Entry>, RootError>;
}

/// One file, directory or link of a package.
pub(crate) struct Entry {
    /// Relative to the root, without `./`, `..` or a trailing slash; empty for the root itself.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) attributes: Attributes,
    /// Stands behind the name of a file until the package's own tools put it in its place.
    pub(crate) suffix: &'static str,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A symbolic link with its target as it stands.
    Link(String),
    /// Another name of an earlier entry, whose path is given like [`Entry::path`].
    Hard(String),
}
