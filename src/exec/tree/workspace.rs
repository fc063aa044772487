//! Where the tree grows: in memory when there is plenty, for dpkg waits for the disk after every package.

use super::{HostPath, RootError, Tree};
use crate::world::meminfo;

/// The tree may take at most one part in this many of the memory that is available.
const MEMORY_DIVISOR: u64 = 3;

/// Makes an empty directory for a tree of about `need` bytes. Which kind of memory holds it changes no bit of it.
///
/// A tmpfs is mounted in this process's own mount namespace: it is gone when the process is, however it ends.
pub(crate) fn prepare(root: &HostPath, need: u64) -> Result<Tree, RootError> {
    root.clear()?;
    if need < meminfo::bytes("MemAvailable").unwrap_or(0) / MEMORY_DIVISOR {
        // Where it is refused, the disk does as well.
        let _ = root.mount_memory();
    }
    Ok(root.open()?)
}
