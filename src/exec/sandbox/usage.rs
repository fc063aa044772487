//! What a sandbox has written to the disks that it may write to.
//!
//! Input: directories. Output: whether a bound was passed. Free space, which one call tells, is the suspicion; the proof
//! is a walk that adds up, for others write to the same disk. Since others remove files, too, there is a walk without
//! suspicion now and then. It runs inside, where the worst link leads inside.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::bound::{Bound, Exceeded};
use super::measure::BLOCK;

/// Bytes free below each directory.
pub(super) fn free(directories: &[PathBuf]) -> Vec<u64> {
    directories.iter().map(|directory| available(directory)).collect()
}

/// Whether so much more was taken since `before` that the bound may have been passed, by whomever.
pub(super) fn suspected(directories: &[PathBuf], before: &[u64], limit: u64) -> bool {
    let mut both = directories.iter().zip(before);
    both.any(|(directory, before)| before.saturating_sub(available(directory)) > limit)
}

/// The bound, if it was passed; `nameless` are bytes of files without a name, by device.
pub(super) fn passed(
    directories: &[PathBuf],
    nameless: &BTreeMap<u64, u64>,
    (limit, suspicious): (u64, bool),
) -> Option<Exceeded> {
    let named: u64 = directories.iter().map(|directory| written(directory, suspicious)).fold(0, u64::saturating_add);
    let others: u64 = devices(directories).iter().filter_map(|device| nameless.get(device)).sum();
    let exceeded = named.saturating_add(others) > limit;
    exceeded.then(|| Exceeded { bound: Bound::Disk, limit, detail: String::new() })
}

/// The devices that directories are on.
pub(super) fn devices(directories: &[PathBuf]) -> BTreeSet<u64> {
    directories.iter().filter_map(|directory| Some(directory.symlink_metadata().ok()?.dev())).collect()
}

fn available(directory: &Path) -> u64 {
    rustix::fs::statvfs(directory).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes below a directory, on its own file system.
fn written(directory: &Path, suspicious: bool) -> u64 {
    let Ok(top) = directory.symlink_metadata() else { return 0 };
    let (mut sum, mut open) = (0, vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            // It went away meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            // Too deep to be looked at: under suspicion nobody who has nothing to hide goes there.
            Err(_) if suspicious => return u64::MAX,
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            // It follows no link.
            let Ok(found) = entry.metadata() else { continue };
            // A file with several names is counted with each of them no more than once in all.
            sum += found.blocks() * BLOCK / if found.is_dir() { 1 } else { found.nlink().max(1) };
            if found.is_dir() && found.dev() == top.dev() {
                open.push(entry.path());
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_counts_blocks_and_follows_no_link() {
        let at = std::env::temp_dir().join(format!("kiln-usage-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(at.join("a/b")).unwrap();
        std::fs::write(at.join("a/b/file"), vec![7; 1 << 20]).unwrap();
        std::fs::hard_link(at.join("a/b/file"), at.join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", at.join("a/link")).unwrap();
        std::fs::File::create(at.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        let size = written(&at, true);
        assert!((1 << 20..2 << 20).contains(&size), "{size}");
        let (places, none) = ([at.clone()], BTreeMap::new());
        assert!(suspected(&places, &[u64::MAX], 1 << 40) && !suspected(&places, &[0], 0));
        assert!(passed(&places, &none, (1 << 10, true)).is_some());
        assert_eq!(passed(&places, &none, (1 << 40, true)), None);
        let device = *devices(&places).first().unwrap();
        assert!(passed(&places, &BTreeMap::from([(device, 1 << 41)]), (1 << 40, true)).is_some());
        assert_eq!(passed(&places, &BTreeMap::from([(device + 1, 1 << 41)]), (1 << 40, true)), None);
        std::fs::remove_dir_all(&at).unwrap();
    }
}
