//! VHD: a dynamic virtual hard disk (Microsoft's "Virtual Hard Disk Image Format Specification", version 1.0).
//!
//! Input: a disk. Output: the file. Its timestamp is the format's first, its identity follows from the disk's content: equal
//! disks give equal files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::disk::{DiskReader, ReadAt, pieces};
use crate::base::Hasher;

/// Largest disk that the format's readers take (Hyper-V).
pub const MAX_BYTES: u64 = 2040 << 30;
const SECTOR: u64 = 512;
/// Bytes of a block, before which one sector says that all of its sectors are there.
const BLOCK: u64 = 2 << 20;
/// Where the header of dynamic disks, and where the table of blocks is.
const HEADER: u64 = 512;
const TABLE: u64 = HEADER + 1024;
const VERSION: u32 = 0x0001_0000;

/// Writes the disk to an empty file, as long as `go_on` has no error.
pub fn write(disk: &mut DiskReader, out: &File, go_on: &dyn Fn(u64) -> io::Result<()>) -> io::Result<()> {
    let size = disk.size();
    let blocks = size.div_ceil(BLOCK);
    let mut table = vec![0xff; (blocks * 4).next_multiple_of(SECTOR) as usize];
    let mut end = TABLE + table.len() as u64;
    let mut content = Hasher::new(io::sink());
    pieces(disk, BLOCK, go_on, &mut |number, bytes| {
        io::Write::write_all(&mut content, &number.to_le_bytes())?;
        io::Write::write_all(&mut content, bytes)?;
        let at = number as usize * 4;
        table[at..at + 4].copy_from_slice(&((end / SECTOR) as u32).to_be_bytes());
        out.write_all_at(&[0xff; SECTOR as usize], end)?;
        sparse(out, bytes, end + SECTOR)?;
        end += SECTOR + BLOCK;
        Ok(())
    })?;
    let (_, digest, _) = content.finish();
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    let footer = footer(size, id);
    out.write_all_at(&footer, 0)?;
    out.write_all_at(&header(blocks), HEADER)?;
    out.write_all_at(&table, TABLE)?;
    out.write_all_at(&footer, end)
}

/// Leaves holes where there are only zeros.
fn sparse(out: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    const PIECE: usize = 4096;
    for (piece, bytes) in bytes.chunks(PIECE).enumerate().filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)) {
        out.write_all_at(bytes, at + (piece * PIECE) as u64)?;
    }
    Ok(())
}

fn footer(size: u64, id: [u8; 16]) -> [u8; 512] {
    let mut bytes = [0; 512];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"conectix");
    put(8, &2u32.to_be_bytes());
    put(12, &VERSION.to_be_bytes());
    put(16, &HEADER.to_be_bytes());
    // QEMU takes the size from the geometry, which rounds it, unless these say that the creator was exact.
    put(28, b"win ");
    put(32, &VERSION.to_be_bytes());
    put(36, b"Wi2k");
    put(40, &size.to_be_bytes());
    put(48, &size.to_be_bytes());
    put(56, &geometry(size / SECTOR));
    put(60, &3u32.to_be_bytes());
    put(68, &id);
    sum(&mut bytes, 64);
    bytes
}

fn header(blocks: u64) -> [u8; 1024] {
    let mut bytes = [0; 1024];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"cxsparse");
    put(8, &u64::MAX.to_be_bytes());
    put(16, &TABLE.to_be_bytes());
    put(24, &VERSION.to_be_bytes());
    put(28, &(blocks as u32).to_be_bytes());
    put(32, &(BLOCK as u32).to_be_bytes());
    sum(&mut bytes, 36);
    bytes
}

/// The one's complement of the sum of all bytes but the field itself.
fn sum(bytes: &mut [u8], at: usize) {
    let total: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[at..at + 4].copy_from_slice(&(!total).to_be_bytes());
}

/// Cylinders, heads and sectors as the specification's appendix computes them.
fn geometry(sectors: u64) -> [u8; 4] {
    let sectors = sectors.min(65_535 * 16 * 255);
    let (per_track, heads, tracks);
    if sectors >= 65_535 * 16 * 63 {
        (per_track, heads, tracks) = (255, 16, sectors / 255);
    } else {
        let tracks_of_17 = sectors / 17;
        let few = tracks_of_17.div_ceil(1024).max(4);
        if tracks_of_17 >= few * 1024 || few > 16 {
            let tracks_of_31 = sectors / 31;
            (per_track, heads, tracks) =
                if tracks_of_31 >= 16 * 1024 { (63, 16, sectors / 63) } else { (31, 16, tracks_of_31) };
        } else {
            (per_track, heads, tracks) = (17, few, tracks_of_17);
        }
    }
    let cylinders = ((tracks / heads) as u16).to_be_bytes();
    [cylinders[0], cylinders[1], heads as u8, per_track as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_geometries_are_those_of_the_specification() {
        let bytes = footer(1 << 30, [7; 16]);
        let total: u32 =
            bytes.iter().enumerate().filter(|(at, _)| !(64..68).contains(at)).map(|(_, b)| u32::from(*b)).sum();
        assert_eq!(bytes[64..68], (!total).to_be_bytes());
        // As the appendix computes them for disks of these sizes.
        assert_eq!(geometry((1 << 30) / 512), [0x08, 0x20, 16, 63]);
        assert_eq!(geometry((2040 << 30) / 512), [0xff, 0xff, 16, 255]);
    }
}
