//! What there is to compare of the files of a disk: names, kinds, modes, owners, and digests of contents.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::ask_to_stop;
use crate::base::{Digest, Hasher};
use crate::format::tar::{TarEntry, TarEntryKind, TarError, TarPath, TarReader};

/// A file of a disk. Two names of one file are two files with the same content; the first of them says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct FileFacts {
    pub(in crate::ops) entry: TarEntry,
    /// Of the bytes of a regular file.
    pub(in crate::ops) content: Option<Digest>,
}

/// Those of the archive that an image is.
pub(super) fn of_archive(mut reader: TarReader<impl Read>) -> Result<BTreeMap<TarPath, FileFacts>, TarError> {
    let mut files: BTreeMap<TarPath, FileFacts> = BTreeMap::new();
    while let Some(entry) = reader.next_entry()? {
        let content = if entry.kind == TarEntryKind::File { Some(digest(&mut reader)?) } else { None };
        let first = if let TarEntryKind::Hardlink(first) = &entry.kind { files.get(first).cloned() } else { None };
        let facts = match first {
            Some(FileFacts { entry: first, content }) => {
                FileFacts { entry: TarEntry { path: entry.path.clone(), ..first }, content }
            }
            None => FileFacts { entry, content },
        };
        files.insert(facts.entry.path.clone(), facts);
    }
    Ok(files)
}

/// Reads to the end.
pub(super) fn digest(content: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Hasher::new(io::sink());
    io::copy(content, &mut hasher)?;
    Ok(hasher.finish().1)
}

/// Bytes that end with an error once the user has asked for an end.
pub(super) struct Stoppable<R>(pub(super) R);

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // `Interrupted` would be tried again.
        ask_to_stop().map_err(|_| io::Error::other("interrupted"))?;
        self.0.read(buffer)
    }
}
