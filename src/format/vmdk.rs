//! VMDK: a sparse virtual disk in one file (`monolithicSparse` of VMware's "Virtual Disk Format 5.0").
//!
//! Input: a disk, and the name that its description gives its one extent. Output: the file. Its content identity follows from
//! the disk's content: equal disks give equal files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::disk::{DiskReader, ReadAt, pieces};
use crate::base::Hasher;

/// Sectors have 32 bits in the tables.
pub const MAX_BYTES: u64 = 1 << 41;
const SECTOR: u64 = 512;
/// Bytes of what the tables name: there, or all zeros.
const GRAIN: u64 = 64 << 10;
/// Entries of a table of grains, and sectors that it takes.
const TABLE_ENTRIES: u64 = 512;
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR;
/// Sectors of the header, and of the description behind it.
const HEADER_SECTORS: u64 = 1;
const DESCRIPTION_SECTORS: u64 = 20;
/// A first disk, which no other is the parent of.
const NO_PARENT: &str = "ffffffff";

/// Where everything is, in sectors.
struct Layout {
    capacity: u64,
    tables: u64,
    /// The directory with a copy of every table, and the one with the tables.
    copy: u64,
    first: u64,
    /// Where grains begin.
    grains: u64,
}

impl Layout {
    fn new(size: u64) -> Layout {
        let tables = size.div_ceil(GRAIN).div_ceil(TABLE_ENTRIES);
        let directory = (tables * 4).div_ceil(SECTOR) + tables * TABLE_SECTORS;
        let copy = HEADER_SECTORS + DESCRIPTION_SECTORS;
        let first = copy + directory;
        let grains = (first + directory).next_multiple_of(GRAIN / SECTOR);
        Layout { capacity: size.div_ceil(SECTOR), tables, copy, first, grains }
    }

    /// Sectors of tables, from the directory at a place on.
    fn directory(&self, at: u64) -> Vec<u8> {
        let from = at + (self.tables * 4).div_ceil(SECTOR);
        let tables = (0..self.tables).map(|table| (from + table * TABLE_SECTORS) as u32);
        let mut bytes: Vec<u8> = tables.flat_map(u32::to_le_bytes).collect();
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        bytes
    }

    fn header(&self) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"KDMV");
        put(4, &1u32.to_le_bytes());
        // The test of line ends below is there, and the second directory.
        put(8, &3u32.to_le_bytes());
        put(12, &self.capacity.to_le_bytes());
        put(20, &(GRAIN / SECTOR).to_le_bytes());
        put(28, &HEADER_SECTORS.to_le_bytes());
        put(36, &DESCRIPTION_SECTORS.to_le_bytes());
        put(44, &(TABLE_ENTRIES as u32).to_le_bytes());
        put(48, &self.copy.to_le_bytes());
        put(56, &self.first.to_le_bytes());
        put(64, &self.grains.to_le_bytes());
        put(73, b"\n \r\n");
        bytes
    }
}

/// Writes the disk to an empty file, as long as `go_on` has no error.
pub fn write(
    disk: &mut DiskReader,
    (out, name): (&File, &str),
    go_on: &dyn Fn(u64) -> io::Result<()>,
) -> io::Result<()> {
    let size = disk.size();
    let layout = Layout::new(size);
    let mut table = vec![0; (layout.tables * TABLE_SECTORS * SECTOR) as usize];
    let mut end = layout.grains * SECTOR;
    let mut content = Hasher::new(io::sink());
    pieces(disk, GRAIN, go_on, &mut |number, bytes| {
        io::Write::write_all(&mut content, &number.to_le_bytes())?;
        io::Write::write_all(&mut content, bytes)?;
        let at = number as usize * 4;
        table[at..at + 4].copy_from_slice(&((end / SECTOR) as u32).to_le_bytes());
        out.write_all_at(bytes, end)?;
        end += GRAIN;
        Ok(())
    })?;
    let (_, digest, _) = content.finish();
    for place in [layout.copy, layout.first] {
        let directory = layout.directory(place);
        out.write_all_at(&directory, place * SECTOR)?;
        out.write_all_at(&table, place * SECTOR + directory.len() as u64)?;
    }
    let text = description(&layout, &digest.hex()[..8], name);
    out.write_all_at(text.as_bytes(), HEADER_SECTORS * SECTOR)?;
    out.write_all_at(&layout.header(), 0)?;
    out.set_len(end)
}

fn description(layout: &Layout, content: &str, name: &str) -> String {
    // All ones would say that there is no content.
    let content = if content == NO_PARENT { "fffffffe" } else { content };
    let capacity = layout.capacity;
    let cylinders = (capacity / (255 * 63)).clamp(1, 65_535);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={content}\nparentCID={NO_PARENT}\ncreateType=\"monolithicSparse\"\n\n\
         # Extent description\nRW {capacity} SPARSE \"{name}\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\nddb.adapterType = \"lsilogic\"\n"
    )
}
