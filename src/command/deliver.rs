//! Puts artifacts into the result directory: copied, never linked, so that nobody can write into the store.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::failure::Failure;
use crate::base::Digest;
use crate::lock::LockedFile;
use crate::share::manifest::{self, Artifact, Manifest};
use crate::store::Store;
use crate::world::Directory;

/// One file of the result directory.
pub enum Delivery {
    /// A blob of the store.
    Blob(LockedFile),
    /// Text that this command wrote, and its mode.
    Text(String, u32),
}

impl Delivery {
    fn artifact(&self) -> Artifact {
        match self {
            Delivery::Blob(file) => Artifact { size: file.size, sha256: file.sha256 },
            Delivery::Text(text, _) => Artifact { size: text.len() as u64, sha256: Digest::of(text.as_bytes()) },
        }
    }
}

/// Fills in the artifacts of a manifest.
pub fn artifacts(deliveries: &BTreeMap<String, Delivery>) -> BTreeMap<String, Artifact> {
    deliveries.iter().map(|(name, delivery)| (name.clone(), delivery.artifact())).collect()
}

/// Makes `directory` hold exactly these files and their manifest; what is there already and unchanged stays.
///
/// The manifest goes first and comes back last: a directory that has one was delivered completely.
pub fn deliver(
    store: &Store,
    directory: &Path,
    deliveries: &BTreeMap<String, Delivery>,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let text = manifest.write();
    let root = Directory::open(directory).map_err(Failure::world)?;
    let manifest_name = OsStr::new(manifest::FILE);
    let same = root.read(manifest_name, manifest::LIMIT).is_ok_and(|found| found == text.as_bytes());
    if !same {
        root.remove(manifest_name).map_err(Failure::world)?;
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
        root.write(manifest_name, text.as_bytes(), 0o644).map_err(Failure::world)?;
    }
    Ok(())
}

/// One file, below a directory of its machine's where there are several.
fn put(store: &Store, directory: &Path, name: &Path, delivery: &Delivery) -> Result<(), Failure> {
    let parent = name.parent().unwrap_or(Path::new(""));
    let home = Directory::open(directory).and_then(|root| root.descend(parent)).map_err(Failure::world)?;
    let file = name.file_name().unwrap_or_default();
    match delivery {
        Delivery::Blob(blob) => store.copy_into(&blob.sha256, &home, file).map_err(Failure::world),
        Delivery::Text(text, mode) => home.write(file, text.as_bytes(), *mode).map_err(Failure::world),
    }
}
