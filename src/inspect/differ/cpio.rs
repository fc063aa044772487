//! Two cpio archives of the kernel's kind ("newc", `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::io::{self, Read};

use super::entry::{self, Facts, Side};
use super::{Differences, Pair, streams};

/// Bytes of a header: six of magic, thirteen fields of eight hexadecimal digits.
const HEADER: usize = 110;
/// No name is longer (PATH_MAX).
const NAME: u64 = 4096;

struct Reader<'a> {
    stream: Box<dyn Read + 'a>,
    /// Content and padding that were not read yet.
    content: u64,
    padding: u64,
}

impl Reader<'_> {
    fn next(&mut self) -> io::Result<Option<Facts>> {
        let rest = self.content + self.padding;
        io::copy(&mut self.stream.by_ref().take(rest), &mut io::sink())?;
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header)?;
        let field = |at: usize| {
            let digits = std::str::from_utf8(&header[6 + at * 8..14 + at * 8]).ok();
            let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            value.ok_or_else(|| io::Error::other("invalid cpio header"))
        };
        let length = u64::from(field(11)?);
        if !header.starts_with(b"070701") || length == 0 || length > NAME {
            return Err(io::Error::other("invalid cpio header"));
        }
        // The name is padded so that the content begins at a multiple of four.
        let mut name = vec![0; (length + (4 - (HEADER as u64 + length) % 4) % 4) as usize];
        self.stream.read_exact(&mut name)?;
        let path = String::from_utf8_lossy(&name[..length as usize - 1]).into_owned();
        (self.content, self.padding) = (field(6)?.into(), (4 - u64::from(field(6)?) % 4) % 4);
        if path == "TRAILER!!!" {
            return Ok(None);
        }
        let mode = field(1)?;
        let kind = if mode & 0o170_000 == 0o100_000 { "file".to_owned() } else { format!("{:o}", mode >> 12) };
        let more = [("inode", 0), ("links", 4), ("device", 7), ("minor device", 8), ("node", 9), ("minor node", 10)];
        let more = more.iter().map(|(name, at)| Ok(((*name).to_owned(), field(*at)?.to_string())));
        Ok(Some(Facts {
            path,
            kind,
            mode: mode & 0o7777,
            owner: (field(2)?, field(3)?),
            mtime: field(5)?.into(),
            size: self.content,
            more: more.collect::<io::Result<_>>()?,
        }))
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.by_ref().take(self.content).read(buffer)?;
        self.content -= count as u64;
        Ok(count)
    }
}

pub(super) fn compare(place: &str, (one, two): Pair<'_>, depth: usize, found: &mut Differences) {
    let mut one = Reader { stream: one, content: 0, padding: 0 };
    let mut two = Reader { stream: two, content: 0, padding: 0 };
    let (mut left, mut right) = (None, None);
    let mut side = Side::Both;
    while !found.full() {
        let next = |reader: &mut Reader<'_>, place: &str, found: &mut Differences| {
            reader.next().map_err(|error| found.add(place, format!("cannot be read: {error}")))
        };
        if side != Side::Second {
            let Ok(entry) = next(&mut one, place, found) else { return };
            left = entry;
        }
        if side != Side::First {
            let Ok(entry) = next(&mut two, place, found) else { return };
            right = entry;
        }
        if left.is_none() && right.is_none() {
            return;
        }
        side = entry::missing(place, left.as_ref(), right.as_ref(), found);
        if let (Side::Both, Some(left), Some(right)) = (side, &left, &right) {
            let name = entry::within(place, &left.path);
            entry::compare(&name, left, right, found);
            streams(&name, (Box::new(&mut one), Box::new(&mut two)), depth, found);
        }
    }
}
