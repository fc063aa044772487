//! The files of a disk, or of the archive that an image is, for whoever compares them.

use std::collections::BTreeMap;
use std::io::BufReader;

use super::disk::{DiskFile, OpenDisk};
use super::facts::{FileFacts, Stoppable, of_archive};
use super::interruption;
use super::tree::Tree;
use crate::format::tar::{TarError, TarPath, TarReader};
use crate::ops::error::{ExportError, OpsError};

/// All of them.
pub(in crate::ops) fn files(disk: &DiskFile) -> Result<BTreeMap<TarPath, FileFacts>, OpsError> {
    let found = match disk.open()? {
        OpenDisk::Archive(archive) => {
            let wrong = |error: TarError| ExportError::Disk { disk: disk.path(), problem: error.to_string() }.into();
            of_archive(TarReader::new(BufReader::with_capacity(1 << 18, Stoppable(archive)))).map_err(wrong)
        }
        OpenDisk::Disk(_) => Tree::read(disk).and_then(|mut tree| tree.facts()),
    };
    found.map_err(interruption)
}
