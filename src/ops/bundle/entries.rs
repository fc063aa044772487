//! The entries of a bundle, as they are written, and as they are read from somebody else's.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::TIME;
use crate::base::{Digest, Hasher};
use crate::exec::interrupt;
use crate::format::tar::{TarEntry, TarEntryKind, TarError, TarPath, TarReader};
use crate::ops::error::{BundleError, EntryProblem, OpsError};
use crate::world::fs;

/// The entry of a file of kiln's own naming.
pub(super) fn canonical(name: &str, size: u64) -> TarEntry {
    TarEntry::file(TarPath::new(name).expect("kiln's own names are paths"), 0o644, TIME, size)
}

/// An error once the user has asked for an end.
pub(super) fn ask_to_stop() -> Result<(), OpsError> {
    if interrupt::flag().load(Ordering::Relaxed) { Err(OpsError::Interrupted) } else { Ok(()) }
}

/// Bytes that end with an error once the user has asked for an end.
pub(super) struct Stoppable<R>(pub(super) R);

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        ask_to_stop().map_err(io::Error::other)?;
        self.0.read(buffer)
    }
}

/// A bundle that is read, entry by entry, each checked before it is handed out.
pub(super) struct Entries {
    file: PathBuf,
    reader: TarReader<Tail>,
    /// The entry that was looked at and not yet taken.
    next: Option<TarEntry>,
    last: Option<TarPath>,
}

/// The bytes of the file, which are asked for again when the archive has ended.
type Tail = Stoppable<BufReader<std::fs::File>>;

impl Entries {
    pub(super) fn open(file: &Path) -> Result<Entries, OpsError> {
        let opened = Stoppable(BufReader::with_capacity(1 << 20, fs::open(file)?));
        Ok(Entries { file: file.to_owned(), reader: TarReader::canonical(opened), next: None, last: None })
    }

    /// What is wrong with an entry.
    pub(super) fn refuse(&self, entry: &TarPath, problem: EntryProblem) -> OpsError {
        let entry = entry.to_string().trim_start_matches('/').to_owned();
        BundleError::Entry { file: self.file.clone(), entry, problem }.into()
    }

    /// The next entry, which is left to be read; `None` behind the last one.
    pub(super) fn peek(&mut self) -> Result<Option<&TarEntry>, OpsError> {
        if self.next.is_none() {
            ask_to_stop()?;
            self.next = self.reader.next_entry().map_err(|error| failed(&self.file, error))?;
            if let Some(entry) = &self.next {
                self.check(entry).map_err(|problem| self.refuse(&entry.path, problem))?;
                self.last = Some(entry.path.clone());
            }
        }
        Ok(self.next.as_ref())
    }

    /// Takes the entry that was looked at.
    pub(super) fn take(&mut self) -> Option<TarEntry> {
        self.next.take()
    }

    fn check(&self, entry: &TarEntry) -> Result<(), EntryProblem> {
        if self.last.as_ref().is_some_and(|last| *last >= entry.path) {
            return Err(EntryProblem::Order);
        }
        let plain = TarEntry { kind: entry.kind.clone(), ..canonical("x", entry.size) };
        let plain = TarEntry { path: entry.path.clone(), mode: entry.mode, ..plain };
        match entry.kind {
            TarEntryKind::File | TarEntryKind::Directory | TarEntryKind::Symlink(_) => {}
            _ => return Err(EntryProblem::Kind),
        }
        if *entry == plain && entry.mode & 0o6000 == 0 { Ok(()) } else { Err(EntryProblem::Attributes) }
    }

    /// A file of kiln's own naming, when it comes next.
    pub(super) fn small(&mut self, name: &'static str, limit: u64) -> Result<Option<Vec<u8>>, OpsError> {
        let Some(entry) = self.peek()?.filter(|entry| entry.path.as_bytes() == name.as_bytes()) else {
            return Ok(None);
        };
        let problem = match entry {
            entry if *entry != canonical(name, entry.size) => Some(EntryProblem::Attributes),
            entry if entry.size > limit => Some(EntryProblem::Large(limit)),
            _ => None,
        };
        let Some(TarEntry { path, .. }) = self.take() else { return Ok(None) };
        if let Some(problem) = problem {
            return Err(self.refuse(&path, problem));
        }
        let mut bytes = Vec::new();
        self.copy(&mut bytes, &|_| OpsError::Interrupted)?;
        Ok(Some(bytes))
    }

    /// [`Entries::small`] of a file that every bundle has.
    pub(super) fn needed(&mut self, name: &'static str, limit: u64) -> Result<Vec<u8>, OpsError> {
        match self.small(name, limit)? {
            Some(bytes) => Ok(bytes),
            None => {
                let found = self.peek()?.map_or(TarPath::root(), |entry| entry.path.clone());
                Err(self.refuse(&found, EntryProblem::Expected(name)))
            }
        }
    }

    /// Hands on the content of the entry that was taken last; its digest. `unwritten` is what it means when that fails.
    pub(super) fn copy(
        &mut self,
        out: &mut dyn Write,
        unwritten: &dyn Fn(io::Error) -> OpsError,
    ) -> Result<Digest, OpsError> {
        let mut hasher = Hasher::new(Outcome { out, error: None });
        let copied = io::copy(&mut self.reader, &mut hasher);
        let (outcome, digest, _) = hasher.finish();
        match (copied, outcome.error) {
            (Ok(_), _) => Ok(digest),
            (Err(_), Some(error)) => Err(unwritten(error)),
            (Err(error), None) => Err(failed(&self.file, TarError::Io(error))),
        }
    }

    /// Behind the last entry: one more block of zeros, and nothing else.
    pub(super) fn end(self) -> Result<(), OpsError> {
        let mut rest = Vec::new();
        let read = self.reader.into_input().take(BLOCK as u64 + 1).read_to_end(&mut rest);
        read.map_err(|error| failed(&self.file, TarError::Io(error)))?;
        if rest == [0; BLOCK] { Ok(()) } else { Err(BundleError::End(self.file).into()) }
    }
}

/// Bytes of a block of an archive.
const BLOCK: usize = 512;

fn failed(file: &Path, source: TarError) -> OpsError {
    match ask_to_stop() {
        Ok(()) => BundleError::Archive { file: file.to_owned(), source }.into(),
        Err(stopped) => stopped,
    }
}

/// Tells a disk that cannot be written from a bundle that cannot be read.
struct Outcome<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl Write for Outcome<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.out.write(buffer).map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
