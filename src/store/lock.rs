//! Locks between processes and threads: `flock(2)` on small files, which the kernel drops when their holder dies.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use super::StoreError;
use crate::world::fs;

/// How often somebody who waits looks again. Work that is worth a lock takes longer.
const POLL_INTERVAL: Duration = Duration::from_millis(40);

/// After so many looks (two seconds) a user would like to know why nothing happens.
const NOTICE_AFTER_POLLS: u32 = 50;

/// Said once by a process, however many of its threads wait.
static NOTICE_SHOWN: Once = Once::new();

/// A lock that is held until dropped.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
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
    pub(super) fn exclusive(path: &Path, stop: &dyn Fn() -> bool) -> Result<StoreLock, StoreError> {
        wait(path, stop, &File::try_lock)
    }
}

/// One of the two ways to lock a file that do not wait.
type Try<'a> = &'a dyn Fn(&File) -> Result<(), TryLockError>;

fn try_now(path: &Path, lock: Try<'_>) -> Result<Option<StoreLock>, StoreError> {
    let file = fs::open_lock(path)?;
    match lock(&file) {
        Ok(()) => Ok(Some(StoreLock { file })),
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
        if looks == NOTICE_AFTER_POLLS {
            NOTICE_SHOWN.call_once(|| {
                crate::tell!("waiting for another kiln process, which holds the lock {}", path.display())
            });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}
