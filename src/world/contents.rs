//! The bytes of a plain file, handed on piece by piece: files of any size pass through a small buffer.

use std::io::{Read, Write};
use std::path::Path;

use super::plain::Plain;
use super::{WorldError, fs};

/// Bytes at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Hands the whole file at a path on; how many bytes it has.
pub fn stream(path: &Path, out: &mut dyn Write) -> Result<u64, WorldError> {
    let file = fs::open(path)?;
    let size = fs::context("look at", path, file.metadata())?.len();
    hand_on(&Plain { file, size }, path, out)?;
    Ok(size)
}

/// Hands an open file on, up to the end that it had when it was opened. It is an error when it grows, shrinks or is written
/// meanwhile.
pub fn hand_on(plain: &Plain, path: &Path, out: &mut dyn Write) -> Result<(), WorldError> {
    let changed = || WorldError::Changed { path: path.to_owned() };
    let began = fs::context("look at", path, plain.state())?;
    let mut buffer = vec![0; CHUNK_BYTES.min(usize::try_from(plain.size).unwrap_or(CHUNK_BYTES).max(1))];
    let mut left = plain.size;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = fs::context("read", path, (&plain.file).read(&mut buffer[..most]))?;
        if count == 0 {
            return Err(changed());
        }
        fs::context("copy", path, out.write_all(&buffer[..count]))?;
        left -= count as u64;
    }
    if fs::context("look at", path, plain.state())? == began { Ok(()) } else { Err(changed()) }
}
