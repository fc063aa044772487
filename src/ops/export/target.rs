//! An export while it is written: a file that appears whole or not at all.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ask_to_stop;
use crate::base::{Digest, Hasher};
use crate::ops::error::OpsError;
use crate::ops::target::FileTarget;
use crate::world::fs;
use crate::world::output::NewFile;

/// Whatever the umask: disks may have private files in them, and nobody says which.
pub(super) const MODE: u32 = 0o600;

/// A file that is being written; it goes away unless it is finished.
pub(super) struct NewExport<'a> {
    file: NewFile<'a>,
    target: &'a FileTarget,
}

impl<'a> NewExport<'a> {
    pub(super) fn begin(target: &'a FileTarget) -> Result<NewExport<'a>, OpsError> {
        Ok(NewExport { file: target.begin()?, target })
    }

    pub(super) fn file(&self) -> &File {
        &self.file.file
    }

    /// Where it is while it is written.
    pub(super) fn path(&self) -> PathBuf {
        self.file.path()
    }

    /// What it is going to be called.
    pub(super) fn destination(&self) -> &Path {
        self.target.path()
    }

    /// An error of writing it.
    pub(super) fn failed(&self, error: io::Error) -> OpsError {
        match fs::context::<()>("write", self.target.path(), Err(error)) {
            Err(error) => error.into(),
            Ok(()) => OpsError::Interrupted,
        }
    }

    /// Gives it its name; its digest and size.
    pub(super) fn finish(self) -> Result<(Digest, u64), OpsError> {
        let (digest, size) = hash(self.file()).map_err(|error| super::interruption(self.failed(error)))?;
        let NewExport { file, target } = self;
        target.finish(file, MODE)?;
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
