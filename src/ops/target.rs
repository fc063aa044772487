//! Where a command writes what `--output` names: one rule for all commands.
//!
//! A file appears whole or not at all, and replaces nothing unless that was asked for. Standard output (`-`), pipes and devices take
//! text; a disk or an archive needs a file.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::error::{OpsError, OutputError, UsageError};
use crate::world::OutputDirectory;
use crate::world::outlet::{self, Standing};
use crate::world::output::NewFile;

/// Everybody may read what is text.
const TEXT_MODE: u32 = 0o644;

/// What happens to a file that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExistingFile {
    /// It stays, and nothing is written.
    #[default]
    Refuse,
    /// The new file takes its place once it is whole.
    Replace,
}

impl ExistingFile {
    /// As `--force` says.
    pub fn of(force: bool) -> ExistingFile {
        if force { ExistingFile::Replace } else { ExistingFile::Refuse }
    }
}

/// A place for a file.
#[derive(Debug)]
pub struct FileTarget {
    path: PathBuf,
    home: OutputDirectory,
    existing: ExistingFile,
}

impl FileTarget {
    /// For something that is no text; `what` calls it in errors.
    pub(super) fn open(path: &Path, existing: ExistingFile, what: &str) -> Result<FileTarget, OpsError> {
        match Standing::of(path) {
            Standing::StandardOutput => Err(refused(OutputError::StandardOutput(what.to_owned()))),
            Standing::Stream => Err(refused(OutputError::Stream { path: path.to_owned(), what: what.to_owned() })),
            standing => FileTarget::at(path, existing, standing),
        }
    }

    fn at(path: &Path, existing: ExistingFile, standing: Standing) -> Result<FileTarget, OpsError> {
        match standing {
            Standing::Directory => Err(refused(OutputError::Directory(path.to_owned()))),
            Standing::File if existing == ExistingFile::Refuse => Err(refused(OutputError::Taken(path.to_owned()))),
            _ => {
                let (home, _) = OutputDirectory::holding(path)?;
                Ok(FileTarget { path: path.to_owned(), home, existing })
            }
        }
    }

    /// A place for what is only needed on the way, in a directory that is there.
    pub(super) fn within(directory: &Path) -> Result<FileTarget, OpsError> {
        let home = OutputDirectory::open(directory)?;
        Ok(FileTarget { path: directory.to_owned(), home, existing: ExistingFile::Refuse })
    }

    /// As it was named.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it is in, for what is needed on the way.
    pub(super) fn home(&self) -> &OutputDirectory {
        &self.home
    }

    /// A file without its name yet.
    pub(super) fn begin(&self) -> Result<NewFile<'_>, OpsError> {
        // What a process left that was killed.
        self.home.sweep()?;
        Ok(self.home.begin()?)
    }

    /// Gives it its name.
    pub(super) fn finish(&self, file: NewFile<'_>, mode: u32) -> Result<(), OpsError> {
        let name = self.path.file_name().unwrap_or(OsStr::new(""));
        match self.existing {
            ExistingFile::Replace => Ok(file.finish(name, mode)?),
            ExistingFile::Refuse if file.finish_new(name, mode)? => Ok(()),
            ExistingFile::Refuse => Err(refused(OutputError::Taken(self.path.clone()))),
        }
    }
}

/// A place for text.
#[derive(Debug)]
pub enum TextTarget {
    /// Standard output, which is the caller's.
    StandardOutput,
    /// A pipe or a device.
    Stream(PathBuf),
    /// A file.
    File(FileTarget),
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenText {
    /// It is where it belongs.
    There,
    /// It belongs to standard output, where the caller writes it.
    Handed,
}

impl TextTarget {
    /// What a path names, before anything is done for it.
    pub fn open(path: &Path, existing: ExistingFile) -> Result<TextTarget, OpsError> {
        match Standing::of(path) {
            Standing::StandardOutput => Ok(TextTarget::StandardOutput),
            Standing::Stream => Ok(TextTarget::Stream(path.to_owned())),
            standing => FileTarget::at(path, existing, standing).map(TextTarget::File),
        }
    }

    /// Writes a text there.
    pub fn write(&self, text: &str) -> Result<WrittenText, OpsError> {
        match self {
            TextTarget::StandardOutput => return Ok(WrittenText::Handed),
            TextTarget::Stream(path) => outlet::write(path, text.as_bytes())?,
            TextTarget::File(target) => {
                let file = target.begin()?;
                let written = std::io::Write::write_all(&mut &file.file, text.as_bytes());
                crate::world::fs::context("write", &target.path, written)?;
                target.finish(file, TEXT_MODE)?;
            }
        }
        Ok(WrittenText::There)
    }
}

/// Refuses `-` where a directory belongs.
pub(super) fn directory(path: &Path) -> Result<(), OpsError> {
    if path == Path::new("-") { Err(refused(OutputError::StandardOutput("a directory".to_owned()))) } else { Ok(()) }
}

fn refused(error: OutputError) -> OpsError {
    UsageError::Output(error).into()
}
