//! How many clusters a FAT32 file system has and where they lie, as its boot sector says it.

/// Bytes of a sector.
pub(super) const SECTOR: u64 = 512;
/// Sectors before the first table.
pub(super) const RESERVED: u64 = 32;
/// Copies of the table.
pub(super) const FATS: u64 = 2;
/// Where the copy of the boot sector lies.
pub(super) const COPY: u64 = 6;
/// Fewer clusters would make it FAT16, whatever it says of itself.
const FEWEST: u64 = 65525;
/// Numbers of clusters have 28 bits, of which a few mean something else.
const MOST: u64 = 0x0fff_fff5;
/// From this size on a cluster has eight sectors: tables of one-sector clusters would be large.
const LARGE: u64 = 260 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Sectors of everything.
    pub(super) sectors: u64,
    /// Sectors of a cluster.
    pub(super) per_cluster: u64,
    /// Sectors of one table.
    pub(super) table: u64,
    /// Clusters that hold data; their numbers begin with 2.
    pub(super) clusters: u64,
}

impl Geometry {
    pub(super) fn new(size: u64) -> Option<Geometry> {
        let sectors = u32::try_from(size / SECTOR).ok().filter(|_| size.is_multiple_of(SECTOR))?.into();
        let per_cluster = if size < LARGE { 1 } else { 8 };
        // Large enough for the clusters that there would be without tables.
        let table = ((u64::saturating_sub(sectors, RESERVED) / per_cluster + 2) * 4).div_ceil(SECTOR);
        let clusters = u64::checked_sub(sectors, RESERVED + FATS * table)? / per_cluster;
        (FEWEST..MOST).contains(&clusters).then_some(Geometry { sectors, per_cluster, table, clusters })
    }

    /// Bytes of a cluster.
    pub(super) fn cluster(&self) -> u64 {
        self.per_cluster * SECTOR
    }

    /// Where a cluster begins, in bytes.
    pub(super) fn place(&self, cluster: u32) -> u64 {
        (RESERVED + FATS * self.table + (u64::from(cluster) - 2) * self.per_cluster) * SECTOR
    }

    pub(super) fn boot_sector(&self, start: u64, serial: u32, label: &[u8; 11]) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &[0xeb, 0x58, 0x90]);
        put(3, b"kiln    ");
        put(11, &(SECTOR as u16).to_le_bytes());
        put(13, &[self.per_cluster as u8]);
        put(14, &(RESERVED as u16).to_le_bytes());
        put(16, &[FATS as u8]);
        // A disk that cannot be taken out, whose tracks and heads nobody asks for any more.
        put(21, &[0xf8]);
        put(24, &63u16.to_le_bytes());
        put(26, &255u16.to_le_bytes());
        put(28, &u32::try_from(start / SECTOR).unwrap_or(0).to_le_bytes());
        put(32, &(self.sectors as u32).to_le_bytes());
        put(36, &(self.table as u32).to_le_bytes());
        put(44, &2u32.to_le_bytes());
        put(48, &1u16.to_le_bytes());
        put(50, &(COPY as u16).to_le_bytes());
        put(64, &[0x80, 0, 0x29]);
        put(67, &serial.to_le_bytes());
        put(71, label);
        put(82, b"FAT32   ");
        // Two bytes that run in a circle: nothing boots from here.
        put(90, &[0xeb, 0xfe]);
        put(510, &[0x55, 0xaa]);
        bytes
    }
}

/// How many clusters are free, and the first of them.
pub(super) fn info_sector(free: u32, next: u32) -> [u8; SECTOR as usize] {
    let mut bytes = [0; SECTOR as usize];
    for (at, word) in [(0, 0x4161_5252), (484, 0x6141_7272), (488, free), (492, next), (508, 0xaa55_0000u32)] {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
