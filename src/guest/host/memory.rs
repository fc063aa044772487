//! `--memory-file DIR` and `--hugepages`: what the memory of machines is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::MemorySource;
use super::owner::others_may_move;
use crate::base::ByteSize;
use crate::guest::rundir::RunDir;
use crate::guest::{GuestError, Launch};
use crate::machine::argv::{MemoryBacking, private};
use crate::world::{fs, meminfo};

/// Where Linux says what huge pages there are, a directory for each size (`Documentation/admin-guide/mm/hugetlbpage.rst`).
const POOLS: &str = "/sys/kernel/mm/hugepages";
/// How Linux promises memory (`Documentation/mm/overcommit-accounting.rst`).
const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";
/// By what it guesses: a single piece of memory may have as much as all memory and swap together.
const GUESS: u64 = 0;
/// A file of it is no larger.
const MAX_FACT_BYTES: u64 = 1 << 16;

/// Memory of the host for a run.
#[derive(Debug)]
pub struct HostMemory {
    /// What QEMU is told.
    pub backing: MemoryBacking,
    directory: Option<MemoryDirectory>,
}

/// A private directory for the files that memory is made of. It goes with the run; that of a run that was killed goes with
/// the next one that uses the same directory.
#[derive(Debug)]
struct MemoryDirectory(RunDir);

impl HostMemory {
    /// Looks whether the host has the memory.
    pub fn reserve(source: &MemorySource, launches: &[&Launch]) -> Result<HostMemory, GuestError> {
        let memories = memories(launches.iter().copied());
        match source {
            MemorySource::Anonymous => {
                anonymous(&memories, fact(Path::new(OVERCOMMIT)).ok(), memory_and_swap())?;
                Ok(HostMemory { backing: MemoryBacking::Anonymous, directory: None })
            }
            MemorySource::Directory(path) => {
                let directory = in_directory(path, &memories)?;
                Ok(HostMemory { backing: MemoryBacking::Files, directory: Some(directory) })
            }
            MemorySource::HugePages(size) => {
                let page = huge_pages(&pool(*size)?, &memories)?;
                Ok(HostMemory { backing: MemoryBacking::HugePages(page), directory: None })
            }
        }
    }

    /// The directory of one start of a machine, if its memory is made of files.
    pub fn directory_of(&self, start: &str) -> Result<Option<PathBuf>, GuestError> {
        let Some(MemoryDirectory(run)) = &self.directory else { return Ok(None) };
        let path = run.path().join(start);
        renew(&path)?;
        Ok(Some(path))
    }

    /// What is told of it before the start.
    pub fn notice(&self) -> Option<String> {
        match self.backing {
            MemoryBacking::Anonymous | MemoryBacking::Shareable => None,
            MemoryBacking::Files => {
                let MemoryDirectory(run) = self.directory.as_ref()?;
                Some(format!("memory is in files below {} while the machines run", run.path().display()))
            }
            MemoryBacking::HugePages(page) => Some(format!("memory is in huge pages of {}", ByteSize(page))),
        }
    }
}

/// Memory is empty when its machine is switched on: nothing stays of what an earlier start had in its files.
pub fn renew(directory: &Path) -> Result<(), GuestError> {
    fs::remove_tree(directory)?;
    Ok(fs::create_dir_all(directory)?)
}

type Memories<'a> = BTreeMap<&'a str, Vec<(String, u64)>>;

fn memories<'a>(launches: impl Iterator<Item = &'a Launch>) -> Memories<'a> {
    launches.map(|launch| (launch.machine.as_str(), private(&launch.description.machine))).collect()
}

/// The bytes of memory that these machines can come to use, without QEMU's own and that of files.
pub fn memory_of<'a>(launches: impl Iterator<Item = &'a Launch>) -> u64 {
    total(&memories(launches))
}

fn total(memories: &Memories<'_>) -> u64 {
    memories.values().flatten().fold(0u64, |sum, (_, size)| sum.saturating_add(*size))
}

fn memory_and_swap() -> Option<u64> {
    Some(meminfo::bytes("MemTotal")?.saturating_add(meminfo::bytes("SwapTotal")?))
}

/// Refuses memory that Linux would not give QEMU, whose own words name neither the machine nor what there is.
fn anonymous(memories: &Memories<'_>, overcommit: Option<u64>, most: Option<u64>) -> Result<(), GuestError> {
    let (Some(GUESS), Some(most)) = (overcommit, most) else { return Ok(()) };
    let mut all = memories.iter().flat_map(|(machine, memories)| memories.iter().map(move |memory| (machine, memory)));
    match all.find(|(_, (_, size))| *size > most) {
        None => Ok(()),
        Some((machine, (id, size))) => {
            let (size, most) = (ByteSize(*size), ByteSize(most >> 20 << 20));
            let reason = format!(
                "machine {machine}: {id} has {size}, and this host has {most} of memory and swap (vm.overcommit_memory is 0)"
            );
            Err(GuestError::Resource { option: "memory", reason })
        }
    }
}

