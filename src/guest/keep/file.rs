//! One file that is kept: made where it is to be, or found as it was left; never a link, a pipe, or one of another size.

use std::path::PathBuf;

use crate::guest::{GuestError, Launch, launch};
use crate::world::OutputDirectory;
use crate::world::dir::Dir;
use crate::world::fs;
use crate::world::plain::Odd;

/// The record of what is kept, in the directory.
pub(super) const FILE: &str = "keep.json";
/// The writes to a machine's disk, in its directory.
pub(super) const OVERLAY: &str = "disk.qcow2";

/// Whether a file has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The record names it.
    Required,
    /// It is made, unless an interrupted first run did so already.
    Made,
}

/// A file of this size: holes, or what it begins with.
pub(super) fn place(
    dir: &Dir,
    name: &str,
    (size, content): (u64, Option<&[u8]>),
    found: Found,
) -> Result<(), GuestError> {
    let path = dir.path().join(name);
    if found == Found::Made && matches!(dir.kind(name), Err(Odd::Missing)) {
        // It has its name once it is whole, so that an interrupted run leaves none of another size.
        let (home, name) = OutputDirectory::holding(&path)?;
        let mut new = home.begin()?;
        let written = std::io::Write::write_all(&mut new.file, content.unwrap_or_default());
        fs::context("write", &path, written.and_then(|()| new.file.set_len(size)))?;
        return Ok(new.finish(name, 0o600)?);
    }
    match refuse_odd(dir, name, Some(size))? {
        true => Ok(()),
        false => Err(missing(path)),
    }
}

/// The overlay of the machine's disk: as large as its guest made it.
pub(super) fn overlay(dir: &Dir, launch: &Launch, found: Found) -> Result<(), GuestError> {
    let path = dir.path().join(OVERLAY);
    match (refuse_odd(dir, OVERLAY, None)?, found) {
        (false, Found::Required) => Err(missing(path)),
        (true, Found::Required) => Ok(()),
        (_, Found::Made) => launch::lasting_overlay(launch, &path),
    }
}

fn missing(path: PathBuf) -> GuestError {
    GuestError::Keep { path, reason: format!("it is missing, though {FILE} names it") }
}

/// Whether a plain file is there; an error if it is something else, or has another size.
fn refuse_odd(dir: &Dir, name: &str, size: Option<u64>) -> Result<bool, GuestError> {
    let failed = |reason: String| GuestError::Keep { path: dir.path().join(name), reason };
    match dir.plain(name) {
        Err(Odd::Missing) => Ok(false),
        Err(odd) => Err(failed(odd.to_string())),
        Ok(plain) => match size.filter(|size| *size != plain.size) {
            Some(size) => Err(failed(format!("it has {} bytes, and should have {size}", plain.size))),
            None => Ok(true),
        },
    }
}
