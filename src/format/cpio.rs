//! Cpio archives in the "newc" format that Linux unpacks as its initramfs
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Entries are those of [`super::tar`]; inode numbers count from 1 in the order of the archive, so that nothing of the
//! machine that built it gets in.

use std::io::{self, Read, Write};

use super::tar::{Device, TarEntry, TarEntryKind, TarPath};

/// Zstd level of a compressed initramfs; with one thread, the bytes depend on it and the library's version only.
const LEVEL: i32 = 12;

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// The stream below failed.
    #[error("cpio: {0}")]
    Io(#[from] io::Error),
    /// The format cannot hold the entry, or it breaks the order.
    #[error("cpio: {path}: {what}")]
    Entry {
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Writes entries in the order of their paths.
pub struct CpioWriter<W> {
    out: W,
    written: u64,
    inode: u32,
    last: Option<TarPath>,
}

impl<W: Write> CpioWriter<W> {
    /// An archive without entries.
    pub fn new(out: W) -> Self {
        CpioWriter { out, written: 0, inode: 0, last: None }
    }

    /// Adds one entry, which must sort after the one before; `content` must give exactly `entry.size` bytes.
    pub fn append(&mut self, entry: &TarEntry, mut content: impl Read) -> Result<(), CpioError> {
        let refuse = |what| CpioError::Entry { path: entry.path.to_string(), what };
        if self.last.as_ref().is_some_and(|last| *last >= entry.path) {
            return Err(refuse("entries must be in the order of their paths' bytes"));
        }
        let (kind, device) = kind(&entry.kind).map_err(refuse)?;
        if !entry.xattrs.is_empty() {
            return Err(refuse("the format has no extended attributes"));
        }
        let target: &[u8] = if let TarEntryKind::Symlink(target) = &entry.kind { target } else { b"" };
        let size = u32::try_from(entry.size.max(target.len() as u64)).map_err(|_| refuse("4 GiB and more"))?;
        let mtime = u32::try_from(entry.mtime).map_err(|_| refuse("a time out of range (1970 to 2106)"))?;
        self.inode += 1;
        let name = if entry.path.is_root() { b"." } else { entry.path.as_bytes() };
        let links = if entry.is_directory() { 2 } else { 1 };
        let mode = kind | entry.mode & 0o7777;
        let fields = [self.inode, mode, entry.uid, entry.gid, links, mtime, size, 0, 0, device.major, device.minor];
        self.header(&fields, name)?;
        self.write(target)?;
        self.copy(entry, &mut content).map_err(|error| match error {
            Copied::Io(error) => CpioError::Io(error),
            Copied::Size => refuse("its content does not have the declared size"),
        })?;
        self.align()?;
        self.last = Some(entry.path.clone());
        Ok(())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<W, CpioError> {
        self.header(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], b"TRAILER!!!")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, fields: &[u32; 11], name: &[u8]) -> Result<(), CpioError> {
        let mut text = String::from("070701");
        for field in fields.iter().chain(&[name.len() as u32 + 1, 0]) {
            text.push_str(&format!("{field:08X}"));
        }
        self.write(text.as_bytes())?;
        self.write(name)?;
        self.write(b"\0")?;
        self.align()
    }

    fn copy(&mut self, entry: &TarEntry, content: &mut impl Read) -> Result<(), Copied> {
        let copied = io::copy(&mut content.take(entry.size), &mut self.out).map_err(Copied::Io)?;
        self.written += copied;
        let more = content.read(&mut [0]).map_err(Copied::Io)?;
        if copied < entry.size || more > 0 { Err(Copied::Size) } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CpioError> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Names and contents end at a multiple of four.
    fn align(&mut self) -> Result<(), CpioError> {
        let rest = self.written.next_multiple_of(4) - self.written;
        self.write(&[0; 3][..rest as usize])
    }
}

enum Copied {
    Io(io::Error),
    Size,
}

/// File type bits of `st_mode` (`include/uapi/linux/stat.h`), and the device.
fn kind(kind: &TarEntryKind) -> Result<(u32, Device), &'static str> {
    let none = Device { major: 0, minor: 0 };
    Ok(match kind {
        TarEntryKind::File => (0o100_000, none),
        TarEntryKind::Directory => (0o040_000, none),
        TarEntryKind::Symlink(_) => (0o120_000, none),
        TarEntryKind::CharDevice(device) => (0o020_000, *device),
        TarEntryKind::BlockDevice(device) => (0o060_000, *device),
        TarEntryKind::Fifo => (0o010_000, none),
        TarEntryKind::Hardlink(_) => return Err("hard links are not written"),
    })
}

/// A zstd stream that Linux since 5.9 unpacks (`CONFIG_RD_ZSTD`).
pub fn compressor<W: Write>(out: W) -> io::Result<zstd::Encoder<'static, W>> {
    zstd::Encoder::new(out, LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_reads_them() {
        let mut writer = CpioWriter::new(Vec::new());
        let path = |text: &str| TarPath::new(text).unwrap();
        writer.append(&TarEntry::directory(path("bin"), 0o755, 16), io::empty()).unwrap();
        writer.append(&TarEntry::file(path("bin/sh"), 0o755, 16, 3), b"#!x".as_slice()).unwrap();
        writer.append(&TarEntry::symlink(path("init"), "bin/sh", 16), io::empty()).unwrap();
        let bytes = writer.finish().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let first = "070701\
                     00000001\
                     000041ED\
                     00000000\
                     00000000\
                     00000002\
                     00000010\
                     00000000\
                     00000000\
                     00000000\
                     00000000\
                     00000000\
                     00000004\
                     00000000bin\0";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("bin/sh\0\0\0\0#!x\x00070701") && text.ends_with("TRAILER!!!\0\0\0\0"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let path = |text: &str| TarPath::new(text).unwrap();
        let mut writer = CpioWriter::new(io::sink());
        writer.append(&TarEntry::directory(path("b"), 0o755, 0), io::empty()).unwrap();
        let mut linked = TarEntry::file(path("d"), 0o644, 0, 0);
        linked.kind = TarEntryKind::Hardlink(path("c"));
        for (entry, content) in [
            (TarEntry::directory(path("a"), 0o755, 0), b"".as_slice()),
            (TarEntry::file(path("c"), 0o644, -1, 0), b""),
            (TarEntry::file(path("c"), 0o644, 0, 2), b"1"),
            (TarEntry::file(path("c"), 0o644, 0, 0), b"1"),
            (linked, b""),
        ] {
            assert!(writer.append(&entry, content).is_err(), "{entry:?}");
        }
    }
}
