//! A disk as its own bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::ask_to_stop;
use super::course::Course;
use super::disk::DiskFile;
use super::target::NewExport;
use crate::format::disk::{DiskReader, ReadAt, pieces};
use crate::ops::error::OpsError;
use crate::world::sparse;

/// Bytes that are read at a time, and of which those that are all zeros become a hole.
const CHUNK: u64 = 64 << 10;

pub(super) fn write(disk: &DiskFile, course: &Course<'_>, new: &NewExport<'_>) -> Result<(), OpsError> {
    let mut reader = disk.open_bounded()?;
    let written = match &reader {
        // A file system that can shares the blocks.
        DiskReader::Raw(file, _) => sparse::copy_while(file, new.file(), &ask_to_stop),
        DiskReader::Qcow2(_) => copy(&mut reader, course, new.file()),
    };
    written.map_err(|error| new.failed(error))
}

fn copy(disk: &mut DiskReader, course: &Course<'_>, out: &File) -> io::Result<()> {
    let size = disk.size();
    // The last piece is longer than what is left of the disk.
    pieces(disk, CHUNK, &|done| course.at(done, size), &mut |number, bytes| out.write_all_at(bytes, number * CHUNK))?;
    out.set_len(size)
}
