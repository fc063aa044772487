//! Inodes as the disk has them.

use super::fields::{put, put_halves};
use crate::format::ext4::crc32c::crc32c;
use crate::format::tar::Device;

/// Bytes of an inode.
pub(super) const SIZE: usize = 256;
/// Bytes of the fields behind the first 128.
const EXTRA: u64 = 32;
/// Where the fields end.
const FIELDS: usize = 160;
/// `EXT4_EXTENTS_FL`
pub(super) const EXTENTS_FLAG: u64 = 0x8_0000;

/// Times that the disk can have: 32 bits with a sign, and two more that count their overflows.
pub(super) const TIMES: std::ops::RangeInclusive<i64> = -(1 << 31)..=(1 << 34) - (1 << 31) - 1;

/// What an inode says of its file.
pub(super) struct InodeFields {
    /// Permission bits, and the kind above them.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) time: i64,
    pub(super) links: u64,
    pub(super) flags: u64,
    /// Blocks of the file system that are the file's.
    pub(super) blocks: u64,
    /// `i_block`: the root of the extents, a short target, or a device's number.
    pub(super) block: [u8; 60],
    /// The block with extended attributes, or 0.
    pub(super) attributes: u64,
    /// What stands behind the fields.
    pub(super) rest: Vec<u8>,
}

impl InodeFields {
    /// Its bytes; `seed` is the checksum of what every block of the inode begins with, `created` the time of its birth.
    pub(super) fn encode(&self, seed: u32, created: i64) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        put(&mut bytes, 0, 2, self.mode.into());
        put_halves(&mut bytes, (0x02, 0x78), 2, self.uid.into());
        put_halves(&mut bytes, (0x18, 0x7a), 2, self.gid.into());
        put_halves(&mut bytes, (0x04, 0x6c), 4, self.size);
        put(&mut bytes, 0x1a, 2, self.links);
        put(&mut bytes, 0x20, 4, self.flags);
        // Counted in sectors of 512 bytes.
        put(&mut bytes, 0x1c, 4, self.blocks * 8);
        put(&mut bytes, 0x74, 2, (self.blocks * 8) >> 32);
        put(&mut bytes, 0x68, 4, self.attributes);
        put(&mut bytes, 0x76, 2, self.attributes >> 32);
        bytes[0x28..0x64].copy_from_slice(&self.block);
        put(&mut bytes, 0x80, 2, EXTRA);
        // Of access, change and content; of the birth.
        for (at, extra, time) in
            [(0x08, 0x8c, self.time), (0x0c, 0x84, self.time), (0x10, 0x88, self.time), (0x90, 0x94, created)]
        {
            put(&mut bytes, at, 4, time as u64);
            put(&mut bytes, extra, 4, overflows(time));
        }
        bytes[FIELDS..FIELDS + self.rest.len()].copy_from_slice(&self.rest);
        let sum = crc32c(seed, &bytes);
        put_halves(&mut bytes, (0x7c, 0x82), 2, sum.into());
        bytes
    }
}

/// How often a time of 32 bits with a sign overflowed before this one.
fn overflows(time: i64) -> u64 {
    (((time - i64::from(time as i32)) >> 32) & 3) as u64
}

/// The number of a device in `i_block`: in 16 bits, or behind them in 32 where it needs more.
pub(super) fn device(device: Device) -> [u8; 60] {
    let Device { major, minor } = device;
    let mut block = [0; 60];
    if major < 256 && minor < 256 {
        put(&mut block, 0, 4, (major << 8 | minor).into());
    } else {
        put(&mut block, 4, 4, ((minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12).into());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_overflow_into_two_bits() {
        let cases = [(0, 0), (-1, 0), (i64::from(i32::MAX), 0), (1 << 31, 1), ((1 << 32) - 1, 1), (*TIMES.end(), 3)];
        for (time, more) in cases {
            assert_eq!(overflows(time), more, "{time}");
            assert_eq!(i64::from(time as i32) + ((more as i64) << 32), time, "{time}");
        }
        assert_eq!(overflows(*TIMES.start()), 0);
    }
}
