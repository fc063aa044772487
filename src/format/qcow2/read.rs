//! What a guest sees of an image that kiln wrote: enough to compare two of them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::header::COMPRESSED;
use super::{PackedCluster, StoredCluster};

/// First-level entries that are read; as many as QEMU opens.
const MAX_L1: u64 = (32 << 20) / 8;
/// Where a table entry says that its cluster is (bits 9 to 55).
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Bit 0 of a second-level entry: the cluster reads as zeros.
const ZERO: u64 = 1;
const SECTOR: u64 = 512;

/// Bytes of the largest disk: the largest file system of a recipe (2 TiB), with room for partitions beside it.
const MAX_SIZE: u64 = (2 << 40) + (64 << 30);
/// Bytes of the window of a frame, as a power of two: twice those of the largest cluster.
const MAX_WINDOW_LOG: u32 = 19;
/// Images with more clusters, which have terabytes, are not listed.
const MAX_STORED: usize = 4 << 20;

/// An image, open for reading at any place.
pub struct Qcow2Reader<R> {
    file: R,
    bits: u32,
    size: u64,
    /// Bytes of the image itself.
    stored_bytes: u64,
    l1: Vec<u64>,
    /// The second-level table that was used last, by its offset.
    l2: (u64, Vec<u64>),
    /// The cluster that was used last, by its number.
    cluster: (u64, Vec<u8>),
}

