//! A control group for a sandbox, where one can be had: the kernel then keeps to the bounds exactly, and says which was
//! hit.
//!
//! Input: [`Limits`]. Output: a fresh group below one that hands out what is needed (version 2: `pids` and `memory` in
//! `cgroup.subtree_control`; version 1: the caller's own groups), which the first process of the sandbox joins before
//! it becomes anything, and which is removed after the last. Root has one nearly everywhere; a normal user within what
//! systemd delegated, when kiln runs there. Where there is none, [`super::watch`] does the same by measuring.
//!
//! Files and their meaning: Linux `Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/{memory,pids}.rst`.

use std::fs::{File, read_to_string};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Limits;
use super::bound::{Bound, Exceeded};

const MOUNTED: &str = "/sys/fs/cgroup";
/// What the names of all groups of kiln begin with; then comes its process id.
const PREFIX: &str = "kiln-";
/// Kiln's own processes in a sandbox, which are not the program's.
const KILN_PROCESSES: u64 = 8;
/// No kernel has more (`PID_MAX_LIMIT` of `include/linux/threads.h`).
const MAX_PROCESSES: u64 = 4 << 20;

/// The groups of one sandbox; removed when dropped.
pub(super) struct Cgroup {
    limits: Limits,
    memory: PathBuf,
    processes: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// A new one; `None` where this process may have none.
    fn new(limits: &Limits) -> Option<Cgroup> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let own = read_to_string("/proc/self/cgroup").ok()?;
        let name = format!("{PREFIX}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        second(limits, &own, &name).or_else(|| first(limits, &own, &name))
    }

    /// A new one in which the process that `command` starts, and with it all of the sandbox, begins.
    pub(super) fn around(command: &mut Command, limits: &Limits) -> Option<Cgroup> {
        let wanted = limits.memory.is_some() || limits.processes.is_some();
        let group = wanted.then(|| Cgroup::new(limits))??;
        group.join(command).ok().map(|()| group)
    }

    fn join(&self, command: &mut Command) -> io::Result<()> {
        let open = |group: &Path| File::options().write(true).open(group.join("cgroup.procs"));
        let mut doors = vec![open(&self.memory)?];
        if self.processes != self.memory {
            doors.push(open(&self.processes)?);
        }
        // SAFETY: between fork and exec only write is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                for door in &doors {
                    let door = std::os::fd::BorrowedFd::borrow_raw(door.as_raw_fd());
                    // A group that may not be entered is as good as none: what is used is measured anyway.
                    let _ = rustix::io::write(door, b"0");
                }
                Ok(())
            });
        }
        Ok(())
    }

    /// The bound that the kernel enforced, if it did.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        let kills = match self.version {
            Version::Two => count(&self.memory.join("memory.events"), "oom_kill"),
            Version::One => count(&self.memory.join("memory.oom_control"), "oom_kill"),
        };
        if let Some(limit) = self.limits.memory.filter(|_| kills > 0) {
            let detail = ": the kernel killed a process".to_owned();
            return Some(Exceeded { bound: Bound::Memory, limit, detail });
        }
        let refused = count(&self.processes.join("pids.events"), "max");
        let limit = self.limits.processes.filter(|_| refused > 0)?;
        Some(Exceeded { bound: Bound::Processes, limit, detail: ": the kernel denied another one".to_owned() })
    }

    fn bound(&self) -> io::Result<()> {
        if let Some(memory) = self.limits.memory {
            match self.version {
                Version::Two => {
                    set(&self.memory, "memory.max", memory)?;
                    // A step of which a process is missing goes on to something that nobody has ever seen.
                    set(&self.memory, "memory.oom.group", 1)?;
                    // Else it would go on in the host's swap. Kernels without swap have no such file.
                    let _ = set(&self.memory, "memory.swap.max", 0);
                }
                Version::One => {
                    set(&self.memory, "memory.limit_in_bytes", memory)?;
                    let _ = set(&self.memory, "memory.memsw.limit_in_bytes", memory);
                }
            }
        }
        self.limits.processes.map_or(Ok(()), |processes| {
            set(&self.processes, "pids.max", processes.saturating_add(KILN_PROCESSES).min(MAX_PROCESSES))
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // One that still has processes stays for the next kiln to sweep.
        for group in [&self.memory, &self.processes] {
            let _ = rustix::fs::rmdir(group);
        }
    }
}

/// Version 2: the nearest group above this process that hands both controllers to groups below it.
fn second(limits: &Limits, own: &str, name: &str) -> Option<Cgroup> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let hands_out = |group: &Path| {
        let controllers = read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
        ["memory", "pids"].iter().all(|wanted| controllers.split_whitespace().any(|found| found == *wanted))
    };
    Path::new(MOUNTED).join(path).ancestors().take_while(|group| group.starts_with(MOUNTED)).find_map(|group| {
        let new = hands_out(group).then(|| make(group, name))??;
        finished(Cgroup { limits: *limits, memory: new.clone(), processes: new, version: Version::Two })
    })
}

/// Version 1: below this process's own groups.
fn first(limits: &Limits, own: &str, name: &str) -> Option<Cgroup> {
    let group = |controller: &str| {
        let path = own.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controller)?.strip_prefix(":/"))?;
        make(&Path::new(MOUNTED).join(controller).join(path), name)
    };
    let memory = group("memory")?;
    let Some(processes) = group("pids") else {
        let _ = rustix::fs::rmdir(&memory);
        return None;
    };
    finished(Cgroup { limits: *limits, memory, processes, version: Version::One })
}

/// With its bounds set; a group that does not take them is none.
fn finished(group: Cgroup) -> Option<Cgroup> {
    group.bound().ok().map(|()| group)
}

/// A new group, after the groups of kilns that are no more were removed.
fn make(parent: &Path, name: &str) -> Option<PathBuf> {
    let left = std::fs::read_dir(parent).ok()?.flatten().filter(|entry| {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    });
    // The kernel refuses to remove one that is in use.
    for group in left {
        let _ = rustix::fs::rmdir(group.path());
    }
    let new = parent.join(name);
    rustix::fs::mkdir(&new, rustix::fs::Mode::from_raw_mode(0o755)).ok().map(|()| new)
}

fn set(group: &Path, file: &str, value: u64) -> io::Result<()> {
    std::fs::write(group.join(file), value.to_string())
}

/// A number by its name, of a file with lines of both.
fn count(file: &Path, name: &str) -> u64 {
    let text = read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}
