//! Taking what a sandbox left: foreign files become objects of the store.
//!
//! A file is looked up once, in the directory that the sandbox had, and must be what it is said to be; from then on only
//! its descriptor counts. It is moved where no sandbox can reach it and made an object like any other, or copied when that
//! is not possible or when it has further names: through one of those it could still be written.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::blob::{digest_of, mode};
use super::plain::settle;
use super::{Output, Store, StoreError};
use crate::base::Digest;
use crate::world::dir::{Dir, HeldEntry, noun, shown};
use crate::world::{fs, sparse};

/// Bytes of the largest file that is taken: that of a disk image is no larger, and a hole of a million terabytes, which
/// costs its maker nothing, would be read for years.
pub(super) const LARGEST: u64 = 256 << 30;
/// Bytes of the largest raw disk that only a conversion reads: the largest image of a recipe, and room for its partitions.
const LARGEST_TRANSIENT: u64 = (2 << 40) + (64 << 30);

/// How something is taken into the store.
#[derive(Clone, Copy)]
pub struct Taking<'a> {
    /// Whether it was made from something private, and is to be so itself.
    pub private: bool,
    /// Whether to give up.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Taking<'static> {
    /// For everybody, and to the end.
    pub const PUBLIC: Taking<'static> = Taking { private: false, stop: &|| false };
}

/// A file of this process that is in no store; it goes with this.
#[derive(Debug)]
pub struct TransientFile(PathBuf);

impl TransientFile {
    /// A file at a path of the session.
    pub(super) fn at(path: PathBuf) -> TransientFile {
        TransientFile(path)
    }

    /// Where it is: no sandbox has the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TransientFile {
    fn drop(&mut self) {
        // It is not there any more when it became an object; otherwise it is swept later at worst.
        let _ = fs::remove_file(&self.0);
    }
}

impl Store {
    /// Takes what a sandbox left under `name` in `from` into the store; it is gone from there.
    pub fn take(&self, from: &Dir, name: &str, taking: Taking<'_>) -> Result<Output, StoreError> {
        let found = from.look(name).map_err(|error| self.failure(error))?;
        let found = found.ok_or_else(|| StoreError::Output(format!("it produced no {name}")))?;
        match found.kind() {
            FileType::RegularFile => {
                let (digest, size) = self.take_file(from, name, (&found, taking))?;
                Ok(Output::File { digest, size, executable: found.stat().st_mode & 0o111 != 0 })
            }
            FileType::Directory => self.take_tree(from, name, (&found, taking)),
            other => {
                Err(StoreError::Output(format!("its output {name} is {}, not a file or a directory", noun(other))))
            }
        }
    }

    /// [`Store::take`] of something that has a path of kiln's own.
    pub fn import(&self, path: &Path) -> Result<Output, StoreError> {
        let directory = Dir::open(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.take(&directory, name, Taking::PUBLIC)
    }

    /// Takes a file that is needed for a while only: it is as an object of the store would be, but nobody knows its
    /// digest.
    pub fn take_transient(&self, from: &Dir, name: &str, taking: Taking<'_>) -> Result<TransientFile, StoreError> {
        let found = from.look(name).map_err(|error| self.failure(error))?;
        let found = found.ok_or_else(|| StoreError::Output(format!("it produced no {name}")))?;
        if found.kind() != FileType::RegularFile {
            return Err(StoreError::Output(format!("its {name} is {}, not a file", noun(found.kind()))));
        }
        let size = found.stat().st_size.unsigned_abs();
        if size > LARGEST_TRANSIENT {
            let bound = LARGEST_TRANSIENT >> 30;
            return Err(StoreError::Output(format!("its output {name} has {size} bytes (limit {bound} GiB)")));
        }
        let (file, path) = self.own(from, Path::new(name), &found)?;
        let taken = TransientFile(path);
        let settled = settle(&file, mode(taking.private), self.owner()).map_err(std::io::Error::from);
        fs::context("settle", taken.path(), settled).map_err(|error| self.failure(error))?;
        Ok(taken)
    }

    fn take_file(
        &self,
        from: &Dir,
        name: &str,
        (found, taking): (&HeldEntry, Taking<'_>),
    ) -> Result<(Digest, u64), StoreError> {
        let size = found.stat().st_size.unsigned_abs();
        if size > LARGEST {
            let bound = LARGEST >> 30;
            return Err(StoreError::Output(format!("its output {name} has {size} bytes (limit {bound} GiB)")));
        }
        let (file, path) = self.own(from, Path::new(name), found)?;
        // Where it does not become an object, it goes.
        let taken = TransientFile(path);
        let (digest, size) = self.digest_synced(&file, taken.path(), taking)?;
        self.finish(&file, taken.path(), (digest, taking.private))?;
        Ok((digest, size))
    }

    /// The digest of a file that goes to the disk while it is read: that is one wait instead of two.
    fn digest_synced(&self, file: &File, path: &Path, taking: Taking<'_>) -> Result<(Digest, u64), StoreError> {
        let (synced, digest) = std::thread::scope(|scope| {
            let sync = scope.spawn(|| file.sync_data());
            let digest = digest_of(file, path, taking.stop);
            (sync.join(), digest)
        });
        // The system tells an error once, and whoever syncs next would hear nothing of it.
        let synced = synced.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fs::context("sync", path, synced).map_err(|error| self.failure(error))?;
        digest
    }

    /// The file, or a copy, at a path where no sandbox ever was, with no other name and nothing attached.
    pub(super) fn own(&self, from: &Dir, name: &Path, found: &HeldEntry) -> Result<(File, PathBuf), StoreError> {
        let mut file = found.open_own().map_err(|error| self.failure(error))?;
        let path = self.session.path("taken");
        if found.stat().st_nlink == 1 && from.rename_to(name, &path).is_ok() {
            let moved = fs::context("look at", &path, rustix::fs::lstat(&path).map_err(std::io::Error::from))?;
            if !found.is(&moved) {
                return Err(replaced(name));
            }
            if settle(&file, 0o600, self.owner()).is_ok() {
                return Ok((file, path));
            }
        }
        let copy = self.session.path("copied");
        let copied = fs::create_new(&copy).and_then(|to| {
            fs::context("copy to", &copy, sparse::copy(&file, &to))?;
            Ok(to)
        });
        // It is there no more when it was not moved, and of no use when it was.
        let _ = fs::remove_file(&path);
        file = copied.map_err(|error| self.failure(error))?;
        Ok((file, copy))
    }
}

/// Nobody is left who could do that; were it otherwise, nothing of it may be taken.
pub(super) fn replaced(name: &Path) -> StoreError {
    StoreError::Output(format!("its output {} was replaced while it was read", shown(name)))
}
