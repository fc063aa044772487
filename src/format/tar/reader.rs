//! Reads ustar, GNU and pax archives from a stream, without trusting a byte.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek};

use super::TarError;
use super::entry::{Device, TarEntry, TarEntryKind, TarPath, check_target, lossy};
use super::header::{self, BLOCK};
use super::pax::{self, Records};
use super::writer::TarWriter;

/// Entries of an archive, one after the other; after [`TarReader::next_entry`] the reader itself gives the content.
///
/// What cannot be expressed in [`TarEntry`] (sparse files, multi-volume archives) is an error, never skipped. Memory is
/// bounded by one extended header of 1 MiB, whatever the archive says.
pub struct TarReader<R> {
    input: R,
    offset: u64,
    content: u64,
    padding: u64,
    ended: bool,
    /// The headers of an entry so far, where each must be spelled as [`TarWriter`] spells it.
    spelled: Option<Vec<u8>>,
}

/// What extended headers said about the entry that follows them.
#[derive(Default)]
struct Extended {
    records: Records,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Reads from the start of an archive; decompress before.
    pub fn new(input: R) -> Self {
        TarReader { input, offset: 0, content: 0, padding: 0, ended: false, spelled: None }
    }

    /// Of an archive that [`TarWriter`] has written: every other spelling of the same entries is refused, to the last byte.
    pub fn canonical(input: R) -> Self {
        TarReader { spelled: Some(Vec::new()), ..TarReader::new(input) }
    }

    /// The next entry, or `None` at the end-of-archive mark. What is left of the content before it is skipped.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        let mut extended = Extended::default();
        let mut first = true;
        while !self.ended {
            self.skip_content()?;
            let at = self.offset;
            if std::mem::take(&mut first)
                && let Some(spelled) = &mut self.spelled
            {
                spelled.clear();
            }
            let Some(block) = self.header()? else {
                self.ended = true;
                break;
            };
            let header = tar::Header::from_byte_slice(&block);
            let flag = block[156];
            if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
                let entry = self.entry(header, extended, at)?;
                return self.spelled_as_written(&entry, at).map(|()| Some(entry));
            }
            let size = header.entry_size().map_err(|_| malformed(at, "a size that is not a number"))?;
            let body = self.body(size, at)?;
            match flag {
                b'x' => extended.records = pax::decode(&body).map_err(|what| malformed(at, what))?,
                b'L' => extended.name = Some(up_to_nul(&body).to_vec()),
                b'K' => extended.link = Some(up_to_nul(&body).to_vec()),
                _ => check_global(&body, at)?,
            }
        }
        Ok(None)
    }

    fn spelled_as_written(&self, entry: &TarEntry, at: u64) -> Result<(), TarError> {
        let Some(spelled) = &self.spelled else { return Ok(()) };
        let mut written = TarWriter::new(Vec::new());
        written.write_headers(entry)?;
        match written.into_output() == *spelled {
            true => Ok(()),
            false => Err(malformed(at, "a header that kiln writes otherwise")),
        }
    }

    /// What follows the first block of the end-of-archive mark, once that was read.
    pub fn into_input(self) -> R {
        self.input
    }

    /// How many bytes of the archive were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn entry(&mut self, header: &tar::Header, extended: Extended, at: u64) -> Result<TarEntry, TarError> {
        let mut records = extended.records;
        if records.keys().any(|key| key.starts_with(b"GNU.sparse")) {
            return Err(malformed(at, "a sparse file, which kiln does not read"));
        }
        let name = records.remove(b"path".as_slice()).or(extended.name);
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = records.remove(b"linkpath".as_slice()).or(extended.link);
        let link = link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let mut kind = kind(header, link).map_err(|error| locate(error, at))?;
        // Version 7 archives had no type for directories, only the slash.
        if kind == TarEntryKind::File && name.ends_with(b"/") {
            kind = TarEntryKind::Directory;
        }
        let size = match records.remove(b"size".as_slice()) {
            Some(text) => pax::number(&text).ok_or_else(|| malformed(at, "a pax size that is not a number"))?,
            None => header.entry_size().map_err(|_| malformed(at, "a size that is not a number"))?,
        };
        if size > i64::MAX as u64 {
            return Err(malformed(at, "a size of more than 8 EiB"));
        }
        if kind != TarEntryKind::File && size != 0 {
            return Err(malformed(at, "content on something that is not a regular file"));
        }
        (self.content, self.padding) = (size, size.next_multiple_of(BLOCK as u64) - size);
        let mut entry = TarEntry {
            path: TarPath::new(&name)?,
            kind,
            mode: header.mode().map_err(|_| malformed(at, "a mode that is not a number"))? & 0o7777,
            uid: owner(&mut records, "uid", header.uid()).ok_or_else(|| malformed(at, "an owner out of range"))?,
            gid: owner(&mut records, "gid", header.gid()).ok_or_else(|| malformed(at, "a group out of range"))?,
            mtime: time(&mut records, header).ok_or_else(|| malformed(at, "a time out of range"))?,
            size,
            xattrs: BTreeMap::new(),
        };
        for (key, value) in records {
            if let Some(name) = key.strip_prefix(pax::XATTR).filter(|name| !name.is_empty()) {
                entry.xattrs.insert(name.to_vec(), value);
            }
        }
        Ok(entry)
    }

    /// The next header block; `None` at a block of zeros. An archive that just stops was cut.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let at = self.offset;
        let read = read_full(&mut self.input, &mut block)?;
        self.offset += read as u64;
        if read < BLOCK {
            return Err(malformed(at, "the archive has no end-of-archive marker"));
        }
        if block == [0; BLOCK] {
            return Ok(None);
        }
        let stated = tar::Header::from_byte_slice(&block).cksum();
        if stated.ok() != Some(header::checksum(&block)) {
            return Err(malformed(at, "a header has a wrong checksum"));
        }
        self.spelled.iter_mut().for_each(|spelled| spelled.extend_from_slice(&block));
        Ok(Some(block))
    }

    fn body(&mut self, size: u64, at: u64) -> Result<Vec<u8>, TarError> {
        if size > pax::LIMIT {
            return Err(malformed(at, "an extended header of more than 1 MiB"));
        }
        (self.content, self.padding) = (size, size.next_multiple_of(BLOCK as u64) - size);
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        self.spelled.iter_mut().for_each(|spelled| spelled.extend_from_slice(&body));
        Ok(body)
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        io::copy(self, &mut io::sink())?;
        let mut block = [0; BLOCK];
        // Less than a block: it fills one up.
        let padding = &mut block[..usize::try_from(self.padding).unwrap_or_default()];
        let read = read_full(&mut self.input, padding)?;
        self.offset += read as u64;
        if read < padding.len() {
            return Err(malformed(self.offset, "the archive is truncated in a file"));
        }
        if let Some(spelled) = &mut self.spelled {
            spelled.extend_from_slice(padding);
            if padding.iter().any(|byte| *byte != 0) {
                return Err(malformed(self.offset, "padding that is not zeros"));
            }
        }
        self.padding = 0;
        Ok(())
    }
}

