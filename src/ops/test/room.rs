//! Room for machines of several recipes at once: memory, and result directories of their own.
//!
//! Input: what each recipe takes. Output: places, which are given when there is room and given back when dropped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::ByteSize;
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

    /// Why machines with so much memory do not start at once, or are the only ones, in words.
    pub(super) fn doubt(&self, bytes: u64) -> Option<String> {
        let (taken, size) = (self.taken(), |bytes| ByteSize(bytes).rounded());
        let (needed, room, used) = (size(bytes), size(self.bytes), size(taken.bytes));
        match (taken.machines_of, self.bytes) {
            // It is not known.
            (_, 0) => None,
            (_, room_bytes) if bytes > room_bytes => Some(format!(
                "machines of this recipe have {needed} of memory, more than the {room} that is free for machines here: they run alone, and may be killed when they use it"
            )),
            (1.., room_bytes) if taken.bytes.saturating_add(bytes) > room_bytes => Some(format!(
                "waiting for memory: machines of this recipe have {needed}, and those that run use {used} of the {room} that is free for machines here"
            )),
            _ => None,
        }
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
    fn whoever_waits_for_memory_or_needs_more_than_there_is_hears_why() {
        let room = Room::of(4 << 30);
        assert_eq!(room.doubt(4 << 30), None);
        let large = room.doubt(5 << 30).unwrap();
        assert!(large.contains("have 5.0 GiB of memory, more than the 4.0 GiB"), "{large}");
        let held = room.memory(3 << 30).unwrap();
        assert_eq!(room.doubt(1 << 30), None);
        let waits = room.doubt(2 << 30).unwrap();
        assert!(
            waits.starts_with(
                "waiting for memory: machines of this recipe have 2.0 GiB, and those that run use 3.0 GiB"
            ),
            "{waits}"
        );
        assert_eq!(room.doubt(5 << 30), Some(large));
        drop(held);
        assert_eq!(room.doubt(2 << 30), None);
        assert_eq!(Room::of(0).doubt(1), None, "nothing is known");
    }

    #[test]
    fn a_result_directory_has_one_user() {
        let room = Room::of(0);
        let held = room.result(Path::new("result/x")).unwrap();
        let _other = room.result(Path::new("result/y")).unwrap();
        waits(&room, held, |room| room.result(Path::new("result/x")));
    }
}
