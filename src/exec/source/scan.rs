//! Reads a directory: every file by its digest.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::git::{Seen, WorkingTree};
use super::known::KnownFiles;
use super::{MAX_DEPTH, MAX_ENTRIES, SourceEntry, SourceKind, SourceTree, SourceTreeError};
use crate::base::{Digest, Hasher};
use crate::format::git::ignore::PathKind;
use crate::format::tar::TarPath;
use crate::store::Store;
use crate::world::contents::Reading;
use crate::world::dir::{self, Dir};
use crate::world::fs;
use crate::world::plain::Plain;

/// What a build of Linux leaves in its source tree, first of all.
const BUILT: [&str; 2] = [".config", "include/config/auto.conf"];

/// Reads the directory at a path, which has no links in it. What the store knows of it is not read again.
pub fn scan(store: &Store, root: &Path, stop: &dyn Fn() -> bool) -> Result<SourceTree, SourceTreeError> {
    let clock = Dir::open(&store.scratch("clock")?)?.stat()?;
    let dir = Dir::open(root)?;
    let git = WorkingTree::of(&dir)?;
    if git.is_none() {
        for name in BUILT {
            if dir.look(name).is_ok_and(|found| found.is_some()) {
                return Err(SourceTreeError::Built(name));
            }
        }
    }
    let mut scan = Scan { git, known: KnownFiles::of(store, root), entries: Vec::new(), seen: 0, stop };
    scan.directory(&dir, &mut Vec::new(), (0, Seen::All))?;
    scan.known.keep(store, &clock)?;
    let mut entries = scan.entries;
    if entries.is_empty() {
        return Err(SourceTreeError::Empty);
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(SourceTree::new(root.to_owned(), entries))
}

struct Scan<'a> {
    git: Option<WorkingTree>,
    known: KnownFiles,
    entries: Vec<SourceEntry>,
    seen: usize,
    stop: &'a dyn Fn() -> bool,
}

impl Scan<'_> {
    /// `path` is that of the directory, with a slash at its end unless it is the root's.
    fn directory(
        &mut self,
        dir: &Dir,
        path: &mut Vec<u8>,
        (depth, around): (usize, Seen),
    ) -> Result<(), SourceTreeError> {
        if depth == MAX_DEPTH {
            return Err(SourceTreeError::Depth(dir::shown(dir.path())));
        }
        if let Some(git) = &mut self.git {
            git.enter(dir, path)?;
        }
        let names = dir.names(MAX_ENTRIES - self.seen)?.ok_or(SourceTreeError::Entries)?;
        self.seen += names.len();
        for name in names {
            let length = path.len();
            path.extend_from_slice(name.as_bytes());
            self.entry((dir, &name), path, (depth, around))?;
            path.truncate(length);
        }
        if let Some(git) = &mut self.git {
            git.leave();
        }
        Ok(())
    }

    fn entry(
        &mut self,
        (dir, name): (&Dir, &OsStr),
        path: &mut Vec<u8>,
        (depth, around): (usize, Seen),
    ) -> Result<(), SourceTreeError> {
        if self.git.is_some() && name == ".git" {
            return Ok(());
        }
        if (self.stop)() {
            return Err(crate::store::StoreError::Interrupted.into());
        }
        let stat = dir.entry(name)?;
        let found = FileType::from_raw_mode(stat.st_mode);
        let kind = if found == FileType::Directory { PathKind::Directory } else { PathKind::File };
        let seen = self.git.as_ref().map_or(Seen::All, |git| git.sees(path, kind, around));
        if seen == Seen::Nothing {
            return Ok(());
        }
        match found {
            FileType::Directory => {
                let below = dir.directory(name)?;
                if self.git.is_some() && below.kind(".git").is_ok() {
                    return Err(SourceTreeError::Nested(dir::shown(below.path())));
                }
                path.push(b'/');
                self.directory(&below, path, (depth + 1, seen))
            }
            FileType::Symlink => {
                let target = dir.link(name)?;
                let (digest, size) = (Digest::of(target.as_bytes()), target.len() as u64);
                self.keep(path, SourceKind::Link, (digest, size))
            }
            FileType::RegularFile => self.file(dir, name, path, &stat),
            // git sees neither sockets nor pipes.
            _ if self.git.as_ref().is_some_and(|git| !git.tracks(path, kind)) => Ok(()),
            odd => Err(SourceTreeError::Odd { path: dir::shown(&dir.path().join(name)), noun: dir::noun(odd) }),
        }
    }

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
