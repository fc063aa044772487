//! Sizes of the file systems of an image.

use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::reader::Reader;

/// Bytes of an image's file system: less does not hold the packages that every Debian system has; more than 2 TiB is a
/// typo.
pub const SIZES: std::ops::RangeInclusive<u64> = (64 << 20)..=(2 << 40);

/// mke2fs counts whole blocks.
const BLOCK: u64 = 4096;

/// The bytes of a file system that mke2fs can make.
pub(super) fn in_bounds(size: Spanned<ByteSize>, reader: &Reader<'_>) -> Option<u64> {
    let Spanned { value: ByteSize(bytes), span } = size;
    if SIZES.contains(&bytes) && bytes.is_multiple_of(BLOCK) {
        return Some(bytes);
    }
    let (least, most) = (ByteSize(*SIZES.start()), ByteSize(*SIZES.end()));
    let bounds = format!("from {least} to {most}, in whole blocks of 4KiB");
    reader.error(Diagnostic::new(span, "`size` is out of range").label(bounds));
    None
}
