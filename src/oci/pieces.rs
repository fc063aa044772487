//! The bytes of blobs, piece by piece.
//!
//! Input: bytes in memory or a file. Output: as many of them as a descriptor says, in order or from anywhere.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::OciError;
use crate::world::{WorldError, fs};

/// Bytes that are copied at a time.
const CHUNK: usize = 256 << 10;

/// The bytes of a blob that is pushed.
pub enum Upload {
    Bytes(Vec<u8>),
    /// A file whose digest is known.
    File(PathBuf),
}

impl Upload {
    /// Some of them.
    pub(super) fn piece(&self, at: u64, size: u64) -> Result<Vec<u8>, OciError> {
        let (from, count) = (at as usize, size as usize);
        match self {
            Upload::Bytes(bytes) => Ok(bytes[from..from + count].to_vec()),
            Upload::File(path) => {
                let mut piece = vec![0; count];
                fs::context("read", path, fs::open(path)?.read_exact_at(&mut piece, at))?;
                Ok(piece)
            }
        }
    }
}

/// Why a copy ended: what reads failed, or what takes.
pub(super) type CopyError = Result<OciError, std::io::Error>;

/// Hands on so many bytes of a file.
pub(super) fn pieces(
    mut file: &File,
    size: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), OciError>,
) -> Result<(), CopyError> {
    let mut buffer = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let count = match std::io::Read::read(&mut file, &mut buffer[..most]) {
            Ok(0) => return Err(Err(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Err(error)),
        };
        take(&buffer[..count]).map_err(Ok)?;
        left -= count as u64;
    }
    Ok(())
}

impl Upload {
    /// Hands all of it on.
    pub(super) fn pieces(
        &self,
        size: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), OciError>,
    ) -> Result<(), OciError> {
        match self {
            Upload::Bytes(bytes) => take(bytes),
            Upload::File(path) => {
                let failed = |source| WorldError::File { verb: "read", path: path.clone(), source };
                let file = fs::open(path)?;
                pieces(&file, size, take).map_err(|error| error.unwrap_or_else(|error| failed(error).into()))
            }
        }
    }
}
