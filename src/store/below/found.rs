//! What has a name in a store below, before anything of it is read: held open, so that what is checked is what is used.

use rustix::fs::{FileType, Stat};

use super::Below;
use crate::base::{Digest, Foreign};
use crate::store::StoreError;
use crate::store::blob::KnownSize;
use crate::store::plain::TIME;
use crate::store::stamp::Stamp;
use crate::store::walk::{Entries, Kind, list};
use crate::world::WorldError;
use crate::world::dir::{Dir, HeldEntry, noun};

/// Larger files are no blobs of kiln: that of a disk image is no larger.
const LARGEST: u64 = 256 << 30;
/// Trees whose files have more bytes together are none of kiln's.
const LARGEST_TREE: u64 = 64 << 30;

/// Why something is not used.
pub(super) enum Refused {
    /// It is not there, or for others alone.
    Missing,
    /// It is not what it must be.
    Because(String),
}

impl From<WorldError> for Refused {
    fn from(error: WorldError) -> Refused {
        Refused::Because(error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        match error {
            // Nothing was found out.
            StoreError::Interrupted => Refused::Missing,
            error => Refused::Because(error.to_string()),
        }
    }
}

impl Refused {
    /// The same of an entry of a tree.
    fn of(self, name: &str) -> Refused {
        match self {
            Refused::Because(why) => Refused::Because(format!("{}: {why}", Foreign(name))),
            Refused::Missing => Refused::Missing,
        }
    }
}

pub(super) fn because(why: impl Into<String>) -> Refused {
    Refused::Because(why.into())
}

/// What is known before something is read, and whether to give up reading.
pub(super) struct Reading<'a> {
    pub(super) size: KnownSize,
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// A file that has the name of a blob and may be one, with its state before anything of it is read.
pub(super) fn file(below: &Below, digest: &Digest, size: KnownSize) -> Result<(Stamp, std::fs::File), Refused> {
    let held = held(below, "cas", digest)?;
    is_plain(held.stat())?;
    // A hole costs its maker nothing, and its reader an hour.
    match (held.stat().st_size.unsigned_abs(), size) {
        (found, KnownSize::Exactly(size)) if found != size => {
            return Err(because(format!("it has {found} bytes, not {size}")));
        }
        // It may be of use to somebody else.
        (found, KnownSize::AtMost(most)) if found > most => return Err(Refused::Missing),
        (found, _) if found > LARGEST => return Err(because(format!("it has {found} bytes (limit {LARGEST})"))),
        _ => {}
    }
    Ok((Stamp::from(held.stat()), open(&held)?))
}

/// What has the name of a tree.
pub(super) fn directory(below: &Below, root: &Digest) -> Result<(HeldEntry, Dir), Refused> {
    let held = held(below, "tree", root)?;
    if held.kind() != FileType::Directory {
        return Err(because(format!("it is {}, not a directory", noun(held.kind()))));
    }
    match below.root.directory(format!("tree/{}", root.hex())) {
        Err(error) if is_denied(&error) => Err(Refused::Missing),
        dir => Ok((held, dir?)),
    }
}

/// What is in a tree, where all of it may be there, and when something of it changed last. No file is read.
pub(super) fn listed(held: &HeldEntry, dir: &Dir) -> Result<(Entries, i128), Refused> {
    is_plain(held.stat())?;
    let (mut newest, mut bytes) = (Stamp::from(held.stat()).newest(), 0u64);
    let entries = list(dir)?;
    for (name, entry) in &entries {
        newest = newest.max(Stamp::from(&entry.stat).newest());
        if !matches!(entry.kind, Kind::Link(_)) {
            is_plain(&entry.stat).map_err(|refused| refused.of(name))?;
        }
        if matches!(entry.kind, Kind::File { .. }) {
            bytes = bytes.saturating_add(entry.stat.st_size.unsigned_abs());
        }
    }
    if bytes > LARGEST_TREE {
        return Err(because(format!("its files have {bytes} bytes (limit {LARGEST_TREE})")));
    }
    Ok((entries, newest))
}

/// What has the name of a digest in a part of a store.
pub(super) fn held(below: &Below, part: &str, digest: &Digest) -> Result<HeldEntry, Refused> {
    below.root.look(format!("{part}/{}", digest.hex()))?.ok_or(Refused::Missing)
}

/// A file that others may not read is none: it was made from what is private.
pub(super) fn open(held: &HeldEntry) -> Result<std::fs::File, Refused> {
    if held.kind() != FileType::RegularFile {
        return Err(because(format!("it is {}, not a file", noun(held.kind()))));
    }
    match held.open() {
        Err(error) if is_denied(&error) => Err(Refused::Missing),
        file => Ok(file?),
    }
}

fn is_denied(error: &WorldError) -> bool {
    matches!(error, WorldError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Steps may look at modes and times, which kiln makes the same everywhere.
fn is_plain(stat: &Stat) -> Result<(), Refused> {
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => {}
        other => return Err(because(format!("it is {}, not a file", noun(other)))),
    }
    if !matches!(mode, 0o444 | 0o400 | 0o555 | 0o500) {
        return Err(because(format!("it has mode {mode:04o}, which kiln gives to nothing in a store")));
    }
    if (stat.st_mtime, stat.st_mtime_nsec) != (TIME.as_secs() as i64, 0) {
        return Err(because("it has another time than kiln gives to everything in a store"));
    }
    Ok(())
}
