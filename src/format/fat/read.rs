//! What a FAT32 file system holds, enough to compare two of them: paths, and where the bytes of each file lie.

use std::collections::BTreeMap;
use std::io;

/// Files and directories that are looked at.
const ENTRIES: usize = 1 << 16;
/// Directories within directories.
const DEPTH: usize = 8;
const ENTRY: usize = 32;
const DIRECTORY: u8 = 0x10;
const VOLUME: u8 = 0x08;

/// A file: its bytes, in order, as stretches of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatFile {
    /// Bytes.
    pub size: u64,
    /// Where they lie: offset and length.
    pub stretches: Vec<(u64, u64)>,
}

/// Reads at an offset of the file system.
type ReadAt<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

/// Every file by path; `None` when it is no FAT32 file system.
pub fn files(read: ReadAt<'_>) -> io::Result<Option<BTreeMap<String, FatFile>>> {
    let mut boot = [0; 512];
    read(0, &mut boot)?;
    let Some(volume) = Volume::new(&boot) else { return Ok(None) };
    let mut found = BTreeMap::new();
    volume.directory(read, (volume.root, ""), DEPTH, &mut found)?;
    Ok(Some(found))
}

struct Volume {
    sector: u64,
    cluster: u64,
    table: u64,
    data: u64,
    clusters: u64,
    root: u32,
}

impl Volume {
    fn new(boot: &[u8; 512]) -> Option<Volume> {
        let number = |at: usize, bytes: usize| (0..bytes).rev().fold(0u64, |sum, i| sum << 8 | u64::from(boot[at + i]));
        let (sector, per_cluster) = (number(11, 2), number(13, 1));
        let (reserved, tables, table) = (number(14, 2), number(16, 1), number(36, 4));
        let sound = boot[510..] == [0x55, 0xaa] && &boot[82..87] == b"FAT32" && sector.is_power_of_two();
        if !sound || !(512..=4096).contains(&sector) || !per_cluster.is_power_of_two() {
            return None;
        }
        let data = (reserved + tables * table) * sector;
        let cluster = sector * per_cluster;
        let clusters = (number(32, 4) * sector).checked_sub(data)? / cluster;
        Some(Volume { sector, cluster, table: reserved * sector, data, clusters, root: number(44, 4) as u32 })
    }

    fn place(&self, cluster: u32) -> u64 {
        self.data + (u64::from(cluster) - 2) * self.cluster
    }

    /// The clusters of a chain, neighbours together.
    fn chain(&self, read: ReadAt<'_>, first: u32) -> io::Result<Vec<(u64, u64)>> {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        let (mut cluster, mut sector) = (first, (u64::MAX, Vec::new()));
        for _ in 0..self.clusters {
            if !(2..self.clusters + 2).contains(&u64::from(cluster)) {
                break;
            }
            let place = self.place(cluster);
            match stretches.last_mut().filter(|(start, length)| start + length == place) {
                Some((_, length)) => *length += self.cluster,
                None => stretches.push((place, self.cluster)),
            }
            let at = self.table + u64::from(cluster) * 4;
            if sector.0 != at / self.sector {
                sector = (at / self.sector, vec![0; self.sector as usize]);
                read(sector.0 * self.sector, &mut sector.1)?;
            }
            cluster = word(&sector.1, (at % self.sector) as usize) & 0x0fff_ffff;
        }
        Ok(stretches)
    }

    fn directory(
        &self,
        read: ReadAt<'_>,
        (first, path): (u32, &str),
        depth: usize,
        found: &mut BTreeMap<String, FatFile>,
    ) -> io::Result<()> {
        for (start, length) in self.chain(read, first)? {
            let mut bytes = vec![0; length as usize];
            read(start, &mut bytes)?;
            for entry in bytes.chunks(ENTRY).take_while(|entry| entry[0] != 0) {
                let first = word(entry, 26) & 0xffff | word(entry, 20) << 16;
                let name = format!("{path}{}", name(&entry[..11]));
                if entry[0] == 0xe5 || entry[0] == b'.' || entry[11] & VOLUME != 0 || found.len() >= ENTRIES {
                    continue;
                }
                if entry[11] & DIRECTORY == 0 {
                    let size = u64::from(word(entry, 28));
                    found.insert(name, FatFile { size, stretches: cut(self.chain(read, first)?, size) });
                } else if depth > 0 {
                    self.directory(read, (first, &format!("{name}/")), depth - 1, found)?;
                }
            }
        }
        Ok(())
    }
}

/// No more than the file has.
fn cut(stretches: Vec<(u64, u64)>, size: u64) -> Vec<(u64, u64)> {
    let mut left = size;
    let stretches = stretches.into_iter().map(|(start, length)| {
        let length = length.min(left);
        left -= length;
        (start, length)
    });
    stretches.filter(|(_, length)| *length > 0).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

fn name(short: &[u8]) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (stem, extension) = (part(&short[..8]), part(&short[8..]));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::{FatOptions, write};
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn what_is_written_reads_back() {
        let size = 64 << 20;
        let options = FatOptions { start: 0, size, serial: 1, label: "X".to_owned(), time: Timestamp(0) };
        let large = vec![7; 5000];
        let mut out = Cursor::new(vec![0; size as usize]);
        let there = BTreeMap::from([("A/B/C.TXT", large.as_slice()), ("EMPTY", b"".as_slice())]);
        write(&mut out, &options, &there).unwrap();
        let bytes = out.into_inner();
        let mut read = |at: u64, buffer: &mut [u8]| {
            buffer.copy_from_slice(&bytes[at as usize..at as usize + buffer.len()]);
            Ok(())
        };
        let found = files(&mut read).unwrap().unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["A/B/C.TXT", "EMPTY"]);
        assert_eq!(found["A/B/C.TXT"].size, 5000);
        let (start, length) = found["A/B/C.TXT"].stretches[0];
        assert_eq!((length, &bytes[start as usize..][..5000]), (5000, large.as_slice()));
        assert_eq!(files(&mut |_, _: &mut [u8]| Ok(())).unwrap(), None);
    }
}
