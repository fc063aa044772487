//! Decompressors by file name suffix, with bounded memory.

use std::io::{self, BufReader, Read};

use super::DebError;

/// `xz -9` needs 65 MiB to decompress; dpkg-deb never asks for more.
const XZ_MEMORY: u64 = 128 << 20;
/// Windows up to 128 MiB, zstd's own bound for streams that do not say otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The decompressed bytes of a member called `*.tar{suffix}`.
pub(super) fn decoder<'r>(suffix: &str, reader: impl Read + 'r) -> Result<Box<dyn Read + 'r>, DebError> {
    let broken = |source| DebError::Io { member: "decompressor", source };
    Ok(match suffix {
        "" => Box::new(reader),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        ".xz" => {
            let stream = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, xz2::stream::CONCATENATED)
                .map_err(|error| broken(io::Error::other(error)))?;
            Box::new(xz2::bufread::XzDecoder::new_stream(BufReader::with_capacity(1 << 16, reader), stream))
        }
        ".zst" => {
            let mut decoder = zstd::Decoder::new(reader).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            Box::new(decoder)
        }
        other => return Err(DebError::Format(format!("members `*.tar{other}` are not supported"))),
    })
}
