//! What the processes of a sandbox use, as pid 1 sees them in its `/proc`.
//!
//! Input: the directory, opened before any program could put another one there. Output: [`Task`]s, and memory in bytes.
//! Formats: Linux `Documentation/filesystems/proc.rst`, `proc_pid_stat(5)`.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::world::meminfo;

/// No file that is read here is larger.
const LIMIT: u64 = 16 << 10;
/// Bytes of a block of `st_blocks`, whatever the file system's own is.
pub(super) const BLOCK: u64 = 512;
/// `PROC_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const PROC: i64 = 0x9fa0;

/// An open `/proc`.
pub(super) struct Proc {
    dir: OwnedFd,
    page: u64,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) pid: u32,
    pub(super) parent: u32,
    /// The name of its program; any bytes that the process likes, shown harmlessly.
    pub(super) name: String,
    /// `R`, `S`, `D`...
    pub(super) state: char,
    /// Hundredths of seconds of processor time, with that of children that were waited for.
    pub(super) cpu: u64,
    /// Of those, its children's.
    pub(super) cpu_of_children: u64,
    pub(super) threads: u64,
    /// When it started.
    pub(super) start: u64,
    /// Bytes in memory, shared ones included.
    pub(super) resident: u64,
}

impl Proc {
    /// That of this process's mount namespace.
    pub(super) fn open() -> Option<Proc> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir = rustix::fs::open("/proc", flags, Mode::empty()).ok()?;
        let is_proc = rustix::fs::fstatfs(&dir).ok()?.f_type == PROC;
        // SAFETY: the call only returns a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        is_proc.then_some(Proc { dir, page: u64::try_from(page).unwrap_or(4096) })
    }

    /// All processes. One that ends meanwhile is none.
    pub(super) fn tasks(&self) -> Vec<Task> {
        let Ok(entries) = Dir::read_from(&self.dir) else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse::<u32>().ok());
        pids.filter_map(|pid| task(pid, &self.text(pid, "stat")?, self.page)).collect()
    }

    /// Threads of the whole machine, whatever the namespace.
    pub(super) fn threads(&self) -> Option<u64> {
        threads(&self.file("loadavg")?)
    }

    /// Bytes of memory that the whole machine could not give to others: nothing that a file on a disk has as well.
    pub(super) fn taken(&self) -> Option<u64> {
        taken(&self.file("meminfo")?)
    }

    /// A file of a process.
    pub(super) fn text(&self, pid: u32, name: &str) -> Option<String> {
        self.file(&format!("{pid}/{name}"))
    }

    fn file(&self, path: &str) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.dir, path, flags, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(LIMIT).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What an open descriptor of a process leads to.
    pub(super) fn descriptor(&self, pid: u32, number: u64) -> Option<String> {
        let target = rustix::fs::readlinkat(&self.dir, format!("{pid}/fd/{number}"), Vec::new()).ok()?;
        Some(harmless(&target.to_string_lossy()))
    }

    /// Bytes of files that have no name any more, or never had one (`memfd_create`), by device: open descriptors are all
    /// that leads to them.
    pub(super) fn nameless(&self, tasks: &[Task]) -> BTreeMap<u64, u64> {
        let mut files = BTreeMap::new();
        for task in tasks {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let list = rustix::fs::openat(&self.dir, format!("{}/fd", task.pid), flags, Mode::empty());
            let Ok(entries) = list.and_then(|list| Dir::read_from(&list).map(|entries| (list, entries))) else {
                continue;
            };
            let (list, entries) = entries;
            for entry in entries.flatten() {
                // It opens nothing, whatever the descriptor leads to.
                let Ok(found) = rustix::fs::statat(&list, entry.file_name(), AtFlags::empty()) else { continue };
                if found.st_nlink == 0 && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                    let bytes = u64::try_from(found.st_blocks).unwrap_or(0) * BLOCK;
                    files.insert((found.st_dev, found.st_ino), bytes);
                }
            }
        }
        let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
        files.into_iter().for_each(|((device, _), bytes)| *sums.entry(device).or_default() += bytes);
        sums
    }

    /// Bytes of memory that are the processes' own, and those of files in memory that they have mapped; what several
    /// share is counted once.
    pub(super) fn memory(&self, tasks: &[Task]) -> (u64, u64) {
        let of = |task: &Task| {
            let text = self.text(task.pid, "smaps_rollup")?;
            let field = |wanted: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(wanted))?;
                line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
            };
            Some((field("Pss_Anon:")? + field("SwapPss:").unwrap_or(0), field("Pss_Shmem:")?))
        };
        // Kernels before 5.4 lack these fields; the coarser number is what is left.
        let parts =
            tasks.iter().map(|task| of(task).map_or((task.resident, 0), |(own, files)| (own << 10, files << 10)));
        parts.fold((0, 0), |(own, files), part| (own + part.0, files + part.1))
    }
}

