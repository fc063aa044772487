//! Where an export goes: a file that appears whole or not at all, and replaces nothing unless that was asked for.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ask_to_stop;
use crate::base::{Digest, Hasher};
use crate::ops::error::{ExportError, OpsError};
use crate::world::output::NewFile;
use crate::world::{OutputDirectory, fs};

/// Whatever the umask: disks may have private files in them, and nobody says which.
pub(super) const MODE: u32 = 0o600;

/// What happens to a file that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExistingFile {
    /// It stays, and nothing is written.
    #[default]
    Refuse,
    /// The new file takes its place once it is whole.
    Replace,
}

/// A place for a file.
pub(super) struct Target {
    path: PathBuf,
    home: OutputDirectory,
    existing: ExistingFile,
}

impl Target {
    pub(super) fn open(path: &Path, existing: ExistingFile) -> Result<Target, OpsError> {
        let (home, _) = OutputDirectory::holding(path)?;
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => Err(ExportError::Directory(path.to_owned()).into()),
            Ok(_) if existing == ExistingFile::Refuse => Err(ExportError::Taken(path.to_owned()).into()),
            _ => Ok(Target { path: path.to_owned(), home, existing }),
        }
    }

    /// A place for what is only needed on the way, in a directory that is there.
    pub(super) fn within(directory: &Path) -> Result<Target, OpsError> {
        let home = OutputDirectory::open(directory)?;
        Ok(Target { path: directory.to_owned(), home, existing: ExistingFile::Refuse })
    }

    /// The directory that it is in, for what is needed on the way.
    pub(super) fn home(&self) -> &OutputDirectory {
        &self.home
    }

    pub(super) fn begin(&self) -> Result<NewExport<'_>, OpsError> {
        // What a process left that was killed.
        self.home.sweep()?;
        Ok(NewExport { file: self.home.begin()?, target: self })
    }
}

/// A file that is being written; it goes away unless it is finished.
pub(super) struct NewExport<'a> {
    file: NewFile<'a>,
    target: &'a Target,
}

impl NewExport<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file.file
    }

    /// Where it is while it is written.
    pub(super) fn path(&self) -> PathBuf {
        self.file.path()
    }

    /// An error of writing it.
    pub(super) fn failed(&self, error: io::Error) -> OpsError {
        match fs::context::<()>("write", &self.target.path, Err(error)) {
            Err(error) => error.into(),
            Ok(()) => OpsError::Interrupted,
        }
    }

    /// Gives it its name; its digest and size.
    pub(super) fn finish(self) -> Result<(Digest, u64), OpsError> {
        let (digest, size) = hash(self.file()).map_err(|error| super::interruption(self.failed(error)))?;
        let NewExport { file, target } = self;
        let name = target.path.file_name().unwrap_or(OsStr::new(""));
        match target.existing {
            ExistingFile::Replace => file.finish(name, MODE)?,
            ExistingFile::Refuse if file.finish_new(name, MODE)? => {}
            ExistingFile::Refuse => return Err(ExportError::Taken(target.path.clone()).into()),
        }
        Ok((digest, size))
    }
}

/// Of a whole file, whose position moves.
pub(super) fn hash(mut file: &File) -> io::Result<(Digest, u64)> {
    let mut buffer = vec![0; 1 << 20];
    let mut hasher = Hasher::new(io::sink());
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))?;
    loop {
        ask_to_stop()?;
        let count = file.read(&mut buffer)?;
        if count == 0 {
            let (_, digest, size) = hasher.finish();
            return Ok((digest, size));
        }
        io::Write::write_all(&mut hasher, &buffer[..count])?;
    }
}
