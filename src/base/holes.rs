//! Where a file with holes has data.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The first stretch of data at or after `from` in a file of `size` bytes; none when only a hole is left. Moves the
/// file's position.
pub fn next_data(file: &File, from: u64, size: u64) -> io::Result<Option<Range<u64>>> {
    if from >= size {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes has data everywhere.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(from..size)),
        Err(error) => return Err(error.into()),
    };
    // The file may have grown or shrunk since its size was taken: stay within what was promised.
    let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size).min(size);
    Ok((start < end).then_some(start..end))
}
