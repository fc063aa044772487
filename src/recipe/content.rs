//! Files that a recipe brings along: small ones are held in memory, others stay where they are and are known by digest.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::directory::{Directory, DirectoryError};
use crate::base::{Digest, Hasher};
use crate::world::{World, WorldError, contents, fs};

/// Larger files are not held in memory: only their digest is.
pub const MAX_HELD: u64 = 1 << 20;

/// A file that the recipe consists of or copies in.
#[derive(Clone, PartialEq, Eq)]
pub struct RecipeFile {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Where they are.
    pub content: FileContent,
}

/// Where the bytes of a file are.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// Here.
    Held(Vec<u8>),
    /// On disk, where whoever needs them reads them again and compares the digest.
    OnDisk(DiskSource),
}

/// Something below the recipe's root that is read when it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskSource {
    /// The bytes of a plain file.
    File(PathBuf),
    /// A directory as an archive.
    Directory(Directory),
}

/// Why something below the recipe's root cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file.
    #[error(transparent)]
    File(#[from] WorldError),
    /// A directory, or something in it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl DiskSource {
    /// Hands its bytes on.
    pub fn stream(&self, out: &mut dyn Write) -> Result<(), SourceError> {
        match self {
            DiskSource::File(path) => drop(contents::stream(path, out)?),
            DiskSource::Directory(directory) => directory.pack(out)?,
        }
        Ok(())
    }
}

impl RecipeFile {
    /// A file whose bytes are here.
    pub fn held(bytes: Vec<u8>) -> RecipeFile {
        RecipeFile { digest: Digest::of(&bytes), size: bytes.len() as u64, content: FileContent::Held(bytes) }
    }

    /// Reads the plain file at a path.
    pub(super) fn read(world: &dyn World, path: &Path) -> Result<RecipeFile, WorldError> {
        let mut sink = Hasher::new(Beginning { bytes: Vec::new() });
        world.stream(path, &mut sink)?;
        let (Beginning { bytes }, digest, size) = sink.finish();
        let content = match size <= MAX_HELD {
            true => FileContent::Held(bytes),
            false => FileContent::OnDisk(DiskSource::File(path.to_owned())),
        };
        Ok(RecipeFile { digest, size, content })
    }

    /// Reads a whole directory.
    pub(super) fn directory(directory: Directory) -> Result<RecipeFile, DirectoryError> {
        let mut hasher = Hasher::new(io::sink());
        directory.pack(&mut hasher)?;
        let (_, digest, size) = hasher.finish();
        Ok(RecipeFile { digest, size, content: FileContent::OnDisk(DiskSource::Directory(directory)) })
    }

    /// The directory that it is.
    pub fn as_directory(&self) -> Option<&Directory> {
        match &self.content {
            FileContent::OnDisk(DiskSource::Directory(directory)) => Some(directory),
            _ => None,
        }
    }

    /// Opens a file for reading, from wherever its bytes are.
    pub fn open(&self) -> Result<Box<dyn Read + '_>, WorldError> {
        match &self.content {
            FileContent::Held(bytes) => Ok(Box::new(bytes.as_slice())),
            FileContent::OnDisk(DiskSource::File(path)) => Ok(Box::new(io::BufReader::new(fs::open(path)?))),
            FileContent::OnDisk(DiskSource::Directory(directory)) => {
                fs::context("open", &directory.path, Err(io::ErrorKind::IsADirectory.into()))
            }
        }
    }

    /// Its bytes, if it is small enough to be held.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            FileContent::Held(bytes) => Some(bytes),
            FileContent::OnDisk(_) => None,
        }
    }
}

impl std::fmt::Debug for RecipeFile {
    /// The digest and the length: a recipe that is shown somewhere must not show megabytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecipeFile({:?}, {} bytes)", self.digest, self.size)
    }
}

/// Keeps as much as may be held.
struct Beginning {
    bytes: Vec<u8>,
}

impl Write for Beginning {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let free = (MAX_HELD as usize).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&buffer[..buffer.len().min(free)]);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
