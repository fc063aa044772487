//! Reads a directory: every file by its digest.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Stat;

use super::known::KnownFiles;
use super::{SourceEntry, SourceKind, SourceTree, SourceTreeError};
use crate::base::{Digest, Hasher};
use crate::format::tar::TarPath;
use crate::recipe::walk::{Visitor, Walk, WalkEntry, WalkKind};
use crate::store::Store;
use crate::world::contents::Reading;
use crate::world::dir::{self, Dir};
use crate::world::fs;
use crate::world::plain::Plain;

/// What a build of Linux leaves in its source tree, first of all.
const BUILT: [&str; 2] = [".config", "include/config/auto.conf"];

/// What a directory is the source of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceUse {
    /// A kernel: only files count, and what a build of Linux leaves is no part of a source.
    Kernel,
    /// A build of the recipe, which may read anything.
    Build,
}

/// Reads the directory at a path, which has no links in it. What the store knows of it is not read again.
pub fn scan(
    store: &Store,
    (root, used): (&Path, SourceUse),
    stop: &dyn Fn() -> bool,
) -> Result<SourceTree, SourceTreeError> {
    let clock = Dir::open(&store.scratch("clock")?)?.stat()?;
    let dir = Dir::open(root)?;
    let walk = Walk::new(&dir)?;
    if used == SourceUse::Kernel && !walk.is_working_tree() {
        for name in BUILT {
            if dir.look(name).is_ok_and(|found| found.is_some()) {
                return Err(SourceTreeError::Built(name));
            }
        }
    }
    let mut scan = Scan { known: KnownFiles::of(store, root), used, entries: Vec::new(), stop };
    walk.visit(&mut scan)?;
    scan.known.keep(store, &clock)?;
    let mut entries = scan.entries;
    if entries.is_empty() {
        return Err(SourceTreeError::Empty);
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(SourceTree::new(root.to_owned(), entries))
}

struct Scan<'a> {
    known: KnownFiles,
    used: SourceUse,
    entries: Vec<SourceEntry>,
    stop: &'a dyn Fn() -> bool,
}

impl Visitor for Scan<'_> {
    type Error = SourceTreeError;

    fn next(&mut self) -> Result<(), SourceTreeError> {
        if (self.stop)() { Err(crate::store::StoreError::Interrupted.into()) } else { Ok(()) }
    }

    fn found(&mut self, entry: &WalkEntry<'_>) -> Result<(), SourceTreeError> {
        let WalkEntry { dir, name, path, stat, kind } = *entry;
        match kind {
            WalkKind::File => self.file(dir, name, path, stat),
            WalkKind::Link => {
                let target = dir.link(name)?;
                let (digest, size) = (Digest::of(target.as_bytes()), target.len() as u64);
                self.keep(path, SourceKind::Link, (digest, size))
            }
            WalkKind::EmptyDirectory if self.used == SourceUse::Kernel => Ok(()),
            WalkKind::EmptyDirectory => self.keep(path, SourceKind::EmptyDirectory, (Digest::of(b""), 0)),
        }
    }
}

impl Scan<'_> {
    fn file(&mut self, dir: &Dir, name: &OsStr, path: &[u8], stat: &Stat) -> Result<(), SourceTreeError> {
        let kind = if stat.st_mode & 0o100 == 0 { SourceKind::File } else { SourceKind::Executable };
        if let Some(digest) = self.known.digest(path, stat) {
            return self.keep(path, kind, (digest, stat.st_size as u64));
        }
        let (digest, size) = digest(dir, name, (stat, self.stop))?;
        self.known.learn(path, stat, digest);
        self.keep(path, kind, (digest, size))
    }

    fn keep(&mut self, path: &[u8], kind: SourceKind, (digest, size): (Digest, u64)) -> Result<(), SourceTreeError> {
        self.entries.push(SourceEntry { path: TarPath::new(path)?, kind, digest, size });
        Ok(())
    }
}

/// Digest and size of a file that was looked at.
fn digest(dir: &Dir, name: &OsStr, (stat, stop): (&Stat, &dyn Fn() -> bool)) -> Result<(Digest, u64), SourceTreeError> {
    let place = dir.path().join(name);
    let changed = || SourceTreeError::Changed(dir::shown(&place));
    let held = dir.look(name)?.filter(|held| held.is(stat)).ok_or_else(changed)?;
    let plain = Plain { file: held.open()?, size: held.stat().st_size as u64 };
    let mut content = fs::context("read", &place, Reading::start(&plain))?;
    let mut hasher = Hasher::new(Unless { stop });
    match io::copy(&mut content, &mut hasher) {
        Err(_) if content.changed() => return Err(changed()),
        Err(_) if stop() => return Err(crate::store::StoreError::Interrupted.into()),
        copied => drop(fs::context("read", &place, copied)?),
    }
    // What was looked at first is remembered for these bytes.
    let now = fs::context("look at", &place, rustix::fs::fstat(&plain.file).map_err(io::Error::from))?;
    if (now.st_mtime, now.st_mtime_nsec, now.st_size) != (stat.st_mtime, stat.st_mtime_nsec, stat.st_size) {
        return Err(changed());
    }
    let (_, digest, size) = hasher.finish();
    Ok((digest, size))
}

/// Takes bytes until it is to stop: one file may be larger than anybody wants to wait for.
struct Unless<'a> {
    stop: &'a dyn Fn() -> bool,
}

impl io::Write for Unless<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.stop)() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
