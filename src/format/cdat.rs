//! The Coherent Device Attribute Table (CDAT 1.04, UEFI Forum): what a CXL device or switch says of its performance.
//!
//! Input: the bytes of a table that somebody else wrote. Output: the memory that it speaks of, or why it is none. QEMU
//! hands a table to the guest without looking at most of it, and loops over an entry of no length.

/// The largest table that is read: the entries of 40 ranges of memory.
pub const MAX_BYTES: u64 = 4096;
/// Length, revision, checksum, six reserved bytes, sequence number.
const HEADER: usize = 16;
/// The revisions of the header that there are.
const REVISIONS: [u8; 2] = [1, 2];

/// Types of entries.
const DSMAS: u8 = 0;
const DSLBIS: u8 = 1;
const DSMSCIS: u8 = 2;
const DSIS: u8 = 3;
const DSEMTS: u8 = 4;
const SSLBIS: u8 = 5;

/// What a table says, as far as kiln compares it with a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdatTable {
    /// Memory of the device, by the address that the device has for it.
    pub ranges: Vec<CdatRange>,
    /// Whether there is an entry about the ports of a switch.
    pub of_switch: bool,
}

/// Memory of one kind (DSMAS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CdatRange {
    /// First address in the device.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// Why bytes are not a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CdatError {
    /// Less than a header.
    #[error("it has {0} bytes, and its header alone has 16")]
    Short(usize),
    /// More than kiln reads.
    #[error("it has {0} bytes (limit {MAX_BYTES})")]
    Large(u64),
    /// The header's length is not that of the file.
    #[error("its header says {stated} bytes, and it has {found}")]
    Length { stated: u32, found: usize },
    /// A format of the future.
    #[error("its header has revision {0}; known are 1 and 2")]
    Revision(u8),
    /// The sum of all bytes is not 0.
    #[error("its checksum is 0x{stated:02x}, and should be 0x{needed:02x}")]
    Checksum { stated: u8, needed: u8 },
    /// An entry that ends outside of the table, or has no length.
    #[error("the entry at byte {at} has an invalid length of {length}")]
    EntryLength { at: usize, length: u16 },
    /// Not a type of the standard.
    #[error("the entry at byte {at} has the unknown type {kind}")]
    EntryType { at: usize, kind: u8 },
    /// About memory that no DSMAS describes.
    #[error("the entry at byte {at} is about memory {handle}, which no DSMAS entry describes")]
    Handle { at: usize, handle: u8 },
    /// Two ranges of memory with one name.
    #[error("the DSMAS entry at byte {at} has the handle {handle} of another one")]
    HandleTwice { at: usize, handle: u8 },
    /// No memory, or past the last address.
    #[error("the DSMAS entry at byte {at} describes no memory, or more than can be")]
    Range { at: usize },
    /// Nothing but a header.
    #[error("it has no entries")]
    Empty,
}

impl CdatTable {
    /// Reads a table.
    pub fn parse(bytes: &[u8]) -> Result<CdatTable, CdatError> {
        header(bytes)?;
        let entries = entries(bytes)?;
        if entries.is_empty() {
            return Err(CdatError::Empty);
        }
        let mut table = CdatTable { ranges: Vec::new(), of_switch: false };
        let mut handles = Vec::new();
        for entry in entries.iter().filter(|entry| entry.kind == DSMAS) {
            let (at, handle) = (entry.at, entry.body[0]);
            if handles.contains(&handle) {
                return Err(CdatError::HandleTwice { at, handle });
            }
            handles.push(handle);
            let range = CdatRange { start: number(entry.body, 4), length: number(entry.body, 12) };
            if range.length == 0 || range.start.checked_add(range.length).is_none() {
                return Err(CdatError::Range { at });
            }
            table.ranges.push(range);
        }
        for entry in &entries {
            let (at, handle) = (entry.at, entry.body[0]);
            if [DSLBIS, DSMSCIS, DSEMTS].contains(&entry.kind) && !handles.contains(&handle) {
                return Err(CdatError::Handle { at, handle });
            }
            table.of_switch |= entry.kind == SSLBIS;
        }
        Ok(table)
    }
}

fn header(bytes: &[u8]) -> Result<(), CdatError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(CdatError::Large(bytes.len() as u64));
    }
    let Some(length) = bytes.first_chunk::<4>().filter(|_| bytes.len() >= HEADER) else {
        return Err(CdatError::Short(bytes.len()));
    };
    let (stated, found) = (u32::from_le_bytes(*length), bytes.len());
    if stated as usize != found {
        return Err(CdatError::Length { stated, found });
    }
    if !REVISIONS.contains(&bytes[4]) {
        return Err(CdatError::Revision(bytes[4]));
    }
    match bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) {
        0 => Ok(()),
        sum => Err(CdatError::Checksum { stated: bytes[5], needed: bytes[5].wrapping_sub(sum) }),
    }
}

