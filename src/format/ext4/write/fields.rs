//! Little-endian numbers in structures of the disk.

/// Puts the lowest `length` bytes of a number at a place.
pub(super) fn put(bytes: &mut [u8], at: usize, length: usize, number: u64) {
    bytes[at..at + length].copy_from_slice(&number.to_le_bytes()[..length]);
}

/// Puts a number whose halves are at two places, each of `length` bytes.
pub(super) fn put_halves(bytes: &mut [u8], (low, high): (usize, usize), length: usize, number: u64) {
    put(bytes, low, length, number);
    put(bytes, high, length, number >> (8 * length));
}