/// Bytes that are read at once where headers alone are read, which stand between contents.
const HEADERS: usize = 4 << 10;

impl<R: Read + Seek> TarReader<BufReader<R>> {
    /// For whoever passes over contents.
    pub fn of_headers(input: R) -> Self {
        TarReader::new(BufReader::with_capacity(HEADERS, input))
    }

    /// Passes over the content without reading it. That an archive ends within a content is seen where the next entry should be.
    pub fn pass_content(&mut self) -> Result<(), TarError> {
        let length = self.content.saturating_add(self.padding);
        let by = i64::try_from(length).map_err(|_| malformed(self.offset, "a size of more than 8 EiB"))?;
        self.input.seek_relative(by)?;
        self.offset = self.offset.saturating_add(length);
        (self.content, self.padding) = (0, 0);
        Ok(())
    }
}

/// The content of the entry that was read last.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is truncated in a file"));
        }
        self.content -= read as u64;
        self.offset += read as u64;
        Ok(read)
    }
}

fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn kind(header: &tar::Header, link: Vec<u8>) -> Result<TarEntryKind, TarError> {
    let device = || {
        let number = |field: io::Result<Option<u32>>| field.ok().flatten();
        number(header.device_major())
            .zip(number(header.device_minor()))
            .map(|(major, minor)| Device { major, minor })
            .ok_or_else(|| malformed(0, "a device without a number"))
    };
    Ok(match header.as_bytes()[156] {
        0 | b'0' | b'7' => TarEntryKind::File,
        b'1' => TarEntryKind::Hardlink(TarPath::new(&link)?),
        b'2' => {
            check_target(&link).map_err(|what| malformed(0, what))?;
            TarEntryKind::Symlink(link)
        }
        b'3' => TarEntryKind::CharDevice(device()?),
        b'4' => TarEntryKind::BlockDevice(device()?),
        b'5' => TarEntryKind::Directory,
        b'6' => TarEntryKind::Fifo,
        other => {
            let shown = char::from(other).escape_default();
            return Err(malformed(0, &format!("an entry of type '{shown}', which kiln does not read")));
        }
    })
}

fn owner(records: &mut Records, key: &str, field: io::Result<u64>) -> Option<u32> {
    let number = match records.remove(key.as_bytes()) {
        Some(text) => pax::number(&text)?,
        None => field.ok()?,
    };
    u32::try_from(number).ok()
}

fn time(records: &mut Records, header: &tar::Header) -> Option<i64> {
    match records.remove(b"mtime".as_slice()) {
        Some(text) => pax::seconds(&text),
        // GNU's base-256 numbers are signed: a time before 1970 comes out as its two's complement.
        None => Some(header.mtime().ok()? as i64),
    }
}

/// A global header may carry a comment (git writes its commit there); one that redefines files is refused.
fn check_global(body: &[u8], at: u64) -> Result<(), TarError> {
    let records = pax::decode(body).map_err(|what| malformed(at, what))?;
    match records.keys().find(|key| key.as_slice() != b"comment") {
        Some(key) => Err(malformed(at, &format!("a global pax header sets {:?} for all files", lossy(key)))),
        None => Ok(()),
    }
}

fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn malformed(offset: u64, what: &str) -> TarError {
    TarError::Malformed { offset, what: what.to_owned() }
}

fn locate(error: TarError, at: u64) -> TarError {
    match error {
        TarError::Malformed { what, .. } => TarError::Malformed { offset: at, what },
        other => other,
    }
}