struct Entry<'a> {
    at: usize,
    kind: u8,
    /// What follows type and length; at least four bytes.
    body: &'a [u8],
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, CdatError> {
    let mut entries = Vec::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let Some([kind, _, low, high]) = rest.first_chunk::<4>().copied() else {
            return Err(CdatError::EntryLength { at, length: 0 });
        };
        let length = u16::from_le_bytes([low, high]);
        let legal = match kind {
            DSMAS | DSLBIS | DSEMTS => length == 24,
            DSMSCIS => length == 20,
            DSIS => length == 8,
            SSLBIS => length >= 24 && length.is_multiple_of(8),
            _ => return Err(CdatError::EntryType { at, kind }),
        };
        let Some(body) = rest.get(4..usize::from(length)).filter(|_| legal) else {
            return Err(CdatError::EntryLength { at, length });
        };
        entries.push(Entry { at, kind, body });
        at += usize::from(length);
    }
    Ok(entries)
}

/// Eight bytes of an entry whose length was compared.
fn number(body: &[u8], at: usize) -> u64 {
    let bytes = body[at..].first_chunk::<8>().expect("a DSMAS entry has 24 bytes");
    u64::from_le_bytes(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0u8; HEADER];
        entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = 1;
        let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        bytes[5] = 0u8.wrapping_sub(sum);
        bytes
    }

    fn dsmas(handle: u8, start: u64, length: u64) -> Vec<u8> {
        let mut entry = vec![DSMAS, 0, 24, 0, handle, 0, 0, 0];
        entry.extend_from_slice(&start.to_le_bytes());
        entry.extend_from_slice(&length.to_le_bytes());
        entry
    }

    fn dslbis(handle: u8) -> Vec<u8> {
        let mut entry = vec![0; 24];
        (entry[0], entry[2], entry[4]) = (DSLBIS, 24, handle);
        entry
    }

    #[test]
    fn memory_of_a_device_is_read() {
        let bytes = table(&[&dsmas(0, 0, 1 << 28), &dslbis(0), &dsmas(1, 1 << 28, 1 << 28)]);
        let read = CdatTable::parse(&bytes).unwrap();
        let length = 1 << 28;
        assert_eq!(read.ranges, [CdatRange { start: 0, length }, CdatRange { start: 1 << 28, length }]);
        assert!(!read.of_switch);
    }

    #[test]
    fn a_switch_is_told_from_a_device() {
        let mut sslbis = vec![0; 24];
        (sslbis[0], sslbis[2]) = (SSLBIS, 24);
        let read = CdatTable::parse(&table(&[&sslbis])).unwrap();
        assert!(read.of_switch && read.ranges.is_empty());
    }

    #[test]
    fn what_is_not_a_table_is_refused_with_the_reason() {
        let good = table(&[&dsmas(0, 0, 1 << 28), &dslbis(0)]);
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            CdatTable::parse(&bytes).unwrap_err()
        };
        assert_eq!(CdatTable::parse(&[]), Err(CdatError::Short(0)));
        assert_eq!(CdatTable::parse(&good[..40]), Err(CdatError::Length { stated: 64, found: 40 }));
        assert_eq!(changed(4, 9), CdatError::Revision(9));
        let needed = good[5];
        assert_eq!(changed(5, needed.wrapping_add(1)), CdatError::Checksum { stated: needed.wrapping_add(1), needed });
        assert!(matches!(CdatTable::parse(&vec![0; 4097]), Err(CdatError::Large(4097))));
        assert_eq!(CdatTable::parse(&table(&[])), Err(CdatError::Empty));
        let of = |entries: &[&[u8]]| CdatTable::parse(&table(entries)).unwrap_err();
        assert_eq!(of(&[&[0, 0, 0, 0, 0, 0, 0, 0]]), CdatError::EntryLength { at: 16, length: 0 });
        assert_eq!(of(&[&[SSLBIS, 0, 0xf8, 0xff]]), CdatError::EntryLength { at: 16, length: 0xfff8 });
        assert_eq!(of(&[&[7, 0, 4, 0]]), CdatError::EntryType { at: 16, kind: 7 });
        assert_eq!(of(&[&[0, 0]]), CdatError::EntryLength { at: 16, length: 0 });
        assert_eq!(of(&[&dsmas(0, 0, 1), &dslbis(3)]), CdatError::Handle { at: 40, handle: 3 });
        assert_eq!(of(&[&dsmas(0, 0, 1), &dsmas(0, 1, 1)]), CdatError::HandleTwice { at: 40, handle: 0 });
        assert_eq!(of(&[&dsmas(0, u64::MAX, 2)]), CdatError::Range { at: 16 });
        assert_eq!(of(&[&dsmas(0, 0, 0)]), CdatError::Range { at: 16 });
    }

    #[test]
    fn a_table_cut_anywhere_and_any_byte_changed_is_refused() {
        let good = table(&[&dsmas(0, 0, 1 << 28), &dslbis(0)]);
        for end in 0..good.len() {
            assert!(CdatTable::parse(&good[..end]).is_err());
        }
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(CdatTable::parse(&bytes).is_err(), "byte {at}");
        }
    }
}
