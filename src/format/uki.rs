//! Unified kernel images: systemd's stub, a program for UEFI, with kernel, initramfs and command line as further sections
//! (the UAPI group's specification of them; the PE format, Microsoft's specification of it).
//!
//! Nothing of the stub changes but its table of sections and the sizes that follow from it.

use crate::base::Arch;

/// Largest image: what firmware loads at once.
const LIMIT: usize = 1 << 30;
/// Bytes of an entry in the table of sections.
const ENTRY: usize = 40;
/// Initialized data, readable.
const DATA: u32 = 0x4000_0040;
/// Offsets in the optional header of PE32+.
const INITIALIZED: usize = 8;
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const IMAGE_SIZE: usize = 56;
const HEADERS_SIZE: usize = 60;

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    /// The stub is not one.
    #[error("the boot stub is not a supported UEFI program of this architecture: {0}")]
    Stub(&'static str),
    /// The table of sections has no room left.
    #[error("the boot stub has no room for {0} more sections")]
    Room(usize),
    /// A name that a section cannot have, or too many bytes.
    #[error("section `{0}` has an invalid name or size")]
    Section(String),
}

/// The stub with these sections behind its own, in this order.
pub fn unified(arch: Arch, stub: &[u8], sections: &[(&str, &[u8])]) -> Result<Vec<u8>, UkiError> {
    let stub_of = Stub::read(arch, stub)?;
    let first = stub_of.table + stub_of.sections * ENTRY;
    let room = stub.get(first..stub_of.headers).ok_or(UkiError::Stub("its headers are truncated"))?;
    if room.len() < sections.len() * ENTRY || room[..sections.len() * ENTRY].iter().any(|byte| *byte != 0) {
        return Err(UkiError::Room(sections.len()));
    }
    let mut image = stub.to_vec();
    let mut address = stub_of.end;
    let mut data: u32 = 0;
    for (number, (name, bytes)) in sections.iter().enumerate() {
        let wrong = || UkiError::Section((*name).to_owned());
        image.resize(image.len().next_multiple_of(stub_of.file_alignment), 0);
        let place = image.len();
        let padded = bytes.len().next_multiple_of(stub_of.file_alignment);
        if name.len() > 8 || bytes.is_empty() || padded > LIMIT || place + padded > LIMIT {
            return Err(wrong());
        }
        let entry = &mut image[first + number * ENTRY..][..ENTRY];
        entry[..name.len()].copy_from_slice(name.as_bytes());
        // All below LIMIT.
        let words = [(8, bytes.len() as u32), (12, address), (16, padded as u32), (20, place as u32), (36, DATA)];
        for (at, word) in words {
            entry[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        image.extend_from_slice(bytes);
        image.resize(place + padded, 0);
        let end = address.checked_add(bytes.len() as u32).ok_or_else(wrong)?;
        address = end.checked_next_multiple_of(stub_of.section_alignment).ok_or_else(wrong)?;
        data += padded as u32;
    }
    let count = (stub_of.sections + sections.len()) as u16;
    image[stub_of.coff + 2..][..2].copy_from_slice(&count.to_le_bytes());
    let optional = stub_of.optional;
    image[optional + IMAGE_SIZE..][..4].copy_from_slice(&address.to_le_bytes());
    let before = word(&image, optional + INITIALIZED).unwrap_or(0);
    image[optional + INITIALIZED..][..4].copy_from_slice(&before.saturating_add(data).to_le_bytes());
    Ok(image)
}

/// What must be known of a stub.
struct Stub {
    /// Where the COFF header begins.
    coff: usize,
    /// Where the optional header begins.
    optional: usize,
    /// Where the table of sections begins.
    table: usize,
    /// Sections in it.
    sections: usize,
    /// Bytes of all headers.
    headers: usize,
    /// The first address behind the last section.
    end: u32,
    section_alignment: u32,
    file_alignment: usize,
}

impl Stub {
    fn read(arch: Arch, bytes: &[u8]) -> Result<Stub, UkiError> {
        let cut = || UkiError::Stub("it is cut off");
        let at = word(bytes, 0x3c).ok_or_else(cut)? as usize;
        if !bytes.starts_with(b"MZ") || bytes.get(at..at.saturating_add(4)) != Some(b"PE\0\0") {
            return Err(UkiError::Stub("it has no PE header"));
        }
        let coff = at + 4;
        let optional = coff + 20;
        if short(bytes, coff) != Some(arch.facts().uefi.machine) || short(bytes, optional) != Some(0x20b) {
            return Err(UkiError::Stub("it is for another architecture"));
        }
        let sections = usize::from(short(bytes, coff + 2).ok_or_else(cut)?);
        let table = optional + usize::from(short(bytes, coff + 16).ok_or_else(cut)?);
        let field = |offset: usize| word(bytes, optional + offset).ok_or_else(cut);
        let (section_alignment, file_alignment) = (field(SECTION_ALIGNMENT)?, field(FILE_ALIGNMENT)?);
        let sane = |alignment: u32| alignment.is_power_of_two() && (512..=65536).contains(&alignment);
        if !sane(section_alignment) || !sane(file_alignment) {
            return Err(UkiError::Stub("its alignments are not supported"));
        }
        let mut end = 0;
        for number in 0..sections {
            let entry = table + number * ENTRY;
            let (size, address) = (word(bytes, entry + 8), word(bytes, entry + 12));
            let after = address.zip(size).and_then(|(address, size)| address.checked_add(size));
            end = end.max(after.ok_or_else(cut)?);
        }
        let end = end.checked_next_multiple_of(section_alignment).ok_or_else(cut)?;
        let (headers, file_alignment) = (field(HEADERS_SIZE)? as usize, file_alignment as usize);
        Ok(Stub { coff, optional, table, sections, headers, end, section_alignment, file_alignment })
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smallest program: headers, one section.
    pub(crate) fn stub() -> Vec<u8> {
        let mut bytes = vec![0; 0x800];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, b"MZ");
        put(0x3c, &0x80u32.to_le_bytes());
        put(0x80, b"PE\0\0");
        put(0x84, &Arch::Amd64.facts().uefi.machine.to_le_bytes());
        put(0x86, &1u16.to_le_bytes());
        put(0x94, &240u16.to_le_bytes());
        put(0x98, &0x20bu16.to_le_bytes());
        for (at, word) in [(32, 0x1000u32), (36, 512), (56, 0x2000), (60, 0x600), (108, 16)] {
            put(0x98 + at, &word.to_le_bytes());
        }
        put(0x188, b".text");
        for (at, word) in [(8, 0x100u32), (12, 0x1000), (16, 0x200), (20, 0x600)] {
            put(0x188 + at, &word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn sections_are_added_behind_those_that_are_there() {
        let image = unified(Arch::Amd64, &stub(), &[(".cmdline", b"a b"), (".linux", &[7; 5000])]).unwrap();
        assert_eq!(short(&image, 0x86), Some(3));
        assert_eq!(word(&image, 0x98 + IMAGE_SIZE), Some(0x5000));
        let linux = 0x188 + 2 * ENTRY;
        assert_eq!((word(&image, linux + 8), word(&image, linux + 12)), (Some(5000), Some(0x3000)));
        let place = word(&image, linux + 20).unwrap() as usize;
        assert_eq!(&image[place..place + 5000], &[7; 5000]);
        assert_eq!(image.len(), 0x800 + 0x200 + 0x1400);
    }

    #[test]
    fn what_is_no_stub_or_does_not_fit_is_refused() {
        assert!(matches!(unified(Arch::Amd64, b"MZ", &[]), Err(UkiError::Stub(_))));
        assert!(matches!(unified(Arch::Amd64, &[0; 4096], &[]), Err(UkiError::Stub(_))));
        let mut other = stub();
        other[0x84] = 0;
        assert!(matches!(unified(Arch::Amd64, &other, &[]), Err(UkiError::Stub("it is for another architecture"))));
        assert_eq!(unified(Arch::Amd64, &stub(), &[(".a", b"x".as_slice()); 40]), Err(UkiError::Room(40)));
        for wrong in [(".toolongname", b"x".as_slice()), (".empty", b"")] {
            assert!(matches!(unified(Arch::Amd64, &stub(), &[wrong]), Err(UkiError::Section(_))));
        }
        for length in 0..0x1b0 {
            assert!(unified(Arch::Amd64, &stub()[..length], &[]).is_err(), "{length}");
        }
    }
}
