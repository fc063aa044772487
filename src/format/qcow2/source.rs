//! What an image is made of: a raw disk, whether it is a file or not.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::base::holes;

/// A raw disk, read at any place by several at a time.
pub trait RawDisk: Sync {
    /// How many bytes it has.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// The first stretch at or after `from` that is not known to be zeros; none when there is none up to `size`.
    fn next_data(&self, from: u64, size: u64) -> io::Result<Option<Range<u64>>>;
}

/// Moves the position of the file.
impl RawDisk for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn next_data(&self, from: u64, size: u64) -> io::Result<Option<Range<u64>>> {
        holes::next_data(self, from, size)
    }
}
