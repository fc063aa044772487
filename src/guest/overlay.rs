//! The writable disk above the built one: an empty qcow2 file that names the other as its backing file.
//!
//! Format: `docs/interop/qcow2.rst` in QEMU. Such a file is a header and tables without entries, so no tool is needed.
//! A lasting overlay remembers the digest of the disk it was made for: above another one it would be garbage.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::GuestError;
use crate::base::{ByteSize, Digest};
use crate::recipe::image::DiskFormat;
use crate::world::dir::Dir;
use crate::world::fs;

const MAGIC: u32 = 0x5146_49fb;
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Bytes that one entry of the first table reaches: a cluster of 8-byte entries, each one cluster.
const BYTES_PER_L1_ENTRY: u64 = CLUSTER / 8 * CLUSTER;
/// Header length of version 3, without `compression_type`.
const HEADER: u32 = 104;
/// Header extension: format of the backing file.
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Header extension of our own (QEMU keeps those it does not know): digest of the backing file.
const BACKING_DIGEST: u32 = 0x6b69_6c6e;
/// 64 TiB: far beyond any disk that kiln builds.
const MAX_DISK_BYTES: u64 = 1 << 46;

/// Where QEMU finds the built artifacts.
pub const ARTIFACTS: &str = "/kiln/artifacts";

/// The disk below an overlay.
#[derive(Debug, Clone, Copy)]
pub struct BackingDisk<'a> {
    /// The directory it is in, which QEMU sees as [`ARTIFACTS`].
    pub artifacts: &'a Path,
    pub file: &'a str,
    /// How its bytes lie there.
    pub format: DiskFormat,
    /// Its digest.
    pub digest: Digest,
    /// What the guest sees instead of the disk's own size: more.
    pub size: Option<u64>,
}

/// Makes an empty overlay above a built disk.
pub fn create(path: &Path, below: BackingDisk<'_>) -> Result<(), GuestError> {
    let size = shown_size(below)?;
    Ok(fs::write_atomically(path, &empty(below, size))?)
}

/// A lasting overlay: made when it is not there, else checked to be one for this disk.
pub fn create_or_check(path: &Path, below: BackingDisk<'_>) -> Result<(), GuestError> {
    if !path.exists() {
        return create(path, below);
    }
    match made_for(path)? {
        digest if digest == below.digest => same_size(path, below),
        digest => Err(GuestError::Keep {
            path: path.to_owned(),
            reason: format!(
                "it was made by `--keep` for another disk (sha256 {}, this one is {}): \
                 give another file, or remove it to start afresh",
                digest.short(),
                below.digest.short()
            ),
        }),
    }
}

/// Refuses a file that is no lasting overlay, whatever disk it would be for.
pub fn check(path: &Path) -> Result<(), GuestError> {
    made_for(path).map(drop)
}

/// The digest of the disk that an overlay was made for.
fn made_for(path: &Path) -> Result<Digest, GuestError> {
    let reason = || "it was not created by `kiln run --keep`; use another file name".to_owned();
    backing_digest(&start(path)?).ok_or_else(|| GuestError::Keep { path: path.to_owned(), reason: reason() })
}

/// Refuses another size than an overlay was made with: its tables are for that one.
fn same_size(path: &Path, below: BackingDisk<'_>) -> Result<(), GuestError> {
    let found = at64(&start(path)?, 24).unwrap_or_default();
    match below.size {
        Some(wanted) if wanted != found => Err(GuestError::Keep {
            path: path.to_owned(),
            reason: format!(
                "it was made with a disk of {}, and --disk-size asks for {}: give another file, or leave --disk-size out",
                ByteSize(found),
                ByteSize(wanted)
            ),
        }),
        _ => Ok(()),
    }
}

/// What the guest sees: the size that is asked for, if the disk fits in there.
fn shown_size(below: BackingDisk<'_>) -> Result<u64, GuestError> {
    let own = virtual_size(below)?;
    let Some(size) = below.size else { return Ok(own) };
    let reason = match size {
        small if small < own => format!("the disk of the image has {}", ByteSize(own)),
        odd if !odd.is_multiple_of(512) => "a disk has whole sectors of 512 bytes".to_owned(),
        huge if huge > MAX_DISK_BYTES => format!("at most {}", ByteSize(MAX_DISK_BYTES)),
        _ => return Ok(size),
    };
    Err(GuestError::DiskSize { size: ByteSize(size), reason })
}

