//! A forward-only tar reader with the limits of dpkg's own: v7, ustar and GNU long names; no pax, sparse or odd types.
//!
//! Headers are decoded by the `tar` crate; the walk is ours, because long names must be bounded before they are read.

use std::io::{self, Read};

use super::{DebError, ENTRY_LIMIT};

const BLOCK: usize = 512;
/// `PATH_MAX`: a longer name could not be created.
const NAME_LIMIT: u64 = 4096;

/// The walk over one tar archive. Reading yields the current entry's content.
pub(super) struct Tape<R> {
    inner: R,
    member: &'static str,
    /// Most bytes of the whole archive.
    limit: u64,
    consumed: u64,
    entries: u64,
    left: u64,
    padding: u64,
}

/// One header with its long names applied.
pub(super) struct Raw {
    pub(super) header: tar::Header,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
}

impl<R: Read> Tape<R> {
    pub(super) fn new(inner: R, member: &'static str, limit: u64) -> Self {
        Tape { inner, member, limit, consumed: 0, entries: 0, left: 0, padding: 0 }
    }

    /// Skips what is left of the current entry and reads the next header; `None` at the end-of-archive block.
    pub(super) fn next(&mut self) -> Result<Option<Raw>, DebError> {
        let (mut long_path, mut long_link) = (None, None);
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = self.size(&header)?;
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match header.entry_type() {
                tar::EntryType::GNULongName => long_path = Some(self.name(&header)?),
                tar::EntryType::GNULongLink => long_link = Some(self.name(&header)?),
                _ => {
                    let path = long_path.unwrap_or_else(|| header.path_bytes().into_owned());
                    let link = long_link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
                    return Ok(Some(Raw { path, link: link.unwrap_or_default(), size, header }));
                }
            }
        }
    }

    fn header(&mut self) -> Result<Option<tar::Header>, DebError> {
        self.entries += 1;
        if self.entries > ENTRY_LIMIT {
            return Err(DebError::TooLarge { member: self.member, limit: ENTRY_LIMIT, unit: "entries" });
        }
        let mut header = tar::Header::new_old();
        self.take(BLOCK as u64)?;
        self.inner.read_exact(header.as_mut_bytes()).map_err(|source| self.io(source))?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own field as spaces.
        let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
        if header.cksum().ok() != Some(sum) {
            return Err(self.entry(&header, "its header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn size(&self, header: &tar::Header) -> Result<u64, DebError> {
        let size = header.entry_size().map_err(|_| self.entry(header, "its size is not a number"))?;
        if size > self.limit.saturating_sub(self.consumed) {
            return Err(DebError::TooLarge { member: self.member, limit: self.limit, unit: "bytes" });
        }
        Ok(size)
    }

    fn name(&mut self, header: &tar::Header) -> Result<Vec<u8>, DebError> {
        if self.left > NAME_LIMIT {
            return Err(self.entry(header, "its name is too long"));
        }
        let mut name = Vec::new();
        let member = self.member;
        self.read_to_end(&mut name).map_err(|source| DebError::Io { member, source })?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn skip(&mut self) -> Result<(), DebError> {
        let rest = self.left + self.padding;
        self.take(rest)?;
        let skipped = io::copy(&mut (&mut self.inner).take(rest), &mut io::sink()).map_err(|source| self.io(source))?;
        if skipped < rest {
            return Err(self.io(io::ErrorKind::UnexpectedEof.into()));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn take(&mut self, count: u64) -> Result<(), DebError> {
        self.consumed = self.consumed.saturating_add(count);
        if self.consumed > self.limit {
            return Err(DebError::TooLarge { member: self.member, limit: self.limit, unit: "bytes" });
        }
        Ok(())
    }

    fn io(&self, source: io::Error) -> DebError {
        DebError::Io { member: self.member, source }
    }

    fn entry(&self, header: &tar::Header, reason: &'static str) -> DebError {
        let path = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        DebError::Entry { member: self.member, path, reason }
    }
}

impl<R: Read> Read for Tape<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is truncated in an entry"));
        }
        self.left -= count as u64;
        self.consumed += count as u64;
        Ok(count)
    }
}
