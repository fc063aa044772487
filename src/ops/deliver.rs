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
/// The manifest goes first and comes back last: a directory that has one was delivered completely. In the meantime a
/// partial manifest lists everything that is or will be there.
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
    let [complete, partial] = [manifest::FILE, manifest::PARTIAL_FILE].map(OsStr::new);
    let [before, unfinished] = [complete, partial].map(|name| root.read(name, manifest::LIMIT).unwrap_or_default());
    let same = before == text.as_bytes() && unfinished.is_empty();
    if !same {
        let all = united(manifest, [&before, &unfinished]);
        root.write(partial, all.write().as_bytes(), 0o644)?;
        root.remove(complete)?;
        remove_stale(directory, &all, manifest)?;
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
        root.write(partial, text.as_bytes(), 0o644)?;
        root.rename(partial, complete)?;
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

/// The manifest with the files of earlier ones, those that can be read.
fn united(manifest: &Manifest, earlier: [&[u8]; 2]) -> Manifest {
    let mut all = manifest.clone();
    for earlier in earlier.into_iter().filter_map(|text| Manifest::read(text).ok()) {
        for (name, file) in earlier.artifacts {
            all.artifacts.entry(name).or_insert(file);
        }
    }
    all
}

/// Removes what earlier builds left there and this one has not, so that the directory holds one build. What no
/// manifest lists is somebody else's, and stays.
fn remove_stale(directory: &Path, all: &Manifest, now: &Manifest) -> Result<(), OpsError> {
    let root = Dir::open_named(directory)?;
    for name in all.artifacts.keys().filter(|name| !now.artifacts.contains_key(*name)) {
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

    fn manifest(names: &[&str]) -> Manifest {
        let file = |name: &&str| ((*name).to_owned(), DeliveredFile { size: 1, sha256: Digest::of(b"x") });
        Manifest {
            format: manifest::FORMAT,
            recipe: "r".to_owned(),
            output_version: 1,
            lock: Digest::of(b""),
            artifacts: names.iter().map(file).collect(),
            steps: BTreeMap::new(),
            incremental: BTreeSet::new(),
            local: BTreeMap::new(),
            qemu: BTreeMap::new(),
            built_qemu: BTreeMap::new(),
            images: BTreeMap::new(),
            kernels: BTreeMap::new(),
            warnings: BTreeMap::new(),
        }
    }

    #[test]
    fn what_an_interrupted_delivery_left_goes_as_well() {
        let directory = std::env::temp_dir().join(format!("kiln-deliver-partial-{}", std::process::id()));
        let (store, result) = (Store::open(&directory.join("store")).unwrap(), directory.join("result"));
        let text = || Delivery::Text("x".to_owned(), 0o644);
        // A file that the store does not have ends a delivery where a signal may.
        let lost = Delivery::Blob(LockedFile { size: 1, sha256: Digest::of(b"lost") });
        let build = |deliveries: Vec<(&str, Delivery)>| {
            let names: Vec<&str> = deliveries.iter().map(|(name, _)| *name).collect();
            let named = deliveries.into_iter().map(|(name, delivery)| (name.to_owned(), delivery)).collect();
            deliver(&store, &result, &named, &manifest(&names))
        };
        build(vec![("a", text()), ("n/b", text())]).unwrap();
        build(vec![("a", text()), ("c", text()), ("d", lost)]).unwrap_err();
        assert_eq!(fs::names(&result).unwrap(), ["a", "c", manifest::PARTIAL_FILE]);
        build(vec![("e", text())]).unwrap();
        assert_eq!(fs::names(&result).unwrap(), ["e", manifest::FILE]);
        drop(store);
        fs::remove_tree(&directory).unwrap();
    }

    #[test]
    fn what_an_earlier_build_left_goes_and_nothing_else_does() {
        let directory = std::env::temp_dir().join(format!("kiln-deliver-{}", std::process::id()));
        let (result, other) = (directory.join("result"), directory.join("other"));
        for name in ["result/vmlinuz", "result/initrd.img", "result/keep.qcow2", "result/n/vmlinuz", "other/vmlinuz"] {
            fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
            fs::write_atomically(&directory.join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(&other, result.join("m")).unwrap();
        let before = manifest(&["vmlinuz", "initrd.img", "n/vmlinuz", "m/vmlinuz"]);
        let now = manifest(&["vmlinuz"]);
        remove_stale(&result, &united(&now, [before.write().as_bytes(), b""]), &now).unwrap();
        assert_eq!(fs::names(&result).unwrap(), ["keep.qcow2", "m", "vmlinuz"]);
        assert!(other.join("vmlinuz").exists(), "no link is followed");
        fs::remove_tree(&directory).unwrap();
    }
}