/// The whole file: header, refcount table, one refcount block, first table.
fn empty(below: BackingDisk<'_>, size: u64) -> Vec<u8> {
    let backing = format!("{ARTIFACTS}/{}", below.file);
    let entries = size.div_ceil(BYTES_PER_L1_ENTRY);
    let table_clusters = (entries * 8).div_ceil(CLUSTER).max(1);
    let mut file = Vec::new();
    let mut extensions = extension(BACKING_FORMAT, below.format.name().as_bytes());
    extensions.extend(extension(BACKING_DIGEST, below.digest.as_bytes()));
    extensions.extend(extension(0, b""));
    let name_at = u64::from(HEADER) + extensions.len() as u64;
    put32(&mut file, &[MAGIC, 3]);
    put64(&mut file, &[name_at]);
    put32(&mut file, &[backing.len() as u32, CLUSTER_BITS]);
    put64(&mut file, &[size]);
    put32(&mut file, &[0, entries as u32]);
    put64(&mut file, &[3 * CLUSTER, CLUSTER]);
    put32(&mut file, &[1, 0]);
    // No snapshots; no incompatible, compatible or autoclear features; refcounts of 16 bits.
    put64(&mut file, &[0, 0, 0, 0]);
    put32(&mut file, &[4, HEADER]);
    file.extend(extensions);
    file.extend(backing.as_bytes());
    file.resize(CLUSTER as usize, 0);
    put64(&mut file, &[2 * CLUSTER]);
    file.resize(2 * CLUSTER as usize, 0);
    for _ in 0..3 + table_clusters {
        file.extend(1u16.to_be_bytes());
    }
    file.resize(((3 + table_clusters) * CLUSTER) as usize, 0);
    file
}

fn extension(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put32(&mut bytes, &[kind, data.len() as u32]);
    bytes.extend(data);
    bytes.resize(8 + data.len().next_multiple_of(8), 0);
    bytes
}

fn put32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
}

fn put64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
}

/// The first cluster of a file, or less.
fn start(path: &Path) -> Result<Vec<u8>, GuestError> {
    first_cluster(path, &fs::open(path)?)
}

fn first_cluster(path: &Path, file: &File) -> Result<Vec<u8>, GuestError> {
    let mut bytes = Vec::new();
    fs::context("read", path, file.take(CLUSTER).read_to_end(&mut bytes))?;
    Ok(bytes)
}

/// Size of the disk that the guest sees. The directory may be anybody's, so no link in it is followed; and what a raw disk
/// begins with is its guest's, so its format is not guessed from that.
fn virtual_size(below: BackingDisk<'_>) -> Result<u64, GuestError> {
    let path = below.artifacts.join(below.file);
    let failed = |reason: String| GuestError::Disk { path: path.clone(), reason };
    let disk = Dir::open_named(below.artifacts)?.plain(below.file).map_err(|odd| failed(odd.to_string()))?;
    let size = match below.format {
        DiskFormat::Raw => disk.size,
        DiskFormat::Qcow2 => {
            let bytes = first_cluster(&path, &disk.file)?;
            let magic = at32(&bytes, 0).filter(|magic| *magic == MAGIC);
            magic.and_then(|_| at64(&bytes, 24)).ok_or_else(|| failed("it is not a qcow2".to_owned()))?
        }
    };
    if size == 0 || size > MAX_DISK_BYTES || !size.is_multiple_of(512) {
        return Err(failed(format!("{size} bytes is not a valid disk size")));
    }
    Ok(size)
}

fn backing_digest(bytes: &[u8]) -> Option<Digest> {
    let mut at = at32(bytes, 100).filter(|_| at32(bytes, 0) == Some(MAGIC) && at32(bytes, 4) == Some(3))? as usize;
    loop {
        let (kind, length) = (at32(bytes, at)?, at32(bytes, at + 4)? as usize);
        if kind == BACKING_DIGEST {
            return Some(Digest::from_bytes(bytes.get(at + 8..at + 8 + length)?.try_into().ok()?));
        }
        if kind == 0 || length > bytes.len() {
            return None;
        }
        at += 8 + length.next_multiple_of(8);
    }
}

