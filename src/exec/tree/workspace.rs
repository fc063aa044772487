//! Where the tree grows: in memory when there is plenty, for dpkg waits for the disk after every package.

use std::path::Path;

use super::{HostPath, RootError, Tree};
use crate::world::fs;

/// The tree may take at most one part in this many of the memory that is available.
const MEMORY_DIVISOR: u64 = 3;

/// Makes an empty directory for a tree of about `need` bytes. Which kind of memory holds it changes no bit of it.
///
/// A tmpfs is mounted in this process's own mount namespace: it is gone when the process is, however it ends.
pub(crate) fn prepare(root: &HostPath, need: u64) -> Result<Tree, RootError> {
    root.clear()?;
    if need < available().unwrap_or(0) / MEMORY_DIVISOR {
        // Where it is refused, the disk does as well.
        let _ = root.mount_memory();
    }
    Ok(root.open()?)
}

/// Bytes, from `/proc/meminfo` (Linux `Documentation/filesystems/proc.rst`).
fn available() -> Option<u64> {
    let text = String::from_utf8(fs::read(Path::new("/proc/meminfo"), 1 << 16).ok()?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
