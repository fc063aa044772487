//! Blobs: bytes in, bytes out, checked both ways.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::plain::settle;
use super::stamp::Stamp;
use super::{Store, StoreError};
use crate::base::{Digest, Hasher, holes};
use crate::world::{OutputDirectory, fs, sparse};

/// Whether a blob is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is, and it is what its name says.
    Good(PathBuf),
    /// It is not.
    Missing,
    /// It was, but it was not what its name says; it was moved to this path.
    SetAside(PathBuf),
}

/// Who may read a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Whoever may reach the store.
    Everybody,
    /// This user alone.
    Owner,
}

/// What is known of the size of a blob before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownSize {
    Nothing,
    Exactly(u64),
    AtMost(u64),
}

/// Bytes on their way into the store; forgotten when dropped unfinished.
pub struct BlobWriter<'a> {
    store: &'a Store,
    path: PathBuf,
    hasher: Option<Hasher<File>>,
}

impl Store {
    /// Where the blob lies or would lie.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("cas").join(digest.hex())
    }

    /// Starts a new blob.
    pub fn writer(&self) -> Result<BlobWriter<'_>, StoreError> {
        let path = self.session.path("blob");
        let file = fs::create_new(&path).map_err(|error| self.failure(error))?;
        Ok(BlobWriter { store: self, path, hasher: Some(Hasher::new(file)) })
    }

    /// Keeps bytes that are in memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.holds(&digest) {
            let mut writer = self.writer()?;
            let written = fs::context("write", &writer.path.clone(), writer.write_all(bytes));
            written.map_err(|error| self.failure(error))?;
            writer.finish()?;
        }
        Ok(digest)
    }

    /// Keeps bytes that others than this user must not read.
    pub fn put_private(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = self.put(bytes)?;
        self.show(&digest, Visibility::Owner)?;
        Ok(digest)
    }

    /// Closes a blob to others where it is to be private. What is private already stays so.
    pub fn show(&self, digest: &Digest, visibility: Visibility) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        if visibility == Visibility::Owner && !is_private(&path) {
            fs::protect(&path, PRIVATE, None).map_err(|error| self.failure(error))?;
            self.remember(&path, *digest);
        }
        Ok(())
    }

    /// Takes a download into the store when it is what was announced.
    pub fn import_expecting(&self, path: &Path, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let (found, found_size) = digest_of(&fs::open(path)?, path, &|| false)?;
        if (found, found_size) != (*digest, size) {
            return Err(StoreError::Wrong { expected: *digest, expected_size: size, found, found_size });
        }
        self.adopt(path, *digest)
    }

    /// Whether a blob is there and sound, here or below; one that is not sound is set aside.
    pub fn check(&self, digest: &Digest) -> Result<Presence, StoreError> {
        self.check_sized(digest, KnownSize::Nothing)
    }

    /// The same; below, no file of another size is read.
    pub(super) fn check_sized(&self, digest: &Digest, size: KnownSize) -> Result<Presence, StoreError> {
        let found = self.check_own(digest)?;
        let below = if found == Presence::Missing { self.layers.blob(self, (digest, size)) } else { None };
        Ok(below.map_or(found, Presence::Good))
    }

    /// [`Store::check`] in this store alone.
    pub fn check_own(&self, digest: &Digest) -> Result<Presence, StoreError> {
        let path = self.blob_path(digest);
        let Ok(found) = rustix::fs::lstat(&path) else { return Ok(Presence::Missing) };
        let found = self.take_over_blob(digest, found)?;
        let stamp = Stamp::from(&found);
        if self.is_closed(&path, &found) {
            return Ok(Presence::Missing);
        }
        if self.knows(digest, stamp) {
            return Ok(Presence::Good(path));
        }
        let read = |file| digest_of(&file, &path, &|| false);
        let sound = match fs::open(&path).map_err(StoreError::from).and_then(read) {
            Ok((found, _)) => found == *digest,
            // A disk that cannot read a file has lost it.
            Err(_) => false,
        };
        if !sound {
            return Ok(Presence::SetAside(self.set_aside(&path, digest)?));
        }
        // The stamp from before reading: had the file changed meanwhile, the fact is of a state that is gone.
        self.learn(*digest, stamp);
        Ok(Presence::Good(path))
    }

    /// Whether this store itself has a sound blob.
    pub fn holds(&self, digest: &Digest) -> bool {
        matches!(self.check_own(digest), Ok(Presence::Good(_)))
    }

    /// Whether a sound blob is there, here or below.
    pub fn has(&self, digest: &Digest) -> bool {
        matches!(self.check(digest), Ok(Presence::Good(_)))
    }

    /// [`Store::has`] of a blob whose size is known: below, no file of another size is read.
    pub fn has_sized(&self, digest: &Digest, size: u64) -> bool {
        matches!(self.check_sized(digest, KnownSize::Exactly(size)), Ok(Presence::Good(_)))
    }

    /// The file that holds a blob, after checking it.
    pub fn path(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        self.path_sized(digest, KnownSize::Nothing)
    }

    fn path_sized(&self, digest: &Digest, size: KnownSize) -> Result<PathBuf, StoreError> {
        match self.check_sized(digest, size)? {
            Presence::Good(path) => Ok(path),
            Presence::Missing => Err(StoreError::Missing(*digest)),
            Presence::SetAside(aside) => Err(StoreError::Damaged { digest: *digest, aside }),
        }
    }

    /// A small blob.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        Ok(fs::read(&self.path_sized(digest, KnownSize::AtMost(limit))?, limit)?)
    }

    /// Copies a blob to a place outside, so that writing there cannot reach the store; the old file there is replaced
    /// at once and never half.
    pub fn copy_out(&self, digest: &Digest, to: &Path) -> Result<(), StoreError> {
        let (directory, name) = OutputDirectory::holding(to)?;
        self.copy_into(digest, &directory, name)
    }

    /// The same, under a name in a directory that is open.
    pub fn copy_into(&self, digest: &Digest, directory: &OutputDirectory, name: &OsStr) -> Result<(), StoreError> {
        let from = self.path(digest)?;
        let (source, target) = (fs::open(&from)?, directory.begin()?);
        fs::context("write", &directory.path().join(name), sparse::copy(&source, &target.file))?;
        Ok(target.finish(name, 0o644)?)
    }

    /// Remembers that the file at `path`, in or outside the store, has this digest.
    pub fn remember(&self, path: &Path, digest: Digest) {
        if let Some(stamp) = Stamp::at(path) {
            self.learn(digest, stamp);
        }
    }

    /// Whether the file at `path` is known to have this digest, and is unchanged since.
    pub fn remembers(&self, path: &Path, digest: Digest) -> bool {
        Stamp::at(path).is_some_and(|stamp| self.knows(&digest, stamp))
    }

    /// [`Store::remember`] for a file that is open.
    pub fn remember_open(&self, file: &std::fs::File, digest: Digest) {
        if let Some(stamp) = Stamp::of(file) {
            self.learn(digest, stamp);
        }
    }

    /// [`Store::remembers`] for a file that is open.
    pub fn remembers_open(&self, file: &std::fs::File, digest: Digest) -> bool {
        Stamp::of(file).is_some_and(|stamp| self.knows(&digest, stamp))
    }

    pub(super) fn knows(&self, digest: &Digest, stamp: Stamp) -> bool {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner).know(digest, stamp)
    }

    /// Not to remember costs a read later; it is no error.
    pub(super) fn learn(&self, digest: Digest, stamp: Stamp) {
        let _ = self.stamps.lock().unwrap_or_else(PoisonError::into_inner).learn(digest, stamp);
    }

    /// Moves what is not what its name says out of the way.
    pub(super) fn set_aside(&self, path: &Path, digest: &Digest) -> Result<PathBuf, StoreError> {
        let mut number = 0;
        loop {
            let aside = self.root.join("quarantine").join(format!("{digest}-{number}"));
            if aside.symlink_metadata().is_err() {
                let moved = fs::rename(path, &aside).map_err(|error| self.failure(error));
                return moved.map(|()| aside);
            }
            number += 1;
        }
    }

    /// Where a file grows that is being fetched.
    pub fn part_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("part").join(digest.hex())
    }

    /// Bytes that a download which stopped has left of a file with this size. Whether they are its beginning shows in the end.
    pub fn begun(&self, digest: &Digest, size: u64) -> u64 {
        self.part_path(digest).metadata().ok().map(|found| found.len()).filter(|bytes| *bytes <= size).unwrap_or(0)
    }

    /// [`Store::part_path`], to be read and then continued; whoever opens it holds the lock of the digest.
    pub fn open_part(&self, digest: &Digest) -> Result<File, StoreError> {
        fs::open_grow(&self.part_path(digest)).map_err(|error| self.failure(error))
    }

    /// A failed file operation in this store, sorted by what the user can do about it.
    pub fn failure(&self, error: crate::world::WorldError) -> StoreError {
        StoreError::at(&self.root, error)
    }

    /// Gives a finished file in a directory of kiln's own, whose bytes the caller has just hashed, its name.
    pub fn adopt(&self, path: &Path, digest: Digest) -> Result<(), StoreError> {
        let file = fs::open(path).map_err(|error| self.failure(error))?;
        self.finish(&file, path, (digest, false))
    }

    /// The same of a blob that others than this user may have to be kept from.
    pub fn adopt_as(&self, path: &Path, digest: Digest, visibility: Visibility) -> Result<(), StoreError> {
        let file = fs::open(path).map_err(|error| self.failure(error))?;
        self.finish(&file, path, (digest, visibility == Visibility::Owner))
    }

    /// [`Store::adopt`] of an open file, which may be private. What is private already stays so.
    pub(super) fn finish(&self, file: &File, path: &Path, (digest, private): (Digest, bool)) -> Result<(), StoreError> {
        let place = self.blob_path(&digest);
        let mode = mode(private || is_private(&place));
        let finished = (|| {
            fs::context("settle", path, settle(file, mode, self.owner()).map_err(io::Error::from))?;
            fs::context("sync", path, file.sync_all())?;
            // A blob that is there stays: a sandbox cannot be shown a file that is replaced in this moment.
            if self.holds(&digest) { fs::remove_file(path) } else { fs::rename(path, &place) }
        })();
        finished.map_err(|error| self.failure(error))?;
        self.remember(&place, digest);
        self.show(&digest, if private { Visibility::Owner } else { Visibility::Everybody })
    }
}

