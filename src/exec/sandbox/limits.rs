//! How much of the machine one sandbox may use, as a value.
//!
//! Input: the machine's memory, and what a user says (`memory=16GiB`). Output: [`Limits`], which travel with the job;
//! the sizes of file systems in memory that follow from them. Nothing here changes a bit of what comes out.

use std::path::Path;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use super::bound::{Bound, Limit};

/// Bounds of one sandbox; `None` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory, file systems in memory included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Bytes on the disks that it may write to.
    pub disk: Option<u64>,
    /// Seconds without work and without a word.
    pub silence: Option<u64>,
    /// Bytes of log that are kept; what a step prints beyond is left out.
    pub log: Option<u64>,
}

/// A parallel compilation has hundreds, with the threads of a Java machine a thousand.
const DEFAULT_PROCESSES: u64 = 4096;
/// A kernel with everything in it takes 20 GiB.
const DEFAULT_DISK_BYTES: u64 = 64 << 30;
const DEFAULT_SILENCE_SECONDS: u64 = 600;
/// The log of a large kernel has 5 MiB.
const DEFAULT_LOG_BYTES: u64 = 64 << 20;
/// Part of the silence after which it is told.
const NOTICE_DIVISOR: u64 = 10;
/// What the host keeps of its memory: one part in so many, and at least so much.
const HOST_MEMORY_MARGIN: (u64, u64) = (8, 512 << 20);
/// Bytes of a file system in memory for which there is a file: each takes a kilobyte that is not counted.
const BYTES_PER_INODE: u64 = 8 << 10;
/// Processes beyond the bound that the kernel still lets start, so that the watch is there to name the bound first.
const RLIMIT_HEADROOM: u64 = 1024;
/// A sandbox has a mount point for each input, and an image a thousand packages.
const MIN_INODES: u64 = 4 << 10;
/// The share of a file system that holds mount points and nothing else.
const MOUNT_POINT_DIVISOR: u64 = 64;

impl Default for Limits {
    /// Generous ones, after the memory of the machine.
    fn default() -> Limits {
        let (memory, processes, disk) = (total_memory().map(most), Some(DEFAULT_PROCESSES), Some(DEFAULT_DISK_BYTES));
        Limits { memory, processes, disk, silence: Some(DEFAULT_SILENCE_SECONDS), log: Some(DEFAULT_LOG_BYTES) }
    }
}

impl Limits {
    /// Those of a machine that a user runs: its guest says how much memory it takes, and may be as silent as it likes.
    pub fn machine() -> Limits {
        Limits { memory: None, processes: Some(DEFAULT_PROCESSES), disk: None, silence: None, log: None }
    }

    /// With one of them changed.
    pub fn with(mut self, limit: Limit) -> Limits {
        *self.of(limit.bound) = limit.value;
        self
    }

    fn of(&mut self, bound: Bound) -> &mut Option<u64> {
        match bound {
            Bound::Memory => &mut self.memory,
            Bound::Processes => &mut self.processes,
            Bound::Disk => &mut self.disk,
            Bound::Silence => &mut self.silence,
            Bound::Log => &mut self.log,
        }
    }

    /// Those of the sandbox that this process is part of, else the default.
    pub fn standing() -> Limits {
        STANDING.get().copied().unwrap_or_default()
    }

    /// Seconds of silence that are worth a word.
    pub(super) fn notice(&self) -> Option<u64> {
        self.silence.map(|silence| (silence / NOTICE_DIVISOR).max(1))
    }
}

static STANDING: OnceLock<Limits> = OnceLock::new();

/// For a process of a sandbox: from now on these are [`Limits::standing`].
pub(super) fn hold(limits: Limits) {
    STANDING.get_or_init(|| limits);
}

/// Options of the tmpfs that a sandbox has at `at`, so that all of them together, and the tree of an image, fit into its
/// memory.
pub(super) fn tmpfs_options(at: &Path) -> String {
    let share = match at.file_name().and_then(|name| name.to_str()) {
        Some("tmp") => 4,
        Some("shm") => 8,
        _ => MOUNT_POINT_DIVISOR,
    };
    room(share)
}

