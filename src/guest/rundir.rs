//! The private directory of one start: sockets, overlays. It disappears with the start, however that ends.
//!
//! A start that was killed cannot tidy up, so each directory holds a lock while it is in use, and the next start
//! removes those whose lock is free.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::world::{WorldError, fs};

const PREFIX: &str = "kiln-run-";
// Beside directories named after machines, whose names have no dots.
/// Below it: what all machines of a start see.
pub const SHARED: &str = ".shared";
const LOCK: &str = ".lock";
/// Times that a new directory may be swept away before it is locked; more is no accident.
const MAX_ATTEMPTS: u32 = 10;

/// A directory that lives as long as this value.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: OwnedFd,
}

impl RunDir {
    /// Makes one in `base` (`/tmp`, say), after removing what killed starts left there. `base` must be short: paths of
    /// sockets have at most 107 bytes.
    pub fn new(base: &Path) -> Result<RunDir, WorldError> {
        sweep(base);
        let mut accidents = 0u32;
        loop {
            let path = base.join(format!("{PREFIX}{}", fs::random()?));
            match rustix::fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => match lock(&path.join(LOCK), OFlags::CREATE) {
                    // Somebody who sweeps may have found the file before it was locked, and taken all away.
                    Ok(lock) if path.join(LOCK).exists() => return Ok(RunDir { path, _lock: lock }),
                    unlocked => {
                        // With a file in it, it is swept; without one nobody would know it.
                        let _ = std::fs::remove_dir(&path);
                        accidents += 1;
                        if accidents > MAX_ATTEMPTS {
                            unlocked?;
                        }
                    }
                },
                Err(error) => return fs::context("create directory", &path, Err(error.into())),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory in it.
    pub fn sub(&self, name: &str) -> Result<PathBuf, WorldError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // Nobody is left to be told; the next start tries again.
        let _ = fs::remove_tree(&self.path);
    }
}

fn lock(path: &Path, more: OFlags) -> Result<OwnedFd, WorldError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
    let file = fs::context("open", path, rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(Into::into))?;
    fs::context("lock", path, rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(Into::into))?;
    Ok(file)
}

/// Removes the directories of this user's starts that are no more. Failures are left for the next start. What others
/// have is not even opened: `base` is everybody's, and an open may be made to wait.
fn sweep(base: &Path) {
    for path in own(base) {
        if lock(&path.join(LOCK), OFlags::empty()).is_ok() {
            let _ = fs::remove_tree(&path);
        }
    }
}

/// The directories of this user's starts that are going on, and that nobody else can look into. They are not swept, so
/// whoever only looks removes nothing.
pub fn in_use(base: &Path) -> Vec<PathBuf> {
    let closed = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.mode() & 0o077 == 0);
    let locked = |path: &PathBuf| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(path.join(LOCK), flags, Mode::empty());
        // A start locks before it has anything to show, so a lock that is free for a moment disturbs none.
        file.is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::AGAIN))
    };
    let mut found: Vec<PathBuf> = own(base).filter(closed).filter(locked).collect();
    found.sort();
    found
}

/// The directories of this user's starts.
fn own(base: &Path) -> impl Iterator<Item = PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let ours = entries.filter(move |entry| {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        named && entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == user)
    });
    ours.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_value_and_what_was_left_is_swept() {
        let base = std::env::temp_dir().join(format!("kiln-rundir-test-{}", std::process::id()));
        fs::create_dir_all(&base.join("kiln-run-1-0")).unwrap();
        fs::write_atomically(&base.join("kiln-run-1-0/.lock"), b"").unwrap();
        let first = RunDir::new(&base).unwrap();
        assert!(!base.join("kiln-run-1-0").exists(), "nobody holds its lock");
        let second = RunDir::new(&base).unwrap();
        assert!(first.path().exists() && first.path() != second.path());
        first.sub("a/b").unwrap();
        let gone = first.path().to_owned();
        drop(first);
        assert!(!gone.exists() && second.path().exists());
        drop(second);
        std::fs::remove_dir(&base).unwrap();
    }
}
