//! One file, opened once and compared with what the manifest says of it.

use std::io::{Read, Seek, SeekFrom};

use super::{CheckOptions, Difference};
use crate::base::{Digest, Hasher};
use crate::deliver::manifest::DeliveredFile;
use crate::world::dir::Dir;
use crate::world::plain::{FileState, Odd, Plain};

/// A file of so many bytes takes a moment, which is told.
const NOTICE_FROM_BYTES: u64 = 256 << 20;

pub(super) struct Reading {
    /// Its state, before and after.
    pub(super) state: FileState,
    /// Its bytes, when they were asked for.
    pub(super) bytes: Option<Vec<u8>>,
}

/// What is wanted of a file.
pub(super) struct Wish<'a> {
    /// Its name in messages.
    pub(super) name: &'a str,
    /// Its bytes are kept when there are no more than these.
    pub(super) keep: u64,
    /// How it is read.
    pub(super) options: &'a CheckOptions<'a>,
}

/// Why there is no plain file, as a difference.
pub(super) fn difference(name: &str, odd: Odd) -> Difference {
    let file = name.to_owned();
    match odd {
        Odd::Missing => Difference::Missing { file },
        Odd::Is(found) => Difference::NotAFile { file, found },
        Odd::Failed(error) => Difference::Unreadable { file, reason: error.to_string() },
    }
}

/// Opens and compares it.
pub(super) fn compare(held: &Dir, own: &str, artifact: &DeliveredFile, wish: &Wish<'_>) -> Result<Reading, Difference> {
    let file = || wish.name.to_owned();
    let plain = held.plain(own).map_err(|odd| difference(wish.name, odd))?;
    if plain.size != artifact.size {
        return Err(Difference::Size { file: file(), found: plain.size, expected: artifact.size });
    }
    let failed = |error: std::io::Error| Difference::Unreadable { file: file(), reason: error.to_string() };
    let state = plain.state().map_err(failed)?;
    let known = wish.options.remembered.filter(|store| store.remembers_open(&plain.file, artifact.sha256));
    if artifact.size <= wish.keep {
        let bytes = plain.read(artifact.size).map_err(failed)?;
        judge(Digest::of(&bytes), bytes.len() as u64, artifact, wish)?;
        return unchanged(&plain, state, wish).map(|state| Reading { state, bytes: Some(bytes) });
    }
    if known.is_none() {
        let (digest, size) = digest(&plain, artifact.size, wish).map_err(failed)?;
        judge(digest, size, artifact, wish)?;
    }
    let state = unchanged(&plain, state, wish)?;
    if let Some(store) = wish.options.remembered {
        store.remember_open(&plain.file, artifact.sha256);
    }
    Ok(Reading { state, bytes: None })
}

/// Digest and number of the first `size` bytes and of one more, if there is one.
fn digest(plain: &Plain, size: u64, wish: &Wish<'_>) -> std::io::Result<(Digest, u64)> {
    if size >= NOTICE_FROM_BYTES {
        (wish.options.told)(wish.name, size);
    }
    let mut hasher = Hasher::new(std::io::sink());
    (&plain.file).seek(SeekFrom::Start(0))?;
    std::io::copy(&mut (&plain.file).take(size.saturating_add(1)), &mut hasher)?;
    let (_, digest, size) = hasher.finish();
    Ok((digest, size))
}

fn judge(found: Digest, size: u64, artifact: &DeliveredFile, wish: &Wish<'_>) -> Result<(), Difference> {
    let file = wish.name.to_owned();
    if size != artifact.size {
        return Err(Difference::Size { file, found: size, expected: artifact.size });
    }
    if found != artifact.sha256 {
        return Err(Difference::Digest { file, found, expected: artifact.sha256 });
    }
    Ok(())
}

fn unchanged(plain: &Plain, before: FileState, wish: &Wish<'_>) -> Result<FileState, Difference> {
    let file = wish.name.to_owned();
    match plain.state() {
        Ok(after) if after == before => Ok(after),
        Ok(_) => Err(Difference::Changing { file }),
        Err(error) => Err(Difference::Unreadable { file, reason: error.to_string() }),
    }
}