impl<R: Read + Seek> Qcow2Reader<R> {
    /// Reads the header and the first-level table. Images with a backing file, encryption or deflate are refused: kiln
    /// writes none.
    pub fn new(mut file: R) -> io::Result<Qcow2Reader<R>> {
        let mut head = [0; 105];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head)?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let (bits, entries) = (word(20), u64::from(word(36)));
        let ours = head.starts_with(b"QFI\xfb") && word(4) == 3 && long(8) == 0 && word(32) == 0 && head[104] == 1;
        if !ours || !(12..=18).contains(&bits) || entries > MAX_L1 {
            return Err(bad("not a qcow2 image as kiln writes it"));
        }
        // A first-level entry stands for a table of eight-byte entries, one a cluster.
        let (size, reach) = (long(24), entries << (2 * bits - 3));
        if size > reach {
            return Err(bad("a disk that is larger than its L1 table can map"));
        }
        if size > MAX_SIZE {
            return Err(bad("a disk of more than 2112 GiB, which is larger than any that kiln makes"));
        }
        let l1 = table(&mut file, long(40), entries)?;
        let stored_bytes = file.seek(SeekFrom::End(0))?;
        let none = (u64::MAX, Vec::new());
        Ok(Qcow2Reader { file, bits, size, stored_bytes, l1, l2: (u64::MAX, Vec::new()), cluster: none })
    }

    /// Bytes that the guest sees.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the image itself.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// Size of a cluster as a power of two.
    pub fn cluster_bits(&self) -> u32 {
        self.bits
    }

    /// The clusters that the image has, in the guest's order.
    pub fn stored(&mut self) -> io::Result<Vec<StoredCluster>> {
        let (per_table, clusters) = (1u64 << (self.bits - 3), self.size.div_ceil(1 << self.bits));
        let mut stored = Vec::new();
        for at in 0..self.l1.len() as u64 {
            if self.l1[at as usize] & OFFSET == 0 {
                continue;
            }
            for number in at * per_table..((at + 1) * per_table).min(clusters) {
                stored.extend(self.place(number)?);
            }
            if stored.len() > MAX_STORED {
                return Err(bad("it has too many clusters"));
            }
        }
        Ok(stored)
    }

    /// What a cluster was packed to: of a frame, the bytes that it has by itself.
    pub fn packed(&mut self, stored: &StoredCluster) -> io::Result<PackedCluster> {
        let number = stored.number;
        if !stored.compressed {
            return Ok(PackedCluster { number, frame: None });
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(stored.offset))?;
        (&mut self.file).take(stored.length).read_to_end(&mut bytes)?;
        let length = zstd::zstd_safe::find_frame_compressed_size(&bytes);
        Ok(PackedCluster { number, frame: Some(length.map_err(|_| bad("a cluster that is no frame"))? as u64) })
    }

    /// Where a cluster lies, unless it reads as zeros without lying anywhere.
    fn place(&mut self, number: u64) -> io::Result<Option<StoredCluster>> {
        let entry = self.entry(number)?;
        if entry & COMPRESSED == 0 {
            let (offset, length) = (entry & OFFSET, 1 << self.bits);
            let there = entry & ZERO == 0 && offset != 0;
            return Ok(there.then_some(StoredCluster { number, offset, length, compressed: false }));
        }
        let (entry, shift) = (entry & !COMPRESSED, 62 - (self.bits - 8));
        let offset = entry & ((1 << shift) - 1);
        let length = ((entry >> shift) + 1) * SECTOR - offset % SECTOR;
        Ok(Some(StoredCluster { number, offset, length, compressed: true }))
    }

    /// Fills `buffer` from `offset` on; what lies behind the end is zeros.
    pub fn read_at(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none() {
            return Err(bad("an offset out of range"));
        }
        while !buffer.is_empty() {
            let number = offset >> self.bits;
            if self.cluster.0 != number {
                let bytes = self.load(number)?;
                self.cluster = (number, bytes);
            }
            let within = (offset & ((1 << self.bits) - 1)) as usize;
            let count = buffer.len().min(self.cluster.1.len() - within);
            buffer[..count].copy_from_slice(&self.cluster.1[within..within + count]);
            (offset, buffer) = (offset + count as u64, &mut buffer[count..]);
        }
        Ok(())
    }

    /// The first stretch of clusters at or after `from` of which any was written; none up to the end when there is none. A
    /// table may say of millions of clusters that they are none, so `go_on` is asked on the way.
    pub fn next_data(&mut self, from: u64, go_on: &dyn Fn() -> io::Result<()>) -> io::Result<Option<Range<u64>>> {
        let clusters = self.size.div_ceil(1 << self.bits);
        let mut number = from >> self.bits;
        while number < clusters {
            let per_table = 1u64 << (self.bits - 3);
            go_on()?;
            if self.l1.get((number / per_table) as usize).is_none_or(|entry| entry & OFFSET == 0) {
                number = (number / per_table + 1) * per_table;
                continue;
            }
            if self.is_written(number)? {
                let start = (number << self.bits).max(from);
                return Ok(Some(start..((number + 1) << self.bits).min(self.size)));
            }
            number += 1;
        }
        Ok(None)
    }

    fn is_written(&mut self, number: u64) -> io::Result<bool> {
        let entry = self.entry(number)?;
        Ok(entry & COMPRESSED != 0 || (entry & ZERO == 0 && entry & OFFSET != 0))
    }

    fn load(&mut self, number: u64) -> io::Result<Vec<u8>> {
        let size = 1usize << self.bits;
        let Some(place) = self.place(number)? else { return Ok(vec![0; size]) };
        self.file.seek(SeekFrom::Start(place.offset))?;
        place.unpack((&mut self.file).take(place.length), self.bits)
    }

    /// The second-level entry of a cluster; 0 where there is no table.
    fn entry(&mut self, number: u64) -> io::Result<u64> {
        let per_table = 1u64 << (self.bits - 3);
        let offset = self.l1.get((number / per_table) as usize).map_or(0, |entry| entry & OFFSET);
        if offset == 0 {
            return Ok(0);
        }
        if self.l2.0 != offset {
            self.l2 = (offset, table(&mut self.file, offset, per_table)?);
        }
        Ok(self.l2.1[(number % per_table) as usize])
    }
}

impl StoredCluster {
    /// The content of a cluster out of the bytes that it has in the image.
    pub fn unpack<R: Read>(&self, stored: R, bits: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 1 << bits];
        if self.compressed {
            let mut decoder = zstd::stream::read::Decoder::new(stored)?.single_frame();
            // A frame of a cluster needs no larger window: whoever asks for one wants memory.
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            decoder.read_exact(&mut bytes)?;
        } else {
            io::BufReader::new(stored).read_exact(&mut bytes)?;
        }
        Ok(bytes)
    }
}

fn table<R: Read + Seek>(file: &mut R, offset: u64, entries: u64) -> io::Result<Vec<u64>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; entries as usize * 8];
    file.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect())
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
