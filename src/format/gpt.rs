//! GUID partition tables with their protective boot record (UEFI specification 2.10, 5.2.3 and 5.3).
//!
//! Every identity is an argument. Sectors have 512 bytes, as virtio disks do unless told otherwise.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Sectors before the first that a partition may have: boot record, header, entries.
pub const LEADING_SECTORS: u64 = 2 + ENTRIES_SECTORS;
/// Sectors behind the last that a partition may have: entries, header.
pub const TRAILING_SECTORS: u64 = 1 + ENTRIES_SECTORS;
/// Entries that every table has room for, which is what the specification asks for at least.
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
const ENTRIES_SECTORS: u64 = (ENTRIES * ENTRY) as u64 / SECTOR;
const HEADER: usize = 92;
/// UTF-16 units of a name.
const MAX_NAME_UNITS: usize = 36;
/// Bytes of a boot record that are program: behind them stand the disk's old signature and the old table.
const BOOT_CODE_BYTES: usize = 440;

/// A GUID as it stands on disk: the first three fields little-endian, the rest as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Reads `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`.
    pub fn parse(text: &str) -> Option<Guid> {
        let dashes = [8, 13, 18, 23];
        let legal =
            |(at, byte): (usize, u8)| if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
        if text.len() != 36 || !text.bytes().enumerate().all(legal) {
            return None;
        }
        let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
        let mut bytes = number.to_be_bytes();
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        Some(Guid(bytes))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in [3, 2, 1, 0, 16, 5, 4, 16, 7, 6, 16, 8, 9, 16, 10, 11, 12, 13, 14, 15] {
            match self.0.get(at) {
                Some(byte) => write!(f, "{byte:02x}")?,
                None => f.write_str("-")?,
            }
        }
        Ok(())
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// From 1 on: the `2` of `/dev/vda2`.
    pub number: usize,
    /// What it is for.
    pub kind: Guid,
    /// Its own identity, which `PARTUUID=` names.
    pub id: Guid,
    pub name: String,
    pub first: u64,
    /// How many it has.
    pub sectors: u64,
}

impl Partition {
    fn last(&self) -> Option<u64> {
        self.first.checked_add(self.sectors)?.checked_sub(1)
    }
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub disk: Guid,
    /// Its sectors, both tables included.
    pub sectors: u64,
    pub partitions: Vec<Partition>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// Writing failed.
    #[error("cannot write the partition table: {0}")]
    Io(#[from] io::Error),
    /// A partition that the table cannot hold.
    #[error("partition {number} {what}")]
    Partition {
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A program that does not fit into the boot record.
    #[error("the boot code has {0} bytes (limit {BOOT_CODE_BYTES})")]
    Program(usize),
}

/// Writes both tables and the boot record; `program` is what a BIOS runs from there.
pub fn write<W: Write + Seek>(out: &mut W, table: &Table, program: &[u8]) -> Result<(), GptError> {
    check(table)?;
    let entries = entries(table);
    let sum = crc32(&entries);
    let last = table.sectors - 1;
    let mut at = |sector: u64, bytes: &[u8]| {
        out.seek(SeekFrom::Start(sector * SECTOR))?;
        out.write_all(bytes)
    };
    at(0, &boot_record(table, program)?)?;
    at(1, &header(table, (1, last), 2, sum))?;
    at(2, &entries)?;
    at(last - ENTRIES_SECTORS, &entries)?;
    at(last, &header(table, (last, 1), last - ENTRIES_SECTORS, sum))?;
    Ok(())
}

fn check(table: &Table) -> Result<(), GptError> {
    let mut taken: Vec<(u64, u64)> = Vec::new();
    let mut numbers = Vec::new();
    for partition in &table.partitions {
        let number = partition.number;
        let refuse = |what| Err(GptError::Partition { number, what });
        let end = table.sectors.saturating_sub(TRAILING_SECTORS);
        let Some(last) = partition.last().filter(|last| partition.first >= LEADING_SECTORS && *last < end) else {
            return refuse("is outside of the usable sectors");
        };
        if partition.sectors == 0 {
            return refuse("is empty");
        }
        if !(1..=ENTRIES).contains(&number) || numbers.contains(&number) {
            return refuse("has a number that is taken or out of range");
        }
        if taken.iter().any(|(first, end)| partition.first <= *end && *first <= last) {
            return refuse("overlaps another");
        }
        if partition.name.encode_utf16().count() > MAX_NAME_UNITS {
            return refuse("has a name of more than 36 characters");
        }
        taken.push((partition.first, last));
        numbers.push(number);
    }
    Ok(())
}

fn entries(table: &Table) -> Vec<u8> {
    let mut entries = vec![0; ENTRIES * ENTRY];
    for partition in &table.partitions {
        let entry = &mut entries[(partition.number - 1) * ENTRY..][..ENTRY];
        entry[..16].copy_from_slice(&partition.kind.0);
        entry[16..32].copy_from_slice(&partition.id.0);
        entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
        entry[40..48].copy_from_slice(&(partition.first + partition.sectors - 1).to_le_bytes());
        let units = partition.name.encode_utf16().flat_map(u16::to_le_bytes);
        entry[56..].iter_mut().zip(units).for_each(|(to, from)| *to = from);
    }
    entries
}

fn header(table: &Table, (own, other): (u64, u64), entries: u64, sum: u32) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR as usize];
    bytes[..8].copy_from_slice(b"EFI PART");
    bytes[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&(HEADER as u32).to_le_bytes());
    let places = [own, other, LEADING_SECTORS, table.sectors - TRAILING_SECTORS - 1];
    for (number, place) in places.into_iter().enumerate() {
        bytes[24 + number * 8..][..8].copy_from_slice(&place.to_le_bytes());
    }
    bytes[56..72].copy_from_slice(&table.disk.0);
    bytes[72..80].copy_from_slice(&entries.to_le_bytes());
    for (number, word) in [ENTRIES as u32, ENTRY as u32, sum].into_iter().enumerate() {
        bytes[80 + number * 4..][..4].copy_from_slice(&word.to_le_bytes());
    }
    let own_sum = crc32(&bytes[..HEADER]);
    bytes[16..20].copy_from_slice(&own_sum.to_le_bytes());
    bytes
}

