//! FAT32 file systems (Microsoft's FAT specification 1.03) with few files: what firmware and boot loaders read.
//!
//! Names are short ones, `BOOTX64.EFI`; every file lies in one piece; times and the volume's number are arguments. Only
//! what is not zero is written, so a sparse file stays sparse.

mod geometry;
mod name;
mod read;

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use crate::base::Timestamp;
use geometry::{FATS, Geometry, RESERVED, SECTOR};
pub use name::ShortName;
pub use read::{FatFile, files};

/// Marks the end of a chain.
const END: u32 = 0x0fff_ffff;
const DIRECTORY: u8 = 0x10;
const VOLUME: u8 = 0x08;
const FILE: u8 = 0x20;
const ENTRY: usize = 32;

/// What a file system is called, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatOptions {
    /// Where it begins on its disk, in bytes; a multiple of 512.
    pub start: u64,
    /// Its bytes; a multiple of 512.
    pub size: u64,
    /// Its serial number: `UUID=1234-ABCD` is `0x1234abcd`.
    pub serial: u32,
    /// Its label: up to eleven capital letters, digits and blanks.
    pub label: String,
    /// The time of everything in it.
    pub time: Timestamp,
}

/// Why there is no file system.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// Writing failed.
    #[error("cannot write the FAT file system: {0}")]
    Io(#[from] io::Error),
    /// A name that is not a short one.
    #[error("`{0}` is not a valid FAT path (8.3 names in capital letters)")]
    Name(String),
    /// A file and a directory of one name.
    #[error("`{0}` is both a file and a directory")]
    Twice(String),
    /// Too small for FAT32, too large, or odd.
    #[error("{0} bytes is not a valid size for a FAT32 file system")]
    Size(u64),
    /// Files that do not fit.
    #[error("the files need {needed} clusters, but the file system has {there}")]
    Full {
        /// Clusters that they need.
        needed: u64,
        /// Clusters that there are.
        there: u64,
    },
}

/// A file or a directory.
enum Node<'a> {
    File(&'a [u8]),
    Directory(BTreeMap<ShortName, Node<'a>>),
}

/// Bytes that a file system for files of these sizes should have: room for them, and as much again to change them.
pub fn suitable_size(files: impl IntoIterator<Item = u64>) -> u64 {
    let content: u64 = files.into_iter().sum();
    (content.saturating_mul(2) + (16 << 20)).next_multiple_of(1 << 20).max(64 << 20)
}

/// Writes a file system with these files, by path: `EFI/BOOT/BOOTX64.EFI`.
pub fn write<W: Write + Seek>(
    out: &mut W,
    options: &FatOptions,
    files: &BTreeMap<&str, &[u8]>,
) -> Result<(), FatError> {
    let geometry = Geometry::new(options.size).ok_or(FatError::Size(options.size))?;
    let mut root = BTreeMap::new();
    for (path, bytes) in files {
        insert(&mut root, path, bytes)?;
    }
    let label = name::label(&options.label).ok_or_else(|| FatError::Name(options.label.clone()))?;
    let mut volume =
        Volume { out, options, geometry, table: vec![0x0fff_fff8, END], stamp: stamp(options.time), label };
    let start = volume.allocate(volume.directory_bytes(&root, true))?;
    volume.directory(start, None, &root)?;
    volume.finish()
}

fn insert<'a>(at: &mut BTreeMap<ShortName, Node<'a>>, path: &str, bytes: &'a [u8]) -> Result<(), FatError> {
    let bad = || FatError::Name(path.to_owned());
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let first = ShortName::parse(first).ok_or_else(bad)?;
    match rest {
        None => match at.insert(first, Node::File(bytes)) {
            None => Ok(()),
            Some(_) => Err(FatError::Twice(path.to_owned())),
        },
        Some(rest) => match at.entry(first).or_insert_with(|| Node::Directory(BTreeMap::new())) {
            Node::Directory(below) => insert(below, rest, bytes),
            Node::File(_) => Err(FatError::Twice(path.to_owned())),
        },
    }
}

struct Volume<'a, W> {
    out: &'a mut W,
    options: &'a FatOptions,
    geometry: Geometry,
    table: Vec<u32>,
    /// Date and time as FAT has them.
    stamp: (u16, u16),
    label: [u8; 11],
}

