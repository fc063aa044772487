//! Every plain byte of an artifact: through gzip, xz and zstd, into tar and ar archives, into the payload of a kernel.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::format::tar::{TarEntry, TarEntryKind, TarReader};

/// Packed within packed.
const DEPTH: usize = 5;
const BUFFER: usize = 256 << 10;
/// The header of an x86 kernel ends here (`Documentation/arch/x86/boot.rst`).
const BOOT_HEADER: usize = 0x268;

/// Who sees the bytes; one file at a time.
pub(super) trait Visitor {
    /// A file starts; its time, where the archive around it says one.
    fn begin(&mut self, place: &str, mtime: Option<i64>);
    /// Some of its bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// It ends.
    fn end(&mut self);
}

/// A file of an archive, and where its content is.
pub(super) type Located = (TarEntry, u64);

/// The files of an archive that is not packed; none of a file that is something else.
pub(super) fn files(archive: &File) -> io::Result<Option<Vec<Located>>> {
    let mut magic = [0; 5];
    let is_tar = archive.read_exact_at(&mut magic, 257).is_ok() && magic == *b"ustar";
    let mut first = [0; 1];
    archive.read_exact_at(&mut first, 0).ok();
    // What may be packed, by gzip, xz or zstd, is no archive before it is unpacked.
    if !is_tar || [0x1f, 0xfd, 0x28].contains(&first[0]) {
        return Ok(None);
    }
    let mut reader = TarReader::of_headers(archive);
    let mut files = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(io::Error::other)? {
        files.push((entry, reader.offset()));
        reader.pass_content().map_err(io::Error::other)?;
    }
    Ok(Some(files))
}

/// Shows some of them. What is packed inside may be damaged, as packages bring it; the archive itself has to be read to its end.
pub(super) fn walk_files(place: &str, archive: &File, files: &[Located], visitor: &mut dyn Visitor) -> io::Result<()> {
    let failed = Cell::new(None);
    for (entry, offset) in files {
        let content = At { file: archive, offset: *offset, left: entry.size, failed: &failed };
        member(place, entry, Box::new(content), DEPTH - 1, visitor);
    }
    failed.into_inner().map_or(Ok(()), |kind: io::ErrorKind| Err(kind.into()))
}

type Stream<'a> = Box<dyn Read + 'a>;
/// Where a file is, and its time where an archive around it says one.
type Place<'a> = (&'a str, Option<i64>);

/// A stretch of a file, read without moving the file's position.
struct At<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
    /// Whoever reads may take an error for damage of what is packed here, and pass over it.
    failed: &'a Cell<Option<io::ErrorKind>>,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = match self.file.read_at(&mut buffer[..wanted], self.offset) {
            Ok(0) if wanted > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        let read = read.inspect_err(|error| self.failed.set(Some(error.kind())))?;
        (self.offset, self.left) = (self.offset + read as u64, self.left - read as u64);
        Ok(read)
    }
}

/// Shows a stream, and what is packed inside it.
pub(super) fn walk(place: &str, stream: Stream<'_>, visitor: &mut dyn Visitor) -> io::Result<()> {
    inner((place, None), stream, DEPTH, visitor)
}

fn inner(at: Place<'_>, stream: Stream<'_>, depth: usize, visitor: &mut dyn Visitor) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(BUFFER, stream);
    let mut head = Vec::new();
    while head.len() < BOOT_HEADER {
        // A short first read must not hide what the stream is.
        let wanted = BOOT_HEADER - head.len();
        if stream.by_ref().take(wanted as u64).read_to_end(&mut head)? == 0 {
            break;
        }
    }
    let packed = depth > 0;
    let whole: Stream<'_> = Box::new(io::Cursor::new(head.clone()).chain(stream));
    if packed && head.starts_with(&[0x1f, 0x8b, 8]) {
        return inner(at, Box::new(flate2::read::MultiGzDecoder::new(whole)), depth - 1, visitor);
    }
    if packed && head.starts_with(b"\xfd7zXZ\0") {
        return inner(at, Box::new(xz2::read::XzDecoder::new_multi_decoder(whole)), depth - 1, visitor);
    }
    if packed && head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return inner(at, Box::new(zstd::stream::read::Decoder::new(whole)?), depth - 1, visitor);
    }
    if packed && head.get(257..262) == Some(b"ustar") {
        return tar(at.0, whole, depth - 1, visitor);
    }
    if packed && head.starts_with(b"!<arch>\n") {
        return ar(at, whole, depth - 1, visitor);
    }
    visitor.begin(at.0, at.1);
    let payload = payload(&head).filter(|_| packed);
    let mut whole = BufReader::with_capacity(BUFFER, whole);
    let shown = payload.map_or(u64::MAX, |(offset, _)| offset);
    let result = show(&mut whole.by_ref().take(shown), visitor);
    visitor.end();
    result?;
    if let Some((_, length)) = payload {
        // A payload of a kind that is not known is shown as it is. Behind the
        // compressed kernel, four bytes say what it unpacks to, which no decoder understands.
        let _ =
            inner((&within(at.0, "payload"), at.1), Box::new(whole.take(length.saturating_sub(4))), depth - 1, visitor);
    }
    Ok(())
}

