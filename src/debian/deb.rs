//! Reader of binary packages (deb(5)): an `ar` archive of `debian-binary`, `control.tar*` and `data.tar*`.
//!
//! Everything is read once, in order, and nothing is trusted: a size is checked against a bound before anything is
//! allocated, and a path that is absolute, climbs out or is not UTF-8 (Debian policy 10.10 asks for it) is refused.

mod ar;
mod codec;
mod control;
mod data;
mod tape;

use std::io::Read;

pub use control::{Control, ControlFile, Stanza};
pub use data::{Data, DebEntry, DebEntryKind};

use crate::base::Foreign;

/// Most bytes that `control.tar` may hold once decompressed. The largest in Debian 13 are near 5 MiB (`md5sums` of
/// kernel headers and icon themes).
const CONTROL_LIMIT: u64 = 32 << 20;
/// Most bytes that `data.tar` may hold once decompressed; no package in the archive comes near.
const DATA_LIMIT: u64 = 16 << 30;
/// Most entries in one package.
const ENTRY_LIMIT: u64 = 1 << 20;

/// A file is not a binary package, or not one that kiln is willing to unpack.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// Reading failed, or a compressed stream is damaged.
    #[error("{member}: {source}")]
    Io {
        /// The member being read.
        member: &'static str,
        source: std::io::Error,
    },
    /// The outer archive is not what deb(5) describes.
    #[error("not a valid .deb package: {}", Foreign(.0))]
    Format(String),
    /// An entry of one of the tar archives is not acceptable.
    #[error("{member}: entry `{path}`: {reason}", path = Foreign(path), reason = Foreign(reason))]
    Entry {
        member: &'static str,
        /// The entry's name, with odd bytes replaced.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something is larger than kiln is willing to read.
    #[error("{member}: more than {limit} {unit}")]
    TooLarge { member: &'static str, limit: u64, unit: &'static str },
    /// The control stanza lacks a field that every package has, or repeats one.
    #[error("control file: {}", Foreign(.0))]
    Control(String),
}

/// Opens a package: its control part in memory, its files as a stream that has not been read yet.
pub fn open<'r>(reader: impl Read + 'r) -> Result<(Control, Data<'r>), DebError> {
    let mut archive = ar::Archive::open(reader)?;
    let version = archive.member()?.ok_or_else(|| DebError::Format("it is empty".to_owned()))?;
    if version.name != "debian-binary" {
        return Err(DebError::Format(format!("its first member is `{}`", version.name)));
    }
    check_version(&mut archive)?;
    let control = loop {
        let member = archive.member()?.ok_or_else(|| DebError::Format("it has no control.tar".to_owned()))?;
        if member.name.starts_with('_') {
            // deb(5): members with an underscore may stand between the version and the control archive.
            continue;
        }
        let suffix = member.name.strip_prefix("control.tar").map(str::to_owned);
        let suffix = suffix.ok_or_else(|| DebError::Format(format!("unexpected member `{}`", member.name)))?;
        break control::read(codec::decoder(&suffix, archive.by_ref())?)?;
    };
    let suffix = loop {
        let member = archive.member()?.ok_or_else(|| DebError::Format("it has no data.tar".to_owned()))?;
        if let Some(suffix) = member.name.strip_prefix("data.tar") {
            break suffix.to_owned();
        }
        if !member.name.starts_with('_') {
            return Err(DebError::Format(format!("unexpected member `{}`", member.name)));
        }
    };
    Ok((control, Data::new(codec::decoder(&suffix, archive)?)))
}

/// Reads only the control part.
pub fn control(reader: impl Read) -> Result<Control, DebError> {
    open(reader).map(|(control, _)| control)
}

fn check_version(archive: &mut impl Read) -> Result<(), DebError> {
    let mut text = [0; 4];
    archive.read_exact(&mut text).map_err(|source| DebError::Io { member: "debian-binary", source })?;
    if &text == b"2.0\n" { Ok(()) } else { Err(DebError::Format("its format version is not 2.0".to_owned())) }
}
