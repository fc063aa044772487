//! `data.tar`: the files that a package installs, as checked entries.

use std::io::{self, Read};

use super::tape::{Raw, Tape};
use super::{DATA_LIMIT, DebError};

/// The files of a package, one after the other. Reading yields the content of the entry that [`Data::next`] gave last.
pub struct Data<'r> {
    tape: Tape<Box<dyn Read + 'r>>,
}

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebEntry {
    /// Relative to the root, without `./` or a trailing slash: `usr/bin/bash`. Empty for the root itself.
    pub path: String,
    pub kind: DebEntryKind,
    /// Permission bits with set-uid, set-gid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// What an entry is. Devices, fifos and sockets are refused: policy 10.6 forbids them in packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebEntryKind {
    /// A regular file of that many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link with its target as it stands.
    Link(String),
    /// Another name of an earlier entry, whose path is given like [`DebEntry::path`].
    Hard(String),
}

const MEMBER: &str = "data.tar";

impl<'r> Data<'r> {
    pub(super) fn new(reader: Box<dyn Read + 'r>) -> Self {
        Data { tape: Tape::new(reader, MEMBER, DATA_LIMIT) }
    }

    /// The next entry; what was not read of the one before is skipped.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend the content of its items")]
    pub fn next(&mut self) -> Result<Option<DebEntry>, DebError> {
        self.tape.next()?.map(check).transpose()
    }
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tape.read(buffer)
    }
}

fn check(raw: Raw) -> Result<DebEntry, DebError> {
    let refuse =
        |reason| DebError::Entry { member: MEMBER, path: String::from_utf8_lossy(&raw.path).into_owned(), reason };
    let path = relative(&raw.path).map_err(refuse)?;
    let kind = match raw.header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => DebEntryKind::File(raw.size),
        tar::EntryType::Directory => DebEntryKind::Directory,
        tar::EntryType::Symlink => DebEntryKind::Link(target(&raw.link).map_err(refuse)?),
        tar::EntryType::Link => DebEntryKind::Hard(relative(&raw.link).map_err(refuse)?),
        tar::EntryType::Char | tar::EntryType::Block => return Err(refuse("device nodes are not allowed in packages")),
        tar::EntryType::Fifo => return Err(refuse("named pipes are not allowed in packages")),
        _ => return Err(refuse("its type is not allowed in packages")),
    };
    if !matches!(kind, DebEntryKind::File(_)) && raw.size != 0 {
        return Err(refuse("only regular files may have content"));
    }
    if path.is_empty() && kind != DebEntryKind::Directory {
        return Err(refuse("the root must be a directory"));
    }
    let number = |value: io::Result<u64>| value.ok().and_then(|value| u32::try_from(value).ok());
    Ok(DebEntry {
        mode: raw.header.mode().map_err(|_| refuse("its mode is not a number"))? & 0o7777,
        uid: number(raw.header.uid()).ok_or_else(|| refuse("its owner is not a number"))?,
        gid: number(raw.header.gid()).ok_or_else(|| refuse("its group is not a number"))?,
        mtime: raw.header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
        path,
        kind,
    })
}

/// `./usr/bin/` to `usr/bin`.
pub(super) fn relative(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "its name is not UTF-8")?;
    if text.contains('\0') || text.contains('\n') {
        // dpkg's own file lists have one name a line.
        return Err("its name has a control character");
    }
    if text.starts_with('/') {
        return Err("its name is absolute");
    }
    let mut path = String::with_capacity(text.len());
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err("its name contains `..`");
        }
        if part.len() > 255 {
            return Err("a component of its name is longer than 255 bytes");
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

fn target(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "its target is not UTF-8")?;
    if text.is_empty() || text.contains('\0') {
        return Err("its target is empty or has a control character");
    }
    Ok(text.to_owned())
}
