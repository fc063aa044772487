//! Checks `swap = 512MiB` in an image.

use super::ImageFile;
use crate::base::{ByteSize, Diagnostic, Spanned};
use crate::recipe::reader::Reader;

/// The swap file of an image.
pub const SWAP_FILE: &str = "/swapfile";

/// mkswap(8) makes none with less than ten pages; the kernel counts pages in 32 bits.
const SIZES: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 40);
const PAGE: u64 = 4096;

/// The size of the swap file, which lies on a file system of `size` bytes among these files.
pub(super) fn size(
    swap: Spanned<ByteSize>,
    size: Option<u64>,
    files: &[ImageFile],
    reader: &Reader<'_>,
) -> Option<u64> {
    let Spanned { value: ByteSize(bytes), span } = swap;
    if !SIZES.contains(&bytes) || !bytes.is_multiple_of(PAGE) {
        let bounds = format!("from {} to {}, in whole pages of 4KiB", ByteSize(*SIZES.start()), ByteSize(*SIZES.end()));
        reader.error(Diagnostic::new(span, "`swap` is out of range").label(bounds));
        return None;
    }
    if let Some(size) = size.filter(|size| *size <= bytes) {
        let wrong = Diagnostic::new(span, "the swap file does not fit on the disk");
        let label = format!("a disk of {} has less room than this", ByteSize(size));
        reader.error(wrong.label(label).hint("`size` is that of the whole file system, with the swap file on it"));
    }
    let taken = |path: &str| files.iter().find(|file| file.path == path);
    if let Some(file) = taken("/etc/fstab") {
        let wrong = Diagnostic::new(span, "`swap` adds a line to `/etc/fstab`, which the recipe replaces");
        let wrong = wrong.label("nothing would use this swap file").related(file.span, "by this");
        reader.error(wrong.hint("leave one of the two out"));
    }
    if let Some(file) = taken(SWAP_FILE) {
        let wrong = Diagnostic::new(span, format!("the swap file is `{SWAP_FILE}`"));
        reader.error(wrong.label("this makes it").related(file.span, "and so does this"));
    }
    Some(bytes)
}