/// The old kind of table with one entry over everything, so that old programs see no free space.
fn boot_record(table: &Table, program: &[u8]) -> Result<Vec<u8>, GptError> {
    if program.len() > BOOT_CODE_BYTES {
        return Err(GptError::Program(program.len()));
    }
    let mut bytes = vec![0; SECTOR as usize];
    bytes[..program.len()].copy_from_slice(program);
    // Not active; from cylinder, head, sector 0, 0, 2; of the type EE; to the end of what that can say.
    bytes[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    bytes[454..458].copy_from_slice(&1u32.to_le_bytes());
    let sectors = u32::try_from(table.sectors - 1).unwrap_or(u32::MAX);
    bytes[458..462].copy_from_slice(&sectors.to_le_bytes());
    bytes[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(bytes)
}

/// Bytes from the start of a disk that [`read`] needs.
pub const HEAD: usize = (LEADING_SECTORS * SECTOR) as usize;

/// The table at the start of a disk, if there is one whose checksums hold and whose entries are where kiln puts them.
pub fn read(head: &[u8]) -> Option<Table> {
    let bytes = head.get(..HEAD)?;
    let (header, entries) = (&bytes[SECTOR as usize..][..HEADER], &bytes[2 * SECTOR as usize..]);
    let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let long = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let guid = |bytes: &[u8]| bytes.try_into().ok().map(Guid);
    let mut summed = header.to_vec();
    summed[16..20].fill(0);
    let ours = header.starts_with(b"EFI PART") && long(header, 72)? == 2 && word(80)? == ENTRIES as u32;
    if !ours || word(84)? != ENTRY as u32 || word(16)? != crc32(&summed) || word(88)? != crc32(entries) {
        return None;
    }
    let mut partitions = Vec::new();
    for (at, entry) in entries.chunks(ENTRY).enumerate().filter(|(_, entry)| entry[..16] != [0; 16]) {
        let (first, last) = (long(entry, 32)?, long(entry, 40)?);
        let units = entry[56..].as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
        let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        partitions.push(Partition {
            number: at + 1,
            kind: guid(&entry[..16])?,
            id: guid(&entry[16..32])?,
            name: String::from_utf16_lossy(&units),
            first,
            sectors: last.checked_sub(first)?.checked_add(1)?,
        });
    }
    Some(Table { disk: guid(&header[56..72])?, sectors: long(header, 32)?.checked_add(1)?, partitions })
}

/// CRC-32 as in Ethernet, which gzip has too.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const KIND: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

    fn table() -> Table {
        let partition = |number, first, sectors| Partition {
            number,
            kind: Guid::parse(KIND).unwrap(),
            id: Guid([number as u8; 16]),
            name: format!("part {number}"),
            first,
            sectors,
        };
        Table { disk: Guid([7; 16]), sectors: 8192, partitions: vec![partition(2, 4096, 2048), partition(1, 2048, 1)] }
    }

    #[test]
    fn guids_are_written_as_they_are_read() {
        let guid = Guid::parse(KIND).unwrap();
        assert_eq!((guid.to_string().as_str(), guid.0[0], guid.0[15]), (KIND, 0x28, 0x3b));
        for wrong in ["", "c12a7328f81f11d2ba4b00a0c93ec93b", "g12a7328-f81f-11d2-ba4b-00a0c93ec93b"] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_table_reads_back_and_a_damaged_one_does_not() {
        let mut out = Cursor::new(vec![0; 8192 * 512]);
        write(&mut out, &table(), &[0xeb; 440]).unwrap();
        let mut bytes = out.into_inner();
        assert_eq!(bytes.len(), 8192 * 512);
        let mut read_back = read(&bytes).unwrap();
        read_back.partitions.reverse();
        assert_eq!(read_back, table());
        bytes[2 * 512 + 60] ^= 1;
        assert_eq!(read(&bytes), None);
        assert_eq!(read(&bytes[..100]), None);
    }

    #[test]
    fn partitions_that_cannot_be_are_refused() {
        let refused = |change: &dyn Fn(&mut Table), word: &str| {
            let mut table = table();
            change(&mut table);
            let error = write(&mut Cursor::new(Vec::new()), &table, &[]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(&|table| table.partitions[0].first = 33, "between");
        refused(&|table| table.partitions[0].sectors = 8192 - 4096 - 32, "between");
        refused(&|table| table.partitions[0].sectors = u64::MAX, "between");
        refused(&|table| table.partitions[1].sectors = 2049, "overlaps");
        refused(&|table| table.partitions[0].number = 1, "number");
        refused(&|table| table.partitions[0].name = "x".repeat(37), "name");
        refused(&|table| table.sectors = 10, "between");
        let error = write(&mut Cursor::new(Vec::new()), &table(), &[0; 441]).unwrap_err();
        assert!(matches!(error, GptError::Program(441)));
    }
}
