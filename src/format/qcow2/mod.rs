//! Raw disks to compressed qcow2 images (QEMU `docs/interop/qcow2.txt`, version 3, zstd clusters).
//!
//! Input: a raw disk, sparse or not. Output: an image whose bytes depend on the disk's content and the options alone:
//! not on holes in the raw file, the number of cores, or the clock. It must not know where either file lives.

mod compress;
mod earlier;
mod extents;
mod header;
mod host;
mod places;
mod read;
mod source;
mod write;

pub use earlier::{EarlierImage, writer};
pub use places::{PackedCluster, StoredCluster, lay_out};
pub use read::Qcow2Reader;
pub use source::RawDisk;
pub use write::{write_qcow2, write_qcow2_like, write_qcow2_until};

/// How an image is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qcow2Options {
    /// Size of a cluster as a power of two, 12 to 18. QEMU's own choice is 16.
    pub cluster_bits: u32,
    /// Zstd level, 1 to 3. Higher levels keep state between clusters, which would make bytes depend on scheduling.
    pub level: i32,
}

impl Default for Qcow2Options {
    fn default() -> Self {
        Qcow2Options { cluster_bits: 16, level: 3 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Bytes that the guest sees.
    pub virtual_size: u64,
    /// Bytes of the image file.
    pub file_size: u64,
    /// Clusters stored as a zstd frame.
    pub compressed: u64,
    /// Clusters that zstd could not make smaller, stored as they are.
    pub plain: u64,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// Reading the disk failed.
    #[error("cannot read the raw disk: {0}")]
    Read(#[source] std::io::Error),
    /// Writing the image failed.
    #[error("cannot write the qcow2 image: {0}")]
    Write(#[source] std::io::Error),
    /// Nobody wants the image any more.
    #[error("writing the qcow2 image was interrupted")]
    Interrupted,
    /// Zstd refused.
    #[error("zstd failed: {0}")]
    Compress(#[source] std::io::Error),
    /// Options out of range.
    #[error("qcow2: {0}")]
    Options(&'static str),
    /// The first-level table would exceed what QEMU loads.
    #[error("a disk of {0} bytes is too large for this cluster size")]
    TooLarge(u64),
}