/// Where the compressed kernel lies in a bzImage.
fn payload(head: &[u8]) -> Option<(u64, u64)> {
    if head.get(0x202..0x206)? != b"HdrS" || u16::from_le_bytes(head.get(0x206..0x208)?.try_into().ok()?) < 0x208 {
        return None;
    }
    let field = |at: usize| Some(u64::from(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?)));
    // The boot sector says how many sectors of setup follow it; zero means four.
    let sectors = match head[0x1f1] {
        0 => 4,
        sectors => u64::from(sectors),
    };
    Some(((sectors + 1) * 512 + field(0x248)?, field(0x24c)?))
}

fn show(stream: &mut dyn BufRead, visitor: &mut dyn Visitor) -> io::Result<()> {
    loop {
        let bytes = stream.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        visitor.bytes(bytes);
        let count = bytes.len();
        stream.consume(count);
    }
}

fn within(place: &str, name: &str) -> String {
    format!("{place} > {name}")
}

fn tar(place: &str, stream: Stream<'_>, depth: usize, visitor: &mut dyn Visitor) -> io::Result<()> {
    let mut reader = TarReader::new(stream);
    while let Some(entry) = reader.next_entry().map_err(io::Error::other)? {
        member(place, &entry, Box::new(&mut reader), depth, visitor);
    }
    Ok(())
}

/// An entry of a tar archive.
fn member(place: &str, entry: &TarEntry, content: Stream<'_>, depth: usize, visitor: &mut dyn Visitor) {
    let name = within(place, &entry.path.to_string());
    visitor.begin(&format!("{name} (its header)"), Some(entry.mtime));
    visitor.bytes(entry.path.as_bytes());
    visitor.bytes(b"\n");
    match &entry.kind {
        TarEntryKind::Symlink(target) => visitor.bytes(target),
        TarEntryKind::Hardlink(target) => visitor.bytes(target.as_bytes()),
        _ => {}
    }
    for value in entry.xattrs.values() {
        visitor.bytes(b"\n");
        visitor.bytes(value);
    }
    visitor.end();
    if entry.kind == TarEntryKind::File {
        // What only looks packed, or is damaged, was damaged when it was packaged: the rest of the archive counts.
        let _ = inner((&name, Some(entry.mtime)), content, depth, visitor);
    }
}

/// Members of a Debian package or a static library (ar(5)).
fn ar(at: Place<'_>, mut stream: Stream<'_>, depth: usize, visitor: &mut dyn Visitor) -> io::Result<()> {
    io::copy(&mut stream.by_ref().take(8), &mut io::sink())?;
    loop {
        let mut header = [0; 60];
        if stream.by_ref().take(60).read(&mut header)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&header).into_owned();
        let size = text.get(48..58).and_then(|size| size.trim().parse::<u64>().ok());
        let size = size.ok_or_else(|| io::Error::other("an ar header without a size"))?;
        let name = text.get(..16).unwrap_or("").trim().trim_end_matches('/').to_owned();
        let mut member = stream.by_ref().take(size);
        // As with tar.
        let _ = inner((&within(at.0, &name), at.1), Box::new(&mut member), depth, visitor);
        io::copy(&mut member, &mut io::sink())?;
        io::copy(&mut stream.by_ref().take(size % 2), &mut io::sink())?;
    }
}