/// Options of a tmpfs that holds the tree of an image, which would else be on a disk.
pub(crate) fn tree_options() -> String {
    match Limits::standing().disk {
        Some(disk) => sized(2, disk),
        None => room(2),
    }
}

fn room(share: u64) -> String {
    sized(share, u64::MAX)
}

fn sized(share: u64, most: u64) -> String {
    // Without a bound the kernel's own: half of the memory.
    let Some(memory) = Limits::standing().memory else { return "size=50%".to_owned() };
    let size = (memory / share).min(most).max(1 << 20);
    let least = if share >= MOUNT_POINT_DIVISOR { MIN_INODES } else { 0 };
    format!("size={size},nr_inodes={}", (size / BYTES_PER_INODE).max(least))
}

/// Limits that the kernel keeps for each process. The host's own are part of nobody's lock. A limit that cannot be set
/// is one that is lower already.
///
/// There is none for the size of a file, for disk images are larger than what they hold, and none for address space,
/// which Java, Go and sanitizers reserve by the terabyte: [`super::watch`] measures what is really used.
pub(super) fn apply() {
    let set = |resource, current: u64, hard: bool| {
        let maximum = rustix::process::getrlimit(resource).maximum;
        let current = Some(maximum.map_or(current, |maximum| maximum.min(current)));
        let _ = rustix::process::setrlimit(resource, Rlimit { current, maximum: if hard { current } else { maximum } });
    };
    set(Resource::Core, 0, false);
    set(Resource::Stack, 8 << 20, false);
    // Programs that close every possible descriptor take minutes when the host allows a thousand million.
    set(Resource::Nofile, 1024, false);
    if let Some(processes) = Limits::standing().processes {
        // For each user, and before Linux 5.14 with what the caller runs elsewhere: it stops what outruns the watch,
        // which counts exactly and says so.
        set(Resource::Nproc, processes.saturating_mul(4).saturating_add(RLIMIT_HEADROOM), true);
    }
}

/// As many open files as this process may ask for.
pub(super) fn open_many() {
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    // Where it is refused, a job with many files fails and says so.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Processes that the kernel ends first when memory runs out, rather than what the user works with.
pub(super) fn first_to_go(process: u32) {
    // Where it is not allowed, the kernel finds the largest as ever.
    let _ = std::fs::write(format!("/proc/{process}/oom_score_adj"), "1000");
}

/// All but a margin.
fn most(total: u64) -> u64 {
    let (part, least) = HOST_MEMORY_MARGIN;
    (total - (total / part).max(least).min(total / 2)) >> 20 << 20
}

fn total_memory() -> Option<u64> {
    static TOTAL: OnceLock<Option<u64>> = OnceLock::new();
    *TOTAL.get_or_init(|| meminfo("MemTotal:"))
}

/// Bytes, from `/proc/meminfo` (Linux `Documentation/filesystems/proc.rst`).
fn meminfo(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_a_margin() {
        assert_eq!(most(24 << 30), 21 << 30);
        assert_eq!(most(2 << 30), 3 << 29);
        assert_eq!(most(512 << 20), 256 << 20);
    }

    #[test]
    fn file_systems_in_memory_fit_into_it_together() {
        let sizes = [room(2), tmpfs_options(Path::new("/root/tmp")), tmpfs_options(Path::new("/root/dev/shm"))];
        let others = [tmpfs_options(Path::new("/")), tmpfs_options(Path::new("/root/dev")), room(64)];
        let bytes = |options: &String| -> u64 {
            options.strip_prefix("size=").unwrap().split(',').next().unwrap().parse().unwrap()
        };
        let sum: u64 = sizes.iter().chain(&others).map(bytes).sum();
        assert!(sum <= Limits::default().memory.unwrap(), "{sizes:?} {others:?}");
    }

    #[test]
    fn silence_is_told_before_it_ends_anything() {
        assert_eq!(Limits::default().notice(), Some(60));
        assert_eq!(Limits { silence: Some(3), ..Limits::default() }.notice(), Some(1));
        assert_eq!(Limits::machine().notice(), None);
    }
}
