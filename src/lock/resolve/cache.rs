//! Where boiled-down indexes and their compressed originals are kept between resolutions.

use std::path::PathBuf;

use crate::base::Digest;
use crate::world::fs;

/// Larger entries are not read back.
const LIMIT: u64 = 256 << 20;

/// A place for bytes by key. What it returns is believed only after it was checked, and losing an entry costs time only.
pub trait IndexCache: Sync {
    /// The bytes under a key.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;
    /// Keeps bytes under a key, if it can.
    fn put(&self, key: &Digest, bytes: &[u8]);
}

/// Keeps nothing.
pub struct NoCache;

impl IndexCache for NoCache {
    fn get(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }

    fn put(&self, _: &Digest, _: &[u8]) {}
}

/// Keeps entries as files of one directory.
pub struct DirectoryCache {
    directory: PathBuf,
}

impl DirectoryCache {
    /// Entries below `directory`, which is made when the first is kept.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        DirectoryCache { directory: directory.into() }
    }
}

impl IndexCache for DirectoryCache {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        fs::read(&self.directory.join(key.hex()), LIMIT).ok()
    }

    fn put(&self, key: &Digest, bytes: &[u8]) {
        // A cache that cannot be written makes the next resolution slower, not wrong.
        let kept = fs::create_dir_all(&self.directory)
            .and_then(|()| fs::write_atomically(&self.directory.join(key.hex()), bytes));
        drop(kept);
    }
}
