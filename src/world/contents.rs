//! The bytes of a plain file, piece by piece: files of any size pass through a small buffer.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::path::Path;

use super::plain::{FileState, Plain};
use super::{WorldError, fs};

/// Bytes at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Hands the whole file at a path on; how many bytes it has.
pub fn stream(path: &Path, out: &mut dyn Write) -> Result<u64, WorldError> {
    let file = fs::open(path)?;
    let size = fs::context("look at", path, file.metadata())?.len();
    let plain = Plain { file, size };
    let mut reading = fs::context("look at", path, Reading::start(&plain))?;
    // Most files that recipes copy are small. A byte is left for an empty one, which may have grown.
    let mut buffer = vec![0; usize::try_from(size).map_or(CHUNK_BYTES, |size| size.clamp(1, CHUNK_BYTES))];
    loop {
        match reading.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => fs::context("copy", path, out.write_all(&buffer[..count]))?,
            Err(_) if reading.changed() => return Err(WorldError::Changed { path: path.to_owned() }),
            Err(error) => return fs::context("read", path, Err(error)),
        }
    }
}

/// Reads an open file up to the end that it had when it was opened. It is an error when it grows, shrinks or is written
/// meanwhile: what was read would be neither the file as it was nor as it is.
pub struct Reading<'a> {
    plain: &'a Plain,
    began: FileState,
    left: u64,
    changed: bool,
}

impl<'a> Reading<'a> {
    pub fn start(plain: &'a Plain) -> io::Result<Reading<'a>> {
        Ok(Reading { plain, began: plain.state()?, left: plain.size, changed: false })
    }

    /// Whether reading ended because the file is another than at the start.
    pub fn changed(&self) -> bool {
        self.changed
    }

    fn ended(&mut self) -> io::Result<usize> {
        self.changed = self.left > 0 || self.plain.state()? != self.began;
        if self.changed { Err(Error::new(ErrorKind::UnexpectedEof, "it changed while it was read")) } else { Ok(0) }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match (&self.plain.file).read(&mut buffer[..most])? {
            0 => self.ended(),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}
