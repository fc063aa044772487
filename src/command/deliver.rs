//! Puts artifacts into the result directory: copied, never linked, so that nobody can write into the store.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::Failure;
use crate::base::Digest;
use crate::lock::LockedFile;
use crate::share::manifest::{self, Artifact, Manifest};
use crate::store::Store;
use crate::world::fs;

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
    let at = directory.join(manifest::FILE);
    let same = fs::read(&at, manifest::LIMIT).is_ok_and(|found| found == text.as_bytes());
    if !same {
        fs::create_dir_all(directory).map_err(Failure::world)?;
        fs::remove_file(&at).map_err(Failure::world)?;
    }
    for (name, delivery) in deliveries {
        let path = directory.join(name);
        if same && store.remembers(&path, delivery.artifact().sha256) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Failure::world)?;
        }
        match delivery {
            Delivery::Blob(file) => store.copy_out(&file.sha256, &path).map_err(Failure::world)?,
            Delivery::Text(text, mode) => fs::write_with_mode(&path, text.as_bytes(), *mode).map_err(Failure::world)?,
        }
        store.remember(&path, delivery.artifact().sha256);
    }
    if !same {
        fs::write_atomically(&at, text.as_bytes()).map_err(Failure::world)?;
    }
    Ok(())
}