impl<W: Write + Seek> Volume<'_, W> {
    /// A chain of neighbouring clusters for so many bytes, at least one; its first.
    fn allocate(&mut self, bytes: u64) -> Result<u32, FatError> {
        let clusters = bytes.div_ceil(self.geometry.cluster()).max(1);
        let first = self.table.len() as u64;
        let needed = first - 2 + clusters;
        if needed > self.geometry.clusters {
            return Err(FatError::Full { needed, there: self.geometry.clusters });
        }
        // Below the number of clusters, which has 28 bits.
        let (first, end) = (first as u32, (first + clusters) as u32);
        self.table.extend((first + 1..end).chain([END]));
        Ok(first)
    }

    fn directory_bytes(&self, nodes: &BTreeMap<ShortName, Node<'_>>, root: bool) -> u64 {
        // The root has its label, others have themselves and what is above.
        ((nodes.len() + if root { 1 } else { 2 }) * ENTRY) as u64
    }

    /// Writes a directory whose clusters are there already, and everything below.
    fn directory(
        &mut self,
        own: u32,
        above: Option<u32>,
        nodes: &BTreeMap<ShortName, Node<'_>>,
    ) -> Result<(), FatError> {
        let mut bytes = Vec::new();
        match above {
            None => bytes.extend(self.entry(self.label, VOLUME, 0, 0)),
            Some(above) => {
                bytes.extend(self.entry(*b".          ", DIRECTORY, own, 0));
                bytes.extend(self.entry(*b"..         ", DIRECTORY, above, 0));
            }
        }
        // In the directory above, the root goes by the number 0.
        let known_as = if above.is_some() { own } else { 0 };
        for (name, node) in nodes {
            match node {
                Node::Directory(below) => {
                    let start = self.allocate(self.directory_bytes(below, false))?;
                    bytes.extend(self.entry(name.0, DIRECTORY, start, 0));
                    self.directory(start, Some(known_as), below)?;
                }
                Node::File([]) => bytes.extend(self.entry(name.0, FILE, 0, 0)),
                Node::File(content) => {
                    let length = content.len() as u64;
                    let size = u32::try_from(length).map_err(|_| FatError::Size(length))?;
                    let start = self.allocate(length)?;
                    bytes.extend(self.entry(name.0, FILE, start, size));
                    self.put(self.geometry.place(start), content)?;
                }
            }
        }
        self.put(self.geometry.place(own), &bytes)
    }

    fn entry(&self, name: [u8; 11], kind: u8, start: u32, size: u32) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[..11].copy_from_slice(&name);
        entry[11] = kind;
        let (date, time) = self.stamp;
        for (at, word) in [(14, time), (16, date), (18, date), (22, time), (24, date)] {
            entry[at..at + 2].copy_from_slice(&word.to_le_bytes());
        }
        let [a, b, c, d] = start.to_le_bytes();
        (entry[26], entry[27], entry[20], entry[21]) = (a, b, c, d);
        entry[28..].copy_from_slice(&size.to_le_bytes());
        entry
    }

    fn put(&mut self, place: u64, bytes: &[u8]) -> Result<(), FatError> {
        self.out.seek(SeekFrom::Start(self.options.start + place))?;
        Ok(self.out.write_all(bytes)?)
    }

    /// The tables and the boot sector, with its copy.
    fn finish(mut self) -> Result<(), FatError> {
        let table: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        for copy in 0..FATS {
            self.put((RESERVED + copy * self.geometry.table) * SECTOR, &table)?;
        }
        let free = self.geometry.clusters - (self.table.len() as u64 - 2);
        let boot = self.geometry.boot_sector(self.options.start, self.options.serial, &self.label);
        let info = geometry::info_sector(free as u32, self.table.len() as u32);
        for first in [0, geometry::COPY] {
            self.put(first * SECTOR, &boot)?;
            self.put((first + 1) * SECTOR, &info)?;
        }
        Ok(())
    }
}

/// FAT counts from 1980 to 2107, in steps of two seconds.
fn stamp(time: Timestamp) -> (u16, u16) {
    let (year, month, day, hour, minute, second) = time.civil();
    if !(1980..=2107).contains(&year) {
        return (1 << 5 | 1, 0);
    }
    let date = (year - 1980) as u16 * 512 + month as u16 * 32 + day as u16;
    (date, hour as u16 * 2048 + minute as u16 * 32 + second as u16 / 2)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn options(size: u64) -> FatOptions {
        FatOptions { start: 0, size, serial: 1, label: "ESP".to_owned(), time: Timestamp(1_700_000_000) }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |size, files: &[(&str, &[u8])]| {
            write(&mut Cursor::new(Vec::new()), &options(size), &files.iter().copied().collect()).unwrap_err()
        };
        assert!(matches!(refused(1 << 20, &[]), FatError::Size(_)));
        assert!(matches!(refused((64 << 20) + 1, &[]), FatError::Size(_)));
        assert!(matches!(refused(64 << 20, &[("a.txt", b"")]), FatError::Name(_)));
        assert!(matches!(refused(64 << 20, &[("LONGNAME9.TXT", b"")]), FatError::Name(_)));
        assert!(matches!(refused(64 << 20, &[("A", b""), ("A/B", b"")]), FatError::Twice(_)));
        let large = vec![1; 64 << 20];
        assert!(matches!(refused(64 << 20, &[("A", &large)]), FatError::Full { .. }));
    }

    #[test]
    fn times_outside_of_what_fat_counts_become_its_first_day() {
        assert_eq!(stamp(Timestamp(0)), (33, 0));
        assert_eq!(stamp(Timestamp(1_700_000_000)), ((43 << 9) + (11 << 5) + 14, (22 << 11) + (13 << 5) + 10));
    }
}
