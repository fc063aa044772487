//! Temporary files of one process, and removing those of processes that are gone.
//!
//! Each process has a directory below `tmp`, which nobody else may look into and whose name nobody can guess, and holds
//! the lock of the file beside it. A directory whose lock is free belongs to nobody, however old or young it is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::StoreError;
use super::lock::StoreLock;
use crate::world::dir::Dir;
use crate::world::fs;

/// For this user alone.
const CLOSED: u32 = 0o700;

/// Most kilns leave less than takes this long to remove.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

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
        // Nobody else makes sessions or looks for dead ones meanwhile.
        let door = StoreLock::exclusive(&tmp.join("door"), &|| false)?;
        let dead = dead(tmp)?;
        let mut session = Session::begin(tmp)?;
        // A kernel's tree takes a while to remove, and others need not wait for it.
        drop(door);
        session.leftovers = remove(dead);
        Ok(session)
    }

    fn begin(tmp: &Path) -> Result<Session, StoreError> {
        loop {
            // The number is for people who look for whose it is.
            let directory = tmp.join(format!("{}-{}", std::process::id(), fs::random()?));
            let lock_path = directory.with_extension("lock");
            if let Some(lock) = StoreLock::try_exclusive(&lock_path)? {
                Dir::make(&directory, CLOSED)?;
                return Ok(Session {
                    directory,
                    lock_path,
                    next: AtomicU64::new(0),
                    leftovers: Vec::new(),
                    _lock: lock,
                });
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

/// What a process left that is gone, and that is this process's to remove as long as the lock is held.
struct DeadSession {
    directory: PathBuf,
    lock_path: PathBuf,
    _lock: StoreLock,
}

impl DeadSession {
    /// The directory, if this user may not remove it.
    fn remove(self) -> Option<PathBuf> {
        let removed = fs::remove_tree(&self.directory).and_then(|()| fs::remove_file(&self.lock_path));
        removed.is_err().then_some(self.directory)
    }
}

/// Removes dead sessions, and says so where a user would like to know why nothing happens; those that this user may not
/// remove.
fn remove(dead: Vec<DeadSession>) -> Vec<PathBuf> {
    if dead.is_empty() {
        return Vec::new();
    }
    let (sender, stuck) = mpsc::channel();
    let _remover = std::thread::spawn(move || {
        let _ = sender.send(dead.into_iter().filter_map(DeadSession::remove).collect());
    });
    stuck.recv_timeout(NOTICE_AFTER).unwrap_or_else(|_| {
        crate::tell!("removing temporary files of a kiln that was ended");
        stuck.recv().unwrap_or_default()
    })
}

/// Every session whose maker is gone.
fn dead(tmp: &Path) -> Result<Vec<DeadSession>, StoreError> {
    let mut dead = Vec::new();
    for name in fs::names(tmp)? {
        let lock_path = tmp.join(&name);
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        if let Some(lock) = StoreLock::try_exclusive(&lock_path)? {
            dead.push(DeadSession { directory: lock_path.with_extension(""), lock_path, _lock: lock });
        }
    }
    Ok(dead)
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
        // While somebody removes a dead one, others neither wait for that nor remove it, too.
        let slow = tmp.join("2-0");
        fs::create_dir_all(&slow).unwrap();
        let removing = StoreLock::try_exclusive(&tmp.join("2-0.lock")).unwrap().unwrap();
        drop(Session::open(&tmp).unwrap());
        assert!(slow.exists());
        drop(removing);
        let found = super::dead(&tmp).unwrap();
        assert_eq!(found.len(), 1, "and nobody has it twice");
        assert!(super::dead(&tmp).unwrap().is_empty());
        drop(Session::open(&tmp).unwrap());
        assert!(slow.exists(), "it is another's, who has left the door");
        assert!(found.into_iter().all(|dead| dead.remove().is_none()) && !slow.exists());
        assert_ne!(next.directory("kept").unwrap(), kept);
        drop((alive, next));
        assert_eq!(fs::names(&tmp).unwrap(), ["door"]);
        fs::remove_tree(&tmp).unwrap();
    }
}
