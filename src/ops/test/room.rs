//! Room for machines of several recipes at once: memory, and result directories of their own.
//!
//! Input: what each recipe takes. Output: places, which are given when there is room and given back when dropped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::exec::interrupt;

/// How often somebody who waits looks whether the command is to end.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The room that there is.
pub(super) struct Room {
    bytes: u64,
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Default)]
struct Taken {
    bytes: u64,
    machines_of: usize,
    results: BTreeSet<PathBuf>,
}

/// A result directory that nobody else's machines use, until this is dropped.
pub(super) struct ResultPlace<'a>(&'a Room, PathBuf);

/// Memory that nobody else counts on, until this is dropped.
pub(super) struct MemoryPlace<'a>(&'a Room, u64);

impl Room {
    pub(super) fn of(bytes: u64) -> Room {
        Room { bytes, taken: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits until no other recipe's machines run out of this result directory: a build replaces what is in it. None when
    /// the command is to end.
    pub(super) fn result(&self, path: &Path) -> Option<ResultPlace<'_>> {
        let mut taken = self.when(|taken| !taken.results.contains(path))?;
        taken.results.insert(path.to_owned());
        Some(ResultPlace(self, path.to_owned()))
    }

    /// Waits until so much memory is left, or all of it: a recipe that needs more than there is runs alone, as it would
    /// by itself. None when the command is to end.
    pub(super) fn memory(&self, bytes: u64) -> Option<MemoryPlace<'_>> {
        let fits = |taken: &Taken| taken.machines_of == 0 || taken.bytes.saturating_add(bytes) <= self.bytes;
        let mut taken = self.when(fits)?;
        taken.machines_of += 1;
        taken.bytes = taken.bytes.saturating_add(bytes);
        Some(MemoryPlace(self, bytes))
    }

    fn when(&self, fits: impl Fn(&Taken) -> bool) -> Option<MutexGuard<'_, Taken>> {
        let mut taken = self.taken();
        while !fits(&taken) {
            if interrupt::stopped() {
                return None;
            }
            taken = self.freed.wait_timeout(taken, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        (!interrupt::stopped()).then_some(taken)
    }

    /// Numbers and names, which no panic leaves half changed.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ResultPlace<'_> {
    fn drop(&mut self) {
        self.0.taken().results.remove(&self.1);
        self.0.freed.notify_all();
    }
}

impl Drop for MemoryPlace<'_> {
    fn drop(&mut self) {
        let mut taken = self.0.taken();
        taken.machines_of -= 1;
        taken.bytes = taken.bytes.saturating_sub(self.1);
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};

    use super::*;

    /// Says whether somebody who asks waits, and that they get it once `held` is given back.
    fn waits<'a, T, P: Send>(room: &'a Room, held: T, ask: impl Fn(&'a Room) -> Option<P> + Send) {
        let (say, heard) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || say.send(ask(room).is_some()).unwrap());
            assert_eq!(
                heard.recv_timeout(Duration::from_millis(50)),
                Err(RecvTimeoutError::Timeout),
                "it did not wait"
            );
            drop(held);
            assert!(heard.recv_timeout(Duration::from_secs(20)).unwrap());
        });
    }

    #[test]
    fn machines_wait_for_memory_and_a_large_recipe_runs_alone() {
        let room = Room::of(4 << 30);
        let one = room.memory(2 << 30).unwrap();
        let two = room.memory(2 << 30).unwrap();
        waits(&room, two, |room| room.memory(1 << 30));
        waits(&room, one, |room| room.memory(u64::MAX));
        let _huge = room.memory(u64::MAX).unwrap();
    }

    #[test]
    fn a_result_directory_has_one_user() {
        let room = Room::of(0);
        let held = room.result(Path::new("result/x")).unwrap();
        let _other = room.result(Path::new("result/y")).unwrap();
        waits(&room, held, |room| room.result(Path::new("result/x")));
    }
}
