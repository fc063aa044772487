//! Letting other users read a store: what `kiln store share` opens, and what stays closed.
//!
//! Blobs and trees have modes of their own from the moment they come in. What `share` adds is the right to read results, and to reach
//! the store at all; what was made from private files, logs, notes, locks and unfinished work stay its owner's.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::layout::{CLOSED, PUBLIC, RESULTS, SHARED};
use super::result::{PRIVATE as PRIVATE_RESULT, PUBLIC as PUBLIC_RESULT};
use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::fs;

/// What everybody may list.
const LISTED: [&str; 2] = ["cas", "tree"];

impl Store {
    /// Lets other users read what is not private, now and from now on. Directories above the store that are closed to them, and stay so.
    pub fn share(&self) -> Result<Vec<PathBuf>, StoreError> {
        let failed = |error| self.failure(error);
        let results = self.root.join(RESULTS);
        for name in fs::names(&results)? {
            let path = results.join(&name);
            let outputs = name.to_str().and_then(|name| self.peek_result(&name.parse::<Digest>().ok()?));
            let public = outputs.is_some_and(|outputs| self.are_public(&outputs));
            // One that another kiln has just replaced has its mode already.
            let _ = fs::protect(&path, if public { PUBLIC_RESULT } else { PRIVATE_RESULT }, None);
        }
        fs::write_with_mode(&self.root.join(SHARED), b"", 0o644).map_err(failed)?;
        for part in LISTED.iter().chain([&RESULTS]) {
            fs::protect(&self.root.join(part), PUBLIC, None).map_err(failed)?;
        }
        fs::protect(&self.root, PUBLIC, None).map_err(failed)?;
        let above = self.root.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        Ok(above.filter(|path| is_closed(path)).map(Path::to_owned).collect())
    }

    /// Takes the right to read results back. Blobs and trees stay readable to whoever may reach them.
    pub fn unshare(&self) -> Result<(), StoreError> {
        fs::remove_file(&self.root.join(SHARED)).map_err(|error| self.failure(error))?;
        fs::protect(&self.root.join(RESULTS), CLOSED, None).map_err(|error| self.failure(error))
    }
}

fn is_closed(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.mode() & 0o001 == 0)
}