/// A directory in which there is room. It may fill up until QEMU takes its memory, which QEMU then reports itself.
fn in_directory(path: &Path, memories: &Memories<'_>) -> Result<MemoryDirectory, GuestError> {
    let refused = |reason: String| GuestError::Resource { option: "--memory-file", reason };
    let Directory { path, free, block } = directory(path)?;
    let needed = total(memories);
    if needed > free {
        let (needed, free) = (ByteSize(needed), ByteSize(free >> 20 << 20));
        return Err(refused(format!("the machines have {needed} of memory, and {} has {free} free", path.display())));
    }
    // A file system of huge pages has blocks of their size, and files are whole numbers of them.
    whole("--memory-file", block, memories)?;
    Ok(MemoryDirectory(RunDir::new(&path)?))
}

/// A directory of the host that files of memory can be made in.
pub(super) struct Directory {
    path: PathBuf,
    free: u64,
    block: u64,
}

pub(super) fn directory(path: &Path) -> Result<Directory, GuestError> {
    let refused = |reason: String| GuestError::Resource { option: "--memory-file", reason };
    let path = fs::context("resolve", path, path.canonicalize())?;
    if !fs::metadata(&path)?.is_dir() {
        return Err(refused(format!("{} is not a directory", path.display())));
    }
    if let Some(reason) = others_may_move(&path)? {
        return Err(refused(reason));
    }
    let found = rustix::fs::statvfs(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    Ok(Directory { path, free, block: found.f_frsize.max(1) })
}

/// Bytes of memory that machines can be given at once, with `anonymous` bytes of other memory to be had.
pub fn room_for(source: &MemorySource, anonymous: u64) -> u64 {
    match source {
        MemorySource::Anonymous => anonymous,
        // A file in a tmpfs is memory as well.
        MemorySource::Directory(path) => directory(path).map_or(anonymous, |found| anonymous.min(found.free)),
        // Reserved already, and for nothing else.
        MemorySource::HugePages(size) => pool(*size).and_then(|pool| Ok(pool.free()? * pool.page)).unwrap_or(0),
    }
}

/// The huge pages of one size.
pub(super) struct Pool {
    page: u64,
    path: PathBuf,
}

impl Pool {
    /// Pages that nobody has, and that nobody was promised.
    fn free(&self) -> Result<u64, GuestError> {
        Ok(self.count("free_hugepages")?.saturating_sub(self.count("resv_hugepages")?))
    }

    fn count(&self, name: &str) -> Result<u64, GuestError> {
        fact(&self.path.join(name))
    }
}

/// The pages of this host that are meant.
pub(super) fn pool(size: Option<ByteSize>) -> Result<Pool, GuestError> {
    pool_in(Path::new(POOLS), size)
}

fn pool_in(pools: &Path, size: Option<ByteSize>) -> Result<Pool, GuestError> {
    let refused = |reason: String| GuestError::Resource { option: "--hugepages", reason };
    let page = match size {
        Some(size) => size.0,
        None => meminfo::bytes("Hugepagesize").ok_or_else(|| refused("this kernel has no huge pages".to_owned()))?,
    };
    let path = pools.join(format!("hugepages-{}kB", page >> 10));
    if !page.is_multiple_of(1 << 10) || !path.is_dir() {
        let known: Vec<String> = sizes(pools).into_iter().map(|size| size.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(refused(format!("this host has no huge pages of {} (it has: {known})", ByteSize(page))));
    }
    Ok(Pool { page, path })
}

/// The size of a page, once there are enough of them.
fn huge_pages(pool: &Pool, memories: &Memories<'_>) -> Result<u64, GuestError> {
    let page = pool.page;
    whole("--hugepages", page, memories)?;
    let (free, needed) = (pool.free()?, total(memories) / page);
    if needed > free {
        let all = pool.count("nr_hugepages")?.saturating_add(needed - free);
        let how = format!("as root, `echo {all} >{}` reserves them", pool.path.join("nr_hugepages").display());
        let size = ByteSize(page);
        let reason = format!("the machines need {needed} huge pages of {size}, and {free} are free: {how}");
        return Err(GuestError::Resource { option: "--hugepages", reason });
    }
    Ok(page)
}

/// Refuses memory that is not a whole number of pages.
fn whole(option: &'static str, page: u64, memories: &Memories<'_>) -> Result<(), GuestError> {
    for (machine, memories) in memories {
        if let Some((id, size)) = memories.iter().find(|(_, size)| !size.is_multiple_of(page)) {
            let (size, page) = (ByteSize(*size), ByteSize(page));
            let reason = format!("machine {machine}: {id} has {size}, which is not a whole number of pages of {page}");
            return Err(GuestError::Resource { option, reason });
        }
    }
    Ok(())
}

/// The sizes that there are pools of.
fn sizes(pools: &Path) -> Vec<ByteSize> {
    let size = |name: std::ffi::OsString| {
        let kilobytes = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()?;
        Some(ByteSize(kilobytes.checked_mul(1 << 10)?))
    };
    let mut found: Vec<ByteSize> = fs::names(pools).unwrap_or_default().into_iter().filter_map(size).collect();
    found.sort();
    found
}

fn fact(path: &Path) -> Result<u64, GuestError> {
    let bytes = fs::read(path, MAX_FACT_BYTES)?;
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| GuestError::Resource {
        option: "--hugepages",
        reason: format!("{} is not a number", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memories() -> Memories<'static> {
        [("m", vec![("kiln.memory".to_owned(), 1 << 30), ("mem0.volatile".to_owned(), 512 << 20)])].into()
    }

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("kiln-host-memory-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn pages_are_counted_before_anything_starts() {
        let pools = scratch("pools");
        let pool = pools.join("hugepages-2048kB");
        fs::create_dir_all(&pool).unwrap();
        let write = |name: &str, number: u64| {
            fs::write_atomically(&pool.join(name), format!("{number}\n").as_bytes()).unwrap();
        };
        write("nr_hugepages", 800);
        write("free_hugepages", 790);
        write("resv_hugepages", 22);
        let asked = |size: u64, memories: &Memories<'_>| huge_pages(&pool_in(&pools, Some(ByteSize(size)))?, memories);
        assert_eq!(asked(2 << 20, &memories()).unwrap(), 2 << 20);
        write("resv_hugepages", 23);
        let error = asked(2 << 20, &memories()).unwrap_err().to_string();
        assert!(error.contains("need 768 huge pages of 2MiB, and 767 are free"), "{error}");
        assert!(error.contains("echo 801 >"), "{error}");
        let error = asked(1 << 30, &memories()).unwrap_err().to_string();
        assert!(error.contains("no huge pages of 1GiB (it has: 2MiB)"), "{error}");
        write("free_hugepages", 1000);
        let odd: Memories<'_> = [("m", vec![("kiln.memory".to_owned(), 65 << 20)])].into();
        let error = asked(2 << 20, &odd).unwrap_err().to_string();
        assert!(error.contains("machine m: kiln.memory has 65MiB"), "{error}");
        fs::remove_tree(&pools).unwrap();
    }

    #[test]
    fn memory_that_linux_would_refuse_is_refused_before_the_start() {
        let of = |overcommit: u64, most: u64| anonymous(&memories(), Some(overcommit), Some(most));
        assert!(of(0, 1 << 30).is_ok() && of(1, 1 << 20).is_ok() && anonymous(&memories(), None, None).is_ok());
        let error = of(0, (1 << 30) - 1).unwrap_err().to_string();
        assert!(
            error.contains("machine m: kiln.memory has 1GiB, and this host has 1023MiB of memory and swap"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_must_have_room_and_is_left_as_it_was() {
        let base = scratch("directory");
        let too_much: Memories<'_> = [("m", vec![("kiln.memory".to_owned(), 1 << 60)])].into();
        let error = in_directory(&base, &too_much).unwrap_err().to_string();
        assert!(error.starts_with("--memory-file: the machines have 1EiB") || error.contains("free"), "{error}");
        let small: Memories<'_> = [("m", vec![("kiln.memory".to_owned(), 1 << 20)])].into();
        let directory = in_directory(&base, &small).unwrap();
        let host = HostMemory { backing: MemoryBacking::Files, directory: Some(directory) };
        let own = host.directory_of("m").unwrap().unwrap();
        assert!(own.is_dir() && own.starts_with(base.canonicalize().unwrap()));
        fs::write_atomically(&own.join("kiln.memory"), b"of the last start").unwrap();
        renew(&own).unwrap();
        assert!(fs::names(&own).unwrap().is_empty(), "a machine that is switched off and on has empty memory");
        drop(host);
        assert!(fs::names(&base).unwrap().is_empty());
        let file = base.join("file");
        fs::write_atomically(&file, b"").unwrap();
        assert!(in_directory(&file, &small).unwrap_err().to_string().contains("is not a directory"));
        assert!(in_directory(&base.join("none"), &small).is_err());
        fs::remove_tree(&base).unwrap();
    }
}
