//! Pid 1's eye on a sandbox: it measures what all processes use, ends the sandbox when a bound is passed, and tells when
//! nothing moves.
//!
//! Input: [`Limits`]. Output: messages to kiln: [`Message::Silent`], or a failure that names the bound. Control groups
//! are exact where they can be had ([`super::cgroup`]); this works everywhere, a fifth of a second late.
//!
//! Measures that are cheap and too high come first, and only when those pass a bound comes the one that is right. What the
//! whole machine uses is the cheapest: as long as that is within the bounds, processes are looked at rarely.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::bound::{Bound, Exceeded};
use super::idle::Idle;
use super::job::{Job, Message, Wires, Work};
use super::measure::{Proc, Task};
use super::{Limits, Root, SandboxError, SandboxIds, usage, waits};

/// Between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Looking takes no more of a processor than one part in so many, but for this: on a busy machine a look takes long by waiting.
const POLL_CPU_DIVISOR: u32 = 25;
const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at disks, and between two exact measures; and between two at processes where the whole machine is within the bounds.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);
/// Between two walks through what was written without suspicion, and no more of the time than one part in so many.
const WALK_INTERVAL: Duration = Duration::from_secs(15);
const WALK_TIME_DIVISOR: u32 = 500;
/// The part of the bound on memory that the machine may use before anybody looks at who does: the system's word for it is an estimate.
const CALM_MEMORY: (u64, u64) = (3, 4);
/// `TMPFS_MAGIC` of `include/uapi/linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

#[derive(Clone)]
pub(super) struct Watch {
    limits: Limits,
    /// Directories on disk that the program may write to, as it sees them.
    on_disk: Vec<PathBuf>,
    /// File systems in memory that it may write to.
    in_memory: Vec<PathBuf>,
    /// Bytes that were free on the disks before.
    free: Vec<u64>,
}

/// What is known of the disks.
struct Walks {
    /// Bytes that were free in the beginning.
    free: Vec<u64>,
    /// Not before is there another under suspicion, which may be of somebody else.
    suspicious: Instant,
    /// When there is a walk without suspicion.
    next: Instant,
}

