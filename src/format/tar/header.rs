//! The 512-byte ustar header (POSIX.1-2008, `pax`, "ustar Interchange Format"), in exactly one encoding.

use super::entry::{TarEntry, TarEntryKind};

/// Bytes of a header, and the unit that content is padded to.
pub(super) const BLOCK: usize = 512;
/// Largest value of an 11-digit octal field: sizes and times beyond it go into a pax header.
pub(super) const MAX_LONG: u64 = 0o77_777_777_777;
/// Largest value of a 7-digit octal field: owners beyond it go into a pax header.
pub(super) const MAX_SHORT: u32 = 0o7_777_777;
/// Bytes of the name and link name fields.
pub(super) const NAME: usize = 100;

/// What a header block holds; numbers and names were made to fit before.
pub(super) struct Fields<'a> {
    pub(super) name: &'a [u8],
    pub(super) link: &'a [u8],
    pub(super) flag: u8,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) size: u64,
    pub(super) mtime: u64,
    pub(super) device: (u32, u32),
}

/// The type flag of a kind of file.
pub(super) fn flag(kind: &TarEntryKind) -> u8 {
    match kind {
        TarEntryKind::File => b'0',
        TarEntryKind::Hardlink(_) => b'1',
        TarEntryKind::Symlink(_) => b'2',
        TarEntryKind::CharDevice(_) => b'3',
        TarEntryKind::BlockDevice(_) => b'4',
        TarEntryKind::Directory => b'5',
        TarEntryKind::Fifo => b'6',
    }
}

/// The name as it stands in the archive: `./` for the root, a final slash on directories.
pub(super) fn spelled(entry: &TarEntry) -> Vec<u8> {
    let mut name = entry.path.as_bytes().to_vec();
    if entry.path.is_root() {
        name.push(b'.');
    }
    if entry.is_directory() {
        name.push(b'/');
    }
    name
}

/// The block. User and group names stay empty: numbers are all that a root file system knows.
pub(super) fn encode(fields: &Fields<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_name(&mut block[0..100], fields.name);
    put_octal(&mut block[100..108], fields.mode.into());
    put_octal(&mut block[108..116], fields.owner.0.into());
    put_octal(&mut block[116..124], fields.owner.1.into());
    put_octal(&mut block[124..136], fields.size);
    put_octal(&mut block[136..148], fields.mtime);
    block[156] = fields.flag;
    put_name(&mut block[157..257], fields.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    put_octal(&mut block[329..337], fields.device.0.into());
    put_octal(&mut block[337..345], fields.device.1.into());
    let sum = checksum(&block);
    put_octal(&mut block[148..155], sum.into());
    block[155] = b' ';
    block
}

/// The sum of all bytes, the checksum's own field counted as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let all: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    all - own + 8 * u32::from(b' ')
}

/// Cut when too long: the whole name then stands in a pax header.
fn put_name(field: &mut [u8], name: &[u8]) {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
}

/// Zero-padded octal and a NUL.
fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    for (place, byte) in field[..digits].iter_mut().rev().enumerate() {
        *byte = b'0' + (value >> (3 * place) & 7) as u8;
    }
}