/// Bytes that are hashed at a time.
const CHUNK: usize = 256 << 10;

/// Modes of blobs.
const PUBLIC: u32 = 0o444;
const PRIVATE: u32 = 0o400;

/// The mode of a blob.
pub(super) fn mode(private: bool) -> u32 {
    if private { PRIVATE } else { PUBLIC }
}

/// Whether something of the store is there that not everybody may read.
pub fn is_private(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.mode() & 0o004 == 0)
}

impl BlobWriter<'_> {
    /// Gives the bytes their name.
    pub fn finish(mut self) -> Result<(Digest, u64), StoreError> {
        let (file, digest, size) = self.close();
        self.store.finish(&file, &self.path, (digest, false))?;
        Ok((digest, size))
    }

    /// Gives the bytes their name, if it is the one that was announced.
    pub fn finish_as(mut self, expected: &(Digest, u64), visibility: Visibility) -> Result<(), StoreError> {
        let (file, found, found_size) = self.close();
        if (found, found_size) != *expected {
            let (expected, expected_size) = *expected;
            return Err(StoreError::Wrong { expected, expected_size, found, found_size });
        }
        self.store.finish(&file, &self.path, (found, visibility == Visibility::Owner))
    }

    /// What a failed write means.
    pub fn failure(&self, error: io::Error) -> StoreError {
        match fs::context::<()>("write", &self.path, Err(error)) {
            Err(error) => self.store.failure(error),
            Ok(()) => StoreError::Full(self.store.root.clone()),
        }
    }

    fn close(&mut self) -> (File, Digest, u64) {
        self.hasher.take().expect("a writer is finished once").finish()
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.hasher.as_mut().expect("a writer is finished once").write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.as_mut().expect("a writer is finished once").flush()
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        // After finishing it is not there any more; otherwise it is swept later at worst.
        let _ = fs::remove_file(&self.path);
    }
}

