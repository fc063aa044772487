//! Numbers of the format and the header that names them.

use super::{Qcow2Error, Qcow2Options};

/// Refcounts have `1 << REFCOUNT_ORDER` bits, QEMU's default.
const REFCOUNT_ORDER: u32 = 4;
/// Largest first-level table that QEMU opens (`QCOW_MAX_L1_SIZE` in `block/qcow2.h`).
const MAX_L1_BYTES: u64 = 32 << 20;
/// QEMU counts disks in sectors, so a size is rounded up to whole ones.
const SECTOR: u64 = 512;
/// Bytes of the version 3 header with the compression type, padded to eight.
const HEADER_LENGTH: u32 = 112;
/// Incompatible feature bit 3: the compression type is not deflate.
const COMPRESSION_TYPE_BIT: u64 = 1 << 3;
/// `compression_type` of zstd.
const ZSTD: u8 = 1;

/// Bit 63 of a table entry: the cluster's refcount is exactly one.
pub(super) const COPIED: u64 = 1 << 63;
/// Bit 62 of a second-level entry: the rest describes a compressed cluster.
pub(super) const COMPRESSED: u64 = 1 << 62;

/// Sizes that follow from the cluster size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) bits: u32,
}

impl Geometry {
    pub(super) fn new(options: Qcow2Options) -> Result<Geometry, Qcow2Error> {
        if !(1..=3).contains(&options.level) {
            return Err(Qcow2Error::Options("the zstd level must be 1, 2 or 3"));
        }
        // Larger clusters could hold more frames than a 16-bit refcount counts.
        if !(12..=18).contains(&options.cluster_bits) {
            return Err(Qcow2Error::Options("a cluster must have 12 to 18 bits"));
        }
        Ok(Geometry { bits: options.cluster_bits })
    }

    /// Bytes of a cluster.
    pub(super) fn cluster(self) -> u64 {
        1 << self.bits
    }

    /// Entries of a second-level table, each of 8 bytes.
    pub(super) fn l2_entries(self) -> u64 {
        self.cluster() / 8
    }

    /// Refcounts in one block.
    pub(super) fn block_entries(self) -> u64 {
        (self.cluster() * 8) >> REFCOUNT_ORDER
    }

    /// Entries of the first-level table for a disk of `size` bytes.
    pub(super) fn l1_entries(self, size: u64) -> Result<u64, Qcow2Error> {
        let entries = size.div_ceil(self.cluster()).div_ceil(self.l2_entries());
        if entries * 8 > MAX_L1_BYTES { Err(Qcow2Error::TooLarge(size)) } else { Ok(entries) }
    }

    /// The entry of a compressed cluster: where its first byte is, and how many sectors it touches after the first.
    pub(super) fn descriptor(self, offset: u64, length: u64) -> u64 {
        let sectors = (offset + length - 1) / SECTOR - offset / SECTOR;
        COMPRESSED | sectors << (62 - (self.bits - 8)) | offset
    }
}

/// The size that the guest sees.
pub(super) fn virtual_size(raw: u64) -> u64 {
    raw.next_multiple_of(SECTOR)
}

/// Where the tables are.
pub(super) struct Tables {
    pub(super) size: u64,
    pub(super) l1_entries: u64,
    pub(super) l1_offset: u64,
    pub(super) refcount_offset: u64,
    pub(super) refcount_clusters: u64,
}

/// The header, with an empty list of extensions behind it. No backing file, no snapshots, no feature names.
pub(super) fn encode(geometry: Geometry, tables: &Tables) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LENGTH as usize + 8);
    let long = |bytes: &mut Vec<u8>, value: u64| bytes.extend_from_slice(&value.to_be_bytes());
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend_from_slice(&value.to_be_bytes());
    bytes.extend_from_slice(b"QFI\xfb");
    word(&mut bytes, 3);
    long(&mut bytes, 0);
    word(&mut bytes, 0);
    word(&mut bytes, geometry.bits);
    long(&mut bytes, tables.size);
    word(&mut bytes, 0);
    word(&mut bytes, tables.l1_entries as u32);
    long(&mut bytes, tables.l1_offset);
    long(&mut bytes, tables.refcount_offset);
    word(&mut bytes, tables.refcount_clusters as u32);
    word(&mut bytes, 0);
    long(&mut bytes, 0);
    long(&mut bytes, COMPRESSION_TYPE_BIT);
    long(&mut bytes, 0);
    long(&mut bytes, 0);
    word(&mut bytes, REFCOUNT_ORDER);
    word(&mut bytes, HEADER_LENGTH);
    bytes.push(ZSTD);
    // Seven bytes of padding, then the end-of-extensions mark: type 0, length 0.
    bytes.resize(HEADER_LENGTH as usize + 8, 0);
    bytes
}
