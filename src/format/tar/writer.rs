//! Writes the one canonical archive of a list of entries.

use std::io::{self, Read, Write};

use super::TarError;
use super::entry::{TarEntry, TarEntryKind, TarPath, check_target};
use super::header::{self, BLOCK, Fields, MAX_LONG, MAX_SHORT, NAME};
use super::pax::{self, Records};

/// Largest major and minor device numbers of Linux: 12 and 20 bits.
const MAX_DEVICE: (u32, u32) = (0xfff, 0xf_ffff);
/// Largest name and value of an extended attribute on Linux (`include/uapi/linux/limits.h`).
const MAX_XATTR: (usize, usize) = (255, 65_536);

/// Writes entries in the order of their paths; equal entries give equal bytes.
///
/// What a field of the header cannot hold goes into a pax header in front of it: names of more than 100 bytes, sizes
/// of 8 GiB and more, times before 1970, large owner numbers, extended attributes. Nothing else does.
pub struct TarWriter<W> {
    out: W,
    last: Option<TarPath>,
}

impl<W: Write> TarWriter<W> {
    /// An archive without entries.
    pub fn new(out: W) -> Self {
        TarWriter { out, last: None }
    }

    /// Adds one entry, which must sort after the one before; `content` must give exactly `entry.size` bytes.
    pub fn append(&mut self, entry: &TarEntry, mut content: impl Read) -> Result<(), TarError> {
        check(entry, self.last.as_ref()).map_err(|what| refuse(entry, what))?;
        self.write_headers(entry)?;
        let copied = io::copy(&mut (&mut content).take(entry.size), &mut self.out)?;
        if copied < entry.size {
            return Err(refuse(entry, format!("its content ended after {copied} of {} bytes", entry.size)));
        }
        if content.read(&mut [0])? > 0 {
            return Err(refuse(entry, format!("its content goes on after {} bytes", entry.size)));
        }
        self.pad(entry.size)?;
        self.last = Some(entry.path.clone());
        Ok(())
    }

    /// Adds an entry that has no content.
    pub fn append_empty(&mut self, entry: &TarEntry) -> Result<(), TarError> {
        self.append(entry, io::empty())
    }

    /// Ends the archive: two blocks of zeros, and no further padding.
    pub fn finish(mut self) -> Result<W, TarError> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// What was written so far.
    pub(super) fn into_output(self) -> W {
        self.out
    }

    /// What stands in front of the content of an entry.
    pub(super) fn write_headers(&mut self, entry: &TarEntry) -> Result<(), TarError> {
        let name = header::spelled(entry);
        let link: &[u8] = match &entry.kind {
            TarEntryKind::Symlink(target) => target,
            TarEntryKind::Hardlink(target) => target.as_bytes(),
            _ => b"",
        };
        let records = records(entry, &name, link);
        if !records.is_empty() {
            self.write_pax(&records)?;
        }
        let device = match &entry.kind {
            TarEntryKind::CharDevice(device) | TarEntryKind::BlockDevice(device) => (device.major, device.minor),
            _ => (0, 0),
        };
        self.out.write_all(&header::encode(&Fields {
            name: &name,
            link,
            flag: header::flag(&entry.kind),
            mode: entry.mode,
            owner: (entry.uid.min(MAX_SHORT), entry.gid.min(MAX_SHORT)),
            size: entry.size.min(MAX_LONG),
            mtime: u64::try_from(entry.mtime).unwrap_or(0).min(MAX_LONG),
            device,
        }))?;
        Ok(())
    }

    fn write_pax(&mut self, records: &Records) -> Result<(), TarError> {
        let body = pax::encode(records);
        let size = body.len() as u64;
        self.out.write_all(&header::encode(&Fields {
            name: b"PaxHeaders",
            link: b"",
            flag: b'x',
            mode: 0o644,
            owner: (0, 0),
            size,
            mtime: 0,
            device: (0, 0),
        }))?;
        self.out.write_all(&body)?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), TarError> {
        let rest = (size % BLOCK as u64) as usize;
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }
}

fn refuse(entry: &TarEntry, what: String) -> TarError {
    TarError::Entry { path: entry.path.to_string(), what }
}

/// What the header block cannot hold.
fn records(entry: &TarEntry, name: &[u8], link: &[u8]) -> Records {
    let mut records = Records::new();
    let long: Vec<(&str, &[u8])> =
        [("path", name), ("linkpath", link)].into_iter().filter(|(_, text)| text.len() > NAME).collect();
    if long.iter().any(|(_, text)| std::str::from_utf8(text).is_err()) {
        records.insert(b"hdrcharset".to_vec(), b"BINARY".to_vec());
    }
    for (key, text) in long {
        records.insert(key.into(), text.to_vec());
    }
    let numbers = [
        ("uid", i64::from(entry.uid), i64::from(MAX_SHORT)),
        ("gid", i64::from(entry.gid), i64::from(MAX_SHORT)),
        ("mtime", entry.mtime, MAX_LONG as i64),
    ];
    for (key, value, limit) in numbers {
        if !(0..=limit).contains(&value) {
            records.insert(key.into(), value.to_string().into_bytes());
        }
    }
    if entry.size > MAX_LONG {
        records.insert(b"size".to_vec(), entry.size.to_string().into_bytes());
    }
    for (name, value) in &entry.xattrs {
        records.insert([pax::XATTR, name].concat(), value.clone());
    }
    records
}

fn check(entry: &TarEntry, last: Option<&TarPath>) -> Result<(), String> {
    if let Some(last) = last.filter(|last| **last >= entry.path) {
        return Err(format!("comes after {last}: entries must be in the order of their paths' bytes"));
    }
    if entry.mode > 0o7777 {
        return Err(format!("mode {:o} has bits that are not permissions", entry.mode));
    }
    if entry.kind != TarEntryKind::File && entry.size != 0 {
        return Err("only a regular file has a size".to_owned());
    }
    if entry.path.is_root() && !entry.is_directory() {
        return Err("the root must be a directory".to_owned());
    }
    check_kind(entry)?;
    for (name, value) in &entry.xattrs {
        let nameless = name.is_empty() || name.contains(&b'=') || name.contains(&0);
        if nameless || name.len() > MAX_XATTR.0 || value.len() > MAX_XATTR.1 {
            return Err(format!("extended attribute {:?} cannot exist on Linux", String::from_utf8_lossy(name)));
        }
    }
    Ok(())
}

fn check_kind(entry: &TarEntry) -> Result<(), String> {
    match &entry.kind {
        TarEntryKind::Symlink(target) => check_target(target).map_err(str::to_owned),
        TarEntryKind::Hardlink(target) if *target >= entry.path => {
            Err(format!("is a hard link to {target}, which comes later: the first path must hold the content"))
        }
        TarEntryKind::CharDevice(device) | TarEntryKind::BlockDevice(device)
            if device.major > MAX_DEVICE.0 || device.minor > MAX_DEVICE.1 =>
        {
            Err(format!("device number {}:{} is larger than Linux has", device.major, device.minor))
        }
        _ => Ok(()),
    }
}
