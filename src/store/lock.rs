//! Locks between processes and threads: `flock(2)` on small files, which the kernel drops when their holder dies.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use super::StoreError;
use crate::world::fs;

/// How often somebody who waits looks again. Work that is worth a lock takes longer.
const POLL_INTERVAL: Duration = Duration::from_millis(40);

/// After so many looks (two seconds) a user would like to know why nothing happens.
const NOTICE_AFTER_POLLS: u32 = 50;

/// Said once by a process, however many of its threads wait.
static NOTICE_SHOWN: Once = Once::new();

/// What this process holds, and how often: whoever waits for one of these waits for another of its own threads.
static HELD: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());

/// A lock that is held until dropped.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
    path: PathBuf,
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        let mut held = held();
        // Closing the file would do, but only after the table has forgotten it.
        let _ = self.file.unlock();
        if let Some(count) = held.get_mut(&self.path) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.path);
            }
        }
    }
}

/// Whether a thread of this process holds it, so that no other kiln is waited for.
fn is_held_here(path: &Path) -> bool {
    held().contains_key(path)
}

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, u32>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreLock {
    /// Together with others that share it, waiting until nobody has it alone or `stop` says so.
    pub(super) fn shared(path: &Path, stop: &dyn Fn() -> bool) -> Result<StoreLock, StoreError> {
        wait(path, stop, &File::try_lock_shared)
    }

    /// From shared to alone, at once or not at all.
    pub(super) fn upgrade(&self, path: &Path) -> Result<Option<&StoreLock>, StoreError> {
        match self.file.try_lock() {
            Ok(()) => Ok(Some(self)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Ok(fs::context("lock", path, Err(error))?),
        }
    }

    /// Alone, at once or not at all.
    pub(super) fn try_exclusive(path: &Path) -> Result<Option<StoreLock>, StoreError> {
        try_now(path, &File::try_lock)
    }

    /// Alone, waiting until that is possible or `stop` says so.
    pub fn exclusive(path: &Path, stop: &dyn Fn() -> bool) -> Result<StoreLock, StoreError> {
        wait(path, stop, &File::try_lock)
    }
}

/// One of the two ways to lock a file that do not wait.
type Try<'a> = &'a dyn Fn(&File) -> Result<(), TryLockError>;

fn try_now(path: &Path, lock: Try<'_>) -> Result<Option<StoreLock>, StoreError> {
    let file = fs::open_lock(path)?;
    let mut held = held();
    match lock(&file) {
        Ok(()) => {
            *held.entry(path.to_owned()).or_default() += 1;
            Ok(Some(StoreLock { file, path: path.to_owned() }))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Ok(fs::context("lock", path, Err(error))?),
    }
}

/// Waiting in the kernel could not be called off.
fn wait(path: &Path, stop: &dyn Fn() -> bool, lock: Try<'_>) -> Result<StoreLock, StoreError> {
    let mut looks = 0;
    loop {
        if let Some(lock) = try_now(path, lock)? {
            return Ok(lock);
        }
        if stop() {
            return Err(StoreError::Interrupted);
        }
        looks += 1;
        if looks >= NOTICE_AFTER_POLLS && !is_held_here(path) {
            NOTICE_SHOWN.call_once(|| {
                crate::tell!("waiting for another kiln process, which holds the lock {}", path.display())
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_this_process_is_known_as_its_own_until_the_last_one_is_dropped() {
        let path = std::env::temp_dir().join(format!("kiln-held-{}", std::process::id()));
        let take = || StoreLock::shared(&path, &|| true).unwrap();
        assert!(!is_held_here(&path));
        let (first, second) = (take(), take());
        drop(first);
        assert!(is_held_here(&path));
        assert!(StoreLock::try_exclusive(&path).unwrap().is_none());
        drop(second);
        assert!(!is_held_here(&path));
        assert!(StoreLock::try_exclusive(&path).unwrap().is_some());
        fs::remove_file(&path).unwrap();
    }
}
