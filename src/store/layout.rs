//! The directories of a store, and who may look into them, whatever the umask was when they were made.
//!
//! Blobs and trees may be read by everybody who may reach the store, but for those that are private, which have modes of
//! their own. Everything else is nobody's business: unfinished work, logs, and above all the locks, since whoever can open
//! a file can keep kiln waiting for it. In a store that is shared, others may read results as well.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::StoreError;
use crate::world::dir::Dir;
use crate::world::{WorldError, fs};

/// Readable for all.
pub(super) const PUBLIC: u32 = 0o755;
/// For the owner alone.
pub(super) const CLOSED: u32 = 0o700;

/// Every directory and its mode.
const PARTS: [(&str, u32); 12] = [
    ("cas", PUBLIC),
    ("tree", PUBLIC),
    ("ac", CLOSED),
    ("tmp", CLOSED),
    ("part", CLOSED),
    ("lock", CLOSED),
    ("note", CLOSED),
    ("log", CLOSED),
    ("quarantine", CLOSED),
    ("incremental", CLOSED),
    // Names of builds that garbage collection keeps.
    ("root", CLOSED),
    // What resolving remembers of archives.
    ("index", CLOSED),
];

/// Makes what is missing, and takes away what others may do too much.
pub(super) fn prepare(root: &Path) -> Result<(), StoreError> {
    let refuse = |error| match StoreError::at(root, error) {
        // Whatever the reason is, unless the disk is full: this is no place for a store.
        StoreError::World(error) => StoreError::Unwritable { root: root.to_owned(), source: Box::new(error) },
        other => other,
    };
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(PUBLIC).create(root);
    fs::context("create directory", root, made).map_err(refuse)?;
    // The root itself may be a link of the user's: to a larger disk, say.
    let data = fs::context("look at", root, root.metadata()).map_err(refuse)?;
    let (mode, user) = (data.mode(), rustix::process::geteuid());
    if user.is_root() && data.uid() != user.as_raw() {
        return Err(StoreError::Foreign { root: root.to_owned(), uid: data.uid() });
    }
    if mode & 0o022 != 0 {
        fs::protect(root, mode & 0o7777 & !0o022, None).map_err(refuse)?;
    }
    let shared = is_shared(root);
    let mode_of = |name: &str, mode| if name == RESULTS && shared { PUBLIC } else { mode };
    PARTS.iter().try_for_each(|(name, mode)| part(&root.join(name), mode_of(name, *mode))).map_err(refuse)
}

/// Where results are.
pub(super) const RESULTS: &str = "ac";
/// Says that others may read results.
pub(super) const SHARED: &str = "shared";

/// Whether the owner has said so; nobody else may write there.
pub(super) fn is_shared(root: &Path) -> bool {
    fs::metadata(&root.join(SHARED)).is_ok_and(|found| found.is_file())
}

fn part(path: &Path, mode: u32) -> Result<(), WorldError> {
    match Dir::make(path, mode) {
        // Here before, or another kiln was faster.
        Err(WorldError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => return made.map(drop),
    }
    let dir = Dir::open(path)?;
    let before = dir.stat()?.st_mode & 0o7777;
    let after = before & mode | CLOSED;
    if before == after { Ok(()) } else { dir.set_mode(after) }
}
