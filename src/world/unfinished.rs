//! New files that do not have their names yet, for whoever ends this process while they are written: nobody else knows them before
//! another kiln writes to the same directory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::AtFlags;

/// By their random names, the directories that they are in.
static FILES: Mutex<BTreeMap<OsString, OwnedFd>> = Mutex::new(BTreeMap::new());

/// From now on the file goes with the process.
pub(super) fn note(directory: impl AsFd, name: &OsStr) {
    // Without another descriptor it stays until somebody sweeps.
    if let Ok(directory) = rustix::io::fcntl_dupfd_cloexec(directory, 0) {
        files().insert(name.to_owned(), directory);
    }
}

/// It has its name, or is gone.
pub(super) fn forget(name: &OsStr) {
    files().remove(name);
}

/// Removes all of them; whoever still writes one fails when it is to get its name.
pub fn remove() {
    remove_those(|_| true);
}

fn remove_those(wanted: impl Fn(&OwnedFd) -> bool) {
    for (name, directory) in files().extract_if(.., |_, directory| wanted(directory)) {
        // The process ends whatever comes of it.
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    }
}

/// Those of one directory alone: other tests have theirs.
#[cfg(test)]
pub(super) fn remove_in(directory: &OwnedFd) {
    let place = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|found| (found.st_dev, found.st_ino)).ok();
    let here = place(directory);
    remove_those(|directory| place(directory) == here);
}

fn files() -> MutexGuard<'static, BTreeMap<OsString, OwnedFd>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}