fn at32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn at64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("kiln-overlay-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn an_overlay_knows_its_disk_and_refuses_others() {
        let dir = scratch("knows");
        fs::write_atomically(&dir.join("disk.raw"), &[0; 1024]).unwrap();
        let disk = BackingDisk {
            artifacts: &dir,
            file: "disk.raw",
            format: DiskFormat::Raw,
            digest: Digest::of(b"one"),
            size: None,
        };
        let keep = dir.join("keep.qcow2");
        create_or_check(&keep, disk).unwrap();
        create_or_check(&keep, disk).unwrap();
        let other = BackingDisk { digest: Digest::of(b"two"), ..disk };
        let error = create_or_check(&keep, other).unwrap_err().to_string();
        assert!(error.contains("another disk"), "{error}");
        let error = create_or_check(&dir.join("disk.raw"), disk).unwrap_err().to_string();
        assert!(error.contains("not created by `kiln run --keep`"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_size_comes_from_below_and_nonsense_is_refused() {
        let dir = scratch("size");
        let disk = |file, format| BackingDisk { artifacts: &dir, file, format, digest: Digest::of(b"d"), size: None };
        let below = empty(disk("x", DiskFormat::Raw), 5 << 30);
        fs::write_atomically(&dir.join("a"), &below).unwrap();
        let size = |file| virtual_size(disk(file, DiskFormat::Qcow2));
        assert_eq!(size("a").unwrap(), 5 << 30);
        // A guest may write the head of a qcow2, with any file of the host as its backing file, to its raw disk.
        assert_eq!(virtual_size(disk("a", DiskFormat::Raw)).unwrap(), below.len() as u64);
        fs::write_atomically(&dir.join("b"), b"short").unwrap();
        assert!(size("b").is_err());
        let mut huge = below;
        huge[24..32].fill(0xff);
        fs::write_atomically(&dir.join("c"), &huge).unwrap();
        assert!(size("c").is_err());
        std::os::unix::fs::symlink("a", dir.join("d")).unwrap();
        assert!(size("d").unwrap_err().to_string().contains("a symbolic link"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_larger_disk_is_shown_and_a_smaller_one_refused() {
        let dir = scratch("larger");
        fs::write_atomically(&dir.join("disk.raw"), &[0; 4096]).unwrap();
        let disk = |size| BackingDisk {
            artifacts: &dir,
            file: "disk.raw",
            format: DiskFormat::Raw,
            digest: Digest::of(b"d"),
            size: Some(size),
        };
        let keep = dir.join("keep.qcow2");
        create_or_check(&keep, disk(1 << 40)).unwrap();
        assert_eq!(at64(&start(&keep).unwrap(), 24), Some(1 << 40));
        // As many entries as the tables of a disk of this size need.
        assert_eq!(at32(&start(&keep).unwrap(), 36), Some(2048));
        create_or_check(&keep, disk(1 << 40)).unwrap();
        create_or_check(&keep, BackingDisk { size: None, ..disk(0) }).unwrap();
        let said = create_or_check(&keep, disk(2 << 40)).unwrap_err().to_string();
        assert!(said.contains("made with a disk of 1TiB, and --disk-size asks for 2TiB"), "{said}");
        for (size, words) in [(2048, "has 4KiB"), (5000, "whole sectors"), (1 << 50, "at most 64TiB")] {
            let said = create(&dir.join("new"), disk(size)).unwrap_err().to_string();
            assert!(said.contains(words), "{size}: {said}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn damaged_headers_end_the_search() {
        let below = BackingDisk {
            artifacts: Path::new("/"),
            file: "x",
            format: DiskFormat::Raw,
            digest: Digest::of(b"d"),
            size: None,
        };
        let good = empty(below, 1 << 20);
        assert_eq!(backing_digest(&good), Some(Digest::of(b"d")));
        for length in 0..200 {
            let found = backing_digest(&good[..length]);
            assert!(found.is_none() || found == Some(Digest::of(b"d")));
        }
        let mut wild = good;
        wild[100..104].fill(0xff);
        assert_eq!(backing_digest(&wild), None);
    }
}
