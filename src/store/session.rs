//! Temporary files of one process, and removing those of processes that are gone.
//!
//! Each process has a directory below `tmp`, which nobody else may look into and whose name nobody can guess, and holds
//! the lock of the file beside it. A directory whose lock is free belongs to nobody, however old or young it is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;
use super::lock::StoreLock;
use crate::world::dir::Dir;
use crate::world::fs;

/// For this user alone.
const CLOSED: u32 = 0o700;

#[derive(Debug)]
pub(super) struct Session {
    directory: PathBuf,
    lock_path: PathBuf,
    next: AtomicU64,
    leftovers: Vec<PathBuf>,
    _lock: StoreLock,
}

impl Session {
    /// A directory of this process below `tmp`; removes what others left.
    pub(super) fn open(tmp: &Path) -> Result<Session, StoreError> {
        // Nobody else makes or removes sessions meanwhile.
        let _door = StoreLock::exclusive(&tmp.join("door"), &|| false)?;
        let leftovers = sweep(tmp)?;
        loop {
            // The number is for people who look for whose it is.
            let directory = tmp.join(format!("{}-{}", std::process::id(), fs::random()?));
            let lock_path = directory.with_extension("lock");
            if let Some(lock) = StoreLock::try_exclusive(&lock_path)? {
                Dir::make(&directory, CLOSED)?;
                return Ok(Session { directory, lock_path, next: AtomicU64::new(0), leftovers, _lock: lock });
            }
        }
    }

    pub(super) fn place(&self) -> &Path {
        &self.directory
    }

    pub(super) fn leftovers(&self) -> &[PathBuf] {
        &self.leftovers
    }

    /// A path that no other thread or process uses.
    pub(super) fn path(&self, purpose: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let purpose: String = purpose.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.directory.join(format!("{number}-{purpose}"))
    }

    /// An empty directory.
    pub(super) fn directory(&self, purpose: &str) -> Result<PathBuf, StoreError> {
        let path = self.path(purpose);
        Dir::make(&path, CLOSED)?;
        Ok(path)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next process, once the lock is free.
        if fs::remove_tree(&self.directory).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Removes every session whose maker is gone; those that this user may not remove.
fn sweep(tmp: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut stuck = Vec::new();
    for name in fs::names(tmp)? {
        let lock_path = tmp.join(&name);
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let directory = lock_path.with_extension("");
        if StoreLock::try_exclusive(&lock_path)?.is_none() {
            continue;
        }
        match fs::remove_tree(&directory) {
            Ok(()) => fs::remove_file(&lock_path)?,
            Err(_) => stuck.push(directory),
        }
    }
    Ok(stuck)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_a_live_one_has_is_not() {
        let tmp = std::env::temp_dir().join(format!("kiln-session-{}", std::process::id()));
        fs::create_dir_all(&tmp).unwrap();
        let alive = Session::open(&tmp).unwrap();
        let kept = alive.directory("kept").unwrap();
        // As after kill -9: a directory with a lock file that nobody holds.
        let dead = tmp.join("1-0");
        fs::create_dir_all(&dead.join("deep")).unwrap();
        drop(fs::create(&tmp.join("1-0.lock")).unwrap());
        fs::protect(&dead, 0o555, None).unwrap();
        let next = Session::open(&tmp).unwrap();
        assert!(!dead.exists() && kept.exists());
        assert_ne!(next.directory("kept").unwrap(), kept);
        drop((alive, next));
        assert_eq!(fs::names(&tmp).unwrap(), ["door"]);
        fs::remove_tree(&tmp).unwrap();
    }
}