/// The number behind the slash of `loadavg`.
fn threads(text: &str) -> Option<u64> {
    text.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// Of `meminfo` what is neither available, nor free in the swap.
fn taken(text: &str) -> Option<u64> {
    let between = |all, rest| meminfo::find(text, all)?.checked_sub(meminfo::find(text, rest)?);
    between("MemTotal", "MemAvailable")?.checked_add(between("SwapTotal", "SwapFree")?)
}

/// One line of `stat`. The name stands in parentheses and may have some itself.
fn task(pid: u32, line: &str, page: u64) -> Option<Task> {
    let (front, rest) = line.rsplit_once(')')?;
    let name = harmless(front.split_once('(')?.1);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Fields are counted from 1 in the manual, and the third is the first here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let cpu_of_children = number(16)? + number(17)?;
    Some(Task {
        pid,
        parent: u32::try_from(number(4)?).ok()?,
        name,
        state: fields.first()?.chars().next()?,
        cpu: number(14)? + number(15)? + cpu_of_children,
        cpu_of_children,
        threads: number(20)?,
        start: number(22)?,
        resident: number(24)?.saturating_mul(page),
    })
}

/// Text of a program, for a sentence of kiln's own.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_anything() {
        let line =
            "7 (a) S 1 (\u{1b}[2J) R 3 7 7 0 -1 4194304 1 2 0 0 50 60 7 8 20 0 3 0 1234 1000 5 18446744073709551615";
        let task = task(7, line, 4096).unwrap();
        assert_eq!((task.name.as_str(), task.state, task.parent), ("a) S 1 (?[2J", 'R', 3));
        assert_eq!((task.cpu, task.cpu_of_children, task.threads, task.start), (125, 15, 3, 1234));
        assert_eq!(task.resident, 5 * 4096);
        assert_eq!(super::task(7, "7 (short) S 1", 4096), None);
    }

    #[test]
    fn what_the_machine_uses_is_no_less_than_what_one_process_does() {
        assert_eq!(threads("0.20 0.18 0.12 1/803 11206\n"), Some(803));
        let text = "MemTotal:    1000 kB\nMemFree:     100 kB\nMemAvailable:   700 kB\nSwapTotal:   50 kB\nSwapFree:   40 kB\n";
        assert_eq!(taken(text), Some((300 + 10) << 10));
        // What is no number of this kind is no reason to look away.
        assert_eq!(
            (threads("0.20"), taken("MemTotal: 1000 kB\n"), taken(&text.replace("700", "7000"))),
            (None, None, None)
        );
        let proc = Proc::open().unwrap();
        let own = proc.tasks().into_iter().find(|task| task.pid == std::process::id()).unwrap();
        assert!(proc.threads().unwrap() >= own.threads && proc.taken().unwrap() > 0);
    }

    #[test]
    fn this_process_is_found_with_its_memory() {
        let proc = Proc::open().unwrap();
        let own: Vec<Task> = proc.tasks().into_iter().filter(|task| task.pid == std::process::id()).collect();
        assert_eq!(own.len(), 1);
        assert!(own[0].threads > 0 && own[0].resident > 0, "{own:?}");
        assert!(proc.memory(&own).0 > 0);
    }
}
