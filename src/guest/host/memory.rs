//! `--memory-file DIR` and `--hugepages`: what the memory of machines is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::MemorySource;
use crate::base::ByteSize;
use crate::guest::rundir::RunDir;
use crate::guest::{GuestError, Launch};
use crate::machine::argv::{MemoryBacking, private};
use crate::world::{fs, meminfo};

/// Where Linux says what huge pages there are, a directory for each size (`Documentation/admin-guide/mm/hugetlbpage.rst`).
const POOLS: &str = "/sys/kernel/mm/hugepages";
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
pub struct MemoryDirectory(RunDir);

impl HostMemory {
    /// Looks whether the host has the memory.
    pub fn reserve(source: &MemorySource, launches: &[&Launch]) -> Result<HostMemory, GuestError> {
        let memories = memories(launches.iter().copied());
        match source {
            MemorySource::Anonymous => Ok(HostMemory { backing: MemoryBacking::Anonymous, directory: None }),
            MemorySource::Directory(path) => {
                let directory = in_directory(path, &memories)?;
                Ok(HostMemory { backing: MemoryBacking::Files, directory: Some(directory) })
            }
            MemorySource::HugePages(size) => {
                let page = huge_pages(Path::new(POOLS), *size, &memories)?;
                Ok(HostMemory { backing: MemoryBacking::HugePages(page), directory: None })
            }
        }
    }

    /// The directory of one machine, if its memory is made of files.
    pub fn directory_of(&self, machine: &str) -> Result<Option<PathBuf>, GuestError> {
        Ok(self.directory.as_ref().map(|MemoryDirectory(run)| run.sub(machine)).transpose()?)
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

/// A directory in which there is room. It may fill up until QEMU takes its memory, which QEMU then reports itself.
fn in_directory(path: &Path, memories: &Memories<'_>) -> Result<MemoryDirectory, GuestError> {
    let refused = |reason: String| GuestError::Resource { option: "--memory-file", reason };
    let path = fs::context("resolve", path, path.canonicalize())?;
    if !fs::metadata(&path)?.is_dir() {
        return Err(refused(format!("{} is not a directory", path.display())));
    }
    let found = rustix::fs::statvfs(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
    let (free, needed) = (found.f_bavail.saturating_mul(found.f_frsize), total(memories));
    if needed > free {
        let (needed, free) = (ByteSize(needed), ByteSize(free >> 20 << 20));
        return Err(refused(format!("the machines have {needed} of memory, and {} has {free} free", path.display())));
    }
    // A file system of huge pages has blocks of their size, and files are whole numbers of them.
    whole("--memory-file", found.f_frsize.max(1), memories)?;
    Ok(MemoryDirectory(RunDir::new(&path)?))
}

/// The size of a page, once there are enough of them.
fn huge_pages(pools: &Path, size: Option<ByteSize>, memories: &Memories<'_>) -> Result<u64, GuestError> {
    let refused = |reason: String| GuestError::Resource { option: "--hugepages", reason };
    let page = match size {
        Some(size) => size.0,
        None => meminfo::bytes("Hugepagesize").ok_or_else(|| refused("this kernel has no huge pages".to_owned()))?,
    };
    let pool = pools.join(format!("hugepages-{}kB", page >> 10));
    if !page.is_multiple_of(1 << 10) || !pool.is_dir() {
        let known: Vec<String> = sizes(pools).into_iter().map(|size| size.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(refused(format!("this host has no huge pages of {} (it has: {known})", ByteSize(page))));
    }
    whole("--hugepages", page, memories)?;
    let count = |name: &str| fact(&pool.join(name));
    let free = count("free_hugepages")?.saturating_sub(count("resv_hugepages")?);
    let needed = total(memories) / page;
    if needed > free {
        let all = count("nr_hugepages")?.saturating_add(needed - free);
        let how = format!("as root, `echo {all} >{}` reserves them", pool.join("nr_hugepages").display());
        let size = ByteSize(page);
        return Err(refused(format!("the machines need {needed} huge pages of {size}, and {free} are free: {how}")));
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
        assert_eq!(huge_pages(&pools, Some(ByteSize(2 << 20)), &memories()).unwrap(), 2 << 20);
        write("resv_hugepages", 23);
        let error = huge_pages(&pools, Some(ByteSize(2 << 20)), &memories()).unwrap_err().to_string();
        assert!(error.contains("need 768 huge pages of 2MiB, and 767 are free"), "{error}");
        assert!(error.contains("echo 801 >"), "{error}");
        let error = huge_pages(&pools, Some(ByteSize(1 << 30)), &memories()).unwrap_err().to_string();
        assert!(error.contains("no huge pages of 1GiB (it has: 2MiB)"), "{error}");
        write("free_hugepages", 1000);
        let odd: Memories<'_> = [("m", vec![("kiln.memory".to_owned(), 65 << 20)])].into();
        let error = huge_pages(&pools, Some(ByteSize(2 << 20)), &odd).unwrap_err().to_string();
        assert!(error.contains("machine m: kiln.memory has 65MiB"), "{error}");
        fs::remove_tree(&pools).unwrap();
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
        drop(host);
        assert!(fs::names(&base).unwrap().is_empty());
        let file = base.join("file");
        fs::write_atomically(&file, b"").unwrap();
        assert!(in_directory(&file, &small).unwrap_err().to_string().contains("is not a directory"));
        assert!(in_directory(&base.join("none"), &small).is_err());
        fs::remove_tree(&base).unwrap();
    }
}