/// Digest and size of a file, unless `stop` says to give up. Its holes are not read.
pub(super) fn digest_of(file: &File, path: &Path, stop: &dyn Fn() -> bool) -> Result<(Digest, u64), StoreError> {
    let mut hasher = Hasher::new(io::sink());
    let mut buffer = vec![0; CHUNK];
    let size = fs::context("look at", path, file.metadata())?.len();
    while hasher.count() < size {
        let at = hasher.count();
        let data = fs::context("read", path, holes::next_data(file, at, size))?.unwrap_or(size..size);
        if data.start > at {
            buffer.fill(0);
        }
        while hasher.count() < data.start {
            let most = chunk(data.start - hasher.count());
            hash(&mut hasher, &buffer[..most], stop)?;
        }
        while hasher.count() < data.end {
            let most = chunk(data.end - hasher.count());
            let read = file.read_at(&mut buffer[..most], hasher.count());
            let read = read.and_then(|count| if count == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(count) });
            let count = fs::context("read", path, read)?;
            hash(&mut hasher, &buffer[..count], stop)?;
        }
    }
    let (_, digest, size) = hasher.finish();
    Ok((digest, size))
}

fn hash(hasher: &mut Hasher<io::Sink>, bytes: &[u8], stop: &dyn Fn() -> bool) -> Result<(), StoreError> {
    if stop() {
        return Err(StoreError::Interrupted);
    }
    fs::context("hash", Path::new("bytes in memory"), hasher.write_all(bytes)).map_err(StoreError::from)
}

fn chunk(length: u64) -> usize {
    usize::try_from(length).map_or(CHUNK, |length| length.min(CHUNK))
}
