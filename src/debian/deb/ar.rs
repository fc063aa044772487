//! The outer `ar` archive, forward only. deb(5) uses the plain variant: names of at most 16 bytes, no symbol table.

use std::io::{self, Read};

use super::DebError;

/// Most bytes in one member; the largest package in Debian 13 has less than 2 GiB.
const MEMBER_LIMIT: u64 = 4 << 30;
const HEADER: usize = 60;

/// A member's header.
pub(super) struct Member {
    pub(super) name: String,
}

/// An open archive; reading it yields the current member.
pub(super) struct Archive<R> {
    inner: R,
    /// Bytes of the current member still to be read.
    left: u64,
    /// Whether a padding byte follows the current member.
    padded: bool,
}

impl<R: Read> Archive<R> {
    pub(super) fn open(mut inner: R) -> Result<Self, DebError> {
        let mut magic = [0; 8];
        inner.read_exact(&mut magic).map_err(|source| DebError::Io { member: "ar", source })?;
        if &magic != b"!<arch>\n" {
            return Err(DebError::Format("it is not an ar archive".to_owned()));
        }
        Ok(Archive { inner, left: 0, padded: false })
    }

    /// Skips what is left of the current member and reads the next header; `None` at the end.
    pub(super) fn member(&mut self) -> Result<Option<Member>, DebError> {
        let broken = |source| DebError::Io { member: "ar", source };
        io::copy(&mut self.by_ref(), &mut io::sink()).map_err(broken)?;
        if self.padded {
            self.padded = false;
            let mut pad = [0];
            // The last member's padding byte may be missing.
            if self.inner.read(&mut pad).map_err(broken)? == 0 {
                return Ok(None);
            }
        }
        let mut header = [0; HEADER];
        let mut filled = 0;
        while filled < HEADER {
            match self.inner.read(&mut header[filled..]).map_err(broken)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(DebError::Format("it is truncated in a member's header".to_owned())),
                count => filled += count,
            }
        }
        let (name, size) = parse(&header).ok_or_else(|| DebError::Format("a member's header is invalid".to_owned()))?;
        if size > MEMBER_LIMIT {
            return Err(DebError::TooLarge { member: "ar", limit: MEMBER_LIMIT, unit: "bytes in a member" });
        }
        self.left = size;
        self.padded = size % 2 == 1;
        Ok(Some(Member { name }))
    }
}

fn parse(header: &[u8; HEADER]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(header).ok()?;
    if !text.is_ascii() || !text.ends_with("`\n") {
        return None;
    }
    let name = text[..16].trim_end().trim_end_matches('/');
    let size = text[48..58].trim_end();
    if name.is_empty() || size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((name.to_owned(), size.parse().ok()?))
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is truncated in a member"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