impl Watch {
    /// What there is to watch of a job, in whose mount namespace this process is by now. Of a sandbox within another the
    /// outer one sees all processes, but not its files.
    pub(super) fn of(job: &Job) -> Watch {
        let mut limits = job.limits;
        if job.ids == SandboxIds::Inherit {
            (limits.silence, limits.processes) = (None, None);
        }
        let (mounts, root) = match &job.work {
            Work::Program(spec) => (&spec.mounts, &spec.root),
            Work::Entry { mounts, .. } => (mounts, &Root::Empty),
        };
        let mounts = mounts.iter().filter(|mount| !mount.readonly).map(|mount| mount.target.clone());
        let mut written: Vec<PathBuf> = mounts.chain(["/tmp", "/dev/shm"].map(PathBuf::from)).collect();
        if matches!(root, Root::Writable(_)) {
            written.push(PathBuf::from("/"));
        }
        let is_tmpfs = |path: &PathBuf| rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS);
        let (in_memory, on_disk): (Vec<PathBuf>, Vec<PathBuf>) = written.into_iter().partition(is_tmpfs);
        let free = usage::free(&on_disk);
        Watch { limits, on_disk, in_memory, free }
    }

    /// What a program that has ended did between the last look and its end: the processes that it left, what it wrote.
    pub(super) fn at_the_end(&self) -> Option<Exceeded> {
        let left = Proc::open().and_then(|proc| self.processes(&proc.tasks()));
        left.or_else(|| self.written())
    }

    fn written(&self) -> Option<Exceeded> {
        let limit = self.limits.disk?;
        let suspicious = usage::suspected(&self.on_disk, &self.free, limit);
        suspicious.then(|| usage::passed(&self.on_disk, &BTreeMap::new(), (limit, true)))?
    }

    /// Watches in a thread of its own, for as long as this process lives.
    pub(super) fn start(self, wires: &Wires) -> Result<(), SandboxError> {
        let Limits { memory, disk, silence, .. } = self.limits;
        if memory.is_none() && disk.is_none() && silence.is_none() {
            // What is left the kernel does.
            return Ok(());
        }
        let failed = |error: std::io::Error| SandboxError::setup("watch the sandbox", error);
        let wires = wires.twin().map_err(failed)?;
        let proc = Proc::open().ok_or_else(|| SandboxError::setup("watch the sandbox", "/proc is not mounted"))?;
        std::thread::Builder::new().spawn(move || self.run(&proc, &wires)).map(drop).map_err(failed)
    }

    fn run(self, proc: &Proc, wires: &Wires) {
        let notice = self.limits.notice().map(Duration::from_secs);
        let mut idle = Idle::new(Instant::now(), notice);
        let rarely = notice.map_or(MEASURE_INTERVAL, |notice| MEASURE_INTERVAL.min(notice / 2));
        let now = Instant::now();
        let mut walks = Walks { free: self.free.clone(), suspicious: now, next: now + WALK_INTERVAL };
        let (mut rested, mut looked) = (Instant::now(), Instant::now());
        loop {
            let began = Instant::now();
            if began.duration_since(looked) < rarely && self.is_calm(proc) {
                std::thread::sleep(POLL_INTERVAL);
                continue;
            }
            looked = began;
            let tasks = proc.tasks();
            let rare = began.duration_since(rested) > MEASURE_INTERVAL;
            let exceeded = self
                .processes(&tasks)
                .or_else(|| self.memory(proc, &tasks, rare))
                .or_else(|| rare.then(|| self.disk(proc, &tasks, &mut walks))?);
            if let Some(exceeded) = exceeded {
                // When nobody listens any more there is nobody to tell. The end of pid 1 is the end of everything.
                let _ = wires.tell(&Message::Failed(SandboxError::Limit(exceeded)));
                std::process::exit(1);
            }
            if rare {
                rested = began;
            }
            if let Some(seconds) = idle.look(began, &tasks) {
                let _ = wires.tell(&Message::Silent { seconds, waits: waits::sentence(proc, &tasks) });
            }
            std::thread::sleep((began.elapsed() * POLL_CPU_DIVISOR).clamp(POLL_INTERVAL, LONGEST_POLL_INTERVAL));
        }
    }

    /// Whether the whole machine has no more processes than the sandbox may have, and takes less memory.
    fn is_calm(&self, proc: &Proc) -> bool {
        let few = self.limits.processes.is_none_or(|limit| proc.threads().is_some_and(|all| all <= limit));
        let (part, of) = CALM_MEMORY;
        few && self.limits.memory.is_none_or(|limit| proc.taken().is_some_and(|all| all <= limit / of * part))
    }

    fn processes(&self, tasks: &[Task]) -> Option<Exceeded> {
        let limit = self.limits.processes?;
        let count: u64 = tasks.iter().filter(|task| task.pid != 1).map(|task| task.threads).sum();
        (count > limit).then(|| Exceeded { bound: Bound::Processes, limit, detail: most(tasks, |task| task.threads) })
    }

    fn disk(&self, proc: &Proc, tasks: &[Task], walks: &mut Walks) -> Option<Exceeded> {
        let limit = self.limits.disk?;
        let suspicious = usage::suspected(&self.on_disk, &walks.free, limit);
        let began = Instant::now();
        if began < if suspicious { walks.suspicious } else { walks.next } {
            return None;
        }
        let passed = usage::passed(&self.on_disk, &proc.nameless(tasks), (limit, suspicious));
        let (now, cost) = (Instant::now(), began.elapsed());
        (walks.suspicious, walks.next) =
            (now + cost * POLL_CPU_DIVISOR, now + WALK_INTERVAL.max(cost * WALK_TIME_DIVISOR));
        passed
    }

    fn memory(&self, proc: &Proc, tasks: &[Task], thorough: bool) -> Option<Exceeded> {
        let limit = self.limits.memory?;
        let mut files: u64 = self.in_memory.iter().map(|path| used(path)).sum();
        if thorough {
            files += self.nowhere(proc, tasks);
        }
        let coarse: u64 = tasks.iter().map(|task| task.resident).sum();
        if coarse + files <= limit {
            return None;
        }
        let (own, mapped) = proc.memory(tasks);
        // Most of what is mapped is in files that were counted.
        if own + mapped.max(files) <= limit {
            return None;
        }
        let detail = most(tasks, |task| task.resident);
        let detail = if files > limit / 2 { ", most of it in files below /tmp or /dev/shm".to_owned() } else { detail };
        Some(Exceeded { bound: Bound::Memory, limit, detail })
    }

    /// Bytes of files that are in no file system of the sandbox: those of `memfd_create`.
    fn nowhere(&self, proc: &Proc, tasks: &[Task]) -> u64 {
        let somewhere = &usage::devices(&self.on_disk) | &usage::devices(&self.in_memory);
        let nameless = proc.nameless(tasks).into_iter().filter(|(device, _)| !somewhere.contains(device));
        nameless.map(|(_, bytes)| bytes).sum()
    }
}

/// Bytes in a file system.
fn used(path: &Path) -> u64 {
    statvfs(path).map_or(0, |found| (found.f_blocks - found.f_bfree) * found.f_frsize)
}

/// Which program has most of it.
fn most(tasks: &[Task], measure: impl Fn(&Task) -> u64) -> String {
    let mut names: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for task in tasks.iter().filter(|task| task.pid != 1) {
        *names.entry(&task.name).or_default() += measure(task);
    }
    let most = names.into_iter().max_by_key(|(_, measure)| *measure);
    most.map(|(name, _)| format!(", most of them {name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bound that is passed by the whole machine is looked into at once, as one whose measure cannot be had.
    #[test]
    fn processes_are_looked_at_rarely_only_where_the_machine_is_within_every_bound() {
        let proc = Proc::open().unwrap();
        let none = Limits { memory: None, processes: None, disk: None, silence: None, log: None };
        let is_calm = |limits| {
            let watch = Watch { limits, on_disk: Vec::new(), in_memory: Vec::new(), free: Vec::new() };
            watch.is_calm(&proc)
        };
        let (memory, processes) = (Some(u64::MAX), Some(u64::MAX));
        assert!(is_calm(none) && is_calm(Limits { memory, processes, ..none }));
        assert!(!is_calm(Limits { memory: Some(1 << 20), processes, ..none }));
        assert!(!is_calm(Limits { memory, processes: Some(0), ..none }));
    }
}
