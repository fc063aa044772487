//! Build directories that a later run of the same step may go on from: `incremental/<key>`.
//!
//! They are no content, and nobody believes them: a directory is handed out only while all its files are as they were
//! when it was kept (by their stamps, so only until the next reboot), and to one caller alone, who gives it back when
//! its work succeeded. So one that was changed, is half written or in use is not there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::lock::StoreLock;
use super::tree::fingerprint;
use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::dir::Dir;
use crate::world::fs;

/// So many are kept; the one that was used longest ago goes first. One of a kernel has two gigabytes or more.
const MAX_KEPT: usize = 4;

/// What was kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptState {
    /// Nothing, or somebody else has it.
    Nothing,
    /// A directory that changed since it was kept, or is from before this host was started, so that nobody knows; it is removed.
    Untrusted,
    /// A directory, and what was said of it.
    Taken(Vec<u8>),
}

impl Store {
    fn incremental_path(&self, key: &Digest) -> PathBuf {
        self.root.join("incremental").join(key.hex())
    }

    /// Moves the directory that is kept under `key` to `to`, where nothing is, and gives what was kept to be said of it. One that
    /// is not to be trusted is removed.
    pub fn take_incremental(&self, key: &Digest, to: &Path, stop: &dyn Fn() -> bool) -> Result<KeptState, StoreError> {
        let _alone = self.lock(key, stop)?;
        let path = self.incremental_path(key);
        if path.symlink_metadata().is_err() {
            return Ok(KeptState::Nothing);
        }
        let note = self.recall(&note_name(key)).unwrap_or_default();
        let state = Dir::open(&path).ok().and_then(|directory| fingerprint(&directory).ok());
        let Some(said) = state.and_then(|state| note.strip_prefix(&state[..])?.strip_prefix(b"\n")) else {
            self.remove_incremental(key)?;
            return Ok(KeptState::Untrusted);
        };
        // Without its note it would not be trusted, should this process end in between.
        self.forget_note(key)?;
        fs::rename(&path, to).map_err(|error| StoreError::at(&self.root, error))?;
        Ok(KeptState::Taken(said.to_vec()))
    }

    /// Keeps the directory `name` of one that a sandbox had under `key`, and what is `said` of it; it is gone from where it
    /// was, as is what was kept there.
    pub fn keep_incremental(
        &self,
        key: &Digest,
        (from, name, said): (&Dir, &str, &[u8]),
        stop: &dyn Fn() -> bool,
    ) -> Result<(), StoreError> {
        {
            let _alone = self.lock(key, stop)?;
            self.remove_incremental(key)?;
            let path = self.incremental_path(key);
            from.rename_to(name, &path).map_err(|error| StoreError::at(&self.root, error))?;
            let kept = Dir::open(&path).map_err(StoreError::from).and_then(|directory| fingerprint(&directory));
            if kept.is_err() {
                // A link, or what could not be looked through: it would not be trusted.
                self.remove_incremental(key)?;
            }
            self.note(&note_name(key), &[&kept?[..], b"\n", said].concat())?;
        }
        self.bound_incremental()
    }

    /// Forgets what is kept under `key`.
    pub fn drop_incremental(&self, key: &Digest, stop: &dyn Fn() -> bool) -> Result<(), StoreError> {
        let _alone = self.lock(key, stop)?;
        self.remove_incremental(key)
    }

    /// For whoever holds the lock of `key`.
    fn remove_incremental(&self, key: &Digest) -> Result<(), StoreError> {
        self.forget_note(key)?;
        fs::remove_tree(&self.incremental_path(key)).map_err(|error| StoreError::at(&self.root, error))
    }

    fn forget_note(&self, key: &Digest) -> Result<(), StoreError> {
        Ok(fs::remove_file(&self.root.join("note").join(note_name(key).hex()))?)
    }

    /// Removes those used longest ago until no more than [`MAX_KEPT`] are left.
    fn bound_incremental(&self) -> Result<(), StoreError> {
        let mut all: Vec<(i64, Digest)> = Vec::new();
        for name in fs::names(&self.root.join("incremental"))? {
            let Some(key) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
            // One that another kiln took meanwhile is not there any more.
            let Ok(metadata) = fs::metadata(&self.incremental_path(&key)) else { continue };
            all.push((metadata.ctime(), key));
        }
        all.sort();
        let surplus = all.len().saturating_sub(MAX_KEPT);
        for (_, key) in all.into_iter().take(surplus) {
            // One that somebody looks at right now is not the oldest any more.
            if let Some(_alone) = StoreLock::try_exclusive(&self.root.join("lock").join(key.hex()))? {
                self.remove_incremental(&key)?;
            }
        }
        Ok(())
    }
}

fn note_name(key: &Digest) -> Digest {
    Digest::of(format!("incremental {key}").as_bytes())
}
