//! Blobs by what they begin with, for whoever looks for an earlier state of a file.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Store, StoreError};
use crate::base::Digest;
use crate::world::fs;

impl Store {
    /// Blobs that begin with these bytes, the newest first. Whether they are sound is not asked, but of those below.
    pub fn beginning_with(&self, begin: &[u8], most: usize) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
        let mut found = Vec::new();
        let below = self.below().map(|below| below.path().join("cas"));
        for path in std::iter::once(self.root.join("cas")).chain(below.collect::<Vec<_>>()) {
            found.extend(beginning_in(&path, begin)?);
        }
        found.sort_by_key(|(modified, digest, _)| std::cmp::Reverse((*modified, *digest)));
        let known = |digest, path: PathBuf| match path.starts_with(&self.root) {
            true => Some((digest, path)),
            false => Some((digest, self.path(&digest).ok()?)),
        };
        Ok(found.into_iter().filter_map(|(_, digest, path)| known(digest, path)).take(most).collect())
    }
}

/// Names, and when it was modified.
type Dated = (Option<(i64, i64)>, Digest, PathBuf);

fn beginning_in(cas: &Path, begin: &[u8]) -> Result<Vec<Dated>, StoreError> {
    let mut found = Vec::new();
    for name in fs::names(cas)? {
        let Some(digest) = name.to_str().and_then(|name| name.parse::<Digest>().ok()) else { continue };
        let path = cas.join(name);
        let mut bytes = vec![0; begin.len()];
        // Another kiln may have removed it meanwhile.
        let Ok(file) = fs::open(&path) else { continue };
        if file.read_exact_at(&mut bytes, 0).is_ok() && bytes == begin {
            let modified = file.metadata().ok().map(|metadata| (metadata.mtime(), metadata.mtime_nsec()));
            found.push((modified, digest, path));
        }
    }
    Ok(found)
}
