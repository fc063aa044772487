//! Puts artifacts into the result directory: copied, never linked, so that nobody can write into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use super::error::OpsError;
use crate::base::Digest;
use crate::deliver::manifest::{self, DeliveredFile, Manifest};
use crate::lock::LockedFile;
use crate::store::Store;
use crate::world::OutputDirectory;
use crate::world::dir::Dir;

/// One file of the result directory.
pub(super) enum Delivery {
    /// A blob of the store.
    Blob(LockedFile),
    /// Text that kiln wrote, and its mode.
    Text(String, u32),
}

impl Delivery {
    fn artifact(&self) -> DeliveredFile {
        match self {
            Delivery::Blob(file) => DeliveredFile { size: file.size, sha256: file.sha256 },
            Delivery::Text(text, _) => DeliveredFile { size: text.len() as u64, sha256: Digest::of(text.as_bytes()) },
        }
    }
}

/// Fills in the artifacts of a manifest.
pub(super) fn artifacts(deliveries: &BTreeMap<String, Delivery>) -> BTreeMap<String, DeliveredFile> {
    deliveries.iter().map(|(name, delivery)| (name.clone(), delivery.artifact())).collect()
}

/// Makes `directory` hold exactly these files and their manifest; what is there already and unchanged stays.
///
/// The manifest goes first and comes back last: a directory that has one was delivered completely.
pub(super) fn deliver(
    store: &Store,
    directory: &Path,
    deliveries: &BTreeMap<String, Delivery>,
    manifest: &Manifest,
) -> Result<(), OpsError> {
    let text = manifest.write();
    let root = OutputDirectory::open(directory)?;
    // The last build may have been killed on its way here.
    let homes: BTreeSet<&Path> = deliveries.keys().filter_map(|name| Path::new(name).parent()).collect();
    for home in homes {
        OutputDirectory::open(directory)?.descend(home)?.sweep()?;
    }
    let manifest_name = OsStr::new(manifest::FILE);
    let before = root.read(manifest_name, manifest::LIMIT).unwrap_or_default();
    let same = before == text.as_bytes();
    if !same {
        remove_stale(directory, &before, manifest)?;
        root.remove(manifest_name)?;
    }
    for (name, delivery) in deliveries {
        let path = directory.join(name);
        if same && store.remembers(&path, delivery.artifact().sha256) {
            continue;
        }
        put(store, directory, Path::new(name), delivery)?;
        store.remember(&path, delivery.artifact().sha256);
    }
    if !same {
        root.write(manifest_name, text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// One file, below a directory of its machine's where there are several.
fn put(store: &Store, directory: &Path, name: &Path, delivery: &Delivery) -> Result<(), OpsError> {
    let parent = name.parent().unwrap_or(Path::new(""));
    let home = OutputDirectory::open(directory).and_then(|root| root.descend(parent))?;
    let file = name.file_name().unwrap_or_default();
    match delivery {
        Delivery::Blob(blob) => store.copy_into(&blob.sha256, &home, file)?,
        Delivery::Text(text, mode) => home.write(file, text.as_bytes(), *mode)?,
    }
    Ok(())
}

/// Removes what an earlier build left there and this one has not, so that the directory holds one build. What the
/// earlier manifest does not list is somebody else's, and stays.
fn remove_stale(directory: &Path, before: &[u8], now: &Manifest) -> Result<(), OpsError> {
    let Ok(before) = Manifest::read(before) else { return Ok(()) };
    let root = Dir::open_named(directory)?;
    for name in before.artifacts.keys().filter(|name| !now.artifacts.contains_key(*name)) {
        let Some((machine, file)) = name.split_once('/') else {
            root.remove_if_there(name)?;
            continue;
        };
        // A link in the place of a machine's directory leads to files that are none of a build's.
        if let Ok(held) = root.below(machine) {
            held.remove_if_there(file)?;
            root.remove_empty(machine)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::fs;

    #[test]
    fn what_an_earlier_build_left_goes_and_nothing_else_does() {
        let directory = std::env::temp_dir().join(format!("kiln-deliver-{}", std::process::id()));
        let (result, other) = (directory.join("result"), directory.join("other"));
        for name in ["result/vmlinuz", "result/initrd.img", "result/keep.qcow2", "result/n/vmlinuz", "other/vmlinuz"] {
            fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
            fs::write_atomically(&directory.join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(&other, result.join("m")).unwrap();
        let manifest = |names: &[&str]| Manifest {
            format: manifest::FORMAT,
            recipe: "r".to_owned(),
            output_version: 1,
            lock: Digest::of(b""),
            artifacts: names
                .iter()
                .map(|name| ((*name).to_owned(), DeliveredFile { size: 1, sha256: Digest::of(b"x") }))
                .collect(),
            steps: BTreeMap::new(),
            incremental: std::collections::BTreeSet::new(),
            qemu: BTreeMap::new(),
            warnings: BTreeMap::new(),
        };
        let before = manifest(&["vmlinuz", "initrd.img", "n/vmlinuz", "m/vmlinuz"]);
        remove_stale(&result, before.write().as_bytes(), &manifest(&["vmlinuz"])).unwrap();
        assert_eq!(fs::names(&result).unwrap(), ["keep.qcow2", "m", "vmlinuz"]);
        assert!(other.join("vmlinuz").exists(), "no link is followed");
        fs::remove_tree(&directory).unwrap();
    }
}
